"""What a failed solve says: where, which sample and component, how stiff, and what to try.

Near the limit of stability of an explicit method, two approximations of the state at one time differ mostly along the
fastest mode, so that ρ ≈ ‖f(t, x) − f(t, x')‖ / ‖x − x'‖ is its rate, and h ρ is of the order of 1 to 3 (Hairer and
Wanner, Solving ODEs II, section IV.2, eq. 2.18). Pairs whose last two stages are both at the end of the step give ρ
for nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["FiniteWatch", "first_nonfinite", "nonfinite", "place", "spent", "underflow"]

STIFF_FROM = 1.5
"""h ρ from which accuracy alone no longer explains the step size."""


def place(index: tuple[int, ...]) -> str:
    """The sample and the component of an index into a state."""
    return f"sample {index[0]}, component {index[1:]}" if len(index) > 1 else f"sample {index[0]}"


def first_nonfinite(x: Tensor) -> tuple[int, ...] | None:
    """The index of the first component that is not finite."""
    finite = torch.isfinite(x)
    return None if finite.all() else tuple(torch.nonzero(~finite)[0].tolist())


class FiniteWatch:
    """Finds the first step with a non-finite state: on the CPU soon, elsewhere at the end (no host sync).

    What is not finite stays so: of small states every eighth is looked at, and those before it where it is not.
    """

    def __init__(self, x: Tensor) -> None:
        self.soon = x.device.type == "cpu"
        self.every = 8 if x.numel() <= 2**16 else 1
        self.good = x
        self.recent: list[Tensor] = []
        self.sums: list[Tensor] = []

    def due(self, x: Tensor) -> bool:
        """Enters a state, and says whether it is time to look."""
        if not self.soon:
            self.sums.append(x.detach().sum())
            self.recent = [x]
            return False
        self.recent.append(x)
        return len(self.recent) == self.every

    def trouble(self) -> tuple[int, tuple[int, ...]] | None:
        """How many of the last states are not finite, and a component of the first; `good` is the one before it."""
        if self.sums:
            bad = ~torch.isfinite(torch.stack(self.sums))
            return (int(bad.sum()), first_nonfinite(self.recent[-1]) or ()) if bad[-1] else None
        if self.recent and not math.isfinite(self.recent[-1].detach().sum().item()):
            for i, x in enumerate(self.recent):
                if (component := first_nonfinite(x)) is not None:
                    return len(self.recent) - i, component
                self.good = x
        self.good = self.recent[-1] if self.recent else self.good
        self.recent.clear()
        return None


def nonfinite(index: tuple[int, ...], number: int, t0: float, t1: float) -> str:
    where = f" (first: {place(index)})" if index else ""
    return (
        f"The state is not finite after step {number}, from t = {t0:g} to t = {t1:g}{where}; the field may be singular "
        "there: end earlier, or take smaller steps."
    )


def underflow(h: float, t: float, scaled: Tensor | None, rate: float | None) -> str:
    """scaled: the error of the last step, in units of what was allowed."""
    finite = scaled is not None and bool(torch.isfinite(scaled).all())
    what = "singular or discontinuous" if finite else "not finite"
    return (
        f"The step size fell to {h:.1e} at t = {t:g}{_worst(scaled)}: the field is {what} there, or the tolerance is "
        f"below the rounding of the state's dtype{_stiffness(h, rate)}; end earlier, or loosen it."
    )


def spent(budget: int | None, h: float | None, t: float, scaled: Tensor | None, rate: float | None) -> str:
    steps = "" if h is None else f" with steps of {h:.1e}{_worst(scaled)}{_stiffness(h, rate)}"
    return f"max_nfe = {budget} evaluations were spent at t = {t:g}{steps}; allow more, or ask for less."


def _worst(scaled: Tensor | None) -> str:
    if scaled is None:
        return ""
    size = torch.nan_to_num(scaled.abs(), nan=math.inf)
    index = torch.unravel_index(size.argmax(), size.shape)
    return f", limited by {place(tuple(int(i) for i in index))}"


def _stiffness(h: float, rate: float | None) -> str:
    if rate is None or not math.isfinite(rate):
        return ""
    product = f"; its fastest rate is about {rate:.1e}, {h * rate:.2g} of a step"
    if h * rate < STIFF_FROM:
        return product
    return f"{product}: it is stiff, use ExponentialRK, or SciPy('Radau')"
