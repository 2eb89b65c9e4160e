"""Seconds to log p(x) with a given mean error: the usual loop, two libraries, and ours, in turn in one process.

Every way has the loosest accuracy of its ladder that reaches the mean absolute error, over the samples of a cell and,
with random numbers, three seeds. The search of a peer starts at the tolerance that was found before, and goes on from
there if the error is not reached. Then the ways run in turn, each time with the loop.

    make perf                the mixture at 64 points
    make perf-likelihood     the others, an hour
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from likelihood_cells import CELLS, Cell, cell
from likelihood_ways import LOOP, WAYS, Run, accuracies
from measured import enter

RANDOM = "ours, error="
SHORT = 20.0
"""Seconds of a round of all ways; a shorter one is made three times."""

FOUND: dict[tuple[str, float], tuple[float, float, float]] = {
    ("mixture64-64", 0.1): (3e-4, 3e-4, 3e-4),
    ("mixture64-64", 0.03): (1e-4, 1e-4, 1e-4),
    ("mixture64-64", 0.003): (1e-5, 1e-5, 3e-5),
    ("mixture64-256", 0.1): (3e-4, 3e-4, 1e-3),
    ("mixture64-256", 0.03): (1e-4, 1e-4, 1e-4),
    ("mixture64-256", 0.003): (3e-5, 3e-5, 3e-5),
    ("digits-flow-32", 0.1): (3e-3, 3e-3, 1e-4),
    ("digits-flow-32", 0.03): (3e-5, 3e-5, 1e-4),
    ("digits-flow-32", 0.003): (1e-5, 1e-5, 1e-5),
    ("mnist-flow-4", 0.3): (1e-4, 1e-4, 1e-4),
    ("mnist-flow-4", 0.1): (3e-5, 3e-5, 1e-4),
}
"""The loosest tolerances of the loop, flow_matching and zuko that reach a mean error, found from 1e-1 on."""


@dataclass
class Timed:
    """A way at the accuracy that it needs."""

    accuracy: float
    run: Run
    error: float
    seconds: list[float] = field(default_factory=list)


def mean_error(samples: Cell, way: str, run: Run, accuracy: float) -> float:
    """Over the samples, and over two more seeds if there are random numbers."""
    runs = [run]
    if way == RANDOM:
        runs += [WAYS[way](samples.denoiser, samples.x, accuracy, seed) for seed in (1, 2)]
    return statistics.mean((each.value.double() - samples.truth).abs().mean().item() for each in runs)


def reached(samples: Cell, way: str, target: float, first: float) -> Timed:
    """The way at the loosest accuracy, from the first one on, whose mean error reaches the target."""
    for accuracy in accuracies(way, target):
        if accuracy > first:
            continue
        start = time.process_time()
        run = WAYS[way](samples.denoiser, samples.x, accuracy, 0)
        seconds = time.process_time() - start
        error = mean_error(samples, way, run, accuracy)
        if error <= target:
            return Timed(accuracy, run, error, [seconds])
    pytest.fail(f"{way} does not reach {target:g} nats on {samples.name}.")


def compared(samples: Cell, target: float, known: tuple[float, float, float] | None) -> dict[str, Timed]:
    """Every way, with the seconds of each round."""
    first = dict(zip(WAYS, known or (), strict=False))
    found = {way: reached(samples, way, target, first.get(way, 1e6)) for way in WAYS}
    if sum(each.seconds[0] for each in found.values()) < SHORT:
        for _ in range(2):
            for way, each in found.items():
                start = time.process_time()
                WAYS[way](samples.denoiser, samples.x, each.accuracy, 0)
                each.seconds.append(time.process_time() - start)
    return found


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(name, target, marks=() if name == "mixture64-64" else pytest.mark.slow, id=f"{name}-{target:g}")
        for name, targets in CELLS.items()
        for target in targets
    ],
)
def test_seconds_to_a_mean_error(benchmark: Any, name: str, target: float) -> None:
    samples = cell(name)
    found = benchmark.pedantic(compared, (samples, target, FOUND.get((name, target))), rounds=1)
    loop = statistics.median(found[LOOP].seconds)
    for way, timed in found.items():
        seconds = statistics.median(timed.seconds)
        enter(
            "log p(x) to a mean error, one thread",
            samples=samples.name,
            nats=target,
            method=way,
            asked=f"{timed.accuracy:.2g}",
            seconds=f"{seconds:.2f}",
            times_faster=f"{loop / seconds:.2f}",
            mean_error=f"{timed.error:.1e}",
            evaluations=f"{timed.run.evaluations:.0f}",
            products=f"{timed.run.products:.0f}",
        )
