"""`fokker sample`: its arguments and options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Address, Count, EngineName, Evaluations, Guidance, Label, Network, SamplerName, Seed

__all__ = ["sample"]


def sample(
    network: Network,
    samples: Count = 100,
    nfe: Evaluations = 20,
    label: Label = None,
    guidance: Guidance = None,
    sampler: SamplerName = None,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option(metavar="FILE", dir_okay=False, help="A picture, .png, or numbers, .npy or .safetensors.")
    ] = Path("samples.png"),
    engine: EngineName = None,
    address: Address = None,
) -> None:
    """Draw samples from a network and write a picture, or their numbers."""
    from ..benchmarks.commands.sample import draw

    draw(
        network, samples, out, nfe=nfe, label=label, guidance=guidance, sampler=sampler, seed=seed, engine=engine,
        address=address,
    )  # fmt: skip
    print(f"written: {out}")
