"""Adaptive steps of each sample's own.

All samples that have not reached the end take one step together, each from its own time and of its own length. A
rejected step is taken back for its sample alone. Finished samples are removed from the batch. A sample's steps depend
on its own error alone, and so does its result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common import Array, Mask, host
from ..solution import BudgetExhausted, Solution, SolveError
from .adaptive import Adaptive
from .base import Stepper, Task
from .control import StepController, Underflow
from .diagnosis import spent, symptoms, tell, underflow
from .grid import columns
from .step import Step

__all__ = ["integrate_per_sample"]

Rows = NDArray[np.int64]
"""Positions of samples in the whole batch."""


class _Samples:
    """All samples of a solve: the times they have reached, their evaluations, and their saved states."""

    def __init__(self, task: Task, start: float, end: float) -> None:
        count = len(task.x)
        self.x, self.start, self.end, self.ledger = task.x, start, end, task.ledger
        self.reached = np.full(count, start)
        self.spent, self.spent_in_vain = np.zeros((2, count), dtype=np.int64)
        self.accepted = self.rejected = 0
        self.saving = isinstance(task.save, tuple)
        self.asked = task.save if isinstance(task.save, tuple) else ()
        self.saved = [task.x for _ in self.asked]

    def account(self, rows: Rows, cost: int, accepted: Mask) -> None:
        """Enter a step of these samples that took `cost` evaluations of each."""
        self.spent[rows] += cost
        self.spent_in_vain[rows[~accepted]] += cost
        self.accepted += int(accepted.sum())
        self.rejected += int((~accepted).sum())

    def save(self, rows: Rows, t0: Array, t1: Array, accepted: Mask, step: Step) -> None:
        """Keep the states at the times asked for that the accepted steps from t0 to t1 have passed."""
        for i, t in enumerate(self.asked):
            passed = accepted & ((t0 < t) & (t <= t1) | (t1 <= t) & (t < t0))
            if passed.any() and step.dense is not None:
                inside = np.where(passed, t, t1)
                states = torch.where(_mask(t1 == inside, step.x), step.x, step.dense(columns(inside, step.x)))
                self.saved[i] = _put(self.saved[i], rows[passed], states[torch.from_numpy(passed)])

    def solution(self, status: str = "completed") -> Solution:
        """The solution of all samples."""
        self.ledger.per_sample = torch.from_numpy(self.spent)
        self.ledger.rejected = int(self.spent_in_vain.max(initial=0))
        nearest = min(self.reached.tolist(), key=lambda t: abs(t - self.start), default=self.end)
        ts = host(self.asked if self.saving else [self.start, nearest])
        xs = torch.stack(self.saved) if self.saved else None
        x = self.x if torch.is_grad_enabled() else self.x.detach()
        return Solution(x, ts, xs, self.accepted, self.rejected, status)


def integrate_per_sample(stepper: Stepper[Any], task: Task, times: Adaptive) -> Solution:
    """Solve a deterministic task with steps of each sample's own.

    Args:
        stepper: a solver with an error estimate that takes samples at different times.
        task: the task, which saves states at given times or none.
        times: its times.

    Raises:
        SolveError: the budget is spent, or a step size falls below the spacing of floats.
    """
    ledger, advance = task.ledger, task.advance(stepper)
    equation, x, whole = task.equation, task.x, times
    samples, rows = _Samples(task, times.t0, times.t1), np.arange(len(x))
    step: Step | None = None
    control: StepController | None = None

    def of_sample(group: int) -> tuple[Tensor | None, float | None]:
        """The symptoms of one sample, with the error at its place in the whole batch."""
        found, rate = symptoms(step, x, times)
        if found is None:
            return None, None
        scaled = torch.zeros_like(task.x)
        scaled[rows[group]] = found[group]
        return scaled, rate

    def failed(message: str, status: str) -> SolveError:
        samples.x = _put(samples.x, rows, x)
        return SolveError(message, samples.solution(status))

    try:
        start = times.start(x)
        state = stepper.init_adaptive(equation, x, times)
        order = stepper.error_order(equation)
        slope = stepper.slope(equation, start, x, state)
        control = StepController(times, times.first_steps(equation.drift, x, slope, order), order)
        samples.spent += ledger.forward
        while len(rows):
            t0, t1, before = control.t, control.propose(), ledger.forward
            step = advance(equation, columns(t0, x), columns(t1, x), x, state, None)
            if step.error is None:
                raise TypeError("A method without an error estimate cannot step adaptively; give it a grid of times.")
            accepted = control.judge(times.norms(step.error, x, step.x))
            samples.account(rows, ledger.forward - before, accepted)
            samples.save(rows, t0, t1, accepted, step)
            chosen = _mask(accepted, x)
            x = torch.where(chosen, step.x, x)
            state = None if state is None else torch.where(chosen, step.state, state)
            samples.reached[rows] = control.t
            if (done := control.finished).any():
                samples.x = _put(samples.x, rows[done], x[torch.from_numpy(done)])
                left = torch.from_numpy(~done)
                control.keep(~done)
                rows, x, state, step = rows[~done], x[left], None if state is None else state[left], None
                index = torch.from_numpy(rows)
                equation, times = task.equation.of_rows(index), whole.of_rows(index, len(task.x))
            task.progress.reach(float(samples.reached.mean()))
    except BudgetExhausted:
        if control is None:
            raise failed(spent(ledger.budget, None, times.t0, None, None), "budget") from None
        group = int(np.abs(control.t - times.t0).argmin())
        message = spent(ledger.budget, float(control.h[group]), float(control.t[group]), *of_sample(group))
        raise failed(message, "budget") from None
    except Underflow as failure:
        t = float(samples.reached[rows[failure.group]])
        raise failed(underflow(failure.h, t, *of_sample(failure.group)), "underflow") from None
    except SolveError:
        raise
    except Exception as error:
        samples.x = _put(samples.x, rows, x)
        tell(error, ledger, lambda: (samples.solution("failed"), float(samples.reached.min())))
        raise
    return samples.solution()


def _mask(values: Mask, x: Tensor) -> Tensor:
    """One truth value a sample, as a tensor of shape (B, 1, …, 1) on x's device."""
    return torch.from_numpy(values).to(x.device).reshape(-1, *(1,) * (x.ndim - 1))


def _put(x: Tensor, rows: Rows, values: Tensor) -> Tensor:
    """x with these rows replaced by the values; differentiable."""
    return x.index_copy(0, torch.from_numpy(rows).to(x.device), values)
