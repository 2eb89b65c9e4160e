"""`fokker tune`: its arguments and options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MANY, ClockText, ConditionFile, Label, Network, PathText, Predicts, Seed, Shape

__all__ = ["tune"]


def tune(
    network: Network,
    nfe: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="The evaluations that a sample takes.")] = 5,
    out: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="Where the table goes, FILE.json.")] = Path(
        "tuned.json"
    ),
    free: Annotated[
        str, typer.Option(metavar="NAME", help="What moves: all, times, schedule or coefficients.")
    ] = "all",
    objective: Annotated[
        str, typer.Option(metavar="NAME", help="Of the errors: huber, rms or log (the geometric mean).")
    ] = "huber",
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
    from ..benchmarks.problems import find_problem

    problem = find_problem(
        network, shape=shape, label=label, condition=condition, predicts=predicts, path=path, time=time
    )
    fit(
        problem, nfe, out, free=free, objective=objective, minutes=minutes, samples=samples, guidance=guidance,
        each=each, curve=curve, seed=seed, folder=folder,
    )  # fmt: skip
