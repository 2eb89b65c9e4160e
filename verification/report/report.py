"""What a run of the verification found: verdicts, as a table for a terminal and as JSON.

The JSON is {"claims": [...], "sources": [...], "certificates": [...], "equivalences": [...], ...}. If a
claim has several checks, its "measured", "expected" and "tolerance" are those of the check that decides; "checks" has
all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...solvers.common import check_instance, write_whole
from ..certificates import Certificate
from ..claims import Outcome
from ..laws import Equivalences
from ..networks import Audit
from .wording import check_as_dict, cited, decisive, expectation, number, plain

__all__ = ["STYLES", "Report", "check_report", "print_report", "write_json"]

STYLES = {"fail": "bold red", "undecided": "red", "higher": "yellow", "not covered": "dim", "pass": "green"}
"""How each verdict is printed, the gravest first."""
FAILING = ("fail", "undecided")
"""An order that cannot be told certifies nothing."""


@dataclass(frozen=True)
class Report:
    """What was found.

    outcomes: one for each claim. certificates: one for each solver and problem.
    uncertified: the solvers that may not be exported, and why. equivalences: of published samplers, one for each path.
    audits: one for each learned network. quick: whether slow claims and long ladders were left out.
    seconds: how long all of it took.
    """

    outcomes: Sequence[Outcome] = ()
    certificates: Sequence[Certificate] = ()
    uncertified: Mapping[str, str] = field(default_factory=dict)
    equivalences: Sequence[Equivalences] = ()
    audits: Sequence[Audit] = ()
    quick: bool = False
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing that was measured fails. An audit says where a network is good, and fails nothing."""
        return self.verdicts.isdisjoint(FAILING) and not self.uncertified

    @property
    def verdicts(self) -> set[str]:
        """All verdicts that occur."""
        return {outcome.verdict for outcome in self.outcomes} | {each.verdict for each in self.certificates}

    def counts(self) -> dict[str, dict[str, int]]:
        """How many claims and how many certificates have which verdict. A 0 says that none fails."""
        measured: dict[str, Sequence[Outcome | Certificate]] = {
            "claims": self.outcomes,
            "certificates": self.certificates,
        }
        counted = {what: Counter(each.verdict for each in found) for what, found in measured.items() if found}
        return {
            what: {verdict: count[verdict] for verdict in reversed(STYLES) if count[verdict] or verdict == "fail"}
            for what, count in counted.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON, before `plain`."""
        return {
            "passed": self.passed,
            "quick": self.quick,
            "seconds": self.seconds,
            "counts": self.counts(),
            "claims": [_claim(outcome) for outcome in self.outcomes],
            "sources": [asdict(source) for source in cited(self.outcomes)],
            "certificates": [certificate.as_json() for certificate in self.certificates],
            "uncertified": dict(self.uncertified),
            "equivalences": [compared.as_json() for compared in self.equivalences],
            "audits": [audited.as_json() for audited in self.audits],
        }


def _claim(outcome: Outcome) -> dict[str, Any]:
    claim, check = outcome.claim, decisive(outcome)
    nothing = {"measured": None, "expected": None, "tolerance": None}
    return {
        "id": claim.id,
        "name": claim.name,
        "source": claim.source,
        "statement": claim.statement,
        **(nothing if check is None else check_as_dict(check)),
        "verdict": outcome.verdict,
        "formula": claim.formula,
        "chapter": claim.chapter,
        "erratum": claim.erratum,
        "note": claim.note,
        "slow": claim.slow,
        "seconds": outcome.seconds,
        "error": outcome.error,
        "reason": claim.reason,
        "checks": [
            {"what": each.what, **check_as_dict(each), "passed": passed}
            for each, passed in zip(outcome.checks, outcome.passed, strict=True)
        ],
    }


def write_json(report: Report, file: Path) -> None:
    """Write the JSON, whole or not at all."""
    check_report(report, file)
    text = json.dumps(plain(report.as_dict()), ensure_ascii=False, indent=1, allow_nan=False)
    write_whole(file, f"{text}\n".encode())


def check_report(report: Report, file: Path) -> None:
    """Raises TypeError unless they are a report and the path of a file."""
    check_instance("report", report, Report, "a Report, such as verify() returns")
    check_instance("file", file, Path, "a pathlib.Path")


def print_report(console: Console, report: Report) -> None:
    """The tables, whatever failed once more with its cases, and the tally."""
    if report.outcomes:
        console.print(_claims(report.outcomes))
        console.print(_sources(report.outcomes), end="\n\n")
    if report.certificates:
        console.print(_certificates(report.certificates))
    for compared in report.equivalences:
        console.print(Text(str(compared)), end="\n\n")
    for audited in report.audits:
        console.print(Text(str(audited)), end="\n\n")
    for outcome in report.outcomes:
        if outcome.verdict in FAILING:
            console.print(_failure(outcome))
    for certificate in report.certificates:
        if certificate.verdict in FAILING:
            console.print(Text(str(certificate), STYLES[certificate.verdict]))
    for sentence in report.uncertified.values():
        console.print(Text(sentence, STYLES["fail"]))
    for what, count in report.counts().items():
        console.print(Text(f"{what}: {', '.join(f'{many} {verdict}' for verdict, many in count.items())}"))


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "verdict"))
    return table


def _claims(outcomes: Sequence[Outcome]) -> Table:
    table = _table("id", "name and statement", "source", "measured", "expected", "verdict")
    chapter = outcomes[0].claim.chapter
    for outcome in outcomes:
        claim, check = outcome.claim, decisive(outcome)
        if claim.chapter != chapter:
            chapter = claim.chapter
            table.add_section()
        numbers = ("", "") if check is None else (number(check.measured), expectation(check))
        _add(
            table,
            outcome.verdict,
            claim.id,
            f"{claim.name.replace('_', ' ')}\n{claim.statement}",
            claim.source,
            *numbers,
        )
    return table


def _sources(outcomes: Sequence[Outcome]) -> Text:
    """The bibliography of these claims, and what is said of all errata."""
    lines = ["Sources", *(f"  {source.name}: {source}" for source in cited(outcomes))]
    errata = [outcome.claim for outcome in outcomes if outcome.claim.erratum]
    damaged = [claim.id for claim in errata if claim.damage]
    if errata:
        lines.append("Errata were found in our copies of these texts.")
    if damaged:
        lines[-1] += f" Damage of their extraction may explain {', '.join(damaged)}."
    return Text("\n".join(lines))


def _certificates(certificates: Sequence[Certificate]) -> Table:
    table = _table("method", "problem", "kind", "declared", "measured", "verdict")
    for each in certificates:
        measured = ""
        if each.order is not None and each.interval is not None:
            measured = f"{each.order:.2f} ± {each.interval[1] - each.order:.2f}"
        _add(table, each.verdict, each.method, each.problem, each.kind, number(each.declared), measured)
    return table


def _add(table: Table, verdict: str, *cells: str) -> None:
    """Add a row of plain texts: brackets are no markup here."""
    table.add_row(*map(Text, cells), Text(verdict, STYLES[verdict]))


def _failure(outcome: Outcome) -> Text:
    """What failed, and by how much it failed."""
    lines = [f"{outcome.claim.id} {outcome.claim.name} fails: {outcome.claim.statement}"]
    if outcome.error is not None:
        lines.append(f"  {outcome.error}")
    for check, passed in zip(outcome.checks, outcome.passed, strict=True):
        if not passed:
            lines.append(f"  {check.what or 'measured'}: {number(check.measured)}, expected {expectation(check)}")
    return Text("\n".join(lines), STYLES["fail"])
