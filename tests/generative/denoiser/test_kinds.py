"""What a network predicts does not matter: every kind drives every published sampler to the same samples (A123)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS, states

from fokker.generative import Denoiser, GaussianPath, named, reverse_sde
from fokker.generative.denoiser import KINDS
from fokker.generative.sampling import PUBLISHED
from fokker.solvers import BrownianTree, ExponentialAdams, solve


def network(kind: str, path: GaussianPath) -> Denoiser:
    """The exact prediction of a kind."""

    def net(x: Tensor, time: Tensor) -> Tensor:
        exact: Tensor = getattr(MIXTURE, kind)(x, time, path)
        return exact

    return Denoiser(net, path, predicts=kind)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_kind_drives_every_sampler(name: str, path: GaussianPath) -> None:
    """The conversions lose a few digits where σ/α is far from 1, here at most e^{±3}: 1e-10 leaves room for ten."""
    t0, t1 = (float(path.time(log_snr)) for log_snr in (-6.0, 6.0))
    x = states(path, t0)
    ends = []
    for kind in KINDS:
        equation, times, solver = named(name)(network(kind, path), 12, t0=t0, t1=t1)
        ends.append(solve(equation, x, times, solver, BrownianTree(x, t0, t1, seed=5)).x)
    assert all(end.isfinite().all() for end in ends)
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("eta", [0.3, 1.0, 2.0])
def test_every_kind_drives_every_noise_level(eta: float) -> None:
    path = PATHS[0]
    x = states(path, 0.1)
    times, tree = torch.linspace(0.1, 0.9, 13), BrownianTree(x, 0.1, 0.9, seed=5)
    ends = [solve(reverse_sde(network(k, path), eta), x, times, ExponentialAdams(2), tree).x for k in KINDS]
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-10, atol=1e-10)
