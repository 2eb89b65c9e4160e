"""Classifier-free guidance against classes whose guided flow is known in closed form.

Data N(0, S²) without a label and N(m, s²) with one: guidance with weight w carries N(0, 1) to standard deviation
S^{1−w} s^w, whatever the schedule, and to a mean that does not depend on it either.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fokker.generative import CFG, VP, CondOT, Cosine, Denoiser, GaussianPath, flow
from fokker.generative.prediction import KINDS
from fokker.solvers import Adaptive, Dopri5, solve

WIDE, NARROW, MEAN, NULL = 2.0, 1.0, 1.5, 7
X = torch.linspace(-2.0, 2.0, 5, dtype=torch.float64).reshape(-1, 1)


def classes(path: GaussianPath) -> Denoiser:
    """The exact v of N(0, S²) for the null label, and of N(m, s²) for any other."""

    def v(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        alpha, sigma = (torch.as_tensor(f(t))[:, None] for f in (path.alpha, path.sigma))
        none = (label == NULL)[:, None]
        mean, variance = torch.where(none, 0.0, MEAN), torch.where(none, WIDE**2, NARROW**2)
        whitened = (x - alpha * mean) / (alpha**2 * variance + sigma**2)
        return alpha * sigma * whitened - sigma * (mean + alpha * variance * whitened)

    return Denoiser(v, path, predicts="v")


@pytest.mark.parametrize("kind", KINDS)
def test_weights_zero_and_one_are_the_two_branches_in_every_kind(kind: str) -> None:
    denoiser, t = classes(CondOT()), 0.4
    plain, conditional = (denoiser.given(label).predict(kind, t, X) for label in (NULL, 3))
    for weight, expected in ((0.0, plain), (1.0, conditional), (2.5, plain + 2.5 * (conditional - plain))):
        guided = CFG(denoiser.given(3), weight, null=NULL).predict(kind, t, X)
        torch.testing.assert_close(guided, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("weight", "mean"), [(0.0, 0.0), (1.0, 1.5), (2.0, 2.07026), (4.0, 2.27635)])
@pytest.mark.parametrize("path", [CondOT(), Cosine(-math.inf, math.inf), VP()], ids=repr)
def test_the_guided_law_of_gaussian_classes(path: GaussianPath, weight: float, mean: float) -> None:
    """The flow is affine in x: its slope is the standard deviation, its value at 0 the mean (to the 6 digits known).

    From t with log-SNR −7 (where the laws differ from N(0, σ²) by less than 1e-3) to log-SNR 12.
    """
    equation = flow(CFG(classes(path).given(0), weight, null=NULL), hold="v")
    t0, t1 = (float(path.time(log_snr)) for log_snr in (-7.0, 12.0))
    ends = solve(equation, path.sigma(t0) * X, Adaptive(t0, t1, rtol=1e-9, atol=1e-9), Dopri5()).x
    slopes = (ends[1:] - ends[:-1]) / (X[1:] - X[:-1])
    expected = torch.full_like(slopes, WIDE ** (1.0 - weight) * NARROW**weight)
    torch.testing.assert_close(slopes, expected, rtol=1e-4, atol=0.0)
    assert ends[2].item() == pytest.approx(mean, abs=3e-3)


def test_labels_per_sample_and_times_per_sample() -> None:
    denoiser, labels = classes(CondOT()), [NULL, 0, 1, NULL, 2]
    times = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    together = CFG(denoiser.given(labels), 3.0, null=NULL).output(times, X)
    for i, label in enumerate(labels):
        alone = CFG(denoiser.given(label), 3.0, null=NULL).output(times[i].item(), X[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-14, atol=1e-14)


def test_bad_guidance_is_refused() -> None:
    denoiser = classes(CondOT())
    with pytest.raises(ValueError, match="needs a conditional denoiser"):
        CFG(denoiser, 2.0, null=NULL)
    with pytest.raises(ValueError, match="declares no null_label"):
        CFG(denoiser.given(1), 2.0)
