"""The controls of the loop: they propose the end of the next step, and judge the step.

`GridControl` walks along a grid. `StepController` chooses step sizes from the norms of the errors, separately for each
group of samples (the formula is in `adaptive`). `SharedControl` is the controller of a batch that steps together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..common import Array, Mask
from .adaptive import EXPONENTS, Adaptive

__all__ = ["GridControl", "SharedControl", "StepController", "Underflow"]


class Underflow(Exception):
    """The step size h of a group of samples fell below the spacing of floats.

    It is internal: the loops turn it into a SolveError.
    """

    def __init__(self, group: int, h: float) -> None:
        super().__init__()
        self.group, self.h = group, h


class GridControl:
    """Proposes the steps of a grid one after the other, and accepts each."""

    h = None  # the grid chooses the steps, not a controller

    def __init__(self, times: Sequence[float]) -> None:
        self.remaining = iter(times[1:])

    def propose(self) -> float | None:
        """The end of the next step; None after the last."""
        return next(self.remaining, None)

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool:
        """True: a grid leaves no choice."""
        return True


class StepController:
    """The run-time side of `Adaptive`: the time of each group of samples, and the length of its next step.

    Args:
        adaptive: the interval, the tolerances and the kind of control.
        first_steps: the length of the first step of each group, (groups,).
        order: p of the error estimate, O(h^p).
    """

    def __init__(self, adaptive: Adaptive, first_steps: Array, order: float) -> None:
        self.adaptive = adaptive
        self.exponents = tuple(beta / order for beta in EXPONENTS[adaptive.control])
        self.order = order
        self.sign = math.copysign(1.0, adaptive.t1 - adaptive.t0)
        self.h = first_steps
        self.t = np.full_like(first_steps, adaptive.t0)
        self.end = self.t
        self.earlier = np.ones((2, len(first_steps)))
        self.retried = np.zeros(len(first_steps), dtype=bool)

    def propose(self) -> Array:
        """The ends of the next steps, (groups,). Raises Underflow if a step is lost in the rounding of t."""
        left = np.abs(self.adaptive.t1 - self.t)
        last = self.h >= 0.99 * left  # no sliver is left over for a last step
        lost = ~last & ~(self.h >= 16.0 * np.spacing(np.abs(self.t)))  # below it, t + h no longer follows h
        if lost.any():
            group = int(lost.argmax())
            raise Underflow(group, float(self.h[group]))
        self.end = np.where(last, self.adaptive.t1, self.t + self.sign * self.h)
        return self.end

    def judge(self, norms: Array) -> Mask:
        """Accept or reject the steps by the norms of their errors, (groups,), and choose the next step sizes."""
        accepted: Mask = norms <= 1.0
        taken = np.abs(self.end - self.t)
        bounded = np.maximum(norms, 1e-10)
        with np.errstate(invalid="ignore", over="ignore"):
            retreat = np.clip(np.nan_to_num(0.9 * bounded ** (-1.0 / self.order), nan=0.1), 0.1, 1.0)
            history = np.stack([bounded, *self.earlier])
            growth = 0.9 * np.prod([e**-beta for e, beta in zip(history, self.exponents, strict=True)], axis=0)
        growth = np.clip(growth, 0.2, np.where(self.retried, 1.0, 10.0))  # just rejected, it may not grow
        self.h = taken * np.where(accepted, growth, retreat)
        self.t = np.where(accepted, self.end, self.t)
        self.earlier = np.where(accepted, history[:2], self.earlier)
        self.retried = ~accepted
        return accepted

    @property
    def finished(self) -> Mask:
        """The groups that have reached the end, a mask (groups,)."""
        return np.equal(self.t, self.adaptive.t1)

    def keep(self, mask: Mask) -> None:
        """Keep only the groups of the mask."""
        self.h, self.t, self.end = self.h[mask], self.t[mask], self.end[mask]
        self.earlier, self.retried = self.earlier[:, mask], self.retried[mask]


class SharedControl:
    """The controller of a batch that steps together: one group, in floats. The arguments are `StepController`'s."""

    def __init__(self, adaptive: Adaptive, first_steps: Array, order: float) -> None:
        self.adaptive = adaptive
        self.controller = StepController(adaptive, first_steps, order)

    @property
    def h(self) -> float:
        """The length of the next step."""
        return float(self.controller.h[0])

    def propose(self) -> float | None:
        """The end of the next step; None at the end. Raises Underflow."""
        return None if self.controller.finished[0] else float(self.controller.propose()[0])

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool:
        """Whether the step from x0 to x1 with this error is accepted. Raises TypeError without an error estimate."""
        if error is None:
            raise TypeError("A method without an error estimate cannot step adaptively; give it a grid of times.")
        return bool(self.controller.judge(self.adaptive.norms(error, x0, x1))[0])
