"""Every row of docs/coverage.md names a claim or a test that exists, or says what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from source import ROOT
from systems import PAGE, STATES, System, page, systems

from fokker.verification.claims import CATALOGUE

ROWS = systems()
DOCUMENTS = {"lecture notes 2025", "lecture notes 2026", "tutorial", "slides", "blog post"}


def faults(row: System) -> list[str]:
    """What is wrong with a row."""
    found = [f"no claim {each}" for each in row.claims if each not in CATALOGUE]
    found += [f"nothing measures {each}" for each in row.claims if each in CATALOGUE and not CATALOGUE[each].function]
    found += [f"no file {each}" for each in row.tests if not (ROOT / each).is_file()]
    if row.state == "works" and not (row.claims or row.tests):
        found.append("nothing shows it")
    if (row.state == "works") != (not row.reason):
        found.append("a reason is given where something is missing, and only there")
    if row.state not in STATES or not row.sources or not set(row.sources) <= DOCUMENTS:
        found.append("an unknown state or document")
    return found


def test_every_row_is_shown_by_a_claim_or_a_test_or_has_a_reason() -> None:
    assert [row.number for row in ROWS] == list(range(1, 150))
    assert {row.number: faults(row) for row in ROWS if faults(row)} == {}


@pytest.mark.parametrize(
    "change",
    [{"claims": ("A999",)}, {"claims": ("A200",)}, {"tests": ("tests/none.py",)}, {"reason": "It is not here."},
     {"state": "done"}, {"claims": (), "tests": ()}],
)  # fmt: skip
def test_a_wrong_row_is_seen(change: dict[str, object]) -> None:
    right = next(row for row in ROWS if row.state == "works")
    assert faults(replace(right, **change))  # type: ignore[arg-type]


def test_the_page_is_that_of_the_rows() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(ROWS), "run `make coverage`"
