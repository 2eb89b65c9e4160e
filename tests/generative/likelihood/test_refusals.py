"""What a likelihood refuses before any work."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE

from fokker.generative import VP, CondOT, Denoiser, log_likelihood, plan_likelihood
from fokker.solvers import SolveError

X = MIXTURE.sample(2, 1)


@pytest.mark.parametrize(
    ("x", "arguments", "error", "sentence"),
    [
        ([[0.0, 0.0]], {}, TypeError, "must be a tensor of floating-point numbers"),
        (X.long(), {}, TypeError, "x is torch.int64, but must be of a floating-point dtype"),
        (X[0, 0], {}, ValueError, "has shape \\(\\), but must hold samples"),
        (X[0], {}, ValueError, "has shape \\(2,\\), but must hold samples"),
        (X[:0], {}, ValueError, "of shape \\(0, 2\\) holds no numbers"),
        (X, {"error": 0.1, "nodes": 9}, ValueError, "exclude each other; give one of them"),
        (X, {"error": 0.1, "error_of_mean": 0.1}, ValueError, "exclude each other; give one of them"),
        (X, {"error": 0.0}, ValueError, "error is 0"),
        (X, {"error_of_mean": -1.0}, ValueError, "error_of_mean is -1"),
        (X, {"nodes": 8}, ValueError, "nodes is 8, but must be odd; give 9"),
        (X, {"nodes": 3}, ValueError, "nodes is 3, but must be a whole number"),
        (X, {"trace": "xtrace"}, ValueError, "Unknown trace 'xtrace'"),
        (X, {"trace": "hutchinson", "law": "cauchy"}, ValueError, "Unknown law 'cauchy'"),
        (X, {"trace": "hutchinson", "probes": 0}, ValueError, "probes is 0, but must be a whole number from 1"),
        (X, {"trace": "coloured"}, ValueError, "has no pixels to colour; use orthogonal"),
        (X, {"trace": "hutchinson", "seed": [1, 2, 3]}, ValueError, "3 seeds were given for 2 samples"),
        (X, {"times": (1.0, 0.5, 0.7)}, ValueError, "times has 3 entries, but a likelihood needs two"),
        (X, {"times": (0.5, 0.5)}, ValueError, "the two must differ"),
        (X, {"times": (1.5, 0.0)}, ValueError, "times is 1.5"),
        (X, {"plan": 0.1}, TypeError, "plan"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_any_work(
    x: Any, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    def net(x: Tensor, time: Tensor) -> Tensor:
        assert len(x) == 1, "the network was called"
        return x

    with pytest.raises(error, match=sentence):
        log_likelihood(Denoiser(net, CondOT(), predicts="v"), x, **arguments)


@pytest.mark.parametrize(
    ("kind", "times", "sentence"),
    [
        ("eps", (1.0, 0.0), "does not determine 1 x0 \\+ -1 eps at t = 0"),
        ("eps", (0.0, 0.9), "at t = 0"),
        ("x0", (1.0, 0.0), "does not determine 1 x0 \\+ -1 eps at t = 1"),
        ("score", (0.9, 0.0), "at t = 0"),
        ("score", (1.0, 0.1), "The score does not exist at t = 1"),
    ],
)
def test_an_end_where_the_field_does_not_exist_is_named(kind: str, times: Any, sentence: str) -> None:
    """Before the network is called there, or for more than one sample anywhere."""

    def net(x: Tensor, time: Tensor) -> Tensor:
        assert 0.0 < float(time[0]) <= 1.0
        assert len(x) == 1
        return x

    with pytest.raises(ValueError, match=sentence):
        log_likelihood(Denoiser(net, CondOT(), predicts=kind), X, times=times)


def test_a_plan_of_another_path_and_a_plan_with_options_are_refused() -> None:
    plan = plan_likelihood(MIXTURE.denoiser(CondOT()), X, error=0.1, times=(1.0, 0.1))
    with pytest.raises(ValueError, match="make a plan for this path and these times"):
        log_likelihood(MIXTURE.denoiser(VP()), X, plan)
    with pytest.raises(ValueError, match="plan"):
        log_likelihood(MIXTURE.denoiser(CondOT()), X, plan, error=0.1)


def test_what_solve_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x is nan at \[0, 0\]"):
        log_likelihood(MIXTURE.denoiser(CondOT()), torch.full((1, 2), math.nan).double())
    with pytest.raises(SolveError):
        log_likelihood(Denoiser(lambda x, t: x / (t[:, None] > 0.5), CondOT(), predicts="velocity"), X)
