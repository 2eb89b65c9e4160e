"""The doors of claims and of the catalogue, and the report of a claim that misbehaves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from fokker.verification import Report
from fokker.verification.claims import CATALOGUE, Bound, Check, Citation, Source, Statistical, claim, run, uncovered
from fokker.verification.report import chosen, print_report, verify, write_html, write_json

SOURCE = Source("notes", "", "Notes", "", no_address="None is known.")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Check("1", 0.0, 0.0), "measured is '1'"),
        (lambda: Check(0.0, 0.0, -math.inf), "tolerance is -inf"),
        (lambda: Check(torch.ones(2), 0.0, 0.0), "measured has 2 entries"),
        (lambda: Bound(1.0, None), "limit is None"),
        (lambda: Bound(1.0, 1.0, above=1), "above is 1"),
        (lambda: Statistical(0.5, 2.5, "", 0.0, 0.0), "n is 2.5"),
        (lambda: Statistical(0.5, 2, None, 0.0, 0.0), "smallest_fault is of type NoneType"),
        (lambda: Source("notes", "", 3, ""), "title is of type int"),
        (lambda: Citation("notes"), "source is of type str"),
        (lambda: SOURCE[3], "place is of type int"),
        (lambda: claim("A998", SOURCE, statement=None), "statement is of type NoneType"),
        (lambda: claim("A998", SOURCE, statement="It holds.", slow="no"), "slow is 'no'"),
        (lambda: claim("A998", SOURCE, statement="It holds.")(3), "What is registered is of type int"),
        (lambda: uncovered("A998", "notes", statement="It holds.")(_unknown), r"sources\[0\] is of type str"),
        (lambda: uncovered(998, SOURCE, statement="It holds.")(_unknown), "id is of type int"),
        (lambda: run(["A001"]), r"claims\[0\] is of type str"),
        (lambda: chosen("A001"), "names is of type str; give a list of names"),
        (lambda: chosen([1]), r"names\[0\] is of type int"),
        (lambda: verify(["A001"], quick=None), "quick is None"),
        (lambda: verify(["A001"], run=4), "run is of type int"),
        (lambda: verify(["A001"], progress=True), "progress is of type bool"),
        (lambda: write_json({}, Path("report.json")), "report is of type dict"),
        (lambda: write_html(Report(), "report.html"), "file is of type str"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    known = dict(CATALOGUE)
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)
    assert known == CATALOGUE


def _unknown() -> None:
    """A reason."""


def test_numbers_of_every_kind_are_floats() -> None:
    assert Check(np.float64(1.0), torch.tensor(1.0), 0) == Check(1.0, 1.0, 0.0)
    assert type(Bound(torch.tensor(2), 1).measured) is float
    assert not Check(math.nan, 0.0, 1.0).passed
    assert not Bound(math.nan, 0.0).passed


@pytest.mark.parametrize("result", [1.0, [Check(0.0, 0.0, 0.0), True], None, {}])
def test_a_claim_that_returns_no_check_fails(result: object) -> None:
    (outcome,) = run([replace(CATALOGUE["A001"], function=lambda: result)])
    assert outcome.verdict == "fail"
    assert outcome.error is not None
    assert "What the claim returned is of type" in outcome.error


def test_the_report_names_a_claim_that_raises() -> None:
    def broken() -> Check:
        raise KeyError("nothing")

    report, text = Report(run([replace(CATALOGUE["A001"], function=broken)])), StringIO()
    print_report(Console(file=text, width=100), report)
    assert "A001 normal_density fails" in text.getvalue()
    assert "KeyError: 'nothing'" in text.getvalue()
    (entry,) = json.loads(json.dumps(report.as_dict()))["claims"]
    assert (entry["id"], entry["error"]) == ("A001", "KeyError: 'nothing'")
