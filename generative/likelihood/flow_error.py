"""How far the solution of a flow moves log p, from more precise solutions of its pieces.

Let y_j be the states at some nodes, and z_j where a more precise solution takes y_{j−1}. On a path with dy/ds = u + ρ
the density of the flow changes by d log p_s(y)/ds = −∇·u + ∇log p_s·ρ, and the divergence is integrated without the
last term. To first order log p is therefore off by

    Σ_j ∇log p_j(y_j)·(y_j − z_j).

This is the error itself, not its size alone. The flow at the end may be nearly right where the divergence along it is
not, so that a difference of two ends says less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...solvers import RK4, Adaptive, Field, PlainClock, Semilinear, Time, Tsit5, solve
from ...solvers.common import matching, widest
from ..denoiser import per_sample
from .along_flow import evaluations
from .change_of_variables import ChangeOfVariables
from .clock import Clock

__all__ = ["flow_error"]

PIECES = 4
"""The number of pieces of a flow."""
TIGHTER, TIGHTEST = 0.1, 20.0
"""The tolerance of the more precise solution, over that of the flow, and at least so many eps."""
END_TO_VALUE = 1.5
"""The error of log p over that of the density at the end, where the score is not known."""


@dataclass(frozen=True)
class _Pieces(Field):
    """dz/du for u from 0 to 1 on pieces that start at s and have some length, float64 (P,)."""

    inner: Field
    start: Tensor
    length: Tensor

    def __call__(self, u: Time, z: Tensor) -> Tensor:
        return per_sample(self.length, z) * self.inner(self.start + u * self.length, z)

    def evaluations(self, u: Time) -> int | Tensor:
        return self.inner.evaluations(self.start + u * self.length)

    def of_rows(self, index: Tensor) -> Self:
        here = index.cpu()
        return type(self)(self.inner.of_rows(index), self.start[here], self.length[here])


@torch.no_grad()
def flow_error(
    change: ChangeOfVariables, clock: Clock, nodes: Tensor, states: Tensor, tolerance: float | None
) -> tuple[Tensor, Tensor]:
    """The error that the solution of the flow leaves in log p.

    Args:
        change: the change of variables of these samples.
        clock: its clock.
        nodes: s at the nodes, n + 1 numbers, n even.
        states: the states there, (n + 1, B, ...).
        tolerance: that of the solution; None for one step of RK4 from node to node. Two of these are compared with one.

    Returns:
        Its size, float64 (B,), and the evaluations that it took of each sample, int64 (B,).
    """
    if not change.has_score:
        return _by_the_end(change, clock, nodes, states, tolerance)
    last = len(nodes) - 1 if change.to_noise else len(nodes) - 2  # the score does not exist at the data
    fixed = tolerance is None
    ends = list(range(0, last + 1, 2)) if fixed else sorted({round(j * last / PIECES) for j in range(PIECES + 1)})
    count, batch = len(ends) - 1, states.shape[1]
    there, s = change.of_rows(torch.arange(batch, device="cpu").repeat(count)), nodes[ends]
    start, length = (each.repeat_interleave(batch) for each in (s[:-1], s.diff()))
    pieces = Semilinear(_Pieces(there.equation(clock).field, start, length), PlainClock())
    first, here = (torch.cat([states[i] for i in some]) for some in (ends[:-1], ends[1:]))
    if tolerance is None:
        solution, share = solve(pieces, first, [0.0, 1.0], RK4()), _share(nodes[: ends[-1] + 1].diff())
    else:
        solution = solve(pieces, first, _tighter(change, first, tolerance), Tsit5())
        share = torch.ones(count, device="cpu")
    away = (here - solution.x).flatten(1).to(widest(here.device))
    score = there.score(clock.r(start + length), here).flatten(1).to(away)
    terms = matching(share, away)[:, None] * (score * away).sum(1).reshape(count, batch)
    spent = solution.nfe.per_sample.reshape(count, batch).sum(0)
    return terms.sum(0).abs(), spent + evaluations(change, clock.r(s[1:]), batch)


def _by_the_end(
    change: ChangeOfVariables, clock: Clock, nodes: Tensor, states: Tensor, tolerance: float | None
) -> tuple[Tensor, Tensor]:
    """The error by another solution's end, where the score is not known."""
    equation, z = change.equation(clock), states[0]
    if tolerance is None:
        solution, share = solve(equation, z, nodes[::2], RK4()), 1.0 / 15.0
    else:
        solution, share = solve(equation, z, _tighter(change, z, tolerance), Tsit5()), 1.0
    return END_TO_VALUE * share * change.moved(states[-1], solution.x), solution.nfe.per_sample


def _tighter(change: ChangeOfVariables, z: Tensor, tolerance: float) -> Adaptive:
    finer = max(TIGHTER * tolerance, TIGHTEST * change.precision(z))
    return Adaptive(0.0, 1.0, rtol=finer, atol=finer, per_sample=True)


def _share(steps: Tensor) -> Tensor:
    """The error of two steps of RK4 over its difference from one."""
    pairs = steps[: len(steps) // 2 * 2].reshape(-1, 2)
    two, one = (pairs**5).sum(1), pairs.sum(1) ** 5
    share: Tensor = two / (one - two)
    return share
