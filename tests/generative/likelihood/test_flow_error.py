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
from fokker.generative.likelihood.quadrature import clenshaw_curtis
from fokker.generative.likelihood.trace import Exact
from fokker.verification import GaussianMixture

INTERVALS = 48


def value(change: ProbabilityFlow, clock: Clock, x: Tensor, tolerance: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """log p, and the nodes and states from which it came."""
    nodes, weights = (torch.from_numpy(each) for each in clenshaw_curtis(INTERVALS))
    r, exact = clock.r(nodes), Exact(change.dim, len(nodes))
    states, _ = flow_states(change, clock, change.entering(x), nodes, tolerance)
    integral = exact.combined(weights * clock.rate(r), traces(change, r, states, exact))
    return change.value(x, change.leaving(states[-1]), integral.value), nodes, states


@pytest.mark.parametrize("law", [MIXTURE, random_mixture(16)], ids=["2", "16"])
@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, 1.0)], ids=["to noise", "to data"])
@pytest.mark.parametrize("tolerance", [None, 1e-4, 1e-6])
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
    found, nodes, states = value(change, clock, x, tolerance)
    expected, _, fine = value(change, clock, x, 1e-10)
    if ends[0] == 0.0:  # the data are others as well
        data, others = change.leaving(states[-1]), change.leaving(fine[-1])
        t = ends[1]
        expected = expected + law.log_prob(data, t, path) - law.log_prob(others, t, path)
    error = (found - expected).abs()
    said, spent = flow_error(change, clock, nodes, states, tolerance)
    most = 4.0 if ends[0] == 1.0 else 10.0
    assert 0.25 < float(said.square().mean().sqrt() / error.square().mean().sqrt()) < most
    assert float((said / error).log().abs().median()) < 1.4
    assert bool((spent > 0).all())


def test_without_a_score_the_end_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProbabilityFlow, "has_score", False)
    law, x = random_mixture(16), random_mixture(16).sample(64, 3)
    change = ProbabilityFlow(law.denoiser(CondOT()), x.shape[1:], 1.0, 0.0)
    clock = Clock(change.first, change.last)
    expected, _, _ = value(change, clock, x, 1e-10)
    for tolerance in (None, 1e-4, 1e-6):
        found, nodes, states = value(change, clock, x, tolerance)
        said, _ = flow_error(change, clock, nodes, states, tolerance)
        error = (found - expected).square().mean().sqrt()
        assert 0.03 < float(said.square().mean().sqrt() / error) < 30.0
