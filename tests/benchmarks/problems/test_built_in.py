"""The problems that come with the package."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fokker.benchmarks.problems import DEFAULT_PROBLEMS, PROBLEMS, problem
from fokker.benchmarks.problems.built_in import _oracle
from fokker.generative import CondOT
from fokker.verification import Empirical, Gaussian, Laplace, Oracle, Student, Uniform


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="Unknown problem 'rings'") as failure:
        problem("rings")
    assert all(name in str(failure.value) for name in PROBLEMS)


@pytest.mark.parametrize("name", DEFAULT_PROBLEMS)
def test_fields_are_float64_and_finite_at_both_ends(name: str) -> None:
    chosen = problem(name)
    x = chosen.noise(3, seed=0)
    assert x.shape == (3, *chosen.shape)
    assert x.dtype == torch.float64
    for t in (0.0, chosen.end):
        drift = chosen.equation(3).drift(t, x)
        assert drift.dtype == torch.float64
        assert drift.isfinite().all()


@pytest.mark.parametrize("name", ["gaussian", "digits"])
def test_a_sample_does_not_depend_on_how_many_there_are(name: str) -> None:
    chosen = problem(name)
    few, many = chosen.noise(2, seed=5), chosen.noise(4, seed=5)
    assert torch.equal(few, many[:2])
    drift = chosen.equation(4).drift(0.5, many)[:2]
    torch.testing.assert_close(chosen.equation(2).drift(0.5, few), drift, rtol=1e-12, atol=1e-12)


def test_the_identity_tells_two_problems_apart() -> None:
    ring = problem("ring")
    changed = replace(ring, parameters=tuple(1.0001 * tensor for tensor in ring.parameters or ()))
    assert ring.identity() == problem("ring").identity()
    assert ring.identity() != changed.identity()


LINE = torch.tensor([0.5], dtype=torch.float64)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Gaussian(LINE, LINE[None]), Gaussian(LINE, 2.0 * LINE[None])),
        (Student(3.0, LINE, LINE[None]), Student(4.0, LINE, LINE[None])),
        (Uniform(0.0, 1.0), Uniform(0.0, 2.0)),
        (Laplace(0.0, 1.0), Laplace(0.0, 2.0)),
        (Empirical(LINE[None]), Empirical(2.0 * LINE[None])),
    ],
    ids=lambda oracle: type(oracle).__name__,
)
def test_any_oracle_is_a_problem_that_its_numbers_tell_apart(one: Oracle, other: Oracle) -> None:
    first, again, second = (_oracle("new", "a law", oracle, CondOT(), 4) for oracle in (one, one, other))
    assert first.identity() == again.identity() != second.identity()
    x = first.noise(4, seed=0)
    assert x.shape == (4, 1)
    assert torch.equal(first.equation(4).drift(0.5, x), one.velocity(x, 0.5, CondOT()))


@pytest.mark.parametrize("name", DEFAULT_PROBLEMS)
def test_the_identity_does_not_depend_on_threads(name: str) -> None:
    """The parent process and its workers differ in that."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert PROBLEMS[name]().identity() == problem(name).identity()
    finally:
        torch.set_num_threads(threads)
