"""Stochastic equations with known solutions: path by path, on a Brownian tree, or in law, for Gaussian data.

`curved`, with additive noise and a drift that is neither linear nor constant in time,

    dX = (a_t e^{−X} + c_t) dt + b dW,        e^{X_t} = Φ_t (e^{X_0} + ∫ a_s/Φ_s ds),    Φ = exp(∫ c ds + b W).

`reversing`, the process `reverse_sde(denoiser, eta)` of Gaussian data, is linear: with M(t, s) its mean map
(`gaussian_laws`), S the equation's scale and q its variance clock,

    X_t = M(t, s) X_s + offset + ∫ M(t, u) S_u dW_{q_u}.

Both integrals are sums over many short cells. In each cell the integrand is expanded, and the Brownian path is known
with its space-time area. The error of the expansion is at most a twentieth of the errors that are measured against it.

In law, `arriving` is the same process from a point, whose law is known in closed form; `keeping` starts from a marginal
of the path and must end in one. Samplers are affine maps there (`impulse`), so that no law is estimated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...generative.equations import flow, reverse_sde
from ...generative.paths import GaussianPath
from ...solvers import BrownianTree, Equation, FunctionClock, Noise, Semilinear, Time
from ...solvers.common import host
from ..laws import AFFINE, impulse_response
from ..oracles import Gaussian, Law, marginal, reversed_transition
from .problems import Levels, uniform

__all__ = ["LawProblem", "PathProblem", "Run", "arriving", "curved", "keeping", "reversing"]

Run = Callable[[Equation, Tensor, Tensor, "Noise | None"], Tensor]
"""(equation, x, times, noise) -> the state at the last time."""

PATHS, GROUPS, RATE = 1000, 20, 0.3
DATA = Gaussian(host([0.7]), host([[0.25]]))


@dataclass(frozen=True)
class PathProblem:
    """A stochastic equation with its solution on every path of a Brownian tree, for strong orders.

    Attributes:
        name: in certificates.
        equation: the equation.
        x: the initial states, (paths, 1).
        tree: the Brownian paths.
        exact: the states at the end of the grid.
        grid: grid(n), the times of n steps.
    """

    name: str
    equation: Equation
    x: Tensor
    tree: BrownianTree
    exact: Tensor
    grid: Callable[[int], Tensor] = uniform

    def outcome(self, run: Run, n: int) -> Tensor:
        """The end states of n steps on the shared paths."""
        return run(self.equation, self.x, self.grid(n), self.tree)


@dataclass(frozen=True)
class LawProblem:
    """An equation that maps one Gaussian law to another, for weak orders without sampling.

    Attributes:
        name: in certificates.
        equation: the equation.
        start: the law where the grid starts.
        exact: the law where the grid ends.
        grid: grid(n), the times of n steps.
        kind: "weak", from a point, for the law of the process; or "law", from a marginal, for the marginal alone.
        rounding: how far a method may be off an affine map (see `impulse_response`).
    """

    name: str
    equation: Equation
    start: Law
    exact: Law
    grid: Callable[[int], Tensor]
    kind: str
    rounding: float = AFFINE

    def outcome(self, run: Run, n: int) -> Law:
        """The exact law of the end of n steps."""
        times, dim = self.grid(n), len(self.start.mean)
        found = impulse_response(
            lambda x, noise: run(self.equation, x, times, noise), dim=dim, rounding=self.rounding
        )
        return found.law(self.start)


def _curved_drift(t: Time, x: Tensor) -> Tensor:
    return RATE * (1.0 + 0.5 * math.sin(3.0 * t)) * torch.exp(-x) + 0.3 * math.cos(2.0 * t)


def _itself(t: Tensor) -> Tensor:
    return t


def curved() -> PathProblem:
    """b = 1, a_t = 0.3 (1 + ½ sin 3t), c_t = 0.3 cos 2t, from 1000 points between −½ and ½."""
    cells, rate = 1024, RATE
    x = torch.linspace(-0.5, 0.5, PATHS, dtype=torch.float64, device="cpu").reshape(-1, 1)
    tree = BrownianTree(x, 0.0, 1.0, seed=2, area=True)
    equation = Semilinear(_curved_drift, FunctionClock(torch.ones_like, _itself, _itself, _itself))
    t, h = uniform(cells).reshape(-1, 1, 1), 1.0 / cells
    w, u = _integrals(tree, equation, x, t.flatten().tolist(), torch.full_like(t[:cells], h))
    a, c, mean = rate * (1.0 + 0.5 * (3.0 * t).sin()), 0.3 * (2.0 * t).cos(), 0.15 * (2.0 * t).sin()
    phi = torch.exp(mean[1:] + w.cumsum(0))
    before = torch.cat([torch.ones_like(phi[:1]), phi[:-1]])
    inside = a[:-1] * (h - 0.5 * c[:-1] * h**2 - u + 0.25 * h**2) + 0.5 * a.diff(dim=0) * h
    exact = torch.log(phi[-1] * (x.exp() + (inside / before).sum(0)))
    return PathProblem("curved drift, additive noise", equation, x, tree, exact)


def reversing(path: GaussianPath, hold: str = "x0", eta: float = 1.0) -> PathProblem:
    """The reversed process from 1000 points of one normal law, with its exact state on each Brownian path.

    It runs between the levels of noise of `sampling`, on steps uniform in log-SNR.

    Args:
        path: the path.
        hold: the quantity that an exponential solver holds.
        eta: the noise level of `reverse_sde`.
    """
    grid = Levels(path)
    start, stop = grid.ends
    equation = reverse_sde(DATA.denoiser(path), eta, hold)
    law = marginal(DATA, path, start)
    shares = torch.linspace(0.01, 0.99, PATHS, dtype=torch.float64, device="cpu").reshape(-1, 1)
    x = law.mean + law.cov[0, 0].sqrt() * torch.special.ndtri(shares)
    tree = BrownianTree(x, start, stop, seed=3, area=True)
    times = grid(512)
    q = equation.variance(times).reshape(-1, 1, 1)
    w, u = _integrals(tree, equation, x, times.tolist(), q.diff(dim=0))
    maps = [reversed_transition(DATA, path, eta, s, stop) for s in times[:-1].tolist()]
    means = host([float(each.matrix) for each in maps] + [1.0])
    kernel = (means * equation.clock.scale(times)).reshape(-1, 1, 1)
    # κ is linear in q on a cell: ∫ κ dW = κ₁ ΔW − (Δκ/Δq) U, with U = ∫ (W − W₀) dq.
    driven = (kernel[1:] * w - kernel.diff(dim=0) / q.diff(dim=0) * u).sum(0)
    exact = maps[0].matrix * x + maps[0].offset + driven
    name = f"reversing, {type(path).__name__}, hold {hold}, eta {eta:g}"
    return PathProblem(name, equation, x, tree, exact, grid)


def arriving(path: GaussianPath, hold: str = "x0", eta: float = 1.0, *, solved: float | None = None) -> LawProblem:
    """The reversed process from the point 1.5, between the levels of noise of `sampling`, with its exact law.

    Args:
        path: the path.
        hold: the quantity that an exponential solver holds.
        eta: the noise level of the equation that the solver is given.
        solved: the noise level of the process whose law is exact; `eta` if None. It differs from eta for a solver that
            adds noise of its own.
    """
    grid = Levels(path)
    start, stop = grid.ends
    level = eta if solved is None else solved
    point = Law(host([1.5]), torch.zeros(1, 1, dtype=torch.float64, device="cpu"))
    return LawProblem(
        f"arriving, {type(path).__name__}, hold {hold}, eta {level:g}",
        _equation(path, hold, eta),
        point,
        reversed_transition(DATA, path, level, start, stop).of(point),
        grid,
        "weak",
    )


def keeping(path: GaussianPath, hold: str = "x0", eta: float = 0.0) -> LawProblem:
    """The process from the marginal at the noisy level of `sampling` to the marginal at the clean one.

    Args:
        path: the path.
        hold: the quantity that an exponential solver holds.
        eta: the noise level of `reverse_sde`; 0 for `flow`.
    """
    grid = Levels(path)
    start, stop = grid.ends
    return LawProblem(
        f"keeping, {type(path).__name__}, hold {hold}, eta {eta:g}",
        _equation(path, hold, eta),
        marginal(DATA, path, start),
        marginal(DATA, path, stop),
        grid,
        "law",
    )


def _equation(path: GaussianPath, hold: str, eta: float) -> Semilinear:
    denoiser = DATA.denoiser(path)
    return reverse_sde(denoiser, eta, hold) if eta else flow(denoiser, hold)


def _integrals(
    tree: BrownianTree, equation: Equation, x: Tensor, times: list[float], elapsed: Tensor
) -> tuple[Tensor, Tensor]:
    """ΔW and U = ∫ (W_q − W_{q₀}) dq = Δq (½ ΔW + H) of every cell, each (cells, paths, 1); elapsed: Δq."""
    pairs = [tree.normal_and_area(s, t, equation.variance, x) for s, t in pairwise(times)]
    xi, eta = (torch.stack(values) for values in zip(*pairs, strict=True))
    w = elapsed.sqrt() * xi
    return w, elapsed * (0.5 * w + (elapsed / 12.0).sqrt() * eta)
