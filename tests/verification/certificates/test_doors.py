"""The doors of `certify`, and methods and problems of a user's own that misbehave: each ends in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fokker.generative import CondOT
from fokker.solvers import ODE, Abilities, Heun, Step, Stepper
from fokker.verification import certify
from fokker.verification.certificates import PROBLEMS, Problem, method
from fokker.verification.certificates.stochastic_problems import keeping

FEW = [8, 11, 16, 23]
LOGISTIC = PROBLEMS["ode"]


def euler(equation: Any, x: Tensor, times: Tensor, noise: object) -> Tensor:
    for s, t in zip(times.tolist(), times.tolist()[1:], strict=False):
        x = x + (t - s) * equation.field(s, x)
    return x


def raises(*_: object) -> Tensor:
    raise KeyError("nothing\nat all")


class Own(Stepper[Any]):
    """A method of one's own, whose step is a function."""

    abilities = Abilities(order=1)

    def __init__(self, made: Callable[[Tensor], Any]) -> None:
        self.made = made

    def __repr__(self) -> str:
        return "Own()"

    def step(self, equation: Any, t0: Any, t1: Any, x: Tensor, state: Any, noise: Any) -> Step:
        return Step(self.made(x), state)


def own(**given: object) -> Problem:
    fields = {name: getattr(LOGISTIC, name) for name in ("name", "equation", "flow", "x", "grid")}
    return Problem(**(fields | given))  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: certify(Heun), "method is the class Heun; give a solver such as"),
        (lambda: certify(None), "method is of type NoneType"),
        (lambda: certify(Heun(), "ode"), "problem is of type str"),
        (lambda: certify(Heun(), declared=math.nan), "declared is nan"),
        (lambda: certify(Heun(), steps=[8, 11.5, 16, 23]), r"steps\[1\] is 11.5"),
        (lambda: certify(Heun(), steps=[0, 1, 2, 3]), r"steps\[0\] is 0"),
        (lambda: certify(Heun(), steps=[8, 11, 16, 10**12]), r"steps\[3\] is 1000000000000"),
        (lambda: certify(Heun(), steps=[]), "at least 4 step counts that rise"),
        (lambda: certify(Heun(), name=3), "name is of type int"),
        (lambda: certify(Heun(), apart="no"), "apart is 'no'"),
        # functions that misbehave
        (lambda: certify(raises, steps=FEW), r"^raises ended in KeyError: 'nothing\\nat all'\.$"),
        (lambda: certify(lambda x: x, name="mine", steps=FEW), "mine ended in TypeError: .* takes 1 positional"),
        (lambda: certify(lambda e, x, t, n: x[:1], name="mine", steps=FEW), r"mine returned .* \(1, 7\); it must"),
        (lambda: certify(lambda e, x, t, n: x.float(), name="mine", steps=FEW), "mine returned torch.float32"),
        (lambda: certify(lambda e, x, t, n: None, name="mine", steps=FEW), "mine returned NoneType"),
        (lambda: certify(lambda e, x, t, n: x * math.nan, keeping(CondOT()), name="mine"), "returned is nan at"),
        # solvers that misbehave
        (lambda: certify(Own(raises), steps=FEW), "Own.. ended in KeyError"),
        (lambda: certify(Own(lambda x: x[:1]), steps=FEW), r"Own.. returned .* shape \(1, 7\)"),
        # problems that misbehave
        (lambda: own(x=LOGISTIC.x.float()), "x is torch.float32"),
        (lambda: own(x=LOGISTIC.x[:0]), "one state at least"),
        (lambda: own(x=LOGISTIC.x * math.nan), "x is nan"),
        (lambda: own(equation=LOGISTIC.x), "equation is of type Tensor"),
        (lambda: own(flow=None), "flow is of type NoneType"),
        (lambda: own(end=math.inf), "end is inf"),
        (lambda: certify(Heun(), own(grid=lambda n: [0.0])), "returned 1 times for one step"),
        (lambda: certify(Heun(), own(flow=lambda x, s, t: x[:1])), r"flow of logistic returned shape \(1, 7\)"),
        (lambda: certify(Heun(), own(flow=lambda x, s, t: x / 0.0)), "exact solution of logistic is inf"),
        (lambda: certify(Heun(), own(equation=ODE(raises)), steps=FEW), "ended in KeyError|nothing"),
        # names
        (lambda: method(3), "text is of type int"),
        (lambda: method("(" * 10_000), "cannot be read"),
        (lambda: method("Heun({[]})"), "neither a known name nor a literal"),
        (lambda: method(":x"), "':x' is no name of an object; write package.module:name"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


def test_a_method_that_ends_in_nan_has_no_order() -> None:
    for nan in (Own(lambda x: x * math.nan), lambda equation, x, times, noise: x * math.nan):
        certificate = certify(nan, steps=FEW, declared=1.0, name="mine")
        assert certificate.verdict == "undecided"
        assert certificate.reason == "No run on the ladder ended in finite numbers."


def test_the_error_of_a_method_is_kept_as_the_cause() -> None:
    with pytest.raises(ValueError, match="raises ended in KeyError") as failure:
        certify(raises, steps=FEW)
    assert isinstance(failure.value.__cause__, KeyError)


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="broken_module cannot be imported, for it raises ZeroDivisionError"):
        method("broken_module:step")


def test_a_function_in_c_is_a_method_too() -> None:
    assert method("operator:itemgetter")


def test_numbers_of_every_kind_mean_the_same() -> None:
    expected = certify(euler, steps=FEW, declared=1.0)
    assert expected.declared == 1.0
    assert certify(euler, steps=np.array(FEW), declared=np.float32(1.0)) == expected
    assert certify(euler, steps=torch.tensor(FEW), declared=torch.tensor(1)) == expected
