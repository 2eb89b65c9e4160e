"""Data to noise and back along the probability flow, and how well the way back finds the start.

`decode` solves dx/dt = α' x₀-hat + σ' ε-hat from t = 0 to t = 1 as `sample` does, `encode` the same equation on the
same times from 1 to 0. Both flow maps are exact inverses of each other; their approximations are not, because an
explicit step asks the network at the state where it starts, which on the way back is another one. What is left after
both, decode(encode(x)) − x, falls with the number of steps: a step forth and the same step back together make

    x + C h^{p+1} (1 + (−1)^{p+1}) + O(h^{p+2}),

so that a one-step method of even order p returns with order p + 1 (Hairer, Lubich and Wanner, Geometric Numerical
Integration, II.3), one of odd order with p, and a multistep method at least with p: its start-up, whose errors happen
at the noise on one way and at the data on the other, decides.

A time is an end of both ways only if the field exists there, since one of them starts at it: t = 1 is such a time for
networks that predict ε, v or the velocity, where the field is regular in the clock r even though σ = 0, and so the data
themselves are encoded; t = 0 for those that predict x₀, v or the velocity. Otherwise `ends` gives the last regular one.

Sources: Song et al. (2011.13456), section 4.3; Song, Meng and Ermon, DDIM (2010.02502), section 4.3.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoiser import Condition, Denoiser, Label
from .plan import AnySampler, Plan, chosen, plan
from .sample import conditioned
from .sampler import Sampler

__all__ = ["RoundTrip", "decode", "encode", "round_trip"]

NFE = 50


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
    """The latents of data: x of shape (B, ...) at the clean end -> the state at the noisy end, of x's shape and dtype.

    For an exact denoiser they have the law of x_t there, N(0, σ² I) where α = 0.
    nfe: the most evaluations a sample, by default 50. label, guidance, sampler: as for `sample`, but no sampler that
    draws noise. times: exactly those, from noise to data in either direction, instead of `nfe`. Differentiable;
    under `torch.no_grad()` nothing is kept for that.

    Raises ValueError for a stochastic sampler, for both nfe and times, and what `sample` raises of network and budget.
    """
    made = _plan(conditioned(denoiser, x, len(x), label, guidance), sampler, nfe, times)
    return made.solve(x, to_data=False, progress=progress).x


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
    """The data of latents: z of shape (B, ...) at the noisy end -> the state at the clean end. Arguments as `encode`.

    For z = σ ξ it is what `sample` makes of the same noise, where the field is regular at both ends.
    """
    made = _plan(conditioned(denoiser, z, len(z), label, guidance), sampler, nfe, times)
    return made.solve(z, progress=progress).x


def _plan(
    denoiser: Denoiser, sampler: AnySampler, nfe: int | None, times: Tensor | Sequence[float] | None = None
) -> Plan:
    """A plan that may be followed both ways, of that many evaluations or at these times."""
    if times is None:
        budget = NFE if nfe is None else nfe
        return plan(denoiser, _deterministic(sampler, budget // denoiser.cost), budget, both_ways=True)
    if nfe is not None:
        raise ValueError(f"Both nfe = {nfe} and {len(times)} times were given; give one of them.")
    given = torch.as_tensor(times, dtype=torch.float64)
    return Plan(denoiser, _deterministic(sampler, len(given) - 1), given, float(given.min()))


def _deterministic(sampler: AnySampler, nfe: int) -> Sampler:
    found = chosen(sampler, nfe)
    if found.stochastic:
        raise ValueError(f"{found.name} draws noise, and there is no way back from it; choose a deterministic sampler.")
    return found


@dataclass(frozen=True)
class RoundTrip:
    """decode(encode(x)) against x. Print it for the table.

    steps, nfe: of each row, in one direction; both directions cost the same. errors: rms of decode(encode(x)) − x over
    samples and components. floor: what the rounding of the dtype leaves at best. order: the slope of log error against
    log steps, by least squares over the errors above a hundred floors; nan for less than two of them. expected: the
    order in theory; a multistep method of even order may do better by one. ends: the times between which it went.
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
        kept = [(math.log(n), math.log(error)) for n, error in self._above()]
        if len(kept) < 2:
            return math.nan
        return -statistics.linear_regression(*zip(*kept, strict=True)).slope

    def _above(self) -> list[tuple[int, float]]:
        pairs = zip(self.steps, self.errors, strict=True)
        return [(n, error) for n, error in pairs if 100.0 * self.floor < error < math.inf]

    def table(self) -> str:
        """Steps, evaluations in each direction, error, and the order from one row to the next."""
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
            "than the step forth."
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
    """How well x, (B, ...), is found again after `encode` and `decode` with each of `budgets` evaluations a direction.

    sampler: the same for all budgets, by default that for the largest. Raises what `encode` raises.
    """
    if not budgets:
        raise ValueError("round_trip needs at least one budget, such as budgets=(10, 20, 40).")
    budgets = sorted(budgets)
    denoiser = conditioned(denoiser, x, len(x), label, guidance)
    row = _deterministic(sampler, budgets[-1] // denoiser.cost)
    plans = [_plan(denoiser, row, budget) for budget in budgets]
    nfe, errors = [], []
    with torch.no_grad():
        for made in plans:
            decoded = made.solve(made.solve(x, to_data=False).x)
            nfe.append(int(decoded.nfe))
            errors.append((decoded.x - x).double().square().mean().sqrt().item())
    order = row.solver.order
    return RoundTrip(
        row.name,
        x.dtype,
        (plans[-1].times[0].item(), plans[-1].times[-1].item()),
        tuple(len(made.times) - 1 for made in plans),
        tuple(nfe),
        tuple(errors),
        torch.finfo(x.dtype).eps * x.double().square().mean().sqrt().item(),
        order + 1 if row.solver.one_step and order % 2 == 0 else order,
    )
