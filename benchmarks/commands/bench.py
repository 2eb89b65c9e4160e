"""The command `fokker bench`: from networks to tables, pictures and lines to paste."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ...generative.training.sheets import contact_sheet
from ...solvers.common import check_instance, flag
from ..bench import MINUTES, usual_engine
from ..comparison import Comparison, compare_ledgers
from ..engine import Engine
from ..entrants import DEFAULT, DEFAULT_SAMPLERS, distinct, entrant, function_named
from ..ledger import Ledger
from ..problems import PROBLEMS, Problem
from ..results import Result, print_result
from ..results.plot import work_precision
from ..stochastic import STOCHASTIC, LawComparison, NoiseScan, law_comparison, scan_noise_levels
from ..work_precision import BUDGETS, compare
from ..workload import workload
from .output import check_outputs, stdout

__all__ = ["by_budget", "compare_laws", "compare_runs", "compare_samplers", "scan_noise"]

FEW = (1, 2, 3)
"""Budgets for the pictures alone: no sampler is measured at them."""
LAW_BUDGETS = (5, 10, 20, 50)
DETERMINISTIC = ("default", "ddim", "dpm++2m", "unipc")
"""Samplers without noise, beside which those with noise are measured."""
WIDTH = 144
"""The width of the tables if stdout is no terminal."""


def compare_samplers(
    problems: Sequence[Problem],
    samplers: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    *,
    folder: Path,
    form: str | None = None,
    seed: int = 0,
    samples: int | None = None,
    minutes: float | None = None,
    engine: Engine | None = None,
    as_json: bool = False,
) -> list[Result]:
    """Compare samplers, print the tables, and write the pictures into `folder`, beside the rows.

    What will be done, and the progress bar, go to stderr; stdout carries the results alone.

    Args:
        problems: the problems.
        samplers: texts as `entrant` takes them; `DEFAULT_SAMPLERS` if None.
        budgets: numbers of network evaluations; `BUDGETS` if None.
        folder: for the rows, the references and the pictures.
        form: of the functions among the samplers.
        seed: of the initial noises.
        samples: the number of initial noises.
        minutes: the time allowed for each problem; by default all of a built-in problem, and 5 for others.
        engine: runs the work; by default as for `bench`.
        as_json: print JSON instead of the tables.

    Returns:
        One result a problem.

    Raises:
        TypeError, ValueError: as `bench`.
        OSError: the folder cannot be written, before any work.
    """
    check_instance("folder", folder, Path, "a pathlib.Path")
    asked, as_json = tuple(budgets or ()), flag("as_json", as_json)
    budgets = sorted(set(asked or BUDGETS))
    entrants = distinct(list(DEFAULT_SAMPLERS if samplers is None else samplers), form)
    check_outputs(ledger := folder / "results.sqlite")
    if ledger.exists():
        with Ledger(ledger):  # a damaged one is told before the networks are timed
            pass
    try:
        with engine or usual_engine(problems) as running:
            loads = [
                workload(
                    problem,
                    entrants,
                    budgets,
                    samples=samples,
                    minutes=minutes if minutes or problem.name in PROBLEMS else MINUTES,
                    slots=running.slots,
                )
                for problem in problems
            ]
            for load in loads:
                print(load, file=sys.stderr)
            results = compare(loads, engine=running, seed=seed, folder=folder, progress=True)
    except KeyboardInterrupt:
        print(f"stopped; {folder} keeps what is finished, the same command goes on", file=sys.stderr)
        raise
    files = [folder / "results.sqlite", *_pictures(results, budgets, folder)]
    if as_json:
        summary = [result.as_dict() for result in results]
        print(json.dumps({"results": summary, "files": [str(file) for file in files]}))
        return results
    console = stdout(None if sys.stdout.isatty() else WIDTH)
    for result in results:
        print_result(console, result)
        for budget in [budget for budget in result.budgets if budget in asked]:
            console.print(f"{result.recommend(budget)}\n", highlight=False, soft_wrap=True)
    if not asked:
        console.print("--nfe N also prints the lines to paste for N evaluations.", style="dim", highlight=False)
    console.print("written: " + ", ".join(str(file) for file in files), highlight=False, soft_wrap=True)
    return results


def compare_laws(
    problems: Sequence[Problem],
    samplers: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    *,
    folder: Path,
    form: str | None = None,
    seed: int = 0,
    samples: int | None = None,
    engine: Engine | None = None,
    as_json: bool = False,
) -> list[LawComparison]:
    """Compare samplers by the error of the law of their samples, print the tables, and draw them into `folder`.

    Args:
        problems: the problems.
        samplers: names as `stochastic.entrant` takes them, or package.module:name; the stochastic ones beside the best
            of the others if None.
        budgets: numbers of network evaluations; `LAW_BUDGETS` if None.
        folder: for the pictures.
        form: of the functions among the samplers.
        seed: of all noises.
        samples: the number of samples.
        engine: runs the work.
        as_json: print JSON instead of the tables.

    Raises:
        TypeError, ValueError: as `law_comparison`.
        OSError: a picture cannot be written, before any work.
    """
    names = [*STOCHASTIC, *DETERMINISTIC] if samplers is None else samplers
    taking_part = [function_named(name, form) if ":" in name else name for name in names]

    def compared(problem: Problem, _: str, engine: Engine) -> LawComparison:
        return law_comparison(
            problem, taking_part, budgets or LAW_BUDGETS, samples=samples, seed=seed, engine=engine, progress=True
        )

    return _drawn(problems, ["laws"], compared, folder, engine, as_json)


def scan_noise(
    problems: Sequence[Problem],
    families: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    *,
    folder: Path,
    seed: int = 0,
    samples: int | None = None,
    engine: Engine | None = None,
    as_json: bool = False,
) -> list[NoiseScan]:
    """Find the best amount of noise of samplers at each budget, print the tables, and draw them into `folder`.

    Args:
        problems: the problems.
        families: names of `FAMILIES`; "ddim" if None.
        budgets: as for `compare_laws`, and so are the other arguments.

    Raises:
        TypeError, ValueError: as `scan_noise_levels`.
        OSError: a picture cannot be written, before any work.
    """
    def scanned(problem: Problem, family: str, engine: Engine) -> NoiseScan:
        return scan_noise_levels(
            problem, budgets or LAW_BUDGETS, family=family, samples=samples, seed=seed, engine=engine, progress=True
        )

    return _drawn(problems, list(families or ["ddim"]), scanned, folder, engine, as_json)


def compare_runs(before: Path, after: Path, *, as_json: bool = False) -> Comparison:
    """Print what differs between two ledgers.

    Args:
        before: the first one, or its folder.
        after: the second one, or its folder.
        as_json: print JSON instead of the table.

    Raises:
        FileNotFoundError, ValueError, OSError: as `compare_ledgers`.
    """
    found = compare_ledgers(before, after)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        stdout(None if sys.stdout.isatty() else WIDTH).print(found.table())
    return found


Found = TypeVar("Found", LawComparison, NoiseScan)


def _drawn(
    problems: Sequence[Problem],
    subjects: Sequence[str],
    measure: Callable[[Problem, str, Engine], Found],
    folder: Path,
    engine: Engine | None,
    as_json: bool,
) -> list[Found]:
    """Measure every subject on every problem, print what was found, and draw each into a picture of its name."""
    asked = [(problem, subject) for subject in subjects for problem in problems]
    files = [folder / f"{_file_name(problem)}_{subject}.png" for problem, subject in asked]
    check_outputs(*files)
    with engine or usual_engine(problems) as running:
        found = [measure(problem, subject, running) for problem, subject in asked]
    for each, file in zip(found, files, strict=True):
        each.plot(file)
    if as_json:
        print(json.dumps({"results": [each.as_dict() for each in found], "files": [str(file) for file in files]}))
        return found
    print("\n\n".join(each.table() for each in found))
    print(f"\nwritten: {', '.join(map(str, files))}")
    return found


def by_budget(problem: Problem, budgets: Sequence[int], samples: int, seed: int) -> dict[int, Tensor]:
    """The end points of the same initial noises for each budget, by the default sampler of `sample`.

    Args:
        problem: the problem whose flow is solved.
        budgets: numbers of network evaluations.
        samples: the number of initial noises.
        seed: of the initial noises.

    Returns:
        The end points, (samples, ...), by budget.
    """
    noise, denoiser, usual = problem.noise(samples, seed), problem.labelled(samples), entrant(DEFAULT)
    return {budget: usual.run(problem, denoiser, noise, budget, usual.grids[0])[0].cpu() for budget in budgets}


def _pictures(results: Sequence[Result], budgets: Sequence[int], folder: Path) -> list[Path]:
    """Write error against evaluations, and sheets of samples of what are images with classes."""
    files = []
    if drawn := [result for result in results if result.budgets]:
        files.append(folder / "work_precision.png")
        work_precision(drawn, files[-1])
    return files + [_samples(result, budgets, folder) for result in results if _images(result.problem)]


def _file_name(problem: Problem) -> str:
    """Its name without what no file's name may hold everywhere."""
    return problem.name.replace(":", "-")


def _images(problem: Problem) -> bool:
    return problem.classes > 0 and len(problem.shape) == 3 and problem.shape[0] in (1, 3)


def _samples(result: Result, budgets: Sequence[int], folder: Path) -> Path:
    """The contact sheet of a problem with images: a line for each budget, and the reference below them."""
    key, chosen = result.key, result.problem
    count = min(key.samples, chosen.classes)
    ends = by_budget(chosen, sorted({*FEW, *budgets}), count, key.seed)
    images = torch.stack([*ends.values(), result.reference.solution[:count]])[:, :, 0].numpy()
    file = folder / f"{_file_name(chosen)}_samples.png"
    contact_sheet(
        images,
        [*(f"NFE {budget}" for budget in ends), "reference"],
        [str(label) for label in range(count)],
        file,
        title=f"{chosen.name}: the default sampler, one initial noise a column",
    )
    return file
