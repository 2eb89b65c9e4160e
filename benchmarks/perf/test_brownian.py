"""A Brownian path: time of a query, and memory, beside torchsde's BrownianInterval, on the same steps.

torchsde is told the step (`dt`), without which its tree is several times slower. Its path depends on the history of
its queries, ours on the seed and the time alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torchsde
from measured import enter
from memory import peak_mebibytes
from torch import Tensor

from fokker.solvers import BrownianTree

QUERIES = 1000
SHAPES = {"256 × 2": (256, 2), "64 × 3072": (64, 3072)}
Query = Callable[[float, float], object]


def clock(t: Tensor) -> Tensor:
    return t


def grid(kind: str) -> list[float]:
    if kind == "uniform":
        return torch.linspace(0.0, 1.0, QUERIES + 1, dtype=torch.float64).tolist()
    inside = torch.rand(QUERIES - 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return [0.0, *inside.sort().values.tolist(), 1.0]


def ours(shape: tuple[int, int], **options: Any) -> Query:
    like = torch.empty(shape)
    tree = BrownianTree(like, 0.0, 1.0, seed=0, **options)
    ask = tree.normal_and_area if options.get("area") else tree.normal
    return lambda s, t: ask(s, t, clock, like)


def torchsdes(shape: tuple[int, int], area: bool = False) -> Query:
    approximation = "space-time" if area else "none"
    path = torchsde.BrownianInterval(
        0.0, 1.0, size=shape, dtype=torch.float32, dt=1.0 / QUERIES, levy_area_approximation=approximation
    )
    return lambda s, t: path(s, t, return_U=area)


PATHS: dict[str, Callable[[tuple[int, int]], Query]] = {
    "BrownianTree": ours,
    "BrownianTree, resolution 2⁻¹⁰": lambda shape: ours(shape, resolution=2.0**-10),
    "torchsde BrownianInterval": torchsdes,
    "BrownianTree, with area": lambda shape: ours(shape, area=True),
    "torchsde BrownianInterval, with area": lambda shape: torchsdes(shape, area=True),
}


@pytest.mark.parametrize("kind", ["uniform", "random"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PATHS)
def test_query(benchmark: Any, name: str, shape: str, kind: str) -> None:
    steps = list(pairwise(grid(kind)))

    def run(query: Query) -> None:
        for s, t in steps:
            query(s, t)

    benchmark.pedantic(run, setup=lambda: ((PATHS[name](SHAPES[shape]),), {}), rounds=3 if shape == "256 × 2" else 1)
    enter(
        "Brownian paths: one query of 1000, float32",
        state=shape,
        steps=kind,
        method=name,
        µs=f"{benchmark.stats.stats.median / QUERIES * 1e6:.0f}",
    )


@pytest.mark.parametrize("name", ["BrownianTree", "torchsde BrownianInterval"])
def test_memory(benchmark: Any, name: str) -> None:
    """Peak memory of n queries on n steps, each of 0.75 MiB, less that of ten."""

    def measure() -> list[float]:
        started = time.perf_counter()
        peaks = [peak_mebibytes("test_brownian", "walk", name, n) for n in (10, 100, 1000)]
        return [*peaks, time.perf_counter() - started]

    few, more, many, _ = benchmark.pedantic(measure, rounds=1)
    enter(
        "Brownian paths: peak memory above that of 10 queries, 64 × 3072 in float32 (MiB)",
        method=name,
        queries_100=f"{more - few:.0f}",
        queries_1000=f"{many - few:.0f}",
    )


def walk(name: str, n: int) -> None:
    """n queries on n steps."""
    query = PATHS[name](SHAPES["64 × 3072"])
    for i in range(n):
        query(i / n, (i + 1) / n)
