"""What `sample` costs beyond the network's own calls, and that its memory does not grow with the samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
import torch
from measured import enter
from memory import peak_mebibytes
from overhead import Overhead
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, load, sample
from fokker.generative.networks import MLP
from fokker.generative.sampling import sample_chunks

BATCH, NFE = 64, 20
LABELS = torch.arange(BATCH) % 10
WAYS: dict[str, tuple[dict[str, Any], int]] = {
    "sample": ({}, 1),
    "sample, 4 chunks": ({"chunk": BATCH // 4}, 1),
    "sample, guided": ({"guidance": 2.0}, 2),
    "sample by ddpm": ({"sampler": "ddpm"}, 1),
}
"""Arguments, and the network's rows for each sample in one call."""


def by_hand(net: Callable[..., Tensor], labels: Tensor, shape: tuple[int, ...], steps: int) -> Tensor:
    """Euler's method, as one would write it."""
    x, h = torch.randn(len(labels), *shape), 1.0 / steps
    for i in range(steps):
        x = x + h * net(x, torch.full((len(labels),), i * h), labels)
    return x


@pytest.mark.parametrize("name", ["digits-flow", "digits-eps"])
@pytest.mark.parametrize("way", WAYS)
def test_overhead_of_sample(overhead: Overhead, name: str, way: str) -> None:
    """Over bare calls with as many rows; the floor is a loop written by hand."""
    denoiser, (given, branches) = load(name), WAYS[way]
    net = cast(nn.Module, denoiser.net)
    rows = BATCH * branches // (4 if "chunk" in given else 1)
    x, labels = torch.randn(rows, 1, 8, 8), LABELS.repeat(branches)[:rows]
    run = partial(sample, denoiser, (BATCH, 1, 8, 8), NFE, LABELS, **given)
    field = partial(net, x, torch.full((rows,), 0.5), labels)
    calls = NFE * BATCH // rows
    floor = partial(by_hand, net, labels, (1, 8, 8), calls)
    overhead(f"{name}, batch {BATCH}, {NFE} NFE", way, run, field, floor, calls, calls, 15)


def sample_points(samples: int, way: str) -> None:
    """Points in 64 dimensions by a small MLP, in few evaluations."""
    torch.manual_seed(0)
    denoiser = Denoiser(MLP(64, width=128), CondOT(), predicts="velocity")
    if way == "sample_chunks":
        for _ in sample_chunks(denoiser, (samples, 64), 5):
            pass
    else:
        sample(denoiser, (samples, 64), 5, chunk=samples if way == "sample, one chunk" else None)


@pytest.mark.parametrize("way", ["sample", "sample_chunks", "sample, one chunk"])
def test_memory_of_many_samples(benchmark: Any, way: str) -> None:
    """Of which the result takes 2.4 and 24.4 MiB where it is kept."""
    few, many = benchmark.pedantic(
        lambda: [peak_mebibytes("test_sample", "sample_points", n, way) for n in (10_000, 100_000)], rounds=1
    )
    title = "Peak memory of a process that samples 64 dimensions by an MLP (MiB)"
    enter(title, method=way, samples_10000=f"{few:.0f}", samples_100000=f"{many:.0f}")
