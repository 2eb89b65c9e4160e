"""The mutation tester: which slips it makes, and that a mutant which breaks a test is caught by it and undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutation.copies import Copy
from mutation.covering import Covering
from mutation.operators import Mutant, mutants
from mutation.trial import tried

SOURCE = """'''A text: a + b.'''

def step(x, s, t, alpha, steps: 'Real + None' = 2.0):
    '''Not 1 + 1.'''
    if t > 1.0:
        raise ValueError(f"t - s is {t - s}" + "!")
    for i in range(steps):
        x = x[0] - alpha * σ(t)
    return x
"""


def edits() -> set[tuple[str, str, str]]:
    return {(each.kind, each.before, each.after) for each in mutants("step.py", SOURCE.encode())}


def test_the_slips_of_a_formula() -> None:
    assert edits() == {
        ("sign", "x[0] - alpha * σ(t)", "(x[0] + (alpha * σ(t)))"),
        ("dropped", "x[0] - alpha * σ(t)", "(x[0])"),
        ("dropped", "x[0] - alpha * σ(t)", "(-(alpha * σ(t)))"),
        ("factor 2", "alpha * σ(t)", "(2 * (alpha * σ(t)))"),
        ("dropped", "alpha * σ(t)", "(alpha)"),
        ("dropped", "alpha * σ(t)", "(σ(t))"),
        ("index", "0", "(0 + 1)"),
        ("index", "steps", "(steps - 1)"),
        ("exchange", "t", "s"),
        ("factor 2", "2.0", "4.0"),
        ("factor 2", "1.0", "2.0"),
    }


def test_a_mutant_changes_one_expression() -> None:
    """Whatever stands before it: σ takes two bytes."""
    for mutant in mutants("step.py", SOURCE.encode()):
        source = mutant.applied(SOURCE.encode()).decode()
        changed = [(a, b) for a, b in zip(SOURCE.splitlines(), source.splitlines(), strict=True) if a != b]
        assert len(changed) == 1
        assert mutant.before in changed[0][0]
        assert mutant.after in changed[0][1]
        assert mutant.function == "step"


FORMULA = "def double(x):\n    return 2.0 * x\n"
TESTS = """
from fokker.formula import double

def test_the_value():
    assert double(3.0) == {value}

def test_another():
    assert True
"""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A package `fokker` of one formula."""
    root = tmp_path / "fokker"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "formula.py").write_text(FORMULA)
    (root / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return Copy(root)


@pytest.mark.parametrize(
    ("value", "killer"),
    [("6.0", "test_formula.py::test_the_value"), ("double(3.0)", None)],
    ids=["watched", "unwatched"],
)
def test_a_mutant_is_killed_by_a_test_that_watches_its_line(copy: Copy, value: str, killer: str | None) -> None:
    (copy.root / "test_formula.py").write_text(TESTS.format(value=value))
    seconds = {"test_formula.py::test_the_value": 0.01, "test_formula.py::test_another": 0.01}
    covering = Covering({"formula.py": {2: ["test_formula.py::test_the_value"]}}, seconds)
    mutant = next(each for each in mutants("formula.py", FORMULA.encode()) if each.kind == "factor 2")
    trial = tried(mutant, copy, covering)
    assert trial.killer == killer
    assert trial.tests == 1
    assert (copy.root / "formula.py").read_text() == FORMULA


def test_a_line_that_no_test_runs_is_not_watched(copy: Copy) -> None:
    mutant = Mutant("formula.py", 2, "double", "sign", 0, 1, "d", "e")
    assert tried(mutant, copy, Covering({}, {})).killer is None


def test_a_line_that_runs_on_import_is_watched_by_the_tests_of_its_file() -> None:
    covering = Covering({"a.py": {1: [], 2: ["slow", "fast"]}}, {"slow": 2.0, "fast": 1.0})
    assert covering.of("a.py", 1) == ["fast", "slow"]
    assert covering.of("b.py", 1) == []
