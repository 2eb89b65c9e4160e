"""`fokker likelihood`: its arguments and options, and what it calls."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import (
    MANY,
    Address,
    ClockText,
    ConditionFile,
    Data,
    EngineName,
    Guidance,
    Network,
    PathText,
    Predicts,
    Seed,
    Within,
)

__all__ = ["likelihood"]


def likelihood(
    network: Network,
    data: Data = None,
    levels: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, max=MANY, help="A file has grey levels 0 … N − 1, which stand for [−1, 1]."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, max=MANY, help="Take at most so many samples, the first ones. [default: all]"),
    ] = None,
    error: Annotated[
        float | None,
        typer.Option(metavar="NATS", min=1e-12, max=1e6, help="The error that log p of each sample may have."),
    ] = None,
    error_of_mean: Annotated[
        float | None,
        typer.Option(
            metavar="BITS",
            min=1e-12,
            max=1e6,
            help="The error that the mean may have, in bits/dim. [default: 5 % of the standard error]",
        ),
    ] = None,
    trace: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Of the Jacobian: exact, orthogonal, coloured, hutchinson, hutch++ or auto."
        ),
    ] = "auto",
    probes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MANY, help="Random directions of the trace at a node. [default: by the error]"
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(metavar="K", min=1, max=MANY, help="Dequantisation draws of each image, for a tighter bound.")
    ] = 1,
    label: Annotated[int | None, typer.Option(metavar="K", min=0, help="The class of all samples.")] = None,
    condition: ConditionFile = None,
    guidance: Guidance = None,
    predicts: Predicts = None,
    path: PathText = None,
    time: ClockText = None,
    seed: Seed = 0,
    minutes: Within = None,
    engine: EngineName = None,
    address: Address = None,
) -> None:
    """Measure the bits/dim of data, with an error budget."""
    from ..benchmarks.commands.likelihood import measure_likelihood

    found = measure_likelihood(
        network, data=data, levels=levels, images=images, error=error, error_of_mean=error_of_mean, trace=trace,
        probes=probes, draws=draws, label=label, condition=condition, guidance=guidance, predicts=predicts, path=path,
        time=time, seed=seed, minutes=minutes, engine=engine, address=address, progress=True,
    )  # fmt: skip
    print(found)
