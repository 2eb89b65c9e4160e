"""A scheme that is read is one that can be computed: damage, foreign files and impossible tables are refused."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import MIXTURE

from fokker.generative import CondOT, flow
from fokker.solvers import (
    SDE,
    SRA1,
    Ancestral,
    ExponentialAdams,
    Heun,
    Langevin,
    Scheme,
    SolveError,
    WhiteNoise,
    solve,
    unroll,
)
from fokker.verification.certificates.problems import INITIAL, PROBLEMS

TIMES = [0.05, 0.3, 0.6, 0.9]
EQUATION = flow(MIXTURE.denoiser(CondOT()), "x0")
Table = dict[str, Any]


@pytest.fixture
def scheme() -> Scheme:
    """With scores, bases, normals and extra normals."""
    return unroll(EQUATION, TIMES, Langevin(Ancestral(ExponentialAdams(1)), 1, 0.1))


def test_every_bit_of_a_scheme_counts(scheme: Scheme, tmp_path: Path) -> None:
    """Each bit of the first 300 bytes, which hold the format and the digest, and 200 of the others."""
    file, generator = tmp_path / "scheme.json", random.Random(0)
    scheme.save(file)
    content = file.read_bytes()
    places = [*range(300), *(generator.randrange(300, len(content)) for _ in range(200))]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << generator.randrange(8)
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=rf"^{file} is (damaged|no scheme that Fokker wrote)"):
            Scheme.load(file)
    for bit in range(8):
        changed = bytearray(content)
        changed[content.index(b"scheme-2") + 7] ^= 1 << bit
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=rf"^{file} is (damaged|no scheme that Fokker wrote)"):
            Scheme.load(file)


def test_a_file_without_a_digest_is_loaded_with_a_word(scheme: Scheme, tmp_path: Path) -> None:
    file = tmp_path / "scheme.json"
    scheme.save(file)
    table = json.loads(file.read_text())
    file.write_text(json.dumps(table | {"format": "fokker-scheme-1"}))
    with pytest.raises(ValueError, match=f"^{file} is damaged"):
        Scheme.load(file)
    del table["sha256"]
    file.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=f"^{file} is damaged"):
        Scheme.load(file)
    file.write_text(json.dumps(table | {"format": "fokker-scheme-1"}))
    with pytest.warns(UserWarning, match=rf"^{file} has no digest.*write it anew: Scheme.load\(file\).save\(file\)"):
        assert Scheme.load(file) == scheme


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe\x00", b"[" * 10**5, b'{"format": ["x"]}', b'{"format": "x"}'],
)
def test_what_is_no_scheme(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{tmp_path / 'x'} is no scheme that Fokker wrote .*; write one with"):
        Scheme.load(tmp_path / "x")


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "/dev/zero", "."])
def test_what_is_no_file_is_not_read(name: str, tmp_path: Path) -> None:
    """A device would be read without an end, and the system has no words for the others."""
    with pytest.raises(FileNotFoundError, match=r"There is no file .*; write one with scheme\.save"):
        Scheme.load(tmp_path / name)


def test_a_name_that_no_file_has_is_not_written(scheme: Scheme) -> None:
    with pytest.raises(ValueError, match=r"file is 'a\\x00b', but must be the name of a file"):
        scheme.save("a\0b")
    with pytest.raises(TypeError, match="file is of type int; give the name of a file"):
        scheme.save(3)  # type: ignore[arg-type]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Scheme.load(tmp_path / "x")


def put(place: str, value: Any) -> Callable[[Table], None]:
    """Put a value into a table, at a place such as "evaluations.0.step"."""

    def change(table: Table) -> None:
        *way, last = (int(key) if key.isdecimal() else key for key in place.split("."))
        for key in way:
            table = table[key]  # type: ignore[index]
        table[last] = value  # type: ignore[index]

    return change


def pop(place: str) -> Callable[[Table], None]:
    return lambda table: table[place].pop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("name", 3), "name is of type int"),
        (put("times", "0123"), "times is '0123'"),
        (put("times.1", "0.3"), r"times\[1\] is '0.3'"),
        (put("times.1", float("nan")), r"times\[1\] is nan"),
        (put("times.3", float("inf")), r"times\[3\] is inf"),
        (put("times.1", 0.7), "monotone"),
        (put("times", []), "times"),
        (pop("times"), "2 steps need 2 states, but there are 3"),
        (pop("states"), "3 steps need 3 states, but there are 2"),
        (put("states.0", []), "state 1 is {}, but must be a combination"),
        (put("states.0", [["x", 0]]), "not enough values"),
        (put("states.0", [["x", 0, 1.0], ["x", 0, 1.0]]), "comes twice"),
        (put("states.0", [["x", 0, "1"]]), "the coefficient of x0 in state 1 is '1'"),
        (put("states.0", [["x", 0, float("nan")]]), "the coefficient of x0 in state 1 is nan"),
        (put("states.0", [["x", 0, 10**400]]), "the coefficient of x0 in state 1 is inf"),
        (put("states.0", [["x", True, 1.0]]), "the number of a term in state 1 is True"),
        (put("states.0", [["x", 0.5, 1.0]]), "the number of a term in state 1 is 0.5"),
        (put("states.0", [["y", 0, 1.0]]), "state 1 has a term 'y'; choose one of x, N, ξ"),
        (put("states.0", [[3, 0, 1.0]]), "state 1 has the term"),
        (put("states.0", [["x", 1, 1.0]]), "state 1 needs x1, of which only the first 1 are known there"),
        (put("states.0", [["x", -1, 1.0]]), "state 1 needs x-1"),
        (put("states.0", [["N", 2, 1.0]]), "state 1 needs N2, of which only the first 2 are known"),
        (put("states.0", [["ξ", 2, 1.0]]), "state 1 needs ξ2, of which only the first 2 are known"),
        (put("states.2", [["N", 99, 1.0]]), "state 3 needs N99"),
        (put("evaluations.1.argument", [["N", 1, 1.0]]), "the argument of evaluation 1 needs N1"),
        (put("evaluations.1.argument", [["x", 1, 1.0]]), "the argument of evaluation 1 needs x1"),
        (put("evaluations.1.argument", "x"), "not enough values"),
        (put("evaluations.0.step", 1), "the step of evaluation 1 is 0, but must be a whole number from 1 to 2"),
        (put("evaluations.0.step", -1), "the step of evaluation 0 is -1"),
        (put("evaluations.5.step", 3), "the step of evaluation 5 is 3, but must be a whole number from 2 to 2"),
        (put("evaluations.0.step", "0"), "the step of evaluation 0 is '0'"),
        (put("evaluations.0.time", None), "the time of evaluation 0 is None"),
        (put("evaluations.0.time", float("inf")), "the time of evaluation 0 is inf"),
        (put("evaluations.0.kind", "guess"), "Unknown kind of evaluation 0 'guess'; choose one of field, score"),
        (put("evaluations.0.kind", []), "Unknown kind of evaluation 0"),
        (put("evaluations.0.basis", [1.0]), "The basis of evaluation 0 has 1 numbers, but must have two"),
        (put("evaluations.0.basis", [1.0, float("nan")]), "the basis of evaluation 0 is nan"),
        (put("evaluations.0.basis", 3), "not iterable"),
        (put("evaluations.0.colour", 3), "unexpected keyword argument 'colour'"),
        (put("evaluations", 3), "not iterable"),
        (put("evaluations", [3]), "not subscriptable"),
        (put("draws.0.kind", "poisson"), "Unknown kind of draw 0 'poisson'; choose one of normal"),
        (put("draws.0.kind", "increment"), "Draw 0 is an increment, but its area does not follow"),
        (put("draws.0.kind", "area"), "Draw 0 is an area, but draw -1 is not the increment to which it belongs"),
        (put("draws.0.step", 3), "the step of draw 0 is 3"),
        (put("draws.0.t0", float("nan")), "t0 of draw 0 is nan"),
        (put("draws.0.t1", "1"), "t1 of draw 0 is '1'"),
        (put("draws.0.index", -1), "the index of draw 0 is -1"),
        (lambda table: table.pop("draws"), "draws"),
    ],
)
def test_a_table_that_cannot_be_computed(
    change: Callable[[Table], None], message: str, scheme: Scheme, tmp_path: Path
) -> None:
    """Whoever wrote it: the table has a digest of the format before, which is none."""
    file = tmp_path / "scheme.json"
    scheme.save(file)
    table = json.loads(file.read_text()) | {"format": "fokker-scheme-1"}
    del table["sha256"]
    change(table)
    file.write_text(json.dumps(table))
    start = rf"^{re.escape(str(file))} is no scheme that Fokker wrote"
    with pytest.raises(ValueError, match=rf"{start} \(.*{message}") as raised:
        Scheme.load(file)
    assert "\n" not in str(raised.value)


def test_an_area_belongs_to_its_increment() -> None:
    scheme = unroll(SDE(lambda t, x: -x, lambda t, x: 1.0, noise="additive"), TIMES, SRA1())
    increment, area, *rest = scheme.draws
    assert (increment.kind, area.kind) == ("increment", "area")
    for draws in ((area, increment, *rest), (increment, replace(area, t1=0.5), *rest), (increment, increment, *rest)):
        with pytest.raises(ValueError, match=r"Draw \d is an (area, but draw|increment, but its area does not)"):
            replace(scheme, draws=draws)


def test_a_run_that_leaves_the_finite_numbers_stops_as_a_solve_does() -> None:
    """The same sentence, which names the step, the times and the component, and the same solution until there."""

    def singular(t: float, x: torch.Tensor) -> torch.Tensor:
        return torch.where((torch.arange(x.numel()).reshape(x.shape) == 9) & (t > 0.5), torch.nan, -x)

    equation = replace(PROBLEMS["clock"].equation, field=singular)
    times = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
    scheme = unroll(equation, times, Heun())
    with pytest.raises(SolveError, match=r"after step 11, from t = 0.5 to t = 0.55 \(first: sample 1") as ran:
        scheme.run(equation, INITIAL, save=True)
    with pytest.raises(SolveError) as solved:
        solve(equation, INITIAL, times, Heun(), save=True)
    assert str(ran.value) == str(solved.value)
    found, expected = ran.value.solution, solved.value.solution
    assert (found.status, found.accepted, found.nfe) == ("nonfinite", 10, expected.nfe)
    assert found.ts.tolist() == expected.ts.tolist()
    torch.testing.assert_close(found.xs, expected.xs, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(found.x, expected.x, rtol=0.0, atol=1e-12)


def test_a_run_takes_a_finite_tensor(scheme: Scheme) -> None:
    for x, error, message in (
        ([1.0], TypeError, "must be a tensor of floating-point numbers"),
        (torch.ones(2, 3, dtype=torch.int64), TypeError, "must be of a floating-point dtype"),
        (torch.full((2, 3), torch.nan), ValueError, "x is nan at"),
    ):
        with pytest.raises(error, match=message):
            scheme.run(EQUATION, x, WhiteNoise(0))
