"""Makes the calls, and prints a table of how they ended."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .outcome import OUTCOMES
from .targets import drawn, targets
from .worker import make


def main(
    calls: Annotated[int, typer.Option(metavar="N", min=1, help="How many calls.")] = 10_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which of them.")] = 0,
    entry: Annotated[
        list[str] | None, typer.Option("--entry", metavar="NAME", help="Call these alone. May be repeated.")
    ] = None,
    processes: Annotated[int, typer.Option(metavar="N", min=1, help="How many at once.")] = os.cpu_count() or 1,
    show: Annotated[str, typer.Option(metavar="KINDS", help="Print the calls that ended so.")] = "obscure,silent,hang",
) -> None:
    """Call every public entry with wrong values; the status is 1 if one ends obscurely, silently or not at all."""
    started = time.perf_counter()
    among = [target for target in targets() if not entry or target.name in entry]
    if entry and (unknown := sorted(set(entry) - {target.name for target in among})):
        names = ", ".join(target.name for target in targets())
        raise typer.BadParameter(f"There is no entry {unknown[0]!r}; choose one of {names}.")
    planned = drawn(among, calls, seed)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("calling", total=len(planned))
        made = make(planned, processes, lambda done: bar.update(task, completed=done))
    wanted = show.split(",")
    for call in sorted(set(made)):
        if call.outcome.kind in wanted:
            print(f"{call.outcome.kind:8} {call.target}({call.told}): {call.outcome.detail}")
    counts = Counter(call.outcome.kind for call in made)
    table = Table("outcome", "calls", title=f"{len(made)} calls of {len(among)} entries")
    for kind in OUTCOMES:
        table.add_row(kind, str(counts[kind]))
    Console().print(table, f"{time.perf_counter() - started:.0f} s")
    sys.exit(any(counts[kind] for kind in ("obscure", "silent", "hang")))


if __name__ == "__main__":
    typer.run(main)
