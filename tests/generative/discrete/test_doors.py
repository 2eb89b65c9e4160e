"""What the chain refuses, and the numbers that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from doors import check_numbers, check_refusals

from fokker.generative import (
    VP,
    Denoiser,
    ancestral,
    bound_loss,
    hybrid_loss,
    posterior,
    variational_bound,
)
from fokker.solvers import WhiteNoise

DENOISER = Denoiser(lambda x, t: 0.5 * x, VP(), predicts="x0")
LEARNED = Denoiser(lambda x, t: torch.cat([x, 0.0 * x], 1), VP(), predicts="x0", learned_variance=True)
X, TIMES = torch.ones(2, 3), (0.1, 0.5, 0.9)


def chain(**changed: Any) -> torch.Tensor:
    given = {"denoiser": DENOISER, "x": X, "noise": WhiteNoise(0), "times": TIMES, "variance": "small"}
    return ancestral(**given | changed).x


def bound(**changed: Any) -> torch.Tensor:
    given = {"denoiser": DENOISER, "x0": X, "noise": WhiteNoise(0), "times": TIMES, "variance": "small"}
    return variational_bound(**given | changed).total


def loss(**changed: Any) -> torch.Tensor:
    given = {"denoiser": DENOISER, "x0": X, "times": TIMES, "variance": 0.5, "generator": seeded()}
    return bound_loss(**given | changed)


def hybrid(**changed: Any) -> torch.Tensor:
    return hybrid_loss(**{"denoiser": LEARNED, "x0": X, "times": TIMES, "generator": seeded()} | changed)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def argument(call: Callable[..., Any], name: str) -> Callable[[Any], Any]:
    return lambda v: call(**{name: v})


DOORS = [
    ("path", "object", lambda v: posterior(v, 0.1, 0.5)),
    ("s", "real", lambda v: posterior(VP(), v, 0.5)),
    ("t", "real", lambda v: posterior(VP(), 0.1, v)),
    *[("denoiser", "object", argument(call, "denoiser")) for call in (chain, bound, loss, hybrid)],
    ("x", "samples", argument(chain, "x")),
    *[("x0", "samples", argument(call, "x0")) for call in (bound, loss, hybrid)],
    ("variance", "real", argument(chain, "variance")),
    ("variance", "name", argument(bound, "variance")),
    ("noise", "object", argument(bound, "noise")),
    *[("times", "real", lambda v, call=call: call(times=[0.1, v, 0.9])) for call in (chain, bound, loss, hybrid)],
    *[("levels", "whole", argument(call, "levels"), None, 10**9) for call in (bound, loss, hybrid)],
    ("terms", "whole", argument(bound, "terms"), None),
    ("chunk", "whole", argument(bound, "chunk"), 10**9, 10**40),
    ("prior", "real", argument(bound, "prior"), None),
    ("differentiable", "flag", argument(bound, "differentiable")),
    ("weight", "real", argument(hybrid, "weight")),
    *[("generator", "object", argument(call, "generator"), None) for call in (loss, hybrid)],
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_wrong_values_are_refused_at_the_door(door: tuple[Any, ...]) -> None:
    name, kind, call, *fine = door
    check_refusals(name, kind, call, but=fine)


@pytest.mark.parametrize("call", [bound, loss, hybrid])
def test_no_samples_and_times_beyond_the_data_are_refused(call: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"x0 of shape \(0, 3\) holds no numbers"):
        call(x0=X[:0])
    with pytest.raises(ValueError, match=r"times run up to 1, where the data are, but to 1.5 here"):
        call(times=[0.1, 1.5])


def test_data_whose_squares_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="The square of x0 is inf"):
        bound(x0=1e200 * X.double())


def test_a_chain_of_no_samples_goes_through() -> None:
    for shape in ((0, 3), (2, 0)):
        assert chain(x=torch.empty(shape)).shape == shape


def test_a_number_may_have_any_type() -> None:
    check_numbers(lambda v: posterior(VP(), v, 0.5).variance, 0.25)
    for call in (chain, bound, loss):
        check_numbers(lambda v, call=call: call(variance=v), 0.5)
    check_numbers(lambda v: bound(terms=v, chunk=v), 2)
    check_numbers(lambda v: bound(prior=v, levels=3), 0.5)
    check_numbers(lambda v: hybrid(weight=v), 0.5)


def test_a_gradient_flows_to_the_times_of_a_posterior() -> None:
    """β̃ = σ_t² (1 − SNR_s/SNR_t) at t, whose SNR is e^{log_snr(t)}."""
    t, s = torch.tensor(0.6, dtype=torch.float64, requires_grad=True), torch.tensor(0.3, dtype=torch.float64)
    (found,) = torch.autograd.grad(posterior(VP(), s, t).variance, t)
    path, at, before = VP(), 0.6, 0.3
    ratio = math.exp(path.log_snr(before) - path.log_snr(at))
    slope = 2.0 * path.sigma(at) * path.d_sigma(at) * (1.0 - ratio)
    slope += path.sigma(at) ** 2 * ratio * 2.0 * path.d_half_log_snr(at)
    assert found.item() == pytest.approx(slope, rel=1e-12)
