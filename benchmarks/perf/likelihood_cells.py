"""Samples whose log p is known: points of the 64-dimensional mixture, and held-out images under shipped networks.

The truth of a mixture is a closed form. That of a network is a solve in float64, of the network's own weights, and is
kept in a file of the temporary folder.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from likelihood_ways import Divergence, normal
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchdiffeq import odeint

from fokker.benchmarks.problems import mixture64
from fokker.generative import CondOT, Denoiser
from fokker.generative.training import dataset
from fokker.verification.named_networks import named_denoiser

__all__ = ["CELLS", "Cell", "cell"]

TRUE, NODES = 1e-9, 48
"""What is taken for the truth: rtol and atol of the flow, and the nodes of the divergence."""


@dataclass(frozen=True)
class Cell:
    """Samples with their log p.

    Attributes:
        name: of the law or the network, and the number of samples.
        denoiser: on the straight path.
        x: the samples, (B, ...).
        truth: log p, float64 (B,).
    """

    name: str
    denoiser: Denoiser
    x: Tensor
    truth: Tensor


def _mixture(count: int) -> Cell:
    oracle = mixture64()
    x = oracle.sample(count, seed=1)
    return Cell(f"mixture64, {count}", oracle.denoiser(CondOT()), x, oracle.log_prob(x))


def _images(network: str, data: str, count: int) -> Cell:
    held = dataset(data)
    x = held.dequantisation(held.held_out[:count], 0)
    denoiser = named_denoiser(network)
    return Cell(f"{network}, {count}", denoiser, x, _solved(network, x))


def _solved(network: str, x: Tensor) -> Tensor:
    """log p in float64, from the file of an earlier run if there is one.

    The flow is solved to 1e-9, and the divergence is integrated along it by Gauss and Legendre's rule in √(1 − t), in
    which it is smooth.
    """
    file = Path(tempfile.gettempdir()) / f"fokker-log-p-{network}-{len(x)}.safetensors"
    if file.is_file() and torch.equal((kept := load_file(file))["x"], x):
        return kept["truth"]
    denoiser = named_denoiser(network)
    denoiser.net.double()
    divergence = Divergence(denoiser, batched=64)
    roots, weights = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(NODES))
    u = 0.5 * (1.0 + roots)
    times = torch.cat([torch.ones(1), 1.0 - u**2, torch.zeros(1)]).double()
    states = odeint(lambda t, z: denoiser.predict("velocity", t.item(), z), x.double(), times, rtol=TRUE, atol=TRUE)
    along = torch.stack([divergence(t, z)[1] for t, z in zip(times[1:-1], states[1:-1], strict=True)])
    truth = normal(states[-1]) - (weights * u) @ along
    save_file({"x": x, "truth": truth}, file)
    return truth


CELLS: dict[str, tuple[float, ...]] = {
    "mixture64-64": (0.1, 0.03, 0.003),
    "mixture64-256": (0.1, 0.03, 0.003),
    "digits-flow-32": (0.1, 0.03, 0.003),
    "mnist-flow-4": (0.3, 0.1),
}
"""The cells, each with the mean absolute errors to reach, in nats."""


@lru_cache
def cell(name: str) -> Cell:
    """The cell of that name: of the mixture, or of a network and its data."""
    of, _, count = name.rpartition("-")
    return _mixture(int(count)) if of == "mixture64" else _images(of, of.partition("-")[0], int(count))
