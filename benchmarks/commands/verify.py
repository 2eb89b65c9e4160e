"""The commands `fokker verify`, `fokker certify` and `fokker probe`: they run, print and write the results."""

from __future__ import annotations

import ast
import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...generative.adapters import FunctionSampler
from ...generative.sampling import Sampler
from ...solvers import Solver
from ...solvers.common import Progress, write_whole
from ...verification.certificates import Certificate, cases_of, certify, default_problems, exact_laws, method
from ...verification.named_networks import is_imported
from ...verification.networks import audit_checkpoint, probe_checkpoint_or_module
from ...verification.report import (
    STYLES,
    Report,
    chosen,
    number,
    plain,
    print_report,
    verify,
    write_html,
    write_json,
)
from ..engine import local
from .output import check_outputs, say, stdout

__all__ = ["audit_network", "certify_method", "given", "probe_network", "verify_everything"]


def verify_everything(
    names: Sequence[str] = (),
    chapters: Sequence[str] = (),
    *,
    quick: bool = False,
    json: Path | None = None,
    html: Path | None = None,
) -> bool:
    """Run the claims and the certificates, with progress on stderr and the report on stdout.

    Args:
        names: run these claims alone, by their names or ids.
        chapters: run the claims of these chapters alone.
        quick: leave out the slow claims, the audits and most certificates.
        json: write the report into this file as JSON.
        html: write the report into this file as a page.

    Returns:
        Whether nothing fails.

    Raises:
        ValueError: for an unknown name or chapter, before any work.
        OSError: a file cannot be written, before any work.
    """
    check_outputs(json, html)
    chosen(names, chapters, quick=quick)
    with _bar() as bar, local() as engine:
        report = verify(names, chapters, quick=quick, run=engine.run, progress=partial(_show, bar))
    return _published(report, json, html)


def audit_network(
    network: str,
    data: str | None,
    *,
    minutes: float | None = None,
    json: Path | None = None,
    html: Path | None = None,
) -> bool:
    """Audit a network on held-out data, with progress on stderr and the report on stdout.

    Args:
        network: a shipped network, the file of one, or "package.module:name".
        data: the name or the file of the data; the data set that a checkpoint was trained on if None.
        minutes: how long it may take; the plan is printed on stderr first.
        json: write the report into this file as JSON.
        html: write the report into this file as a page.

    Returns:
        True: an audit measures and does not fail.

    Raises:
        ValueError: as `audit_checkpoint`.
        OSError: a file cannot be written, before any work.
    """
    check_outputs(json, html)
    start = time.perf_counter()
    with _bar() as bar:
        audited = audit_checkpoint(network, data, minutes=minutes, progress=_Announced(bar, minutes is not None))
    return _published(Report(audits=[audited], seconds=time.perf_counter() - start), json, html)


def probe_network(
    network: str, data: str | None, *, minutes: float | None = None, json: Path | None = None
) -> bool:
    """Print which convention a network follows, with the evidence.

    Args:
        network: a shipped network, the file of one, or "package.module:name".
        data: the name or the file of the data; the data set that a checkpoint was trained on if None.
        minutes: how long it may take, as for `probe`; the plan is printed on stderr first.
        json: write the finding into this file as JSON.

    Returns:
        Whether the convention was found.

    Raises:
        ValueError: as `probe_checkpoint_or_module`.
        OSError: the file cannot be written, before any work.
    """
    check_outputs(json)
    with _bar() as bar:
        found = probe_checkpoint_or_module(network, data, minutes=minutes, progress=_Announced(bar, True))
    try:
        if json is not None:
            write_whole(json, f"{dumps(plain(found.as_json()), ensure_ascii=False, indent=1)}\n".encode())
    finally:
        print(found)
        if found.options is not None and is_imported(network):
            print(f"\nfokker bench {shlex.quote(network)} {found.options}")
    if json is not None:
        print(f"written: {json}")
    return found.convention is not None


def certify_method(
    text: str,
    *,
    form: str | None = None,
    options: Sequence[str] = (),
    declared: float | None = None,
    json: Path | None = None,
    html: Path | None = None,
) -> bool:
    """Measure the order of a method, and print each ladder of errors with its verdict, and a sampler's exact law.

    Args:
        text: the method, as `verification.certificates.method` reads it.
        form: the form of a function.
        options: further arguments of a sampler of another library, each NAME=VALUE.
        declared: the order to judge by; the one that the method declares if None.
        json: write the certificates into this file as JSON.
        html: write the certificates into this file as a page.

    Returns:
        Whether nothing fails.

    Raises:
        ValueError: as `method` and `certify`.
        OSError: a file cannot be written, before any work.
    """
    check_outputs(json, html)
    found = method(text, form, given(options))
    if isinstance(found, FunctionSampler):
        return _certify_sampler(found, declared, json, html)
    problems = default_problems(found) if isinstance(found, Solver) else [None]
    made: list[Certificate] = []
    with _bar() as bar:
        for done, problem in enumerate(problems, start=1):
            name = "" if isinstance(found, Solver | Sampler) else text
            made.append(certify(found, problem, declared=declared, name=name))
            _show(bar, done, len(problems), made[-1].problem)
    return _published(Report(certificates=made), json, html, _print_ladders)


def _certify_sampler(sampler: FunctionSampler, declared: float | None, json: Path | None, html: Path | None) -> bool:
    """The certificates of a sampler of another library, and the exact law of its output."""
    made: list[Certificate] = []
    with _bar() as bar:
        cases = cases_of(sampler)
        for done, (measured, problem) in enumerate(cases, start=1):
            made.append(certify(measured, problem, declared=declared, name=sampler.name))
            _show(bar, done, len(cases) + 1, made[-1].problem)
        laws = exact_laws(sampler)

    def show(console: Console, report: Report) -> None:
        _print_ladders(console, report)
        console.print(Text(str(laws)), soft_wrap=True)

    return _published(Report(certificates=made), json, html, show)


def given(options: Sequence[str]) -> dict[str, Any]:
    """Options by name, each written NAME=VALUE. A value is a literal of Python, true, false, null, or else a text.

    Raises:
        ValueError: one has no name, or a name comes twice.
    """
    found: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name.isidentifier() or name in found:
            raise ValueError(f"The option {option!r} must be NAME=VALUE, each name once, such as eta=1.0.")
        found[name] = _literal(value)
    return found


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return text


def _published(
    report: Report,
    json: Path | None,
    html: Path | None,
    show: Callable[[Console, Report], None] = print_report,
) -> bool:
    """Write the files and print the report, which is printed even if a file cannot be written after all."""
    try:
        for file, write in ((json, write_json), (html, write_html)):
            if file is not None:
                write(report, file)
    finally:
        show(stdout(), report)
    for file in (json, html):
        if file is not None:
            print(f"written: {file}")
    return report.passed


def _print_ladders(console: Console, report: Report) -> None:
    """Each ladder of errors with its verdict."""
    for certificate in report.certificates:
        if certificate.steps:
            console.print(_ladder(certificate), soft_wrap=True)
        verdict = Text(str(certificate), STYLES[certificate.verdict])
        console.print(verdict, end="\n\n", soft_wrap=True)


def _ladder(certificate: Certificate) -> Table:
    table = Table("steps", "error", "local order", "rounding", title=f"{certificate.method}, {certificate.problem}")
    slopes = ["", *(f"{slope:.2f}" for slope in certificate.local_slopes)]
    for row in zip(certificate.steps, certificate.errors, slopes, certificate.floors, strict=True):
        steps, error, slope, floor = row
        table.add_row(str(steps), number(error), slope, number(floor))
    return table


class _Announced:
    """Shows progress on a bar. The first that is known of the whole work, its plan, is also printed on stderr."""

    def __init__(self, bar: Progress, planned: bool) -> None:
        self.bar, self.waiting = bar, planned

    def __call__(self, done: int, total: int, what: str) -> None:
        if self.waiting and total:
            self.waiting = False
            say(what)
        _show(self.bar, done, total, what)


def _bar() -> Progress:
    return Progress(0.0, 0.0, True, "starting")


def _show(bar: Progress, done: int, total: int, what: str) -> None:
    bar.end = total
    bar.reach(done, f"{done}/{total} {what:32}")
