"""`fokker certify-likelihood`: its arguments and options, and what it calls."""

from __future__ import annotations

from typing import Annotated

import typer

from .ending import exit_with
from .options import OutJson, Seed

__all__ = ["certify_likelihood"]


def certify_likelihood(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME", help="A function (velocity, x, seed) -> log p, or (log p, its standard error)."
        ),
    ],
    dim: Annotated[int, typer.Option(metavar="D", min=1, max=1024, help="Components of a sample.")] = 16,
    form: Annotated[
        str, typer.Option(metavar="FORM", help="What the function gets: velocity, or denoiser.")
    ] = "velocity",
    shape: Annotated[
        str | None, typer.Option(metavar="SHAPE", help="Of one sample, as 1x4x4. [default: the D components]")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="TOL", min=1e-12, max=1e6, help="Error of the steps that is allowed, in nats.")
    ] = 0.05,
    seed: Seed = 0,
    json: OutJson = None,
) -> None:
    """Measure a function that computes log p(x): bias, spread, its error bars, its batch."""
    import torch

    from ..benchmarks.commands.certify_likelihood import certify_function

    torch.set_num_threads(1)  # states are small
    exit_with(certify_function(function, dim, form=form, shape=shape, tolerance=tolerance, seed=seed, json=json))
