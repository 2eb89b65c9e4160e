"""Overhead: the time of a solve, over the time of its evaluations alone.

    overhead = (solve time) / (NFE × time of one call of the field)

The field is timed between the solves of the same test, so that both see the same machine, and so is the floor, a loop
written by hand. Medians are quoted, per evaluation.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from measured import enter

__all__ = ["Overhead"]

TITLE = "Overhead: solve time / (NFE × one field call), one thread"


@dataclass
class Overhead:
    """Times `run`, which calls the field `nfe` times, in turn with as many bare calls and the floor's `floor_nfe`."""

    benchmark: Callable[..., object]

    def __call__(
        self,
        problem: str,
        method: str,
        run: Callable[[], object],
        field: Callable[[], object],
        floor: Callable[[], object],
        nfe: int,
        floor_nfe: int,
        rounds: int,
    ) -> None:
        bare, floors = [], []

        def calls() -> None:
            start = time.perf_counter()
            for _ in range(nfe):
                field()
            bare.append(time.perf_counter() - start)
            start = time.perf_counter()
            floor()
            floors.append(time.perf_counter() - start)

        run()
        self.benchmark.pedantic(run, setup=calls, rounds=rounds, warmup_rounds=2)
        solve, once = self.benchmark.stats.stats.median / nfe, statistics.median(bare) / nfe
        loop = statistics.median(floors) / floor_nfe
        self.benchmark.extra_info["overhead"] = solve / once
        costly = once > 1e-6  # of a field that does nothing a ratio says nothing
        enter(
            TITLE,
            field=problem,
            method=method,
            overhead=f"{solve / once:.3f}" if costly else "-",
            bare_loop=f"{loop / once:.3f}" if costly else "-",
            over_loop=f"{solve / loop:.3f}",
            extra_µs=f"{(solve - once) * 1e6:.1f}",
        )
