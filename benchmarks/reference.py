"""The solution that errors are measured against, with its own error.

Two solutions by methods that have little in common, a Runge-Kutta method on dx/dt (or the exact flow map, where
there is one) and an exponential Adams method in the equation's own clock, are refined together until they agree:

    rms(x_a − x_b) ≤ 1e-8 rms(x_a)        over all samples and components.

A network that is rough in time, of few digits or noisy cannot be solved so far. Then refining ends where it no longer
pays, or where the evaluations are spent, and the two that differ least are kept. Their difference is the floor: no
error is known to more than that. The solution is that of the method which the last refinement has changed less: it is
the nearer one, and its error is below the floor unless both err alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from ..generative.equations import grids
from ..generative.training import read, write
from ..solvers import Dopri5, ExponentialAdams, SolveError, solve
from ..solvers.common import Progress, check_fields, check_finite, check_instance, choice, naming, real, whole
from ..verification.statistics import rms
from .problems import Problem

__all__ = ["EFFORT", "Reference", "keep", "reference", "stored"]

TOLERANCE = 1e-8
EFFORT, LEAST = 20_000, 100
"""The evaluations that are allowed if nobody says, and the fewest."""
COARSEST = 32
"""Steps of Dopri5, six evaluations each; the Adams method makes six times as many steps, for the same price."""
SLOW = 0.75
"""Errors below h^SLOW do not pay: independent errors of all evaluations average out as √h, a jump of the field as h."""

Ended = Literal["settled", "stalled", "spent"]
"""Why refining has ended: the methods agree, refining no longer pays, or the evaluations are spent."""


@dataclass(frozen=True)
class Reference:
    """A reference solution.

    Attributes:
        solution: the end points, (samples, ...), in float64 on the CPU.
        floors: how far two unrelated methods differ, the root mean square over the components, (samples,).
        methods: the two methods; the solution is of the first.
        ended: "settled", "stalled" or "spent".
        effort: the evaluations that were allowed.
        seconds: the time of one evaluation of all samples.
    """

    solution: Tensor
    floors: Tensor
    methods: str
    ended: Ended
    effort: int
    seconds: float

    @property
    def floor(self) -> float:
        """The root mean square of the floors: what the rms of an error is known to."""
        return rms(self.floors)

    @property
    def settled(self) -> bool:
        """Whether the two methods agree to 1e-8 of the solution."""
        return self.ended == "settled"


class _Level(NamedTuple):
    """The solutions of both methods at one fineness, and the root mean square of their difference."""

    n: int
    solutions: tuple[Tensor, Tensor]
    difference: float


@torch.no_grad()
def reference(
    problem: Problem, samples: int, seed: int, effort: int = EFFORT, bar: Progress | None = None
) -> Reference:
    """Solve by two methods on finer and finer grids until they agree, or it no longer pays.

    Args:
        problem: the problem.
        samples: the number of initial noises.
        seed: of the initial noises.
        effort: the evaluations of all samples that are allowed, at least 100.
        bar: a bar from 0 to 1 that shows the share of them that is made.

    Raises:
        TypeError: arguments of another kind.
        ValueError: a number out of range, or more samples than memory holds.
        ArithmeticError: on every grid one of the methods runs into what is not finite.
    """
    check_instance("problem", problem, Problem, "a problem, such as problem('ring')")
    samples, effort = whole("samples", samples, 1), whole("effort", effort, LEAST)
    noise, equation, exact = problem.noise(samples, seed), problem.equation(samples), problem.exact
    started, spent, failure = time.perf_counter(), 0, ""

    def integrate(solver: Dopri5 | ExponentialAdams, n: int, steps: int) -> Tensor:
        nonlocal spent, failure
        ends, grid = torch.empty_like(noise), _fine(problem, steps)
        for first in range(0, samples, problem.at_once):
            if bar is not None:
                made = spent + 6 * n * problem.denoiser.cost * first / samples
                bar.reach(made / effort, f"reference, {steps} steps")
            rows = torch.arange(first, min(first + problem.at_once, samples), device="cpu")
            try:
                solution = solve(equation.of_rows(rows), noise[rows], grid, solver)
            except SolveError as error:
                spent, failure = spent + int(error.solution.nfe), str(error)
                return torch.full_like(noise, math.nan)
            ends[rows] = solution.x
        spent += int(solution.nfe)
        return ends

    def level(n: int) -> _Level:
        one = exact(noise) if exact else integrate(Dopri5(), n, n)
        two = integrate(ExponentialAdams(4, corrector=True), n, 6 * n)
        difference = rms(one - two)
        return _Level(n, (one, two), difference if math.isfinite(difference) else math.inf)

    price = (7 if exact else 13) * problem.denoiser.cost  # of a level, for each n, with the starts of multistep methods
    levels = [level(min(COARSEST, effort // price))]
    while (ended := _ended(levels)) is None:
        last = levels[-1]
        near = last.difference <= 64.0 * TOLERANCE * rms(last.solutions[0])
        finer = last.n * (2 if near else 4)  # of order 5, they gain a factor of 32 at each doubling
        n = min(finer, (effort - spent) // price)
        if n < 1.5 * last.n:
            ended = "spent"
            break
        levels = [*levels[-2:], level(n)]
    best = min(levels, key=lambda each: each.difference)
    if math.isinf(best.difference):
        raise ArithmeticError(f"No reference for {problem.name!r}: {failure}")
    names = ("exact flow map" if exact else "Dopri5", "corrected ExponentialAdams(4)")
    first = 0 if exact else _steadier(levels)
    solution, other = best.solutions[first].cpu(), best.solutions[1 - first].cpu()
    floors = (solution - other).flatten(1).square().mean(1).sqrt()
    methods = f"{names[first]}, {names[1 - first]}"
    return Reference(solution, floors, methods, ended, effort, (time.perf_counter() - started) / spent)


def _ended(levels: Sequence[_Level]) -> Ended | None:
    """Whether finer grids are in vain: the methods agree, or the last two refinements gained little."""
    if levels[-1].difference <= TOLERANCE * rms(levels[-1].solutions[0]):
        return "settled"
    slow = [fine.difference > coarse.difference * (coarse.n / fine.n) ** SLOW for coarse, fine in pairwise(levels)]
    return "stalled" if len(slow) > 1 and all(slow) else None


def _steadier(levels: Sequence[_Level]) -> int:
    """Which method the last refinement has changed less; without one, that of the more even steps."""
    if len(levels) == 1:
        return 1
    moved = [rms(fine - coarse) for fine, coarse in zip(levels[-1].solutions, levels[-2].solutions, strict=True)]
    return int(not moved[0] < moved[1])


def _fine(problem: Problem, steps: int) -> Tensor:
    """The coarsest grid in log-SNR, each of its steps cut into equal parts: its ends too become finer."""
    coarse = grids.log_snr(problem.path, COARSEST, t0=problem.start, t1=problem.end)
    positions = np.linspace(0.0, COARSEST, steps + 1)
    return torch.from_numpy(np.interp(positions, np.arange(COARSEST + 1), coarse.numpy()))


def stored(problem: Problem, samples: int, seed: int, effort: int = EFFORT, *, folder: Path) -> Reference | None:
    """The reference that `folder` holds, if any, unless twice the effort or more is allowed now and may help.

    Raises ValueError if the file is damaged, or is no reference of these initial noises.
    """
    file = _file(problem, samples, seed, folder)
    if not file.is_file():
        return None
    tensors, kept = read(file)
    with naming(file):
        if kept.pop("problem", None) != problem.identity() or kept.pop("run", None) != [samples, seed]:
            raise ValueError("It belongs to another problem or to other initial noises; delete it.")
        wanted = {"solution": (samples, *problem.shape), "floors": (samples,)}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.dtype == torch.float64}
        if found != wanted or len(found) < len(tensors):
            held = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
            raise ValueError(f"It holds {held}, but must hold float64 of the shapes {wanted}; delete it.")
        for name, tensor in tensors.items():
            check_finite(f"The {name}", tensor)
        known = Reference(tensors["solution"], tensors["floors"], **kept)
        check_instance("methods", known.methods, str, "the names of the methods")
        choice("ended", known.ended, get_args(Ended))
        check_fields(known, whole, "effort", low=LEAST)
        check_fields(known, real, "seconds", above=0.0)
    return None if known.ended == "spent" and 2 * known.effort <= effort else known


def keep(found: Reference, problem: Problem, samples: int, seed: int, *, folder: Path) -> None:
    """Write a reference into `folder`, atomically."""
    tensors = {"solution": found.solution, "floors": found.floors}
    facts = {key: value for key, value in vars(found).items() if key not in tensors}
    of = {"problem": problem.identity(), "run": [samples, seed]}
    write(_file(problem, samples, seed, folder), tensors, of | facts)


def _file(problem: Problem, samples: int, seed: int, folder: Path) -> Path:
    return folder / "references" / f"{problem.digest}-seed{seed}-samples{samples}.safetensors"
