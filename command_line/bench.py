"""`fokker bench`: its arguments and options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    Address,
    Budgets,
    ClockText,
    ConditionFile,
    EngineName,
    Folder,
    Form,
    Guidance,
    Json,
    Label,
    Minutes,
    Networks,
    Noises,
    PathText,
    Predicts,
    Samplers,
    Seed,
    Shape,
)

__all__ = ["bench"]


def bench(
    networks: Networks = None,
    samplers: Samplers = None,
    form: Form = None,
    budgets: Budgets = None,
    minutes: Minutes = None,
    shape: Shape = None,
    label: Label = None,
    condition: ConditionFile = None,
    guidance: Guidance = None,
    predicts: Predicts = None,
    path: PathText = None,
    time: ClockText = None,
    law: Annotated[
        bool, typer.Option("--law", help="Compare the laws of samples, which samplers with noise have, too.")
    ] = False,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            "--noise-levels", metavar="FAMILY", help='Find the best amount of noise, as of "ddim". May be repeated.'
        ),
    ] = None,
    changes: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="FOLDER FOLDER", help="Show what differs between two runs, and stop."),
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Compare the default with published samplers, where it was chosen.")
    ] = False,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="The same on problems that took no part in its choice.")
    ] = False,
    seed: Seed = 0,
    samples: Noises = None,
    engine: EngineName = "local",
    address: Address = None,
    out: Folder = Path("bench-results"),
    json: Json = False,
) -> None:
    """Find the best sampler for each number of network evaluations."""
    import torch

    from ..benchmarks.commands.bench import compare_laws, compare_runs, compare_samplers, scan_noise
    from ..benchmarks.commands.study import run_study
    from ..benchmarks.engine import engine_named
    from ..benchmarks.problems import DEFAULT_PROBLEMS, find_problem
    from ..benchmarks.study import NFE

    if changes is not None:
        compare_runs(*changes, as_json=json)
        return
    if study or held_out:
        run_study(tuple(budgets or NFE), others=held_out, as_json=json)
        return
    if law and noise:
        raise ValueError("--law and --noise-levels are two comparisons; leave one of them out, or run twice.")
    torch.set_num_threads(1)  # the workers have the processors
    stated = {"shape": shape, "label": label, "condition": condition, "guidance": guidance}
    stated |= {"predicts": predicts, "path": path, "time": time}
    problems = [find_problem(network, **stated) for network in networks or DEFAULT_PROBLEMS]  # type: ignore[arg-type]
    runner = None if engine == "local" and address is None else engine_named(engine, address=address)
    common = {"folder": out, "seed": seed, "samples": samples, "engine": runner, "as_json": json}
    if law:
        compare_laws(problems, samplers, budgets, form=form, **common)  # type: ignore[arg-type]
    elif noise:
        scan_noise(problems, noise, budgets, **common)  # type: ignore[arg-type]
    else:
        compare_samplers(problems, samplers, budgets, form=form, minutes=minutes, **common)  # type: ignore[arg-type]
