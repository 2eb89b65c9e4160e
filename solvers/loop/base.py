"""The contract of a solver: its abilities, a pure step, and the one loop around it.

A `Stepper` gives `init`, which prepares what the steps share (the coefficients of a whole grid, the first stage), and
`step`, a pure function of its arguments. A step returns the method's state instead of changing it, so that a rejected
step leaves nothing behind. Steps consist of linear arithmetic on states, field values and normals alone (products with
numbers, and `combined`), so that they run on symbolic linear forms as well (`unroll`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, get_args

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..common import Progress, choice, flag, real, whole
from ..equation import Calculus, Equation, NoiseType
from ..field import Time
from ..noise import Noise
from ..solution import BudgetExhausted, Ledger, Solution, SolveError
from .adaptive import Adaptive
from .control import GridControl, SharedControl, Underflow
from .diagnosis import FiniteWatch, spent, symptoms, tell, underflow
from .grid import Grid
from .record import Record, Save
from .step import Step

__all__ = ["Abilities", "EquationT", "Solver", "Stepper", "Task"]

EquationT = TypeVar("EquationT", bound=Equation, contravariant=True)
"""The equations that a stepper takes."""


@dataclass(frozen=True)
class Abilities:
    """The declarations of a solver. Every field is also an attribute of the solver: `solver.order`.

    Attributes:
        order: the order of convergence on deterministic equations.
        strong_order: the strong order on stochastic equations with additive noise; None if there is none.
        weak_order: the weak order there; None if there is none.
        semilinear: whether it needs a `Semilinear` equation.
        noises: the kinds of noise that it integrates; none for a deterministic method.
        calculi: the calculi in which it reads noise that depends on the state.
        embedded: whether it estimates its error, so that `Adaptive` can drive it.
        dense: whether it knows the states between its adaptive steps.
        draws: whether it draws noise of its own, on deterministic equations too.
        one_step: whether a step depends on the past by x alone.
        timewise: whether samples may be at different times, so that `Adaptive(per_sample=True)` can drive it.
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

    def __post_init__(self) -> None:
        whole("order", self.order, 0)
        for name, order in (("strong_order", self.strong_order), ("weak_order", self.weak_order)):
            if order is not None:
                real(name, order, above=0.0)
        for name in ("semilinear", "embedded", "dense", "draws", "one_step", "timewise"):
            flag(name, getattr(self, name))
        for noise in self.noises:
            choice("noise", noise, get_args(NoiseType))
        for calculus in self.calculi:
            choice("calculus", calculus, get_args(Calculus))


@dataclass(frozen=True)
class Task:
    """The checked arguments of `solve`.

    Attributes:
        equation: the equation, whose fields the ledger watches.
        x: the initial state, (B, ...).
        times: the grid, or the interval and the tolerances.
        noise: what drives the equation or the solver; None if nothing does.
        ledger: counts the evaluations.
        save: which states to keep.
        progress: the progress bar.
        checkpoint: whether a backward pass keeps the state of each step alone.
    """

    equation: Equation
    x: Tensor
    times: Grid | Adaptive
    noise: Noise | None
    ledger: Ledger
    save: Save
    progress: Progress
    checkpoint: bool = False

    def advance(self, stepper: Stepper[Any]) -> Callable[..., Step]:
        """The stepper's step; with `checkpoint`, one that keeps its arguments alone for a backward pass."""
        if not self.checkpoint:
            return stepper.step

        def advance(equation: Any, t0: Any, t1: Any, x: Tensor, state: Any, noise: Noise | None) -> Step:
            # torch walks through every argument, and the state may hold the plan of the whole grid: it gets x alone
            try:
                step: Step = checkpoint(
                    lambda x: stepper.step(equation, t0, t1, x, state, noise), x, use_reentrant=False
                )
            except RuntimeError as error:
                if "saved tensor hooks" not in str(error):
                    raise
                raise ValueError(
                    "checkpoint=True cannot be inside torch.func.grad, vjp or jacrev; leave it out, or use backward()."
                ) from None
            return step

        return advance


def _ability(name: str) -> Any:
    """The field of that name in `abilities`, as an attribute of the solver."""
    return property(lambda solver: getattr(solver.abilities, name))


class Solver(ABC):
    """A way to solve equations. A class or an instance of it declares its `abilities`."""

    abilities: Abilities
    evaluations_per_step: int | None = None
    """Evaluations of the field in each step of a fixed grid; None if steps differ, or only the solve can tell."""

    order: int = _ability("order")
    strong_order: float | None = _ability("strong_order")
    weak_order: float | None = _ability("weak_order")
    semilinear: bool = _ability("semilinear")
    noises: frozenset[NoiseType] = _ability("noises")
    calculi: frozenset[Calculus] = _ability("calculi")
    embedded: bool = _ability("embedded")
    dense: bool = _ability("dense")
    draws: bool = _ability("draws")
    one_step: bool = _ability("one_step")
    timewise: bool = _ability("timewise")

    @property
    def stochastic(self) -> bool:
        """Whether it integrates noise."""
        return bool(self.noises)

    @abstractmethod
    def integrate(self, task: Task) -> Solution:
        """Solve what `solve` has checked. Raises SolveError where the end cannot be reached."""

    def evaluations(self, n: int) -> int | None:
        """The number of evaluations of the field on a fixed grid of n steps; None if only the solve can tell."""
        n = whole("n", n, 0)
        return None if self.evaluations_per_step is None else self.evaluations_per_step * n

    def steps(self, nfe: int) -> int:
        """The largest number of steps that is known to take at most `nfe` evaluations; 0 if there is none."""
        budget = whole("nfe", nfe, 0)

        def needed(n: int) -> int:
            found = self.evaluations(n)
            return budget + 1 if found is None else found

        return bisect_right(range(1, budget + 2), budget, key=needed)  # one step may take no evaluation

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Stepper(Solver, Generic[EquationT]):
    """A solver made of steps, for equations of one kind: `Stepper[Equation]` takes all of them."""

    def init(self, equation: EquationT, x: Tensor, times: Grid) -> Any:
        """The method's state before the first step of a grid."""
        return None

    def init_adaptive(self, equation: EquationT, x: Tensor, times: Adaptive) -> Any:
        """The method's state before the first adaptive step; with `per_sample`, None or a tensor (B, ...)."""
        return None

    @abstractmethod
    def step(self, equation: EquationT, t0: Any, t1: Any, x: Tensor, state: Any, noise: Noise | None) -> Step:
        """One step. It is pure: it changes none of its arguments.

        Args:
            equation: the equation.
            t0: the time of x: a float or, if samples are at different times, float64 (B, 1, …, 1) on the host.
            t1: the time at the end of the step, of the same type and shape.
            x: the state at t0, (B, ...).
            state: the method's state at t0, as `init`, `init_adaptive` or the step before returned it.
            noise: what drives the equation or the method; None if nothing does.
        """

    def slope(self, equation: EquationT, t0: Time, x: Tensor, state: Any) -> Tensor:
        """dx/dt at the start, from which `Adaptive` chooses the first step."""
        return equation.drift(t0, x)

    def error_order(self, equation: EquationT) -> float:
        """p of the error estimate, O(h^p)."""
        return self.order

    def integrate(self, task: Task) -> Solution:
        """Solve with steps that all samples share; `integrate_per_sample` gives each sample its own."""
        equation: Any = task.equation  # `solve` has checked that it is one of ours
        times, noise, ledger = task.times, task.noise, task.ledger
        t, x, rejected = times.t0, task.x, 0
        step: Step | None = None
        record, finite, advance = Record(task.save, t, x), FiniteWatch(x), task.advance(self)
        control: GridControl | SharedControl | None = None
        try:
            if isinstance(times, Grid):
                state = self.init(equation, x, times)
                control = GridControl(times.times)
            else:
                state = self.init_adaptive(equation, x, times)
                order = self.error_order(equation)
                slope = self.slope(equation, t, x, state)
                control = SharedControl(times, times.first_steps(equation.drift, x, slope, order), order)
            while (t1 := control.propose()) is not None:
                before = ledger.forward
                step = advance(equation, t, t1, x, state, noise)
                if not control.accepts(step.error, x, step.x):
                    ledger.rejected += ledger.forward - before
                    rejected += 1
                    continue
                record.add(t1, step.x, step.dense)
                t, x, state = t1, step.x, step.state
                if finite.due(x):
                    finite.check(record, rejected)
                task.progress.reach(t)
        except BudgetExhausted:
            h = control.h if control is not None else None
            message = spent(ledger.budget, h, t, *symptoms(step, x, times))
            raise SolveError(message, record.solution(x, rejected, "budget")) from None
        except Underflow as failure:
            message = underflow(failure.h, t, *symptoms(step, x, times))
            raise SolveError(message, record.solution(x, rejected, "underflow")) from None
        except SolveError:
            raise
        except Exception as error:
            tell(error, ledger, partial(finite.partial, record, rejected))  # no lambda: its variables are slower
            raise
        finite.check(record, rejected)
        return record.solution(x, rejected, "completed")
