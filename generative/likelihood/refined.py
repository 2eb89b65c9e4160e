"""Values with as many nodes as each sample needs, for an exact trace.

What the nodes say of their error is calibrated by the pilot. The number of intervals is doubled for the samples whose
error is too large, as long as doubling helps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...solvers.common import array, host, matching
from .along_flow import evaluations, flow_states, traces
from .change_of_variables import ChangeOfVariables
from .pilot import LOOSER, flow_error, indicator
from .plan import LikelihoodPlan
from .quadrature import clenshaw_curtis
from .trace import Exact

__all__ = ["SAFETY", "Refined"]

MOST = 512
"""The largest number of intervals."""
SAFETY, FALLING = 1.2, 0.3
"""An estimated error over that of the pilot for what its nodes say, and the factor for twice the nodes."""
ROUNDING = 8.0
"""Rounding errors of the integrand, in units of eps."""


class Refined:
    """The integrals of the samples of a block.

    Args:
        change: the change of variables of these samples.
        z: their states at s = 0, (B, ...).
        plan: the plan.
        traces: at its nodes, float64 (n + 1, B).

    Attributes:
        value: ∫ tr A dr, float64 (B,).
        error: an estimate of its error, float64 (B,).
        spent: further evaluations, int64 (B,).
        products: further products, int64 (B,).
    """

    def __init__(self, change: ChangeOfVariables, z: Tensor, plan: LikelihoodPlan, traces: Tensor) -> None:
        self.change, self.z, self.plan = change, z, plan
        self.value = torch.einsum("n,nb->b", matching(plan.weights, traces), traces)
        self.error = self._estimate(traces)
        self.spent, self.products = torch.zeros(2, len(z), dtype=torch.int64, device="cpu")
        rows, n, before = torch.arange(len(z), device="cpu"), plan.intervals, torch.full_like(self.error, torch.inf)
        while plan.error is not None and 2 * n <= MOST:
            left = (self.error[rows] > plan.error) & (self.error[rows] < 0.5 * before)
            if not bool(left.any()):
                break
            before, rows, n = self.error[rows][left], rows[left.cpu()], 2 * n
            traces = self._doubled(rows, traces[:, left], n)

    def _doubled(self, rows: Tensor, known: Tensor, n: int) -> Tensor:
        """The traces of these samples at the nodes of n intervals, of which half are known."""
        nodes, some = host(clenshaw_curtis(n)[0]), self.change.of_rows(rows)
        there = rows.to(self.z.device)
        between = self.plan.clock.r(nodes[1::2])
        saved = torch.cat([nodes[1::2], nodes[-1:]])
        states, nfe = flow_states(some, self.plan.clock, self.z[there], saved, self.plan.tolerance)
        added = torch.stack(traces(some, between, states[:-1], Exact(some.dim, n // 2)))[..., 0]
        found = torch.cat([torch.stack([known[:-1], added], dim=1).flatten(0, 1), known[-1:]])
        weights = host(clenshaw_curtis(n)[1]) * self.plan.clock.rate(self.plan.clock.r(nodes))
        self.value = self.value.index_copy(0, there, torch.einsum("n,nb->b", matching(weights, found), found))
        self.error = self.error.index_copy(0, there, torch.minimum(self.error[there], self._estimate(found)))
        self.spent[rows] += nfe.per_sample + evaluations(some, between, len(rows))
        self.products[rows] += some.cost * n // 2 * some.dim
        return found

    def _estimate(self, found: Tensor) -> Tensor:
        """The error of the integrals with these traces, float64 (B,)."""
        n = len(found) - 1
        nodes, weights = clenshaw_curtis(n)
        rates = self.plan.clock.rate(self.plan.clock.r(host(nodes)))
        integrand = array((found.detach().cpu() * rates[:, None]).double())
        rounding = ROUNDING * self.change.precision(self.z) * (weights @ abs(integrand))
        ratio = self.plan.ratio * FALLING ** math.log2(n / self.plan.intervals)
        return matching(host(SAFETY * ratio * indicator(integrand) + rounding), found)

    def flow_error(self, end: Tensor) -> Tensor:
        """The error that the flow leaves in log p, float64 (B,), from a looser solution beside this end z."""
        nodes, tolerance = self.plan.nodes, self.plan.tolerance
        if tolerance is None:
            looser, nfe = flow_states(self.change, self.plan.clock, self.z, nodes[::2], None)
        else:
            looser, nfe = flow_states(self.change, self.plan.clock, self.z, nodes[[0, -1]], LOOSER * tolerance)
        self.spent += nfe.per_sample
        return flow_error(self.change, end, looser[-1], fixed=tolerance is None)
