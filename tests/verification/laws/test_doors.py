"""The doors of impulse responses, error budgets and equivalences: a wrong value ends in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from toy import GAUSSIAN, LINE

from fokker.generative import VP, CondOT, Denoiser, flow, named
from fokker.solvers import Heun
from fokker.verification import ErrorBudget, Student, equivalences, error_budget, impulse_response
from fokker.verification.oracles import Law

PATH, TIMES = CondOT(), torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
X = torch.zeros(3, 2, dtype=torch.float64)
FLOW = flow(GAUSSIAN.denoiser(PATH))
RESPONSE = impulse_response(Heun(), FLOW, TIMES, dim=2)
TWO = {name: named(name) for name in ("ddim", "dpm++2m")}


def budget(**given: object) -> ErrorBudget:
    return error_budget(**({"data": GAUSSIAN, "path": PATH, "times": TIMES, "solver": Heun(), "samples": 8} | given))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: impulse_response(Heun(), FLOW, TIMES, dim=2.5), "dim is 2.5"),
        (lambda: impulse_response(Heun(), FLOW, TIMES, dim=10**6), "dim is 1000000, which takes"),
        (lambda: impulse_response(Heun(), FLOW, TIMES, dim=3), r"needs torch.float64 of shape \(B, 2\)"),
        (lambda: impulse_response("heun", FLOW, TIMES, dim=2), "sampler is of type str"),
        (lambda: impulse_response(lambda x, noise: x[:1], dim=2), "The sampler returned torch.float64 of shape"),
        (lambda: impulse_response(lambda x, noise: x.float(), dim=2), "The sampler returned torch.float32"),
        (lambda: impulse_response(lambda x, noise: x * math.nan, dim=2), "What the sampler returned is nan at"),
        (lambda: impulse_response(Heun(), flow(Denoiser(lambda x, t: x / 0.0, PATH, predicts="v")), TIMES, dim=2),
         "What the field at t = 0.1 returned is nan"),
        (lambda: RESPONSE(X, [X]), "1 normals, but the sampler draws 0"),
        (lambda: RESPONSE(X.float()), "x is torch.float32"),
        (lambda: RESPONSE.law(LINE), "prior is .* in 2 dimensions"),
        (lambda: RESPONSE.law(Law(X[0], X)), r"give \(d,\) and \(d, d\)"),
        (lambda: equivalences("CondOT"), "path is of type str"),
        (lambda: equivalences(PATH, 10**6), "steps is 1000000"),
        (lambda: equivalences(PATH, t0=math.nan), "t0 is nan"),
        (lambda: equivalences(PATH, t0=0.5, t1=0.4), "must rise"),
        (lambda: equivalences(PATH, 3, {"ddim": "ddim"}), r"samplers\['ddim'\] is of type str"),
        (lambda: equivalences(PATH, 3, TWO).between("ddim", ["heun"]), "were not compared"),
        (lambda: budget(data=X), "data is of type Tensor"),
        (lambda: budget(data=Student(1.5, X[0], torch.eye(2).double())), "with a finite variance"),
        (lambda: budget(path=CondOT), "path is the class CondOT"),
        (lambda: budget(times=[0.1, 0.5, 0.5]), "at least two that rise"),
        (lambda: budget(times=[0.1, math.nan]), r"times\[1\] is nan"),
        (lambda: budget(times=TIMES.clone().requires_grad_()), "times requires a gradient"),
        (lambda: budget(solver="heun"), "solver is of type str"),
        (lambda: budget(hold="x1"), "Unknown hold 'x1'"),
        (lambda: budget(eta=-1.0), "eta is -1"),
        (lambda: budget(dtype=torch.int64), "dtype is torch.int64"),
        (lambda: budget(dtype=float), "dtype is float"),
        (lambda: budget(samples=10**12), "samples is 1000000000000, which takes"),
        (lambda: budget(model=GAUSSIAN), "model is of type Gaussian"),
        (lambda: budget(model=GAUSSIAN.denoiser(VP())), "give both the same path"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


def test_numbers_of_every_kind_mean_the_same() -> None:
    assert budget(times=TIMES.numpy(), eta=np.float64(0.0), samples=np.int64(8)) == budget(times=TIMES.tolist())
    assert torch.equal(impulse_response(Heun(), FLOW, TIMES, dim=torch.tensor(2)).matrix, RESPONSE.matrix)
