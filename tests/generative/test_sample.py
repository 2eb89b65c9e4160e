"""`sample`: close to the exact flow at its default, the same for each sample in every batch, within its budget."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN

from fokker.generative import VP, CondOT, Denoiser, sample
from fokker.solvers import standard_normal

DOUBLE = {"dtype": torch.float64}


def test_samples_follow_the_exact_flow() -> None:
    """Of Gaussian data; the error of the default at 40 evaluations is that of a third-order method, with h = 1/40."""
    path = CondOT()
    x = sample(GAUSSIAN.denoiser(path), (50, 2), nfe=40, seed=3, **DOUBLE)
    noise = standard_normal(torch.empty(50, 2, dtype=torch.float64), 3)
    torch.testing.assert_close(x, GAUSSIAN.flow_map(noise, 0.0, 1.0, path), rtol=0.0, atol=40.0**-3)


def test_a_sample_is_its_own_whatever_the_batch() -> None:
    denoiser = GAUSSIAN.denoiser(VP())
    whole = sample(denoiser, (6, 2), seed=1, **DOUBLE)
    torch.testing.assert_close(sample(denoiser, (2, 2), seed=1, **DOUBLE), whole[:2], rtol=0.0, atol=1e-14)
    own = sample(denoiser, (3, 2), seed=[5, 6, 7], **DOUBLE)
    torch.testing.assert_close(sample(denoiser, (2, 2), seed=[7, 5], **DOUBLE), own[[2, 0]], rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("nfe", [1, 2, 3, 5, 8, 15, 20, 41])
@pytest.mark.parametrize("guidance", [None, 2.0])
def test_the_budget_is_kept(nfe: int, guidance: float | None) -> None:
    """Rows that the network sees, per sample; guidance takes two of them a step."""
    rows = 0

    def net(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        nonlocal rows
        rows += len(x)
        return -x

    net.null_label = 10
    denoiser = Denoiser(net, CondOT(), predicts="velocity")
    if guidance is not None and nfe < 2:
        with pytest.raises(ValueError, match="less than one step, which takes 2 evaluations"):
            sample(denoiser, (4, 3), nfe=nfe, label=1, guidance=guidance)
        return
    x = sample(denoiser, (4, 3), nfe=nfe, label=1, guidance=guidance)
    assert x.shape == (4, 3)
    assert torch.isfinite(x).all()
    assert nfe - 3 < rows / 4 <= nfe


def test_guidance_without_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="guidance needs a label"):
        sample(GAUSSIAN.denoiser(CondOT()), (2, 2), guidance=2.0)
