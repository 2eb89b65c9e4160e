"""Draws mutants of the sources, tries each, and says which the suite does not notice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .copies import Copy, copied
from .covering import Covering, measured
from .operators import KINDS, Mutant, mutants
from .trial import Trial, tried

CHECKOUT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("explained.toml")
AIM = 0.99


def drawn(copy: Copy, number: int, seed: int) -> list[Mutant]:
    """So many mutants of each kind, from all files alike: those whose names, hashed with the seed, come first.

    A change of the sources exchanges the mutants of what has changed, and no others.
    """
    by_kind: dict[str, list[Mutant]] = {kind: [] for kind in KINDS}
    for file in sorted(file for folder in ("solvers", "generative") for file in (copy.root / folder).rglob("*.py")):
        for mutant in mutants(file.relative_to(copy.root).as_posix(), file.read_bytes()):
            by_kind[mutant.kind].append(mutant)
    chosen: list[Mutant] = []
    for k, kind in enumerate(KINDS):
        seen: Counter[str] = Counter()
        ranked: list[tuple[bytes, Mutant]] = []
        for mutant in by_kind[kind]:
            seen[mutant.name] += 1  # the same edit may be made in several places
            name = f"{seed} {kind} {mutant.name} {seen[mutant.name]}"
            ranked.append((hashlib.sha256(name.encode()).digest(), mutant))
        ranked.sort(key=itemgetter(0))
        chosen += [mutant for _, mutant in ranked[: (number + k) // len(KINDS)]]
    return chosen


def explained() -> dict[str, str]:
    """Survivors that change nothing that a user could see, by name, each with the reason."""
    return {each["mutant"]: each["why"] for each in tomllib.loads(EXPLAINED.read_text())["equivalent"]}


@contextmanager
def workplaces(count: int) -> Iterator[list[Copy]]:
    """So many copies of the checkout as it is now."""
    with tempfile.TemporaryDirectory() as folder:
        copies = []
        for k in range(count):
            (place := Path(folder, str(k))).mkdir()
            copies.append(copied(CHECKOUT, place))
        yield copies


def folder_for(copy: Copy) -> Path:
    """Where to keep what is found of these sources and tests; another place as soon as one of them changes."""
    digest = hashlib.sha256()
    for file in sorted(copy.root.rglob("*.py")):
        digest.update(file.relative_to(copy.root).as_posix().encode() + file.read_bytes())
    folder = CHECKOUT / ".mutation" / digest.hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def trials(chosen: Sequence[Mutant], copies: Sequence[Copy], covering: Covering, log: Path) -> list[Trial]:
    """Of all mutants, in their order; those in the log are not tried again, and new ones are added to it."""
    done: dict[Mutant, Trial] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        known = json.loads(line)
        mutant = Mutant(**known.pop("mutant"))
        done[mutant] = Trial(mutant, **known)
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judged(mutant: Mutant) -> Trial:
        copy = free.get()
        try:
            return tried(mutant, copy, covering)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool, log.open("a") as file:
        running = [pool.submit(judged, mutant) for mutant in chosen if mutant not in done]
        for future in track(as_completed(running), "mutants", len(running), console=Console(stderr=True)):
            trial = future.result()
            done[trial.mutant] = trial
            file.write(json.dumps(asdict(trial)) + "\n")
            file.flush()
    return [done[mutant] for mutant in chosen]


def report(console: Console, found: Sequence[Trial], reasons: dict[str, str]) -> float:
    """Prints the survivors and the shares; returns that of the mutants that are not explained."""
    alive = [trial for trial in found if trial.killer is None]
    table = Table("kind", "line", "mutant", "tests", "explanation", show_lines=True)
    for trial in alive:
        mutant = trial.mutant
        table.add_row(mutant.kind, str(mutant.line), mutant.name, str(trial.tests), reasons.get(mutant.name, "none"))
    if alive:
        console.print(table)
    by_kind = Counter(trial.mutant.kind for trial in found)
    killed = Counter(trial.mutant.kind for trial in found if trial.killer is not None)
    console.print(", ".join(f"{kind}: {killed[kind]} of {by_kind[kind]}" for kind in KINDS))
    counted = [trial for trial in found if trial.killer is not None or trial.mutant.name not in reasons]
    share = killed.total() / len(counted)
    console.print(
        f"{killed.total()} of {len(found)} mutants killed; of the {len(counted)} that are not explained {share:.1%}."
    )
    return share


def main(
    number: Annotated[int, typer.Option(min=5, help="How many mutants.")] = 200,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="How many at a time.")] = os.cpu_count() or 1,
    keep: Annotated[bool, typer.Option(help="Keep what older sources left in .mutation.")] = False,
) -> None:
    """Try NUMBER mutants of the sources of solvers and generative; exit 1 if the suite kills less than 99 % of them."""
    with workplaces(workers) as copies:
        folder = folder_for(copies[0])
        for other in folder.parent.iterdir():
            if other != folder and not keep:
                shutil.rmtree(other)
        chosen = drawn(copies[0], number, seed)
        covering = measured(copies[0], folder, workers)
        found = trials(chosen, copies, covering, folder / f"seed-{seed}.jsonl")
    sys.exit(report(Console(), found, explained()) < AIM)


if __name__ == "__main__":
    typer.run(main)
