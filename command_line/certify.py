"""`fokker certify`: its arguments and options, and what it calls."""

from __future__ import annotations

from typing import Annotated

import typer

from .ending import exit_with
from .options import OutHtml, OutJson

__all__ = ["certify"]


def certify(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help='As dpm++2m, "ExponentialAdams(3)" or package.module:f.')
    ],
    form: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="Of a function: equation, fokker, k-diffusion or diffusers. [default: read]"),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An argument of a sampler or scheduler; may be repeated."),
    ] = None,
    declared: Annotated[
        float | None,
        typer.Option(metavar="P", min=0.0, max=100.0, help="The order to compare with. [default: the solver's own]"),
    ] = None,
    json: OutJson = None,
    html: OutHtml = None,
) -> None:
    """Measure the order of a solver, a sampler or your own function, and the exact law of its output."""
    import torch

    from ..benchmarks.commands.verify import certify_method

    torch.set_num_threads(1)  # states are small
    exit_with(certify_method(method, form=form, options=options or (), declared=declared, json=json, html=html))
