"""What a solver is: class data that declare its orders, a pure step, and the one loop around it.

A `Stepper` gives `init`, which prepares what the steps share (coefficients of the whole grid, the first stage), and
`step`, a pure function of its arguments: the state of a method is returned, never mutated, so that a rejected step
leaves nothing behind. Steps are written in linear arithmetic on states and fields alone: products with numbers, and
`combined`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from .equation import Calculus, Equation, NoiseType
from .noise import Noise
from .progress import Progress
from .solution import BudgetExhausted, Ledger, Solution, SolveError
from .stepping import Adaptive, Grid, Underflow

__all__ = ["Solver", "Step", "Stepper", "Task", "combined"]


@dataclass(frozen=True)
class Task:
    """What `solve` was asked, checked, its equation watched by the ledger."""

    equation: Equation
    x: Tensor
    times: Grid | Adaptive
    noise: Noise | None
    ledger: Ledger
    save: bool
    progress: Progress


class Solver(ABC):
    """How an equation is solved. Orders and abilities are class (or instance) data, and tests read them from there.

    order: of convergence on deterministic equations. strong_order, weak_order: on stochastic ones with additive
    noise. semilinear: needs a `Semilinear` equation. noises: the kinds of noise that it integrates, none for a
    deterministic method. calculi: the calculus in which it reads noise that depends on the state. embedded: estimates
    its error, so that `Adaptive` can drive it. draws: draws noise of its own, on deterministic equations too.
    """

    order: int
    strong_order: float | None = None
    weak_order: float | None = None
    semilinear: ClassVar[bool] = False
    noises: ClassVar[frozenset[NoiseType]] = frozenset()
    calculi: ClassVar[frozenset[Calculus]] = frozenset({"ito"})
    embedded: bool = False
    draws: bool = False

    @property
    def stochastic(self) -> bool:
        """Whether it integrates noise."""
        return bool(self.noises)

    @abstractmethod
    def integrate(self, task: Task) -> Solution:
        """Solve what `solve` has checked."""

    @abstractmethod
    def evaluations(self, n: int) -> int:
        """The number of evaluations of the field on a fixed grid of n steps."""

    def steps(self, nfe: int) -> int:
        """The largest number of steps that takes at most `nfe` evaluations; 0 if there is none."""
        n = 0
        while n < nfe and self.evaluations(n + 1) <= nfe:
            n += 1
        return n

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Step(NamedTuple):
    """x at the end of a step, the method's state there, and the estimate of the local error if there is one."""

    x: Tensor
    state: Any = None
    error: Tensor | None = None


class Stepper(Solver):
    """A solver made of steps. It owns the only loop."""

    def init(self, equation: Equation, x: Tensor, times: Grid | Adaptive) -> Any:
        """The method's state before the first step."""
        return None

    @abstractmethod
    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: Any, noise: Noise | None) -> Step:
        """From x at t0 to t1. Pure: it changes none of its arguments."""

    def slope(self, equation: Equation, t0: float, x: Tensor, state: Any) -> Tensor:
        """dx/dt at the start, from which `Adaptive` chooses the first step."""
        return equation.drift(t0, x)

    def integrate(self, task: Task) -> Solution:
        equation, times, noise, ledger = task.equation, task.times, task.noise, task.ledger
        t, x, rejected = times.t0, task.x, 0
        ts, xs = [t], [x]
        finite = _FiniteWatch(x)

        def solution(status: str = "completed") -> Solution:
            states = torch.stack(xs) if task.save else None
            return Solution(
                x, torch.tensor(ts, dtype=torch.float64), states, ledger.nfe, len(ts) - 1, rejected, status
            )

        try:
            state = self.init(equation, x, times)
            control = times.control(lambda: self.slope(equation, t, x, state), x, self.order)
            while (t1 := control.propose()) is not None:
                spent = ledger.forward
                step = self.step(equation, t, t1, x, state, noise)
                if not control.accepts(step.error, x, step.x):
                    ledger.rejected += ledger.forward - spent
                    rejected += 1
                    continue
                if (trouble := finite.trouble(step.x)) is not None:
                    raise SolveError(_nonfinite(trouble, len(ts), t, t1), solution("nonfinite"))
                t, x, state = t1, step.x, step.state
                ts.append(t)
                if task.save:
                    xs.append(x)
                task.progress.reach(t)
        except BudgetExhausted:
            message = f"max_nfe = {ledger.budget} evaluations were spent at t = {t:g}; allow more, or take fewer steps."
            raise SolveError(message, solution("budget")) from None
        except Underflow as underflow:
            raise SolveError(str(underflow), solution("underflow")) from None
        if (late := finite.late()) is not None:
            raise SolveError(
                _nonfinite(_first_nonfinite(x), late + 1, ts[late], ts[late + 1]), solution("nonfinite")
            )
        return solution()


def combined(x: Tensor, weights: Iterable[float], values: Iterable[Tensor]) -> Tensor:
    """x + Σ w_j v_j, in one operation a term."""
    for weight, value in zip(weights, values, strict=False):
        if weight != 0.0:
            x = x.add(value, alpha=weight)
    return x


def _first_nonfinite(x: Tensor) -> tuple[int, ...]:
    return tuple(torch.nonzero(~torch.isfinite(x))[0].tolist())


def _nonfinite(component: tuple[int, ...], number: int, t0: float, t1: float) -> str:
    return (
        f"The state is not finite after step {number}, from t = {t0:g} to t = {t1:g} (first component "
        f"{component}); the field may be singular there: end earlier, or take smaller steps."
    )


class _FiniteWatch:
    """Finds the first step with a non-finite state: at once on the CPU, at the end elsewhere (no host sync)."""

    def __init__(self, x: Tensor) -> None:
        self.at_once = x.device.type == "cpu"
        self.sums: list[Tensor] = []

    def trouble(self, x: Tensor) -> tuple[int, ...] | None:
        total = x.detach().sum()
        if not self.at_once:
            self.sums.append(total)
            return None
        if math.isfinite(total.item()) or torch.isfinite(x).all():
            return None
        return _first_nonfinite(x)

    def late(self) -> int | None:
        if not self.sums:
            return None
        bad = ~torch.isfinite(torch.stack(self.sums))
        return int(bad.int().argmax()) if bad[-1] else None
