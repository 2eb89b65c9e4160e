"""The gate of the public interface: every exported solver has a certificate, and what has none is named."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch

from fokker.generative import CondOT
from fokker.solvers import SRA1, Heun, Solver
from fokker.verification.certificates import (
    EXPORTED,
    PROBLEMS,
    Case,
    Certificate,
    cases,
    certify,
    default_problems,
    uncertified,
)
from fokker.verification.certificates.problems import sampling
from fokker.verification.certificates.stochastic_problems import arriving, curved, keeping, reversing
from fokker.verification.certificates.table import FIXED_STEP, QUICK_FLOWS, QUICK_LAWS, STOCHASTIC

QUICK: dict[str, list[Case]] = {}
for each in cases():
    if each.quick:
        QUICK.setdefault(type(each.solver).__name__, []).append(each)


@pytest.mark.parametrize("name", sorted(solver.__name__ for solver in EXPORTED))
def test_every_exported_solver_has_a_certificate_that_passes(name: str) -> None:
    """A solver that does not pass here must not be exported from `fokker.solvers`."""
    made = [case.certificate(True) for case in QUICK.get(name, [])]
    assert uncertified(made, {solver for solver in EXPORTED if solver.__name__ == name}) == {}


def test_every_solver_is_measured_on_every_path_and_with_every_hold() -> None:
    """The whole table: of each exported solver that takes grids, on three paths; semilinear ones in every hold."""
    table: dict[str, list[str]] = {}
    for case in cases():
        if case.made is None and not case.name:
            table.setdefault(repr(case.solver), []).append(case.problem().name)
    for path in ("VP", "CondOT", "VE"):
        for hold in ("x0", "eps", "velocity", "v"):
            assert f"sampling, {path}, hold {hold}" in table["ExponentialAdams(3)"]
        assert f"sampling, {path}, hold velocity" in table["Heun()"]
        assert any(name.startswith(f"arriving, {path}") for name in table["SRA1()"])


@pytest.mark.parametrize(("table", "solvers"), [(QUICK_FLOWS, FIXED_STEP), (QUICK_LAWS, STOCHASTIC)])
def test_every_solver_that_is_measured_first_exists(table: dict[Any, set[str]], solvers: list[Solver]) -> None:
    assert set().union(*table.values()) <= {repr(solver) for solver in solvers}


@pytest.fixture(scope="module")
def passing() -> Certificate:
    return certify(Heun(), apart=False)


def test_a_solver_without_a_certificate_is_named(passing: Certificate) -> None:
    assert uncertified([passing], {Heun}) == {}
    found = uncertified([passing], {Heun, SRA1})
    assert list(found) == ["SRA1"]
    assert "SRA1 is exported, but nothing measures its order; add it to `FIXED_STEP`" in found["SRA1"]


@pytest.mark.parametrize("verdict", ["fail", "undecided"])
def test_one_failure_closes_the_gate(passing: Certificate, verdict: str) -> None:
    bad = replace(passing, verdict=verdict, reason="Order 1.00, below the declared 2.")
    found = uncertified([passing, bad], {Heun})
    reason = f"its certificate on logistic says {verdict}: Order 1.00, below the declared 2."
    assert found == {"Heun": f"Heun is exported, but {reason}"}


def test_a_higher_order_alone_is_not_the_declared_one(passing: Certificate) -> None:
    higher = replace(passing, verdict="higher", reason="Order 3.00, above the declared 2.")
    assert uncertified([passing, higher], {Heun}) == {}
    assert "no certificate shows the order that it declares" in uncertified([higher], {Heun})["Heun"]


def test_what_is_measured_if_nothing_is_said() -> None:
    assert [problem.name for problem in default_problems(Heun())] == ["logistic", "sampling, CondOT, hold velocity"]
    assert [type(problem).__name__ for problem in default_problems(SRA1())] == ["PathProblem", "LawProblem"]


def test_a_certificate_is_json_and_a_sentence(passing: Certificate) -> None:
    found = passing.as_json()
    assert found["verdict"] == "pass"
    assert found["steps"] == list(passing.steps)
    assert str(passing).startswith("pass       Heun() on logistic (deterministic): Order ")
    assert PROBLEMS["ode"].name == "logistic"


def test_problems_and_cases_are_data() -> None:
    """They can be copied and sent to another process, and give the same certificate there."""
    path = CondOT()
    for problem in (*PROBLEMS.values(), sampling(path), curved(), reversing(path), arriving(path), keeping(path)):
        sent = pickle.loads(pickle.dumps(copy.deepcopy(problem)))  # noqa: S301  # our own
        assert sent.name == problem.name
        assert torch.equal(sent.grid(8), problem.grid(8))
    sent = pickle.loads(pickle.dumps(next(cases())))  # noqa: S301  # our own
    assert sent.certificate(quick=True) == next(cases()).certificate(quick=True)
