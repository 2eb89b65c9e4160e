"""The named problems, and the references that errors are measured against."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fokker.benchmarks import reference as references
from fokker.benchmarks.ledger import Key
from fokker.benchmarks.problems import DEFAULT_PROBLEMS, PROBLEMS, _oracle, problem
from fokker.generative import CondOT
from fokker.generative.training import write
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
    changed = replace(ring, parameters=tuple(1.0001 * tensor for tensor in ring.parameters))
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
    key = Key("gaussian", problem("gaussian").digest, 3, 4)
    assert references.stored(key, tmp_path) is None
    references.prepare(key, tmp_path)
    found = references.stored(key, tmp_path)
    assert found is not None
    assert torch.equal(found.solution, references.refined(problem("gaussian"), 4, seed=3).solution)


def test_the_reference_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Key("gaussian", problem("gaussian").digest, 0, 4)
    references.prepare(key, tmp_path)
    changed = replace(problem("gaussian"), description="another one")
    monkeypatch.setattr(references, "problem", lambda name: changed)
    with pytest.raises(ValueError, match="another version of 'gaussian'"):
        references.stored(key, tmp_path)


@pytest.mark.parametrize(
    ("tensors", "facts", "message"),
    [
        ({"solution": torch.zeros(1, 12).double()}, {}, r"must hold the solution, float64 of shape \(4, 12\)"),
        ({"solution": torch.zeros(4, 11).double()}, {}, r"float64 of shape \(4, 12\)"),
        ({"solution": torch.zeros(4, 12)}, {}, r"It holds .*float32.*must hold"),
        ({"solution": torch.full((4, 12), torch.nan).double()}, {}, r"the solution is nan at \[0, 0\]"),
        ({"other": torch.zeros(4, 12).double()}, {}, "It holds .*other"),
        ({}, {}, r"It holds \{\}, but"),
        (None, {"run": ["gaussian", 4, 4]}, "It belongs to other initial noises"),
        (None, {"agreement": 1e-3}, "agreement is 0.001, but must be a finite number from 0 to 1e-08"),
        (None, {"agreement": None}, "agreement is None"),
        (None, {"agreement": float("nan")}, "agreement is nan"),
        (None, {"seconds": -1.0}, "seconds is -1"),
        (None, {"methods": 3}, "methods is of type int"),
        (None, {"colour": 3}, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_no_reference_of_this_run_is_refused(
    tensors: dict[str, torch.Tensor] | None, facts: dict[str, object], message: str, tmp_path: Path
) -> None:
    key = Key("gaussian", problem("gaussian").digest, 3, 4)
    file = tmp_path / "references" / "gaussian-seed3-samples4.safetensors"
    solution = {"solution": torch.zeros(4, 12, dtype=torch.float64)}
    sound = {"problem": problem("gaussian").identity(), "methods": "two", "agreement": 1e-9, "seconds": 0.1}
    write(file, solution, sound)  # as it was written before it knew its run
    assert references.stored(key, tmp_path) is not None
    write(file, solution if tensors is None else tensors, sound | facts)
    with pytest.raises(ValueError, match=rf"^{file}: .*{message}"):
        references.stored(key, tmp_path)


def test_every_bit_of_a_reference_counts(tmp_path: Path) -> None:
    key, generator = Key("gaussian", problem("gaussian").digest, 3, 4), random.Random(0)
    references.prepare(key, tmp_path)
    [file] = (tmp_path / "references").iterdir()
    content = file.read_bytes()
    for place in generator.sample(range(len(content)), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << generator.randrange(8)
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=f"^{file} (is damaged|is no safetensors|carries no)"):
            references.stored(key, tmp_path)


@pytest.mark.parametrize("name", DEFAULT_PROBLEMS)
def test_the_identity_does_not_depend_on_threads(name: str) -> None:
    """The parent process and its workers differ in that."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert PROBLEMS[name]().identity() == problem(name).identity()
    finally:
        torch.set_num_threads(threads)
