"""The main job: the best sampler at each number of evaluations, as tables, pictures and rows on disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ..generative.training.sheets import contact_sheet
from ..solvers.common import MANY, check_instance, flag, wholes
from .commands.output import check_outputs, stdout
from .commands.sample import by_budget
from .plot import work_precision
from .problems import DEFAULT_PROBLEMS, problem
from .results import Result, print_result
from .samplers import DEFAULT_SAMPLERS
from .work_precision import BUDGETS, compare

__all__ = ["run"]

FEW = (1, 2, 3)
"""Budgets for the pictures alone: no sampler is measured at them."""

WIDTH = 128
"""The width of the tables if stdout is no terminal."""


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
    """Compare the samplers, print the tables, and write the pictures into `folder`, beside the rows.

    The progress bar is on stderr; stdout carries the results alone.

    Args:
        problems: names of problems; `DEFAULT_PROBLEMS` if None.
        solvers: names of samplers; `DEFAULT_SAMPLERS` if None.
        budgets: numbers of network evaluations; `BUDGETS` if None.
        folder: for the rows, the references and the pictures.
        seed: of the initial noises.
        samples: the number of initial noises; each problem's own number if None.
        as_json: print JSON instead of the tables.

    Returns:
        One result a problem.

    Raises:
        TypeError: as `compare`.
        ValueError: as `compare`.
        ArithmeticError: as `compare`.
        OSError: the folder cannot be written, before any work.
    """
    check_instance("folder", folder, Path, "a pathlib.Path")
    budgets = sorted(set(wholes("budgets", BUDGETS if budgets is None else budgets, 1, MANY)))
    as_json = flag("as_json", as_json)
    check_outputs(folder / "results.sqlite")
    try:
        results = compare(
            DEFAULT_PROBLEMS if problems is None else problems,
            DEFAULT_SAMPLERS if solvers is None else solvers,
            budgets,
            folder=folder,
            seed=seed,
            samples=samples,
            progress=True,
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
    console = stdout(None if sys.stdout.isatty() else WIDTH)
    for result in results:
        print_result(console, result)
    console.print("written: " + ", ".join(str(file) for file in files), highlight=False, soft_wrap=True)
    return results


def _samples(result: Result, budgets: Sequence[int], folder: Path) -> Path:
    """The contact sheet of a problem with images: a line for each budget, and the reference below them."""
    key = result.key
    chosen, count = problem(key.problem), min(key.samples, problem(key.problem).classes)
    ends = by_budget(chosen, sorted({*FEW, *budgets}), count, key.seed)
    images = torch.stack([*ends.values(), result.reference.solution[:count]])[:, :, 0].numpy()
    file = folder / f"{key.problem}_samples.png"
    contact_sheet(
        images,
        [*(f"NFE {budget}" for budget in ends), "reference"],
        [str(label) for label in range(count)],
        file,
        title=f"{key.problem}: the default sampler, one initial noise a column",
    )
    return file
