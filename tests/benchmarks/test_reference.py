"""The references that errors are measured against."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fokker.benchmarks import reference as references
from fokker.benchmarks.ledger import Key
from fokker.benchmarks.problems import problem
from fokker.generative.training import write


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
    changed = replace(problem("gaussian"), parameters=(torch.ones(1),))
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
