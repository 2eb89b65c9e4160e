"""`fokker train`: its arguments and options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .ending import INTERRUPTED, fail
from .options import Steps, TrainingSeed

__all__ = ["train"]


def train(
    configuration: Annotated[
        str, typer.Argument(metavar="NAME|CONFIG.toml", help="A shipped configuration, or a file.")
    ],
    steps: Steps = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Where to write the network. [default: NAME.safetensors]"),
    ] = None,
    seed: TrainingSeed = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Write one line per training step to FILE.csv.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write the same to FILE.tensorboard.")] = False,
    sheet_every: Annotated[
        int, typer.Option(metavar="N", min=0, show_default=False, help="Draw samples every N steps, in FILE.sheets.")
    ] = 0,
) -> None:
    """Train a network, or resume its training."""
    from dataclasses import replace

    import torch

    from ..generative.training import Training, train as run

    torch.set_num_threads(1)  # sums, and so the trained network, depend on the number of threads
    training = Training.read(configuration)
    training = replace(training, steps=steps or training.steps, seed=training.seed if seed is None else seed)
    try:
        file = run(
            training,
            out or Path(f"{Path(configuration).stem}.safetensors"),
            progress=True,
            metrics=metrics,
            tensorboard=tensorboard,
            sheet_every=sheet_every,
        )
    except KeyboardInterrupt as error:
        if error.args:
            fail(f"{error}", INTERRUPTED)
        raise
    print(f"written: {file}")
