"""`fokker verify`: its arguments and options, and what it calls."""

from __future__ import annotations

from typing import Annotated

import typer

from .ending import exit_with
from .options import Chapters, Claims, Data, OutHtml, OutJson, Within

__all__ = ["verify"]


def verify(
    claims: Claims = None,
    chapters: Chapters = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Under a minute: all claims, a few certificates per solver.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(metavar="NETWORK", help="Audit this network instead of the theory.")
    ] = None,
    data: Data = None,
    minutes: Within = None,
    json: OutJson = None,
    html: OutHtml = None,
) -> None:
    """Check the theory and the order of every solver, or audit a network."""
    if model is not None and (claims or chapters or quick):
        raise ValueError("--model audits a network alone; leave out --claim, --chapter and --quick, or run twice.")
    if model is None and data is not None:
        raise ValueError("--data is what a network is audited on; name the network with --model.")
    if model is None and minutes is not None:
        raise ValueError("--minutes limits the audit of a network; name it with --model, or run --quick.")
    import torch

    from ..benchmarks.commands.verify import audit_network, verify_everything

    torch.set_num_threads(1)  # the workers have the processors
    if model is not None:
        exit_with(audit_network(model, data, minutes=minutes, json=json, html=html))
    else:
        exit_with(verify_everything(claims or (), chapters or (), quick=quick, json=json, html=html))
