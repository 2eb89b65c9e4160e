"""`fokker probe`: its arguments and options, and what it calls."""

from __future__ import annotations

from typing import Annotated

import typer

from .ending import exit_with
from .options import Data, OutJson, Within

__all__ = ["probe"]


def probe(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A name, a file, a folder, or MODULE:NAME.")],
    data: Data = None,
    minutes: Within = None,
    json: OutJson = None,
) -> None:
    """Find out what a network predicts, on which path and clock."""
    import torch

    from ..benchmarks.commands.verify import probe_network

    torch.set_num_threads(1)
    exit_with(probe_network(network, data, minutes=minutes, json=json))
