"""The arguments and options of the `fokker` command that several commands share, or that are long, as types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Address",
    "Budgets",
    "Chapters",
    "Claims",
    "ClockText",
    "ConditionFile",
    "Count",
    "Counts",
    "Data",
    "DataSet",
    "EngineName",
    "Evaluations",
    "Folder",
    "Form",
    "Guidance",
    "Json",
    "Label",
    "Minutes",
    "Network",
    "Networks",
    "Noises",
    "OutHtml",
    "OutJson",
    "PathText",
    "Predicts",
    "SamplerName",
    "Samplers",
    "Seed",
    "Shape",
    "Steps",
    "TrainingSeed",
    "Within",
]

REPEATED = "May be repeated. An unknown name lists all names."
MANY = 10**6
"""The largest count that is taken: beyond it lies a mistake."""

Networks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NETWORK]...",
        help="A problem of the benchmark, a shipped network, a checkpoint, MODULE:NAME, or a folder of diffusers.",
        show_default=False,
    ),
]
Samplers = Annotated[
    list[str] | None,
    typer.Option(
        "--sampler",
        metavar="NAME|FILE|MODULE:NAME",
        help='A sampler, "ExponentialAdams(3)", a saved scheme or your function. May be repeated.',
    ),
]
SamplerName = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        metavar="NAME|FILE",
        help="A published sampler, or a saved scheme, FILE.json; of a flow map, jumps or consistency. [default: by the "
        "network and the budget]",
    ),
]
Form = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Of your functions: fokker, k-diffusion or diffusers. [default: by their arguments]"
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        metavar="M", min=0.01, max=MANY, help="The time allowed for each network. [default: 5; no limit for a problem]"
    ),
]
Shape = Annotated[str | None, typer.Option(metavar="SHAPE", help="Of one sample, as 3x32x32. [default: the network's]")]
ConditionFile = Annotated[
    Path | None,
    typer.Option("--condition", metavar="FILE", help="Further arguments of the network, .npy or .safetensors."),
]
Predicts = Annotated[
    str | None, typer.Option(metavar="KIND", help="What a bare network predicts: x0, eps, v, velocity or score.")
]
PathText = Annotated[str | None, typer.Option("--path", metavar="PATH", help='Its path, as "VP()".')]
ClockText = Annotated[str | None, typer.Option("--time", metavar="CLOCK", help='Its clock, as t, sigma or "1000*t".')]
Budgets = Annotated[
    list[int] | None,
    typer.Option("--nfe", metavar="N", min=1, max=MANY, help="Network evaluations per sample. May be repeated."),
]
Noises = Annotated[
    int | None,
    typer.Option(
        "--samples", metavar="N", min=2, max=MANY, help="How many initial noises. [default: the problem's own number]"
    ),
]
Folder = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Where to write the results. A run continues what is there.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Network = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK", help="A shipped network, a checkpoint, a folder that diffusers saved, or MODULE:NAME."
    ),
]
Evaluations = Annotated[
    int, typer.Option("--nfe", metavar="N", min=1, max=MANY, help="Network evaluations per sample.")
]
Count = Annotated[int, typer.Option("--samples", "--count", metavar="N", min=1, max=MANY, help="How many samples.")]
Counts = Annotated[int, typer.Option("--samples", metavar="N", min=2, max=MANY, help="How many samples.")]
Guidance = Annotated[
    float | None,
    typer.Option(metavar="W", min=0.0, max=1e3, help="Weight of classifier-free guidance. It doubles the cost."),
]
Label = Annotated[
    int | None, typer.Option(metavar="K", min=0, help="The class of the samples. [default: all, in turn]")
]
Steps = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=10**9, help="Training steps. [default: those of the configuration]"),
]
TrainingSeed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Seed of the training. [default: that of the configuration]"),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of all random numbers.")]
Claims = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="NAME|ID", help="One claim, as any-noise-level or A077. May be repeated."),
]
Chapters = Annotated[list[str] | None, typer.Option("--chapter", metavar="NAME", help=REPEATED)]
Data = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="A data set, or a file .npy or .safetensors. [default: the network's own]"),
]
DataSet = Annotated[
    str | None, typer.Option("--data", metavar="NAME", help="The data set. [default: that of the training]")
]
OutJson = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", dir_okay=False, help="Also write everything as JSON.")
]
OutHtml = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Also write a page with plots.")
]
EngineName = Annotated[
    str | None, typer.Option("--engine", metavar="NAME", help="Where jobs run: local (processes) or ray (a cluster).")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="The Ray cluster, as HOST:6379. [default: RAY_ADDRESS, else this machine]"),
]
Within = Annotated[
    float | None,
    typer.Option(
        "--minutes", metavar="M", min=0.01, max=MANY, help="How long it may take: how much is tried follows from it."
    ),
]
