"""The arguments and options of the `fokker` command, as types: those that are shared, or long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Budgets",
    "Chapters",
    "Claims",
    "Count",
    "Data",
    "Evaluations",
    "Folder",
    "Guidance",
    "Json",
    "Label",
    "Network",
    "Noises",
    "OutHtml",
    "OutJson",
    "Problems",
    "Seed",
    "Solvers",
    "Steps",
    "TrainingSeed",
]

REPEATED = "May be repeated; an unknown name lists them all."

Problems = Annotated[list[str] | None, typer.Option("--problem", metavar="NAME", help=REPEATED)]
Solvers = Annotated[list[str] | None, typer.Option("--solver", metavar="NAME", help=REPEATED)]
Budgets = Annotated[
    list[int] | None,
    typer.Option("--nfe", metavar="N", min=1, help="Network evaluations to spend. May be repeated."),
]
Noises = Annotated[
    int | None,
    typer.Option("--samples", metavar="N", min=2, help="Initial noises. [default: the problem's own number]"),
]
Folder = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Where the results go; a run resumes what is there.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Network = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped network, or a checkpoint.")]
Evaluations = Annotated[int, typer.Option("--nfe", metavar="N", min=1, help="Network evaluations a sample.")]
Count = Annotated[int, typer.Option("--samples", metavar="N", min=1, help="How many.")]
Guidance = Annotated[
    float | None,
    typer.Option(metavar="W", min=0.0, help="Weight of classifier-free guidance; doubles the cost."),
]
Label = Annotated[int | None, typer.Option(metavar="K", min=0, help="The class. [default: all, in turn]")]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="Instead of the configuration's.")]
TrainingSeed = Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Likewise.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0)]
Claims = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="NAME|ID", help="One claim, as any-noise-level or A077. May be repeated."),
]
Chapters = Annotated[list[str] | None, typer.Option("--chapter", metavar="NAME", help=REPEATED)]
Data = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="Samples: a data set, .npy, .safetensors. [default: the network's own]"),
]
OutJson = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", dir_okay=False, help="Write everything as JSON too.")
]
OutHtml = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Write one page with plots too.")
]
