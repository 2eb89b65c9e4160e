"""The main job: the best sampler at each number of evaluations, as tables, pictures and rows on disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from .commands.sample import by_budget
from .display import Display
from .plot import contact_sheet, work_precision
from .problems import DEFAULT_PROBLEMS, problem
from .report import Result, print_result
from .samplers import DEFAULT_SAMPLERS
from .work_precision import BUDGETS, compare

__all__ = ["run"]

FEW = (1, 2, 3)
"""Evaluations that no sampler is measured at, but that show how samples come about."""

WIDTH = 128
"""Of the tables where there is no terminal to ask."""


def run(
    problems: Sequence[str] | None = None,
    solvers: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    *,
    folder: Path,
    seed: int = 0,
    samples: int | None = None,
    as_json: bool = False,
) -> list[Result]:
    """Compares, prints the tables (or JSON), and writes the pictures into `folder`, beside the rows.

    What is None takes its default. The progress bar is on stderr; stdout carries the results alone. Raises as
    `compare`.
    """
    budgets = sorted(set(budgets or BUDGETS))
    try:
        results = compare(
            problems or DEFAULT_PROBLEMS,
            solvers or DEFAULT_SAMPLERS,
            budgets,
            folder=folder,
            seed=seed,
            samples=samples,
            display=Display(Console(stderr=True)),
        )
    except KeyboardInterrupt:
        print(f"stopped; {folder} keeps what is finished, the same command goes on", file=sys.stderr)
        raise
    files = [folder / "results.sqlite"]
    if drawn := [result for result in results if result.standings()]:
        files.append(folder / "work_precision.png")
        work_precision(drawn, files[-1])
    files += [_samples(result, budgets, folder) for result in results if problem(result.key.problem).classes]
    if as_json:
        summary = [result.as_dict() for result in results]
        print(json.dumps({"results": summary, "files": [str(file) for file in files]}))
        return results
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for result in results:
        print_result(console, result)
    console.print("written: " + ", ".join(str(file) for file in files), highlight=False, soft_wrap=True)
    return results


def _samples(result: Result, budgets: Sequence[int], folder: Path) -> Path:
    """The contact sheet of a problem with images: a line for each budget, and the reference below them."""
    key = result.key
    chosen, count = problem(key.problem), min(key.samples, problem(key.problem).classes)
    sheets = by_budget(chosen, sorted({*FEW, *budgets}), count, key.seed)
    images = torch.stack([*sheets.values(), result.reference.solution[:count]])[:, :, 0].numpy()
    file = folder / f"{key.problem}_samples.png"
    contact_sheet(
        images,
        [*(f"NFE {budget}" for budget in sheets), "reference"],
        [str(label) for label in range(count)],
        file,
        title=f"{key.problem}: the default sampler, one initial noise a column",
    )
    return file
