"""The named problems, and the references that errors are measured against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fokker.benchmarks import reference as references
from fokker.benchmarks.problems import DEFAULT_PROBLEMS, PROBLEMS, problem
from fokker.benchmarks.store import Key


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


def test_the_configuration_tells_two_problems_apart() -> None:
    ring = problem("ring")
    changed = replace(ring, parameters=tuple(1.0001 * tensor for tensor in ring.parameters))
    assert ring.configuration() == problem("ring").configuration()
    assert ring.configuration() != changed.configuration()


@pytest.mark.parametrize("name", ["gaussian", "ring"])
def test_two_methods_agree_on_the_reference(name: str) -> None:
    found = references.refined(problem(name), 4, seed=0)
    assert found.agreement <= 1e-8
    assert found.solution.shape == (4, *problem(name).shape)


def test_a_reference_that_cannot_be_had_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "COARSEST", 2)
    monkeypatch.setattr(references, "FINEST", 4)
    with pytest.raises(ArithmeticError, match="No reference for 'ring': after"):
        references.refined(problem("ring"), 4, seed=0)


def test_a_reference_is_kept(tmp_path: Path) -> None:
    key = Key("gaussian", 3, 4)
    assert references.stored(key, tmp_path) is None
    references.prepare(key, tmp_path)
    found = references.stored(key, tmp_path)
    assert found is not None
    assert torch.equal(found.solution, references.refined(problem("gaussian"), 4, seed=3).solution)


def test_the_reference_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Key("gaussian", 0, 4)
    references.prepare(key, tmp_path)
    changed = replace(problem("gaussian"), description="another one")
    monkeypatch.setattr(references, "problem", lambda name: changed)
    with pytest.raises(ValueError, match="another version of 'gaussian'"):
        references.stored(key, tmp_path)


@pytest.mark.parametrize("name", DEFAULT_PROBLEMS)
def test_the_configuration_does_not_depend_on_threads(name: str) -> None:
    """The parent process and its workers differ in that."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert PROBLEMS[name]().configuration() == problem(name).configuration()
    finally:
        torch.set_num_threads(threads)
