"""`fokker tune`: its arguments and options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import MANY, ClockText, ConditionFile, Label, Network, PathText, Predicts, Seed, Shape

__all__ = ["tune"]


def tune(
    network: Network,
    nfe: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="The evaluations that a sample takes.")] = 5,
    out: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="Where the table goes, FILE.json.")] = Path(
        "tuned.json"
    ),
    sampler: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A stochastic sampler, such as ddpm: the law of its samples is fitted."),
    ] = None,
    free: Annotated[
        str,
        typer.Option(metavar="NAME", help="What moves: all, times, schedule, coefficients; or noise."),
    ] = "all",
    objective: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the errors: huber, rms or log (the geometric mean).")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", min=0.001, max=MANY, help="Where a fit ends at the latest.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", min=8, max=MANY, help="Noises to fit to; half as many choose, as many are held out."),
    ] = None,
    shape: Shape = None,
    label: Label = None,
    condition: ConditionFile = None,
    guidance: Annotated[
        list[float] | None,
        typer.Option(metavar="W", min=0.0, max=1e3, help="A weight of guidance. May be repeated: one table for all."),
    ] = None,
    predicts: Predicts = None,
    path: PathText = None,
    time: ClockText = None,
    each: Annotated[
        bool, typer.Option("--each", help="Fit a table to each weight of guidance as well, and compare.")
    ] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Fit tables to 1/16 and 1/4 of the noises as well: would more noises help?")
    ] = False,
    seed: Seed = 0,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", file_okay=False, help="Keeps every step; the same command goes on from there."),
    ] = None,
) -> None:
    """Fit a sampler of few evaluations to a network, and write it as a table."""
    from ..benchmarks.commands.tune import fit
    from ..benchmarks.commands.tune_noise import fit_noise
    from ..benchmarks.problems import find_problem

    stated: Any = {
        "shape": shape, "label": label, "condition": condition, "predicts": predicts, "path": path, "time": time,
    }  # fmt: skip
    if sampler is None:
        fit(
            find_problem(network, **stated), nfe, out, free=free, objective=objective or "huber", minutes=minutes,
            samples=samples, guidance=guidance, each=each, curve=curve, seed=seed, folder=folder,
        )  # fmt: skip
        return
    of_paths = {"objective": objective, "minutes": minutes, "folder": folder, "each": each, "curve": curve}
    if given := [f"--{name}" for name, value in of_paths.items() if value]:
        raise ValueError(f"{given[0]} is for errors of paths, but --sampler fits a law; leave one of them out.")
    if len(guidance or ()) > 1:
        raise ValueError(f"--sampler takes one weight of --guidance, but got {len(guidance or ())}; give one.")
    problem = find_problem(network, **stated, guidance=guidance[0] if guidance else None)
    fit_noise(problem, nfe, out, sampler=sampler, free=free, samples=samples, seed=seed)
