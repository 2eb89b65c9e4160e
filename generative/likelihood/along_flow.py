"""The states at nodes of a flow, and the traces there.

The flow does not depend on its divergence: it is solved first, and the traces are taken at a few of its states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ...solvers import NFE, RK4, Adaptive, Tsit5, solve
from .change_of_variables import ChangeOfVariables
from .clock import LAYERS, Clock
from .trace import Trace, numbers

__all__ = ["evaluations", "flow_states", "traces"]


def flow_states(
    change: ChangeOfVariables, clock: Clock, z: Tensor, nodes: Tensor, tolerance: float | None
) -> tuple[Tensor, NFE]:
    """The states at the nodes.

    Args:
        change: the change of variables of these samples.
        clock: the clock of the nodes.
        z: the samples, (B, ...), at s = 0.
        nodes: n rising numbers from 0 to 1, float64; the last one is 1.
        tolerance: rtol and atol of adaptive steps of each sample's own, in a clock which shows layers at both ends,
            so that the error does not depend on the nodes; None for one step of RK4 from node to node.

    Returns:
        The states, (n, B, ...), and the evaluations.
    """
    if tolerance is None:
        solution = solve(change.equation(clock), z, nodes, RK4(), save=True)
    else:
        layered = Clock(clock.start, clock.end, *LAYERS)
        times = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance, per_sample=True)
        saved = layered.shows(clock.r(nodes)).clamp(0.0, 1.0)
        solution = solve(change.equation(layered), z, times, Tsit5(), save=saved)
    return cast(Tensor, solution.xs), solution.nfe


def traces(
    change: ChangeOfVariables, r: Tensor, z: Tensor, trace: Trace, numbers_of: Sequence[int] | None = None
) -> list[Tensor]:
    """What the estimator finds at every node.

    Args:
        change: the change of variables of these samples.
        r: what the clock shows at the nodes, float64 (n,).
        z: the states, (n, B, ...).
        trace: the estimator for these samples.
        numbers_of: the numbers that the nodes have for the estimator; 0 … n − 1 if None.

    Returns:
        For each node its estimates, float64 (B, c).
    """
    names = range(len(r)) if numbers_of is None else numbers_of
    found: list[Tensor | None] = [None] * len(r)
    for count in sorted({trace.counts[name] for name in names}):
        chosen = [i for i, name in enumerate(names) if trace.counts[name] == count]
        points = max(1, numbers(z) // change.dim)
        rows = max(1, min(z.shape[1], points))
        for some in torch.split(torch.arange(z.shape[1], device="cpu"), rows):
            part, estimator = change.of_rows(some), trace.of_rows(some)
            together = max(1, points // len(some))
            for first in range(0, len(chosen), together):
                here = chosen[first : first + together]
                at = torch.cat([z[i][some.to(z.device)] for i in here])
                products = part.of_rows(torch.arange(len(some), device="cpu").repeat(len(here))).products(
                    r[here].repeat_interleave(len(some)), at
                )
                values = estimator.estimates([names[i] for i in here], products, at.flatten(1))
                for i, value in zip(here, values, strict=True):
                    found[i] = value if found[i] is None else torch.cat([cast(Tensor, found[i]), value])
    return cast(list[Tensor], found)


def evaluations(change: ChangeOfVariables, r: Tensor, samples: int) -> Tensor:
    """The evaluations that a state at each node takes of every sample, int64 (B,)."""
    each = change.field.evaluations(r) * torch.ones(len(r), dtype=torch.int64, device="cpu")
    return each.sum().expand(samples).clone()
