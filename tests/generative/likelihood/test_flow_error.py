"""What a solution of a flow leaves in log p, beside what is found of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, random_mixture

from fokker.generative import VP, CondOT, GaussianPath
from fokker.generative.likelihood.along_flow import flow_states, traces
from fokker.generative.likelihood.change_of_variables import ProbabilityFlow
from fokker.generative.likelihood.clock import Clock
from fokker.generative.likelihood.flow_error import flow_error
from fokker.generative.likelihood.trace import Exact
from fokker.solvers.noise import Keys
from fokker.verification import GaussianMixture

INTERVALS = 48


def value(change: ProbabilityFlow, clock: Clock, x: Tensor, tolerance: float | None) -> tuple[Tensor, Tensor]:
    """log p, and the states from which it came."""
    nodes, exact = clock.nodes(INTERVALS), Exact(change.dim, INTERVALS + 1)
    states, _ = flow_states(change, clock, change.entering(x), nodes.s, tolerance)
    integral = exact.combined(nodes.weights, traces(change, nodes.r, states, exact))
    return change.value(x, change.leaving(states[-1]), integral.value), states


@pytest.mark.parametrize("law", [MIXTURE, random_mixture(16)], ids=["2", "16"])
@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, 1.0)], ids=["to noise", "to data"])
@pytest.mark.parametrize("tolerance", [None, 1e-4, pytest.param(1e-6, marks=pytest.mark.slow)])
def test_the_error_is_found(
    law: GaussianMixture, path: GaussianPath, ends: tuple[float, float], tolerance: float | None
) -> None:
    """Beside the value with a tolerance of 1e-10, at the same nodes; of noise, beside the density of the data that it
    becomes. In the root mean square to a factor of 4, and half of the samples to a factor of 4. Near the data, where
    the score is large and states are interpolated, the estimate may be 10 times too large.
    """
    x = law.sample(64, 3)
    if ends[0] == 0.0 or path.sigma(1.0):
        noise = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
        x = path.alpha(ends[0]) * x + path.sigma(ends[0]) * noise
    change = ProbabilityFlow(law.denoiser(path), x.shape[1:], *ends)
    clock = Clock(change.first, change.last, 0.3, 0.3)
    found, states = value(change, clock, x, tolerance)
    expected, fine = value(change, clock, x, 1e-10)
    if ends[0] == 0.0:  # the data are others as well
        data, others = change.leaving(states[-1]), change.leaving(fine[-1])
        t = ends[1]
        expected = expected + law.log_prob(data, t, path) - law.log_prob(others, t, path)
    error = (found - expected).abs()
    said, spent, products = flow_error(change, clock, states, tolerance, Keys(torch.arange(64)))
    assert 0.25 < float(said.square().mean().sqrt() / error.square().mean().sqrt()) < 4.0
    assert float((said / error).log().abs().median()) < 1.4
    assert bool((spent > 0).all())
    assert products == 4 * (INTERVALS + 1)

