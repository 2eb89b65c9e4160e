"""The solution that errors are measured against, with its own error.

Two solutions by methods that have little in common, a Runge-Kutta method on dx/dt (or the exact flow map, where
there is one) and an exponential Adams method in the equation's own clock, are refined together until they agree:

    rms(x_a − x_b) ≤ 1e-8        over all samples and components.

The difference is kept with the solution: no error is known to more than that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..generative.equations import grids
from ..generative.training import read, write
from ..solvers import Dopri5, ExponentialAdams, solve
from ..solvers.common import check_finite, check_instance, naming, real, whole
from ..verification.statistics import rms
from .ledger import Key
from .problems import Problem, problem

__all__ = ["Reference", "prepare", "refined", "stored"]

TOLERANCE = 1e-8
COARSEST, FINEST = 32, 4096
"""Steps of Dopri5; the other method makes six times as many, for the same price."""


@dataclass(frozen=True)
class Reference:
    """A reference solution.

    Attributes:
        solution: the end points, (samples, ...).
        methods: the two methods that agree.
        agreement: the root mean square of their difference.
        seconds: the time of one evaluation of all samples, on one thread.
    """

    solution: Tensor
    methods: str
    agreement: float
    seconds: float


def refined(problem: Problem, samples: int, seed: int) -> Reference:
    """Solve by two methods on finer and finer grids until they agree.

    Args:
        problem: the problem.
        samples: the number of initial noises.
        seed: of the initial noises.

    Raises:
        TypeError: arguments of another kind.
        ValueError: fewer than one sample, or more than memory holds.
        ArithmeticError: if they do not agree on the finest grid.
    """
    check_instance("problem", problem, Problem, "a problem, such as problem('ring')")
    samples = whole("samples", samples, 1)
    noise, equation = problem.noise(samples, seed), problem.equation(samples)
    exact = problem.exact
    started, spent, n = time.perf_counter(), 0, COARSEST

    def integrate(solver: Dopri5 | ExponentialAdams, steps: int) -> Tensor:
        nonlocal spent
        solution = solve(equation, noise, _fine(problem, steps), solver)
        spent += int(solution.nfe)
        return solution.x

    while True:
        one = exact(noise) if exact else integrate(Dopri5(), n)
        two = integrate(ExponentialAdams(4, corrector=True), 6 * n)
        agreement = rms(one - two)
        if agreement <= TOLERANCE:
            methods = f"{'exact flow map' if exact else 'Dopri5'}, corrected ExponentialAdams(4)"
            return Reference(one, methods, agreement, (time.perf_counter() - started) / spent)
        if n >= FINEST:
            raise ArithmeticError(
                f"No reference for {problem.name!r}: after {spent} evaluations two methods still differ by "
                f"{agreement:.0e}, but must agree to {TOLERANCE:.0e}; its field is too rough in time."
            )
        n *= 2 if agreement <= 64 * TOLERANCE else 4  # of order 5, they gain a factor of 32 at each doubling


def _fine(problem: Problem, steps: int) -> Tensor:
    """The coarsest grid in log-SNR, each of its steps cut into equal parts: its ends too become finer."""
    coarse = grids.log_snr(problem.path, COARSEST, t0=problem.start, t1=problem.end)
    positions = np.linspace(0.0, COARSEST, steps + 1)
    return torch.from_numpy(np.interp(positions, np.arange(COARSEST + 1), coarse.numpy()))


def stored(key: Key, folder: Path) -> Reference | None:
    """The reference that `folder` holds for a run, if any.

    Raises ValueError if it solves another problem, or is not a reference of this run.
    """
    file = _file(key, folder)
    if not file.is_file():
        return None
    tensors, kept = read(file)
    chosen = problem(key.problem)
    if kept.pop("problem", None) != chosen.identity():
        raise ValueError(
            f"{file} solves another version of {key.problem!r}; choose another folder, or delete it."
        )
    with naming(file):
        if kept.pop("run", list(key)) != list(key):
            raise ValueError("It belongs to other initial noises; delete it.")
        solution = tensors.get("solution")
        shape = (key.samples, *chosen.shape)
        if solution is None or solution.shape != shape or solution.dtype != torch.float64 or len(tensors) > 1:
            found = {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()}
            raise ValueError(f"It holds {found}, but must hold the solution, float64 of shape {shape}; delete it.")
        check_finite("the solution", solution)
        check_instance("methods", kept.get("methods"), str, "the names of the methods")
        real("agreement", kept.get("agreement"), 0.0, TOLERANCE)
        real("seconds", kept.get("seconds"), above=0.0)
        return Reference(solution, **kept)


def prepare(key: Key, folder: Path) -> None:
    """Compute the reference of a run and write it into `folder`, atomically."""
    chosen = problem(key.problem)
    found = refined(chosen, key.samples, key.seed)
    facts = {"methods": found.methods, "agreement": found.agreement, "seconds": found.seconds}
    write(_file(key, folder), {"solution": found.solution}, {"problem": chosen.identity(), "run": key, **facts})


def _file(key: Key, folder: Path) -> Path:
    return folder / "references" / f"{key.problem}-seed{key.seed}-samples{key.samples}.safetensors"
