"""The report: its table, its JSON, its page; and the run that makes it."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fokker.generative import VP
from fokker.solvers import Heun
from fokker.verification.certificates import PROBLEMS, Case, Certificate, certify
from fokker.verification.claims import CATALOGUE, Bound, Check, Measurement, Statistical, judged
from fokker.verification.laws import equivalences
from fokker.verification.networks import IDENTITIES, Audit
from fokker.verification.networks.audit_result import Entry, Likelihood
from fokker.verification.report import Report, number, plain, print_report, suite, write_html, write_json
from fokker.verification.report.page import formula, page
from fokker.verification.report.wording import cited, decisive, expectation, printed_form

CHECKS: dict[str, list[Check | Bound | Statistical]] = {
    "A001": [Check(1.0, 1.0, 1e-12, "far"), Check(1.0 + 9e-13, 1.0, 1e-12, "near")],
    "A002": [Check(2.0, 1.0, 1e-12, "the case that fails")],
    "A003": [Statistical(0.43, 1000, "a shift of 0.1", 0.5, 0.49, "a test")],
    "E01": [Bound(0.4, 0.3, "printed: how far off", above=True), Check(2.0, 2.0, 1e-12, "corrected")],
    "E05": [],
}
CLAIMS = [CATALOGUE[id] for id in CHECKS]


@pytest.fixture(scope="module")
def report() -> Report:
    outcomes = judged(CLAIMS, [Measurement(tuple(checks), 0.1) for checks in CHECKS.values()])
    certificates = [certify(Heun(), apart=False), Certificate.broken("Odd()", "logistic", ValueError("no order <b>"))]
    entries = tuple(Entry(name, level, 0.001, -0.001, 0.003, 0.01) for name in IDENTITIES for level in (-1.0, 0.0, 1.0))
    audited = Audit("net", 100, entries, (Likelihood("held out", 16, -3.0, 0.1, 2.1, 0.02),))
    uncertified = {"Odd": "Odd is exported, but fails."}
    return Report(outcomes, certificates, uncertified, [equivalences(VP())], [audited], seconds=9.0)


def printed(report: Report, width: int = 160) -> str:
    stream = io.StringIO()
    print_report(Console(width=width, file=stream), report)
    return stream.getvalue()


def test_the_decisive_check_is_the_failed_one_or_the_nearest_to_its_tolerance(report: Report) -> None:
    by_id = {outcome.claim.id: outcome for outcome in report.outcomes}
    chosen = {id: decisive(outcome) for id, outcome in by_id.items()}
    assert chosen["A001"] == CHECKS["A001"][1]
    assert chosen["A002"] == CHECKS["A002"][0]
    assert chosen["A003"] == CHECKS["A003"][0]
    assert chosen["E01"] == CHECKS["E01"][1]
    assert chosen["E05"] is None
    assert printed_form(by_id["E01"]) == CHECKS["E01"][0]


def test_numbers_as_people_write_them() -> None:
    assert [number(value) for value in (0.25, 3e-14, -1.0, None, 1234567.0)] == [
        "0.25", "3e−14", "−1", "", "1.23457e+6",
    ]  # fmt: skip
    assert expectation(Check(0.0, 1.0, 1e-3)) == "1 ± 0.001"
    assert expectation(Bound(0.0, 2.0)) == "≤ 2"
    assert expectation(Bound(0.0, 2.0, above=True)) == "≥ 2"
    assert expectation(CHECKS["A003"][0]) == "0.49, p = 0.43, n = 1000"
    assert plain({"a": [math.inf, 1.0], "b": float("nan")}) == {"a": [None, 1.0], "b": None}


def test_the_json_has_the_shape_that_is_promised(report: Report, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert set(found) >= {
        "claims",
        "sources",
        "certificates",
        "equivalences",
        "audits",
        "uncertified",
        "passed",
        "seconds",
    }
    first, second, third, erratum, uncovered = found["claims"]
    for claim in found["claims"]:
        assert set(claim) >= {"id", "name", "source", "statement", "measured", "expected", "tolerance", "verdict"}
    assert [claim["verdict"] for claim in found["claims"]] == ["pass", "fail", "pass", "pass", "not covered"]
    assert (second["measured"], second["expected"], second["tolerance"]) == (2.0, 1.0, 1e-12)
    assert third["p_value"] == 0.43
    assert [check["relation"] for check in erratum["checks"]] == [">=", "="]
    assert uncovered["measured"] is None
    assert uncovered["reason"].startswith("Nothing to compute")
    assert (first["name"], first["note"]) == ("normal_density", "")
    assert first["source"] == "lecture notes 2025, Eq. 81; lecture notes 2026, Eq. 11"
    assert erratum["note"] == "Found in our copy of the text."
    assert [source["name"] for source in found["sources"]] == ["lecture notes 2025", "lecture notes 2026"]
    assert found["sources"][1]["address"] == "https://diffusion.csail.mit.edu/"
    assert first["checks"][0]["passed"]
    assert [each["verdict"] for each in found["certificates"]] == ["pass", "fail"]
    assert found["audits"][0]["entries"][0]["verdict"] == "good"
    assert found["passed"] is False
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]  # nothing half-written beside it


def test_the_table_names_what_failed_and_by_how_much(report: Report) -> None:
    text = printed(report)
    assert "A002 mean_minimises_the_distance fails: " in text
    assert "the case that fails: 2, expected 1 ± 1e−12" in text
    assert "Odd is exported, but fails." in text
    assert "ValueError: no order <b>" in text
    assert "claims: 3 pass, 1 not covered, 1 fail" in text
    assert "certificates: 1 pass, 1 fail" in text
    assert "ddim = euler" in text
    assert "stationary variance" in text
    assert "https://diffusion.csail.mit.edu/2025/index.html" in text
    assert "Errata were found in our copies of these texts." in text


def test_a_report_passes_if_nothing_fails() -> None:
    outcomes = judged(CLAIMS[:1], [Measurement((CHECKS["A001"][0],), 0.1)])
    assert Report(outcomes).passed
    assert not Report(outcomes, uncertified={"X": "X has none."}).passed
    assert not Report(certificates=[Certificate.broken("X()", "y", ValueError("z"))]).passed


def test_the_page_stands_alone_and_escapes(report: Report, tmp_path: Path) -> None:
    text = page(report)
    links = {source.address for source in cited(report.outcomes) if source.address}
    assert set(re.findall(r'href="(https?://[^"]*)"', text)) == links
    assert not re.search(r'(src|xlink:href)="(?!#)|url\((?!#)|@import|<link rel="stylesheet"', text)
    assert "no order &lt;b&gt;" in text
    assert "<script" in text
    assert text.count('class="item"') == 5 + 2 + 1 + len(IDENTITIES)
    for id in CHECKS:
        assert f'id="{id}"' in text
        assert f"<code>{CATALOGUE[id].name}</code>" in text
    assert "<svg" in text
    write_html(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == text
    assert page(report) == text  # the same in every run


def test_formulas_have_indices() -> None:
    assert formula("h^½ for σ_t") == "h<sup>½</sup> for σ<sub>t</sub>"
    assert formula("x_t = e^(−λ) σ_{data} <") == "x<sub>t</sub> = e<sup>−λ</sup> σ<sub>data</sub> &lt;"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite of one certificate."""
    monkeypatch.setattr(suite, "cases", lambda: iter([Case(Heun(), lambda: PROBLEMS["ode"], True)]))
    monkeypatch.setattr(suite, "uncertified", lambda made: {})
    monkeypatch.setattr(suite, "PATHS", [])
    monkeypatch.setattr(suite, "AUDITED", ())


def test_claims_alone_have_no_certificates() -> None:
    found = suite.verify(["A013", "noise that-explodes"])
    assert [outcome.claim.id for outcome in found.outcomes] == ["A013", "E22"]
    assert found.certificates == []
    assert found.equivalences == []
    assert found.passed


def test_the_whole_is_claims_certificates_and_equivalences(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "chosen", lambda *args, **names: [CATALOGUE["A013"], CATALOGUE["A221"]])
    seen: list[tuple[int, int, str]] = []
    found = suite.verify(quick=True, progress=lambda *args: seen.append(args))
    assert [outcome.verdict for outcome in found.outcomes] == ["pass", "not covered"]
    assert [certificate.method for certificate in found.certificates] == ["Heun()"]
    assert [done for done, *_ in seen] == [1, 2, 3]
    assert {total for _, total, _ in seen} == {3}


def test_a_pool_finds_the_same(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ["A001", "A083", "A103", "E48"]
    alone = suite.verify(ids)
    with ThreadPoolExecutor(1) as pool:
        together = suite.verify(ids, run=lambda work, jobs: zip(jobs, pool.map(work, jobs), strict=True))

    def found(report: Report) -> Sequence[object]:
        return [(outcome.claim.id, outcome.checks, outcome.verdict) for outcome in report.outcomes]

    assert found(alone) == found(together)


def test_a_method_that_raises_fails_and_the_rest_goes_on(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Case, quick: bool) -> Certificate:
        raise ValueError("math domain error")

    monkeypatch.setattr(suite, "chosen", lambda *args, **names: [CATALOGUE["A013"]])
    monkeypatch.setattr(Case, "certificate", broken)
    found = suite.verify()
    assert [(each.verdict, each.reason) for each in found.certificates] == [("fail", "ValueError: math domain error")]
    assert found.outcomes[0].verdict == "pass"
    assert not found.passed


@pytest.mark.parametrize(
    ("ids", "chapters", "message"),
    [
        (["A999"], [], "Unknown claim 'A999'; the catalogue goes from A001 to E97"),
        (["no-such-claim"], [], "Unknown claim 'no-such-claim'; .*, and the report has the names"),
        ([], ["nothing"], "Unknown chapter 'nothing'; choose one of probability, "),
    ],
)
def test_unknown_names_are_refused_before_any_work(ids: list[str], chapters: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite.chosen(ids, chapters)


def test_quick_leaves_out_what_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(CATALOGUE["A001"], slow=True)
    monkeypatch.setattr(suite, "CATALOGUE", {"A001": slow, "A002": CATALOGUE["A002"]})
    assert [claim.id for claim in suite.chosen(quick=True)] == ["A002"]
    with pytest.raises(ValueError, match="Only slow claims are chosen"):
        suite.chosen(["A001"], quick=True)


def test_claims_by_their_names_or_their_ids() -> None:
    for names in (["conditional_ends", "E22"], ["Conditional-Ends", "e22"], ["a051", "NOISE THAT EXPLODES", "E22"]):
        assert [claim.id for claim in suite.chosen(names)] == ["A051", "E22"]


def test_claims_are_chosen_in_the_order_of_their_ids() -> None:
    ids = [claim.id for claim in suite.chosen()]
    assert len(ids) == len(CATALOGUE)
    assert ids.index("A001") < ids.index("A224") < ids.index("C6a") < ids.index("E01") < ids.index("E97")


def test_chapters_by_their_words() -> None:
    found = suite.chosen(chapters=["Score models"])
    assert {claim.chapter for claim in found} == {"score_models"}
