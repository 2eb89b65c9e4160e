"""The change of variables along a solved flow: the solution first, then the divergence at nodes on it.

The flow does not depend on its divergence. Along the solution the divergence is a smooth function of time, so that its
integral needs a few well-placed nodes, and not every stage of every step.

    grid        every time is a node, with weights through the nearest six (`composite`); every second time gives the
                error
    adaptive    the number of Clenshaw-Curtis nodes is doubled until the integral converges, for each sample apart
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from ...solvers import Adaptive, Solver, solve
from ...solvers.common import Array, array, host, matching, widest
from ...solvers.loop import Grid
from ..denoiser import per_sample
from .change_of_variables import ChangeOfVariables, clock, scale, time_of
from .quadrature import clenshaw_curtis, composite, interpolation_matrix

__all__ = ["AlongFlow"]

FEWEST, SAVED, MOST = 8, 128, 512
"""Numbers of intervals of adaptive quadrature: the first, the one whose nodes the first solution saves, the last."""
POINTS = 6
"""The number of nodes through which the polynomial of an interval of a grid goes."""


class AlongFlow:
    """A solution for samples that are computed together, with its account: evaluations, products, rejected steps.

    Args:
        change: the change of variables of these samples.
        x: the samples, (B, ...), at the first time.
        steps: the grid, or the tolerances.
        solver: the solver of the flow.
    """

    def __init__(self, change: ChangeOfVariables, x: Tensor, steps: Grid | Adaptive, solver: Solver) -> None:
        self.change, self.x, self.steps, self.solver = change, x, steps, solver
        self.start, self.end = (clock(change.path, t) for t in (steps.t0, steps.t1))
        self.to_noise = steps.t1 < steps.t0
        self.all = torch.arange(len(x), device="cpu")
        self.spent, self.products = torch.zeros(2, len(x), dtype=torch.int64, device="cpu")
        self.rejected = self.depth = 0

    def solved(self) -> tuple[Tensor, Tensor, Tensor]:
        """k estimates of log p(x), (B, k), the state at the other end, (B, …), and an estimate of the error, (B,)."""
        return self.on_grid(self.steps) if isinstance(self.steps, Grid) else self.adaptively(self.steps)

    def on_grid(self, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        """As `solved`, from every time of the grid; the error follows from every second time."""
        r = clock(self.change.path, host(grid.times))

        def once(r: Tensor) -> tuple[Tensor, Tensor]:
            states = self.flow(r, r, self.all)
            return self.values(states[-1], composite(array(r), POINTS), self.traces(r, states, self.all))

        values, end = once(r)
        if grid.n < 2:
            return values, end, values.new_full((len(values),), math.nan)
        coarse, _ = once(torch.cat([r[:-1:2], r[-1:]]))
        return values, end, (values - coarse).mean(1).abs() / (2.0 ** min(self.solver.order, POINTS) - 1.0)

    def adaptively(self, steps: Adaptive) -> tuple[Tensor, Tensor, Tensor]:
        """As `solved`, with nodes whose number is doubled until the integral converges.

        Δ_n is the difference between the integrals with n and with n/2 intervals, without cancellation (`deviation`).
        For analytic functions every doubling squares the error, so that the error with n intervals is
        Δ_n (Δ_n/Δ_{n/2})². At most Δ_n is taken for it. The error of the solution follows from a second solution with
        2^p times the tolerance, on the fewest nodes.
        """
        tolerance, ratio = self.change.dim * (steps.rtol + steps.atol), 2.0**self.solver.order
        states = self.flow(self.within(steps, 1.0), self.nodes(SAVED), self.all)
        traces = self.traces(self.nodes(FEWEST), states[:: SAVED // FEWEST], self.all)
        coarse = self.flow(self.within(steps, ratio), self.nodes(FEWEST), self.all)
        values, end = self.values(states[-1], self.weights(FEWEST), traces)
        other, _ = self.values(coarse[-1], self.weights(FEWEST), self.traces(self.nodes(FEWEST), coarse, self.all))
        of_solution = (values - other).mean(1).abs() / (ratio - 1.0)

        difference, error = self.deviation(traces[::2], traces[1::2]), torch.zeros_like(of_solution)
        rows, n, left = self.all, FEWEST, torch.arange(len(self.x), device=self.x.device)
        while len(left) and n < MOST:
            n *= 2
            if n <= SAVED:
                between = states[SAVED // n :: 2 * SAVED // n, left]
            else:
                between = self.flow(self.within(steps, 1.0), self.nodes(n), rows)[1::2]
            added = self.traces(self.nodes(n)[1::2], between, rows)
            smaller = self.deviation(traces, added)
            traces = torch.cat([torch.stack([traces[:-1], added], dim=1).flatten(0, 1), traces[-1:]])
            refined, _ = self.values(states[-1, left], self.weights(n), traces, rows)
            found = smaller * (smaller / difference).nan_to_num(1.0).clamp(max=1.0).square()  # 0/0: both are zero
            values, error = values.index_copy(0, left, refined), error.index_copy(0, left, found)
            open_ = found > tolerance
            left, traces, difference = left[open_], traces[:, open_], smaller[open_]
            rows = left.cpu()
        return values, end, error + of_solution

    def within(self, steps: Adaptive, factor: float) -> Adaptive:
        """The same interval in the clock, with `factor` times the tolerances, for each sample apart where possible."""
        rtol, atol = factor * steps.rtol, factor * steps.atol
        alone = steps.per_sample or self.solver.timewise
        return Adaptive(self.start, self.end, rtol=rtol, atol=atol, per_sample=alone, control=steps.control)

    def nodes(self, n: int) -> Tensor:
        """The n + 1 Clenshaw-Curtis nodes of n intervals, from the start to the end: float64."""
        r = self.start + (self.end - self.start) * torch.from_numpy(clenshaw_curtis(n)[0])
        r[0], r[-1] = self.start, self.end
        return r

    def weights(self, n: int) -> Array:
        """The weights of these nodes."""
        weights: Array = (self.end - self.start) * clenshaw_curtis(n)[1]
        return weights

    def deviation(self, traces: Tensor, added: Tensor) -> Tensor:
        """Σ w_i |f − p| over the nodes that are added to n, with p the polynomial through the n + 1 traces: (B,)."""
        n = len(added)
        expected = torch.einsum("mn,nb->mb", matching(host(interpolation_matrix(n)), traces), traces.mean(2))
        weights = matching(host(self.weights(2 * n)[1::2]), traces)
        return torch.einsum("m,mb->b", weights, (added.mean(2) - expected).abs()).abs()

    def flow(self, times: Adaptive | Tensor, nodes: Tensor, rows: Tensor) -> Tensor:
        """The states z of these samples at n nodes, (n, B, …); the last one is the end."""
        z = self.x[rows.to(self.x.device)] / scale(self.change.path, self.steps.t0)
        solution = solve(self.change.of_rows(rows).flow(), z, times, self.solver, save=nodes)
        self.spent[rows] += solution.nfe.per_sample
        self.rejected += solution.nfe.rejected
        self.depth += solution.nfe.depth
        return cast(Tensor, solution.xs)

    def traces(self, r: Tensor, z: Tensor, rows: Tensor) -> Tensor:
        """k estimates of the integrand at the nodes r, (n,), and the states z, (n, B, …): (n, B, k)."""
        each, samples = r.repeat_interleave(len(rows)), rows.repeat(len(r))
        path = self.change.path
        size = scale(path, time_of(path, each))
        points = z.flatten(0, 1)
        found, spent = self.change.integrand(each, per_sample(size, points) * points, samples)
        taken = spent.reshape(len(r), -1).sum(0)
        self.spent[rows] += taken
        self.products[rows] += taken * self.change.trace.directions
        return found.reshape(len(r), len(rows), -1)

    def values(
        self, end: Tensor, weights: Array, traces: Tensor, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """k estimates of log p(x), (B, k), and x at the other end, (B, …), from z there."""
        steps, change = self.steps, self.change
        x = self.x if rows is None else self.x[rows.to(self.x.device)]
        other = scale(change.path, steps.t1) * end
        along = torch.einsum("n,nbk->bk", matching(host(weights), traces), traces)
        changed = change.reference(steps.t0, steps.t1) + along
        noise, sign = (other, 1.0) if self.to_noise else (x, -1.0)
        return _normal(noise, change.path.sigma(min(steps.t0, steps.t1))) + sign * changed, other


def _normal(x: Tensor, sigma: float) -> Tensor:
    """log N(x; 0, σ² I), (B, 1)."""
    flat = x.to(widest(x.device)).flatten(1)
    constant = flat.shape[1] * (math.log(sigma) + 0.5 * math.log(2.0 * math.pi))
    return -0.5 * (flat / sigma).square().sum(1, keepdim=True) - constant
