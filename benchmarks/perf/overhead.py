"""Overhead: the time of a solve, over the time of its evaluations alone.

    overhead = (solve time) / (NFE × time of one call of the field)

The field is timed between the solves of the same test, so that both see the same machine. Medians are quoted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["MEASURED", "Overhead"]

ROUNDS = 30
MEASURED: list[tuple[str, str, float]] = []


@dataclass
class Overhead:
    """Times `run`, which calls the field `nfe` times, beside `nfe` bare calls."""

    benchmark: Callable[..., object]

    def __call__(
        self, problem: str, method: str, run: Callable[[], object], field: Callable[[], object], nfe: int
    ) -> None:
        bare: list[float] = []

        def calls() -> None:
            start = time.perf_counter()
            for _ in range(nfe):
                field()
            bare.append(time.perf_counter() - start)

        run()
        self.benchmark.pedantic(run, setup=calls, rounds=ROUNDS, warmup_rounds=2)
        ratio = self.benchmark.stats.stats.median / statistics.median(bare)
        self.benchmark.extra_info["overhead"] = ratio
        MEASURED.append((problem, method, ratio))
