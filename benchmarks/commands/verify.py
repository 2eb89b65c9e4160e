"""What `fokker verify`, `fokker certify` and `fokker probe` do: run, print, and write what was found."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ...generative.sampling import Sampler
from ...solvers import Solver
from ...solvers.common import write_whole
from ...verification.certificates import Certificate, certify, default_problems, method
from ...verification.networks import audit_checkpoint, probe_checkpoint_or_module
from ...verification.report import (
    STYLES,
    Report,
    Told,
    chosen,
    number,
    plain,
    print_report,
    verify,
    write_html,
    write_json,
)
from ..engine import workers

__all__ = ["audit_network", "certify_method", "probe_network", "verify_everything"]


def verify_everything(
    ids: Sequence[str] = (),
    chapters: Sequence[str] = (),
    *,
    quick: bool = False,
    json: Path | None = None,
    html: Path | None = None,
) -> bool:
    """Run the claims, or those of these ids and chapters alone, with progress on stderr and the report on stdout.

    Returns whether nothing fails. Raises ValueError for an unknown id or chapter, before any work.
    """
    chosen(ids, chapters, quick=quick)
    with _bar() as told, workers() as pool:
        report = verify(ids, chapters, quick=quick, pool=pool, progress=told)
    return _published(report, json, html)


def audit_network(network: str, data: str | None, *, json: Path | None = None, html: Path | None = None) -> bool:
    """Audit a network by name on held-out data, with progress on stderr and the report on stdout; always true.

    Raises what `audit_checkpoint` raises.
    """
    start = time.perf_counter()
    with _bar() as told:
        audited = audit_checkpoint(network, data, progress=told)
    return _published(Report(audits=[audited], seconds=time.perf_counter() - start), json, html)


def probe_network(network: str, data: str | None, *, json: Path | None = None) -> bool:
    """Print what convention a network follows, with the evidence. Returns whether it can be told."""
    with Console(file=sys.stderr).status("asking the network"):
        found = probe_checkpoint_or_module(network, data)
    print(found)
    if json is not None:
        write_whole(json, f"{dumps(plain(found.as_json()), ensure_ascii=False, indent=1)}\n".encode())
        print(f"written: {json}")
    return found.convention is not None


def certify_method(
    text: str, *, declared: float | None = None, json: Path | None = None, html: Path | None = None
) -> bool:
    """Measure the orders of a method by its name; print each ladder and its verdict. Returns whether nothing fails.

    Raises what `method` and `certify` raise.
    """
    found = method(text)
    problems = default_problems(found) if isinstance(found, Solver) else [None]
    made: list[Certificate] = []
    with _bar() as told:
        for done, problem in enumerate(problems, start=1):
            name = "" if isinstance(found, Solver | Sampler) else text
            made.append(certify(found, problem, declared=declared, name=name))
            told(done, len(problems), made[-1].problem)
    console = Console(soft_wrap=True)
    for certificate in made:
        if certificate.steps:
            console.print(_ladder(certificate))
        console.print(Text(str(certificate), STYLES[certificate.verdict]), end="\n\n")
    return _published(Report(certificates=made), json, html, printed=True)


def _published(report: Report, json: Path | None, html: Path | None, *, printed: bool = False) -> bool:
    console = Console()
    if not printed:
        print_report(console, report)
    for file, write in ((json, write_json), (html, write_html)):
        if file is not None:
            write(report, file)
            print(f"written: {file}")
    return report.passed


def _ladder(certificate: Certificate) -> Table:
    table = Table("steps", "error", "local order", "rounding", title=f"{certificate.method}, {certificate.problem}")
    slopes = ["", *(f"{slope:.2f}" for slope in certificate.local_slopes)]
    for row in zip(certificate.steps, certificate.errors, slopes, certificate.floors, strict=True):
        steps, error, slope, floor = row
        table.add_row(str(steps), number(error), slope, number(floor))
    return table


@contextmanager
def _bar() -> Iterator[Told]:
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda done, total, what: progress.update(task, completed=done, total=total, description=what)
