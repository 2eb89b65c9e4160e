"""Values with as many nodes as each sample needs, for an exact trace.

What the nodes say of their error is compared with the pilot's errors. The number of intervals is doubled for the
samples whose error is too large, as long as doubling helps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...solvers.common import array, host, matching
from ...solvers.noise import Keys
from .along_flow import evaluations, flow_states, traces
from .change_of_variables import ChangeOfVariables
from .flow_error import flow_error
from .plan import LikelihoodPlan
from .quadrature import expected_error
from .trace import Exact

__all__ = ["SAFETY", "Refined"]

MOST = 512
"""The largest number of intervals."""
SAFETY = 1.5
"""An estimated error over the one that the pilot makes of what the nodes say."""
FLOW_SAFETY = 2.0
"""The same of the flow."""
TYPICAL = 0.3
"""The share of the typical error that an estimate has at least, since what is found may be small by accident."""
DOUBLED = 2.5
"""With twice the nodes, or more: the error over what the nodes say of it."""
ROUNDING, SMOOTH = 8.0, 0.1
"""Errors of the integrand that are not smooth, relative to it, in units of eps and of the tolerance."""


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
        self.value = torch.einsum("n,nb->b", matching(plan.nodes.weights, traces), traces)
        said, floor = self._say(traces)
        self.error = SAFETY * plan.ratio * said + floor
        self.spent, self.products = torch.zeros(2, len(z), dtype=torch.int64, device="cpu")
        rows, n, before = torch.arange(len(z), device="cpu"), plan.intervals, torch.full_like(self.error, torch.inf)
        while plan.error is not None and 2 * n <= MOST:
            left = (self.error[rows] > plan.error) & (self.error[rows] < 0.5 * before)
            if not bool(left.any()):
                break
            before, rows, n, said = self.error[rows][left], rows[left.cpu()], 2 * n, said[left]
            traces = self._doubled(rows, traces[:, left], n)
            said = self._refine(rows, traces, said)

    def _doubled(self, rows: Tensor, known: Tensor, n: int) -> Tensor:
        """The traces of these samples at the nodes of n intervals, of which half are known."""
        nodes, some = self.plan.clock.nodes(n), self.change.of_rows(rows)
        there = rows.to(self.z.device)
        between = nodes.r[1::2]
        saved = torch.cat([nodes.s[1::2], nodes.s[-1:]])
        states, nfe = flow_states(some, self.plan.clock, self.z[there], saved, self.plan.tolerance)
        added = torch.stack(traces(some, between, states[:-1], Exact(some.dim, n // 2)))[..., 0]
        self.spent[rows] += nfe.per_sample + evaluations(some, between, len(rows))
        self.products[rows] += some.cost * n // 2 * some.dim
        return torch.cat([torch.stack([known[:-1], added], dim=1).flatten(0, 1), known[-1:]])

    def _refine(self, rows: Tensor, found: Tensor, before: Tensor) -> Tensor:
        """Take the integrals of these samples from more traces. Returns what their nodes say of the error.

        What the nodes said `before` is compared with the error that the value had then, since not every sample is like
        those of the pilot.
        """
        there, weights = rows.to(self.z.device), self.plan.clock.nodes(len(found) - 1).weights
        value, (said, floor) = torch.einsum("n,nb->b", matching(weights, found), found), self._say(found)
        ratio = ((value - self.value[there]).abs() / before.clamp(min=1e-300)).detach().clamp(DOUBLED, 10.0 * DOUBLED)
        error = torch.minimum(self.error[there], SAFETY * ratio * said + floor)
        self.value = self.value.index_copy(0, there, value)
        self.error = self.error.index_copy(0, there, error)
        return said

    def _say(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """What these traces say of the error of the integrals, and what rounding and the flow leave in them, (B,)."""
        nodes, known = self.plan.clock.nodes(len(found) - 1), host(found.detach())
        noise = ROUNDING * self.change.precision(self.z) + SMOOTH * (self.plan.tolerance or 0.0)
        said = expected_error(array(nodes.rate[:, None] * known))
        floor = noise * (nodes.weights.abs() @ known.abs())
        return matching(host(said), found), matching(host(floor), found)

    def flow_error(self, states: Tensor, keys: Keys) -> Tensor:
        """The error that the flow leaves in log p, float64 (B,), from its states at the nodes of the plan."""
        plan = self.plan
        error, spent, products = flow_error(self.change, plan.clock, states.detach(), plan.tolerance, keys)
        self.spent += spent
        self.products += products
        return FLOW_SAFETY * torch.hypot(error, torch.full_like(error, TYPICAL * plan.flow_error))
