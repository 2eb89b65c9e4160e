"""The standard deviation of an integral against products, for every kind of probe with the division that a plan makes.

Errors are against the exact trace at the same nodes. Beside them stand the standard errors that the run reports and
that the plan foretold.

    make perf                the mixture
    make perf-likelihood     networks, too
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from measured import enter
from torch import Tensor

from fokker.benchmarks.problems import mixture64
from fokker.generative import CondOT, Denoiser
from fokker.generative.likelihood import log_likelihood, plan_likelihood
from fokker.generative.training import dataset
from fokker.verification.named_networks import named_denoiser

KINDS: dict[str, dict[str, Any]] = {
    "orthogonal": {"trace": "orthogonal"},
    "coloured": {"trace": "coloured"},
    "hutchinson": {"trace": "hutchinson"},
    "hutch++": {"trace": "hutch++"},
    "frozen orthogonal": {"trace": "orthogonal", "frozen": True},
    "frozen hutchinson": {"trace": "hutchinson", "frozen": True},
}


def problem(name: str, count: int) -> tuple[Denoiser, Tensor]:
    if name == "mixture64":
        law = mixture64()
        return law.denoiser(CondOT()), law.sample(count, 1)
    held = dataset(name.partition("-")[0])
    return named_denoiser(name), held.dequantisation(held.held_out[:count], 0)


@pytest.mark.parametrize(
    ("name", "count", "seeds", "nodes", "probes"),
    [
        ("mixture64", 32, 2, 25, (2, 8, 32)),
        pytest.param("digits-flow", 16, 4, 25, (2, 4, 8, 16, 32), marks=pytest.mark.slow),
        pytest.param("digits-eps", 16, 4, 25, (2, 4, 8, 16, 32), marks=pytest.mark.slow),
        pytest.param("mnist-flow", 4, 6, 21, (3, 5, 10, 20, 50), marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_standard_deviations(
    benchmark: Any, name: str, count: int, seeds: int, nodes: int, probes: tuple[int, ...]
) -> None:
    found = benchmark.pedantic(measured, (*problem(name, count), seeds, nodes, probes), rounds=1)
    for (kind, _), (products, sd, reported, foretold) in found.items():
        enter(
            f"Standard deviation of log p in nats: {name}, {count} samples, {seeds} seeds, {nodes} nodes",
            probes=kind, products=str(products), sd=sd, reported=reported / sd, foretold=foretold / sd,
        )  # fmt: skip
    for number in probes:
        assert found["orthogonal", number][1] < found["frozen hutchinson", number][1]


def measured(
    denoiser: Denoiser, x: Tensor, seeds: int, nodes: int, probes: tuple[int, ...]
) -> dict[tuple[str, int], tuple[int, float, float, float]]:
    """Products, standard deviation, and the standard errors of run and plan, for each kind and number of probes."""
    rows = {}
    clock, exact = None, x
    for kind, options in KINDS.items():
        if kind == "coloured" and x.dim() == 2:
            continue
        for number in probes:
            made = plan_likelihood(denoiser, x, nodes=nodes, probes=number, **options)
            if made.clock != clock:
                clock, exact = made.clock, log_likelihood(denoiser, x, replace(made, trace="exact", probes=())).value
            found = [log_likelihood(denoiser, x, made, seed) for seed in range(seeds)]
            sd, stderr = rms([each.value - exact for each in found]), rms([each.probe_stderr for each in found])
            rows[kind, number] = made.products, sd, stderr, made.probe_stderr
    return rows


def rms(values: list[Tensor]) -> float:
    return math.sqrt(float(torch.stack(values).square().mean()))
