"""The bibliography: every source can be looked up, or says why not, and claims cite nothing else."""

from __future__ import annotations

import re

import pytest
from source import ROOT, module_files

from fokker.verification.claims import BIBLIOGRAPHY, CATALOGUE, Citation, Source

CODES = re.compile(
    r"(notes|document|tutorial|slides|post|edition)[ ,]+00[0-4]\b|(chapter|part) [AC]\.\d|\([AC]\.\d+\)|errata_00",
    re.IGNORECASE,
)


def test_every_source_has_a_title_and_an_address_or_a_reason_for_none() -> None:
    assert len({source.name for source in BIBLIOGRAPHY}) == len(BIBLIOGRAPHY)
    for source in BIBLIOGRAPHY:
        assert source.title
        assert source.authors
        if source.address is None:
            assert source.no_address.endswith(".")
        else:
            assert source.address.startswith("https://")


def test_a_source_without_a_title_or_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="'notes' needs a title"):
        Source("notes", "someone", "", "2025", "https://example.org")
    with pytest.raises(ValueError, match="needs an address, or the reason"):
        Source("notes", "someone", "Notes", "2025")
    with pytest.raises(ValueError, match="needs an address, or the reason"):
        Source("notes", "someone", "Notes", "2025", "https://example.org", "Lost.")


def test_a_citation_is_a_source_with_a_place() -> None:
    notes = Source("notes", "someone", "Notes on flows", "2025", "https://example.org")
    assert notes["Eq. 12"] == Citation(notes, "Eq. 12")
    assert str(notes["Eq. 12"]) == "notes, Eq. 12"
    assert str(Citation(notes)) == "notes"
    assert str(notes) == "someone, Notes on flows, 2025. https://example.org"


def test_claims_cite_the_bibliography_and_every_source_is_cited() -> None:
    cited = {citation.source for claim in CATALOGUE.values() for citation in claim.sources}
    assert cited == set(BIBLIOGRAPHY)


def test_no_source_is_named_by_a_code() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("verification/report/templates/*")]
    for file in [*module_files().values(), *pages]:
        found = CODES.search(file.read_text())
        assert found is None, f"{file}: {found and found[0]}"
    for claim in CATALOGUE.values():
        assert not CODES.search(f"{claim.statement} {claim.source} {claim.formula} {claim.reason} {claim.chapter}")
