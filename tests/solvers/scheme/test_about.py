"""What is said about a table: JSON, checked at the door, kept by a file, and no part of the method."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy import MIXTURE

from fokker.generative import CondOT, flow
from fokker.solvers import ExponentialAdams, Replay, Scheme, same, unroll

ABOUT = {
    "network": "0123456789abcdef",
    "hold": "x0",
    "report": {"nfe": 5, "errors": [1e-3, 2.5e-4], "held out": True, "note": None},
}
TABLE = unroll(flow(MIXTURE.denoiser(CondOT()), "x0"), [0.1, 0.4, 0.9], ExponentialAdams(2))


def holds_itself() -> dict[str, Any]:
    about: dict[str, Any] = {}
    about["again"] = [about]
    return about


def test_a_file_keeps_it(tmp_path: Path) -> None:
    scheme = replace(TABLE, about=ABOUT)
    scheme.save(tmp_path / "scheme.json")
    assert Scheme.load(tmp_path / "scheme.json") == scheme
    assert scheme.about == ABOUT
    assert json.loads((tmp_path / "scheme.json").read_text())["about"] == ABOUT


def test_it_is_no_part_of_the_method() -> None:
    assert TABLE.about == {}
    assert same(TABLE, replace(TABLE, about=ABOUT))


def test_equal_tables_have_one_hash(tmp_path: Path) -> None:
    """So that sets and dictionaries can hold them, and samplers that replay them."""
    scheme = replace(TABLE, about=ABOUT)
    scheme.save(tmp_path / "scheme.json")
    again = Scheme.load(tmp_path / "scheme.json")
    assert len({scheme, again, TABLE}) == 2
    assert len({Replay(scheme), Replay(again)}) == 1


def test_a_file_from_before_has_none(tmp_path: Path) -> None:
    """The digest is not checked here: the format before had none."""
    TABLE.save(tmp_path / "scheme.json")
    table = json.loads((tmp_path / "scheme.json").read_text()) | {"format": "fokker-scheme-1"}
    del table["sha256"], table["about"]
    (tmp_path / "scheme.json").write_text(json.dumps(table))
    with pytest.warns(UserWarning, match="has no digest"):
        assert Scheme.load(tmp_path / "scheme.json") == TABLE


def test_it_is_a_copy_in_plain_values() -> None:
    """A tuple is a list in JSON, and what is changed afterwards outside is not changed here."""
    about: dict[str, Any] = {"times": (0.0, 1), "nested": {"a": [1]}}
    scheme = replace(TABLE, about=about)
    about["nested"]["a"].append(2)
    assert scheme.about == {"times": [0.0, 1], "nested": {"a": [1]}}


def test_str_shows_it_in_a_line() -> None:
    """With the values if they are short, and with the keys alone otherwise."""
    assert "about" not in str(TABLE)
    lines = str(replace(TABLE, about={"hold": "x0", "seed": 3})).splitlines()
    assert lines[1] == 'about: hold = "x0", seed = 3'
    lines = str(replace(TABLE, about=ABOUT | {"long": "n" * 100})).splitlines()
    assert lines[1] == "about: network, hold, report, long"
    assert lines[2].startswith("step 0")
    longest = str(replace(TABLE, about={f"key {i}": i for i in range(100)})).splitlines()[1]
    assert len(longest) < 130


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        (3, TypeError, "about is of type int; give a mapping of JSON values"),
        (["network"], TypeError, "about is of type list; give a mapping"),
        ({1: 2}, TypeError, "about has the key 1, but keys in JSON are texts"),
        ({"a": [{"b": float("nan")}]}, ValueError, r"about\['a'\]\[0\]\['b'\] is nan, but numbers in JSON are finite"),
        ({"a": float("inf")}, ValueError, r"about\['a'\] is inf"),
        ({"a": {1, 2}}, TypeError, r"about\['a'\] is of type set, but must be JSON"),
        ({"a": b"x"}, TypeError, r"about\['a'\] is of type bytes"),
        ({"a": "\ud800"}, ValueError, r"about\['a'\] is .*, which no file holds"),
        ({"\ud800": 1}, ValueError, r"a key of about is .*, which no file holds"),
        (holds_itself(), ValueError, "about holds more than 32 mappings and lists within each other"),
    ],
)
def test_what_is_no_json_is_refused(about: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replace(TABLE, about=about)


@pytest.mark.parametrize("about", [3, [], {"a": float("nan")}])
def test_a_file_that_says_no_json_is_refused(about: Any, tmp_path: Path) -> None:
    TABLE.save(tmp_path / "scheme.json")
    table = json.loads((tmp_path / "scheme.json").read_text()) | {"format": "fokker-scheme-1", "about": about}
    del table["sha256"]
    (tmp_path / "scheme.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"no scheme that Fokker wrote \(about"):
        Scheme.load(tmp_path / "scheme.json")
