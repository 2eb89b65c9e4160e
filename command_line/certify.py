"""`fokker certify`: its arguments and options, and what it calls."""

from __future__ import annotations

from typing import Annotated

import typer

from .ending import exit_with
from .options import OutHtml, OutJson

__all__ = ["certify"]


def certify(
    method: Annotated[
        str,
        typer.Argument(metavar="METHOD", help='As dpm++2m, "ExponentialAdams(3)" or package.module:f; or a flow map.'),
    ],
    teacher: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="Of a flow map: the network whose flow it should follow."),
    ] = None,
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
    """Measure the order of a solver, a sampler or your own function, and its exact law; or a flow map."""
    import torch

    from ..benchmarks.commands.certify_flow_map import certify_student
    from ..benchmarks.commands.verify import certify_method

    if teacher is not None:
        if form is not None or options or declared is not None or html is not None:
            raise ValueError("A flow map has no order; leave out --form, --option, --declared and --html.")
        exit_with(certify_student(method, teacher, json))
        return
    torch.set_num_threads(1)  # states are small
    exit_with(certify_method(method, form=form, options=options or (), declared=declared, json=json, html=html))
