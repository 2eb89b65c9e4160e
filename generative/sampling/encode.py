"""Data to noise and back along the probability flow, and how well the way back finds the start.

`decode` solves dx/dt = α' x₀-hat + σ' ε-hat from t = 0 to t = 1 as `sample` does. `encode` solves the same equation on
the same times from 1 to 0. The two flow maps are exact inverses of each other. Their approximations are not: an
explicit step asks the network at the state where it starts, and on the way back it starts at another state. The error
decode(encode(x)) − x falls with the number of steps. A step forth and the same step back together make

    x + C h^{p+1} (1 + (−1)^{p+1}) + O(h^{p+2}).

So a one-step method of even order p returns with order p + 1, and one of odd order p returns with order p (Hairer,
Lubich and Wanner, Geometric Numerical Integration, II.3). A multistep method returns with order p at least. Its
start-up decides, because its errors happen at the noise on one way and at the data on the other.

One of the two ways starts at either end, so that the field must exist at both. At t = 1 it exists for networks that
predict ε, v or the velocity: the field is regular in the clock r even though σ = 0, and the data themselves are
encoded. At t = 0 it exists for networks that predict x₀, v or the velocity. Otherwise `regular_interval`
gives the last regular time.

Sources: Song et al. (2011.13456), section 4.3; Song, Meng and Ermon, DDIM (2010.02502), section 4.3.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...solvers.common import MANY, check_samples, flag, reals, whole, wholes
from ..denoiser import Condition, Denoiser, Label, check_denoiser
from .plan import AnySampler, Plan, plan, resolve
from .replay import table_of
from .sample import conditioned
from .sampler import Sampler

__all__ = ["RoundTrip", "decode", "encode", "round_trip"]

NFE = 50
"""The default budget, in each direction."""


def encode(
    denoiser: Denoiser,
    x: Tensor,
    nfe: int | None = None,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    *,
    sampler: AnySampler = None,
    times: Tensor | Sequence[float] | None = None,
    progress: bool = False,
) -> Tensor:
    """The latents of data: the states at the noisy end of the flow that ends at these data.

    For an exact denoiser they have the law of x_t there, which is N(0, σ² I) where α = 0. The result is differentiable;
    under `torch.no_grad()` nothing is kept for that.

    Args:
        denoiser: the network; it may be guided.
        x: the data, (B, ...), at the clean end.
        nfe: the most network evaluations a sample, by default 50.
        label: as for `sample`.
        guidance: as for `sample`.
        sampler: as for `sample`, but none that draws noise.
        times: the times of the steps, from noise to data or from data to noise, in place of `nfe`.
        progress: show a progress bar on stderr.

    Returns:
        The latents, of x's shape and dtype.

    Raises:
        ValueError: the sampler draws noise; both nfe and times are given; or as `sample` raises.

    Example:
        >>> denoiser = Denoiser(lambda x, time: -x, CondOT(), predicts="velocity")
        >>> z = encode(denoiser, torch.ones(1, 2))
        >>> z  # dx/dt = −x grows by e from t = 1 to t = 0
        tensor([[2.7183, 2.7183]])
        >>> decode(denoiser, z)
        tensor([[1.0000, 1.0000]])
    """
    check_denoiser(denoiser)
    check_samples("x", x)
    made = two_way_plan(conditioned(denoiser, x, len(x), label, guidance), sampler, nfe, times)
    return made.solve(x, to_data=False, progress=flag("progress", progress)).x


def decode(
    denoiser: Denoiser,
    z: Tensor,
    nfe: int | None = None,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    *,
    sampler: AnySampler = None,
    times: Tensor | Sequence[float] | None = None,
    progress: bool = False,
) -> Tensor:
    """The data of latents: the states at the clean end of the flow that starts from these latents.

    For z = σ ξ they are the samples that `sample` makes of the same noise, if the field is regular at both ends.

    Args:
        denoiser: the network; it may be guided.
        z: the latents, (B, ...), at the noisy end.
        nfe: as for `encode`, and so are the other arguments.

    Returns:
        The data, of z's shape and dtype.

    Raises:
        ValueError: as `encode` raises.
    """
    check_denoiser(denoiser)
    check_samples("z", z)
    made = two_way_plan(conditioned(denoiser, z, len(z), label, guidance), sampler, nfe, times)
    return made.solve(z, progress=flag("progress", progress)).x


def two_way_plan(
    denoiser: Denoiser, sampler: AnySampler, nfe: int | None, times: Tensor | Sequence[float] | None = None
) -> Plan:
    """A plan that may be followed in both directions, for a budget or at given times.

    Args:
        denoiser: the network, as `conditioned` makes it.
        sampler: as for `encode`.
        nfe: the most evaluations a sample, by default 50.
        times: the times of the steps, from noise to data or from data to noise, in place of `nfe`.

    Raises:
        ValueError: as `encode` raises.
    """
    if times is None:
        budget = NFE if nfe is None else whole("nfe", nfe, 1, MANY)
        return plan(denoiser, _deterministic(sampler, denoiser, budget // denoiser.cost), budget, both_ways=True)
    given = reals("times", times)
    if nfe is not None:
        raise ValueError(f"Both nfe = {nfe} and {len(given)} times were given; give one of them.")
    if len(given) < 2 or max(given) > 1.0:
        raise ValueError(f"times must be two at least and up to 1, where the data are, but are {list(given)}.")
    rising = torch.tensor(given if given[0] < given[-1] else given[::-1], dtype=torch.float64, device="cpu")
    return Plan(denoiser, _deterministic(sampler, denoiser, len(given) - 1), rising)


def _deterministic(sampler: AnySampler, denoiser: Denoiser, nfe: int) -> Sampler:
    found = resolve(sampler, denoiser, nfe, both_ways=True)
    if found.stochastic:
        raise ValueError(f"{found.name} draws noise, and there is no way back from it; choose a deterministic sampler.")
    if table_of(found) is not None:
        raise ValueError(f"{found.name} is a table from noise to data, and has no way back; choose a named sampler.")
    return found


@dataclass(frozen=True)
class RoundTrip:
    """How far decode(encode(x)) is from x. Print it for the table.

    Args:
        sampler: the name of the sampler.
        dtype: the dtype of the states.
        ends: the noisy and the clean time between which it went.
        steps: the numbers of steps, rising.
        nfe: the evaluations in one direction for each of them; both directions cost the same.
        errors: the root mean square of decode(encode(x)) − x over samples and components.
        floor: the error that the rounding of the dtype leaves at best.
        expected: the order in theory; a multistep method of even order may do better by one.
    """

    sampler: str
    dtype: torch.dtype
    ends: tuple[float, float]
    steps: tuple[int, ...]
    nfe: tuple[int, ...]
    errors: tuple[float, ...]
    floor: float
    expected: int

    @property
    def order(self) -> float:
        """The slope of log error against log steps, by least squares over the errors above a hundred floors.

        It is nan if fewer than two errors are.
        """
        kept = [(math.log(n), math.log(error)) for n, error in self._above()]
        if len(kept) < 2:
            return math.nan
        return -statistics.linear_regression(*zip(*kept, strict=True)).slope

    def _above(self) -> list[tuple[int, float]]:
        pairs = zip(self.steps, self.errors, strict=True)
        return [(n, error) for n, error in pairs if 100.0 * self.floor < error < math.inf]

    def table(self) -> str:
        """A line for each number of steps: evaluations in each direction, error, and order since the line before."""
        lines = [f"{'steps':>7} {'NFE encode':>11} {'NFE decode':>11} {'rms error':>11} {'order':>7}"]
        before: tuple[int, float] | None = None
        for n, nfe, error in zip(self.steps, self.nfe, self.errors, strict=True):
            local = ""
            if before is not None and n != before[0] and error > 0.0:
                local = f"{math.log(before[1] / error) / math.log(n / before[0]):.2f}"
            lines.append(f"{n:>7} {nfe:>11} {nfe:>11} {error:>11.2e} {local:>7}")
            before = n, error
        return "\n".join(lines)

    def __str__(self) -> str:
        return (
            f"decode(encode(x)) − x by {self.sampler}, t = {self.ends[1]:g} to {self.ends[0]:g} and back, "
            f"{str(self.dtype).removeprefix('torch.')}\n{self.table()}\n"
            f"order {self.order:.2f}, in theory at least {self.expected}; rounding leaves {self.floor:.0e}.\n"
            "The inversion is exact in the limit of many steps alone: an explicit step back starts from another state\n"
            "than the step forth did."
        )


def round_trip(
    denoiser: Denoiser,
    x: Tensor,
    budgets: Sequence[int] = (10, 20, 40, 80),
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    *,
    sampler: AnySampler = None,
) -> RoundTrip:
    """Measure how well data are found again after `encode` and `decode`.

    Args:
        denoiser: the network; it may be guided.
        x: the data, (B, ...).
        budgets: numbers of evaluations in each direction.
        label: as for `sample`.
        guidance: as for `sample`.
        sampler: the sampler for all budgets; by default that for the largest.

    Raises:
        ValueError: there are no budgets; or as `encode` raises.
    """
    check_denoiser(denoiser)
    check_samples("x", x)
    budgets = sorted(wholes("budgets", budgets, 1, MANY))
    if not (budgets and x.numel()):
        raise ValueError(
            f"round_trip needs a budget, such as budgets=(10, 20, 40), and samples, but got budgets = {budgets} and "
            f"x of shape {tuple(x.shape)}."
        )
    denoiser = conditioned(denoiser, x, len(x), label, guidance)
    row = _deterministic(sampler, denoiser, budgets[-1] // denoiser.cost)
    plans = [two_way_plan(denoiser, row, budget) for budget in budgets]
    nfe, errors = [], []
    with torch.no_grad():
        for made in plans:
            decoded = made.solve(made.solve(x, to_data=False).x)
            nfe.append(int(decoded.nfe))
            errors.append((decoded.x - x).cpu().double().square().mean().sqrt().item())
    order = row.solver.order
    return RoundTrip(
        row.name,
        x.dtype,
        (plans[-1].times[0].item(), plans[-1].times[-1].item()),
        tuple(len(made.times) - 1 for made in plans),
        tuple(nfe),
        tuple(errors),
        torch.finfo(x.dtype).eps * x.cpu().double().square().mean().sqrt().item(),
        order + 1 if row.solver.one_step and order % 2 == 0 else order,
    )
