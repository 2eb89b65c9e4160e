"""The messages of a failed solve: where it failed, in which sample and component, how stiff it is, what to try.

Near the limit of stability of an explicit method, two approximations of the state at one time differ mostly along the
fastest mode, so that ρ ≈ ‖f(t, x) − f(t, x')‖ / ‖x − x'‖ is its rate, and h ρ is of the order of 1 to 3 (Hairer and
Wanner, Solving ODEs II, section IV.2, eq. 2.18). A pair whose last two stages are both at the end of the step gives ρ
without a further evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from ..common import truth
from ..field import when
from ..solution import Ledger, Solution, SolveError
from .adaptive import Adaptive
from .grid import Grid
from .record import Record
from .step import Step

__all__ = ["FiniteWatch", "first_nonfinite", "nonfinite", "place", "spent", "symptoms", "tell", "underflow"]

STIFF_FROM = 1.5
"""The h ρ above which accuracy alone no longer explains the step size."""


def place(index: tuple[int, ...]) -> str:
    """Words for the sample and the component that an index into a state points to."""
    return f"sample {index[0]}, component {index[1:]}" if len(index) > 1 else f"sample {index[0]}"


def first_nonfinite(x: Tensor) -> tuple[int, ...] | None:
    """The index of the first component of x that is not finite; None if all are finite, or unknown (`truth`)."""
    finite = torch.isfinite(x)
    return tuple(torch.nonzero(~finite)[0].tolist()) if truth(finite.all()) is False else None


def _finite_sum(x: Tensor) -> bool:
    """Whether the sum of x is finite, or unknown (`truth`)."""
    try:
        return math.isfinite(x.detach().sum().item())
    except RuntimeError:
        return True


class FiniteWatch:
    """Finds the first step with a non-finite state: on the CPU within eight steps, elsewhere at the end.

    A state that is not finite stays so. So on the CPU only every eighth small state is checked, and the states before
    it only where it is not finite. On other devices the host does not wait for a check.
    """

    def __init__(self, x: Tensor) -> None:
        self.soon = x.device.type == "cpu"
        self.every = 8 if x.numel() <= 2**16 else 1
        self.good = x
        self.recent: list[Tensor] = []
        self.sums: list[Tensor] = []

    def due(self, x: Tensor) -> bool:
        """Enter a state; the result says whether it is time for `check`."""
        if not self.soon:
            self.sums.append(x.detach().sum())
            self.recent = [x]
            return False
        self.recent.append(x)
        return len(self.recent) == self.every

    def trouble(self) -> tuple[int, tuple[int, ...]] | None:
        """The number of last states that are not finite, and the first bad component; None if all states are finite.

        Afterwards `good` is the last finite state.
        """
        if self.sums:
            bad = ~torch.isfinite(torch.stack(self.sums))
            if truth(bad[-1]) and (component := first_nonfinite(self.recent[-1])) is not None:
                return int(bad.sum()), component
        if self.recent and not _finite_sum(self.recent[-1]):
            for i, x in enumerate(self.recent):
                if (component := first_nonfinite(x)) is not None:
                    return len(self.recent) - i, component
                self.good = x
        self.good = self.recent[-1] if self.recent else self.good
        self.recent.clear()
        return None

    def check(self, record: Record, rejected: int) -> None:
        """Raise SolveError, with the finite part of the record, if an entered state is not finite."""
        if (found := self.trouble()) is not None:
            steps, component = found
            t0, t1 = record.take_back(steps)
            message = nonfinite(component, record.steps + 1, t0, t1)
            raise SolveError(message, record.solution(self.good, rejected, "nonfinite"))

    def partial(self, record: Record, rejected: int) -> tuple[Solution, float]:
        """The solution until the last finite state, where an exception has ended the solve, and its time."""
        if (found := self.trouble()) is not None:
            record.take_back(found[0])
        return record.solution(self.good, rejected, "failed"), record.reached[-1]


def tell(error: Exception, ledger: Ledger, partial: Callable[[], tuple[Solution, float]]) -> None:
    """Add to a foreign exception where the solve was, and the solution until there as its attribute `solution`.

    Args:
        error: the exception, which keeps its type. One that was raised before any evaluation is about the arguments of
            the solve, and is left as it is.
        ledger: the account of the solve.
        partial: makes the solution until there, and gives its last time.
    """
    if not ledger.depth:
        return
    where = "" if ledger.raised_at is None else f" The field was called at {when(ledger.raised_at)}."
    try:
        found, t = partial()
        error.solution = replace(found, ledger=ledger)  # type: ignore[attr-defined]
    except Exception:  # there is no memory left, or the device has failed
        kept = ""
    else:
        kept = f" Its attribute `solution` is the solution until t = {t:g}, after {found.accepted} accepted steps."
    with suppress(Exception):  # an exception that takes no note is no reason for another one
        error.add_note(f"This was raised within a solve.{where}{kept}")


def symptoms(step: Step | None, x0: Tensor, times: Grid | Adaptive) -> tuple[Tensor | None, float | None]:
    """The symptoms of a failure in the last step.

    Args:
        step: the last step that was tried; None if there is none.
        x0: the state at its start, (B, ...).
        times: the times of the solve.

    Returns:
        The error of the step in units of what is allowed, (B, ...), and the fastest rate that it has met, in 1/time;
        None for what is unknown, such as both on a grid.
    """
    if step is None or step.error is None or not isinstance(times, Adaptive):
        return None, None
    return times.scaled(step.error, x0, step.x), None if step.stiffness is None else step.stiffness()


def nonfinite(index: tuple[int, ...], number: int, t0: float, t1: float) -> str:
    """The message of a state that is not finite after step `number`, first at the component `index`."""
    where = f" (first: {place(index)})" if index else ""
    return (
        f"The state is not finite after step {number}, from t = {t0:g} to t = {t1:g}{where}; the field may be singular "
        "there: end earlier, or take smaller steps."
    )


def underflow(h: float, t: float, scaled: Tensor | None, rate: float | None) -> str:
    """The message of a step size h that is lost in the rounding of t; `scaled` and `rate` are the `symptoms`."""
    finite = scaled is not None and bool(torch.isfinite(scaled).all())
    what = "singular or discontinuous" if finite else "not finite"
    return (
        f"The step size fell to {h:.1e} at t = {t:g}{_worst(scaled)}: the field is {what} there, or the tolerance is "
        f"below the rounding of the state's dtype{_stiffness(h, rate)}; end earlier, or loosen it."
    )


def spent(budget: int | None, h: float | None, t: float, scaled: Tensor | None, rate: float | None) -> str:
    """The message of an exhausted budget at time t; h is the next step, `scaled` and `rate` are the `symptoms`."""
    steps = "" if h is None else f" with steps of {h:.1e}{_worst(scaled)}{_stiffness(h, rate)}"
    return f"max_nfe = {budget} evaluations were spent at t = {t:g}{steps}; allow more, or ask for less."


def _worst(scaled: Tensor | None) -> str:
    """Words for the component with the largest error."""
    if scaled is None:
        return ""
    size = torch.nan_to_num(scaled.abs(), nan=math.inf)
    index = torch.unravel_index(size.argmax(), size.shape)
    return f", limited by {place(tuple(int(i) for i in index))}"


def _stiffness(h: float, rate: float | None) -> str:
    """Words for the fastest rate, and the advice to change the method if the equation is stiff."""
    if rate is None or not math.isfinite(rate):
        return ""
    product = f"; its fastest rate is about {rate:.1e}, {h * rate:.2g} of a step"
    if h * rate < STIFF_FROM:
        return product
    return f"{product}: it is stiff, use ExponentialRK, or SciPy('Radau')"
