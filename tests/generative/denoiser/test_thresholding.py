"""Thresholds of the denoised sample, through which every prediction goes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import VP, CondOT, Denoiser
from fokker.generative.denoiser import KINDS, Dynamic, Static

X = torch.linspace(-2.0, 2.0, 12, dtype=torch.float64).reshape(4, 3)


def net(x: Tensor, time: Tensor) -> Tensor:
    return torch.sin(x)


def imagen(x0: Tensor, quantile: float, bound: float) -> Tensor:
    """Section 2.3 of 2205.11487, sample by sample."""
    rows = []
    for row in x0:
        s = max(torch.quantile(row.abs().flatten(), quantile).item(), bound)
        rows.append(row.clamp(-s, s) * bound / s)
    return torch.stack(rows)


def test_static_thresholds() -> None:
    x0 = torch.tensor([[-3.0, -0.8, -0.1, 0.0, 0.7, 0.9, 5.0]], dtype=torch.float64)
    assert Static(0.8)(x0).tolist() == [[-0.8, -0.8, -0.1, 0.0, 0.7, 0.8, 0.8]]
    assert Static()(x0).tolist() == [[-1.0, -0.8, -0.1, 0.0, 0.7, 0.9, 1.0]]


@pytest.mark.parametrize("quantile", [0.3, 0.5, 0.9, 0.995, 1.0])
@pytest.mark.parametrize("bound", [0.5, 1.0, 3.0])
def test_dynamic_thresholds(quantile: float, bound: float) -> None:
    x0 = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x0 = x0 * torch.linspace(0.3, 3.0, 6, dtype=torch.float64).reshape(6, 1, 1, 1)
    threshold = Dynamic(quantile, bound)
    torch.testing.assert_close(threshold(x0), imagen(x0, quantile, bound), rtol=1e-14, atol=1e-14)
    assert threshold(x0).abs().max() <= bound * (1.0 + 1e-15)
    for i in range(6):
        assert torch.equal(threshold(x0)[i], threshold(x0[i : i + 1])[0])
    torch.testing.assert_close(threshold(x0[:, 0, 0, 0]), x0[:, 0, 0, 0].clamp(-bound, bound), rtol=1e-15, atol=0.0)


def test_the_quantile_has_a_bound_of_its_own() -> None:
    """Clipped to the largest, and scaled by it: diffusers' sample_max_value."""
    x0 = torch.tensor([[-9.0, 6.0, 3.0], [1.0, -2.0, 0.5]], dtype=torch.float64)
    found = Dynamic(1.0, 1.0, largest=4.0)(x0)
    assert found.tolist() == [[-1.0, 1.0, 0.75], [0.5, -1.0, 0.25]]
    with pytest.raises(ValueError, match=r"bound <= largest, but got 1\.0 and 0\.5"):
        Dynamic(largest=0.5)


@pytest.mark.parametrize("threshold", [Static(0.2), Dynamic(0.7, 0.1)])
@pytest.mark.parametrize("predicts", ["x0", "eps", "v", "velocity"])
def test_every_prediction_goes_through_the_thresholded_sample(predicts: str, threshold: Any) -> None:
    path, t = VP(), 0.6
    plain = Denoiser(net, path, predicts=predicts)
    clipped = Denoiser(net, path, predicts=predicts, threshold=threshold)
    x0 = threshold(plain.predict("x0", t, X))
    eps = (X - path.alpha(t) * x0) / path.sigma(t)
    assert not torch.allclose(x0, plain.predict("x0", t, X), rtol=0.01)
    expected = {
        "x0": x0,
        "eps": eps,
        "v": path.alpha(t) * eps - path.sigma(t) * x0,
        "velocity": path.d_alpha(t) * x0 + path.d_sigma(t) * eps,
        "score": -eps / path.sigma(t),
    }
    for kind in KINDS:
        torch.testing.assert_close(clipped.predict(kind, t, X), expected[kind], rtol=1e-12, atol=1e-12)
    assert plain.smooth
    assert not clipped.smooth
    assert torch.equal(clipped.output(t, X), plain.output(t, X))


def test_a_threshold_out_of_reach_changes_nothing() -> None:
    for kind in KINDS:
        plain, clipped = (Denoiser(net, VP(), predicts="v", threshold=limit) for limit in (None, Static(1e6)))
        torch.testing.assert_close(clipped.predict(kind, 0.4, X), plain.predict(kind, 0.4, X), rtol=1e-10, atol=1e-10)


def test_there_is_no_threshold_without_a_sample_or_without_noise() -> None:
    with pytest.raises(ValueError, match="t = 0, where alpha = 0"):
        Denoiser(net, CondOT(), predicts="eps", threshold=Static()).predict("eps", 0.0, X)
    with pytest.raises(ValueError, match="t = 1, where alpha = 1 and sigma = 0"):
        Denoiser(net, CondOT(), predicts="v", threshold=Static()).predict("eps", 1.0, X)
    assert Denoiser(net, CondOT(), predicts="v", threshold=Static()).predict("x0", 1.0, X).abs().max() == 1.0


@pytest.mark.parametrize("bad", [lambda: Static(0.0), lambda: Static(math.inf), lambda: Dynamic(bound=-1.0)])
def test_bad_bounds_are_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"bound is .*, but must be a finite number from 1e-30"):
        bad()


@pytest.mark.parametrize("quantile", [0.0, 1.01, math.nan])
def test_bad_quantiles_are_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match=r"quantile is .*, but must be a finite number > 0 and <= 1"):
        Dynamic(quantile)
