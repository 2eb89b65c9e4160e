"""What a solver is: class data that declare its orders, a pure step, and the one loop around it.

A `Stepper` gives `init`, which prepares what the steps share (coefficients of the whole grid, the first stage), and
`step`, a pure function of its arguments: the state of a method is returned, never mutated, so that a rejected step
leaves nothing behind. Steps are written in linear arithmetic on states, fields and normals alone, products with numbers
and `combined`, so that they run on symbolic linear forms as well (`unroll`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..common import Progress
from ..equation import Calculus, Equation, NoiseType
from ..field import Time
from ..noise import Noise
from ..solution import BudgetExhausted, Ledger, Solution, SolveError
from .control import Follow, Shared, Underflow
from .diagnosis import FiniteWatch, nonfinite, spent, underflow
from .per_sample import integrate_per_sample
from .record import Record, Save
from .times import Adaptive, Grid

__all__ = ["Solver", "Step", "Stepper", "Task", "combined"]


@dataclass(frozen=True)
class Task:
    """What `solve` was asked, checked, its equation watched by the ledger."""

    equation: Equation
    x: Tensor
    times: Grid | Adaptive
    noise: Noise | None
    ledger: Ledger
    save: Save
    progress: Progress
    checkpoint: bool = False

    def advance(self, stepper: Stepper) -> Callable[..., Step]:
        """The stepper's step, which with `checkpoint` keeps nothing for a backward pass but its arguments."""
        if not self.checkpoint:
            return stepper.step
        return partial(checkpoint, stepper.step, use_reentrant=False)


class Solver(ABC):
    """How an equation is solved. Orders and abilities are class (or instance) data, and tests read them from there.

    order: of convergence on deterministic equations. strong_order, weak_order: on stochastic ones with additive
    noise. semilinear: needs a `Semilinear` equation. noises: the kinds of noise that it integrates, none for a
    deterministic method. calculi: the calculus in which it reads noise that depends on the state. embedded: estimates
    its error, so that `Adaptive` can drive it. dense: knows the states between its adaptive steps. draws: draws noise
    of its own, on deterministic equations too. one_step: a step depends on the past by x alone. timewise: samples may
    be at different times, so that `Adaptive(per_sample=True)` and `Picard` can drive it.
    """

    order: int
    strong_order: float | None = None
    weak_order: float | None = None
    semilinear: bool = False
    noises: frozenset[NoiseType] = frozenset()
    calculi: frozenset[Calculus] = frozenset({"ito"})
    embedded: bool = False
    dense: bool = False
    draws: bool = False
    one_step: bool = False
    timewise: bool = False

    @property
    def stochastic(self) -> bool:
        """Whether it integrates noise."""
        return bool(self.noises)

    @abstractmethod
    def integrate(self, task: Task) -> Solution:
        """Solve what `solve` has checked."""

    @abstractmethod
    def evaluations(self, n: int) -> int | None:
        """The number of evaluations of the field on a fixed grid of n steps; None if only the solve can tell."""

    def steps(self, nfe: int) -> int:
        """The largest number of steps that is known to take at most `nfe` evaluations; 0 if there is none."""
        n = 0
        while n < nfe and (needed := self.evaluations(n + 1)) is not None and needed <= nfe:
            n += 1
        return n

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Step(NamedTuple):
    """One step: x at its end and the method's state there.

    error: the estimate of the local error, if there is one. at: the state at a time within the step, to the method's
    order. rate: the fastest rate of the field that the step has met (see `diagnosis`).
    """

    x: Tensor
    state: Any = None
    error: Tensor | None = None
    at: Callable[[Time], Tensor] | None = None
    rate: Callable[[], float] | None = None


class Stepper(Solver):
    """A solver made of steps. It owns the loop."""

    def init(self, equation: Equation, x: Tensor, times: Grid | Adaptive) -> Any:
        """The method's state before the first step."""
        return None

    @abstractmethod
    def step(self, equation: Equation, t0: Any, t1: Any, x: Tensor, state: Any, noise: Noise | None) -> Step:
        """From x at t0 to t1. Pure: it changes none of its arguments."""

    def slope(self, equation: Equation, t0: Time, x: Tensor, state: Any) -> Tensor:
        """dx/dt at the start, from which `Adaptive` chooses the first step."""
        return equation.drift(t0, x)

    def error_order(self, equation: Equation) -> float:
        """p of the error estimate, O(h^p)."""
        return self.order

    def integrate(self, task: Task) -> Solution:
        if isinstance(task.times, Adaptive) and task.times.per_sample:
            return integrate_per_sample(self, task, task.times)
        equation, times, noise, ledger = task.equation, task.times, task.noise, task.ledger
        t, x, rejected = times.t0, task.x, 0
        step: Step | None = None
        record, finite, advance = Record(task.save, t, x), FiniteWatch(x), task.advance(self)

        def verify() -> None:
            if (trouble := finite.trouble()) is not None:
                back, component = trouble
                t0, t1 = record.take_back(back)
                message = nonfinite(component, record.steps + 1, t0, t1)
                raise SolveError(message, record.solution(finite.good, rejected, "nonfinite"))

        def symptoms() -> tuple[Tensor | None, float | None]:
            """The error of the last step, in units of what was allowed, and the rate that it met."""
            if step is None or step.error is None or not isinstance(times, Adaptive):
                return None, None
            return times.scaled(step.error, x, step.x), None if step.rate is None else step.rate()

        control: Follow | Shared | None = None
        try:
            state = self.init(equation, x, times)
            if isinstance(times, Grid):
                control = Follow(times.times)
            else:
                order = self.error_order(equation)
                slope = self.slope(equation, t, x, state)
                control = Shared(times, times.first_steps(equation.drift, x, slope, order), order)
            while (t1 := control.propose()) is not None:
                before = ledger.forward
                step = advance(equation, t, t1, x, state, noise)
                if not control.accepts(step.error, x, step.x):
                    ledger.rejected += ledger.forward - before
                    rejected += 1
                    continue
                record.add(t1, step.x, step.at)
                t, x, state = t1, step.x, step.state
                if finite.due(x):
                    verify()
                task.progress.reach(t)
        except BudgetExhausted:
            h = control.h if control is not None else None
            message = spent(ledger.budget, h, t, *symptoms())
            raise SolveError(message, record.solution(x, rejected, "budget")) from None
        except Underflow as failure:
            message = underflow(failure.h, t, *symptoms())
            raise SolveError(message, record.solution(x, rejected, "underflow")) from None
        verify()
        return record.solution(x, rejected, "completed")


def combined(x: Tensor, weights: Iterable[Any], values: Iterable[Tensor]) -> Tensor:
    """x + Σ w_j v_j, in one operation a term; a weight is a float, or a tensor with one number a sample."""
    for weight, value in zip(weights, values, strict=False):
        if isinstance(weight, Tensor):
            x = x + weight * value
        elif weight != 0.0:
            x = x.add(value, alpha=weight)
    return x
