"""The steps that an error estimate allows.

`Adaptive` accepts a step from x₀ to x₁ with estimated local error e when

    ‖s‖ ≤ 1,        s_i = e_i / (atol_i + rtol_i max(|x₀ᵢ|, |x₁ᵢ|)),

and chooses the next one from the last three such norms,

    h ← 0.9 h ‖s_n‖^{−β₁/p} ‖s_{n−1}‖^{−β₂/p} ‖s_{n−2}‖^{−β₃/p},        e = O(h^p),

which is an I controller (integral), a PI controller (proportional-integral) or a PID controller. The norm is taken over
the whole state, and the samples of a batch share their steps. With `per_sample` it is taken over each sample
separately, and each sample has its own steps.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, section II.4 (norm and first step), and II, IV.2 (PI); Söderlind,
Digital filters in adaptive time-stepping (2003); Kennedy and Carpenter (2003), Appl. Numer. Math. 44 (PID).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..common import Array, array, check_callable, choice, flag, host, matching, real
from ..field import Function, Time
from .grid import columns
from .tolerances import NORMS, Norm, OfRows, like, of_rows, same, sizes, tolerances

__all__ = ["EXPONENTS", "Adaptive"]

Control = Literal["I", "PI", "PID"]
EXPONENTS: dict[Control, tuple[float, float, float]] = {
    "I": (1.0, 0.0, 0.0),
    "PI": (0.7, -0.4, 0.0),
    "PID": (0.58, -0.21, 0.1),
}
"""β₁, β₂, β₃."""


@dataclass(frozen=True, eq=False)
class Adaptive:
    """Steps from t0 to t1 whose lengths follow from the solver's own error estimate.

    With per_sample=True a field is called with one time a sample: t is a float64 tensor of shape (B,) on the host, for
    x of shape (B, ...). For x of shape (B, d) a field then writes t[:, None] * x. Finished samples leave the batch, so
    that B falls during the solve.

    Components of different scales need an `atol` of each: give a tensor. A padded batch needs a `norm`: the root mean
    square counts the entries of the padding, whose errors are zero, so that the steps grow with the padding. A function
    that leaves them out gives the steps of the samples without their padding:

        >>> mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])        # (B, length): 1 for an entry, 0 for padding
        >>> def over_entries(error: Tensor) -> Tensor:
        ...     return ((mask * error**2).sum(1) / mask.sum(1)).sqrt()
        >>> times = Adaptive(0.0, 1.0, rtol=1e-5, atol=1e-5, norm=over_entries)

    Args:
        t0: the first time.
        t1: the last time, before or after t0.
        rtol: the relative tolerance of one step's error: a number, or a tensor that broadcasts to the state. It has no
            default: it is the accuracy that you ask for.
        atol: the absolute tolerance of one step's error, in the unit of the state; of the same types. It has no default
            either. Where it is zero, rtol is not, and the other way round.
        per_sample: whether each sample has its own steps, so that its result does not depend on the other samples.
        control: "I", "PI" or "PID".
        norm: the size of the scaled error s: "rms", the root mean square; "max", the largest; or a function that maps
            s, (B, ...), to one number a sample, (B,). It sees all samples of the batch at their places; the error of a
            finished one is zero. A batch that shares its steps takes the root mean square of the samples' numbers.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: a tolerance is negative, or both are zero, the times are equal or not finite, the control or the
            norm is unknown, or a number requires a gradient.
    """

    t0: float
    t1: float
    rtol: float | Tensor
    atol: float | Tensor
    per_sample: bool
    control: Control
    norm: Norm

    def __init__(
        self,
        t0: float,
        t1: float,
        *,
        rtol: float | Tensor,
        atol: float | Tensor,
        per_sample: bool = False,
        control: Control = "PI",
        norm: Norm = "rms",
    ) -> None:
        start, end = real("t0", t0), real("t1", t1)
        if start == end or math.isinf(end - start):
            raise ValueError(f"Adaptive needs two different times at a finite distance, but got {start} and {end}.")
        relative, absolute = tolerances(rtol, atol)
        if isinstance(norm, str):
            choice("norm", norm, NORMS)
        else:
            check_callable("norm", norm, "'rms', 'max', or a function from the scaled error, (B, ...), to (B,)")
        given: dict[str, Any] = {"t0": start, "t1": end, "rtol": relative, "atol": absolute, "norm": norm}
        given |= {"per_sample": flag("per_sample", per_sample)}
        given |= {"control": choice("control", control, get_args(Control))}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Adaptive):
            return NotImplemented
        return all(same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def __hash__(self) -> int:  # of tensors nothing
        return hash((self.t0, self.t1, self.per_sample, self.control))

    def like(self, x: Tensor) -> Adaptive:
        """The same times, with tolerances that are numbers, or tensors like the state x, (B, ...).

        Raises:
            ValueError: a tolerance does not broadcast to x, or lies below its rounding: no estimate could ever meet it.
        """
        found = self
        if isinstance(self.rtol, Tensor) or isinstance(self.atol, Tensor):
            found = replace(self, rtol=like("rtol", self.rtol, x), atol=like("atol", self.atol, x))
        eps = torch.finfo(x.dtype).eps
        if (found.norms(eps * x, x, x) > 0.25).any():
            given = {"rtol": self.rtol, "atol": self.atol}
            what = " and ".join(f"{name} = {value:g}" for name, value in given.items() if isinstance(value, float))
            raise ValueError(
                f"{what or 'rtol and atol'} lie below the rounding of a {x.dtype} state ({eps:.1e} of it); loosen rtol "
                f"to {8 * eps:.0e}, or give x in float64."
            )
        return found

    def of_rows(self, index: Tensor, batch: int) -> Adaptive:
        """The times of some samples: their tolerances, and their part of the norm.

        Args:
            index: the positions of the samples, int64.
            batch: the number of all samples.
        """
        if isinstance(self.norm, str) and isinstance(self.rtol, float) and isinstance(self.atol, float):
            return self
        rtol, atol = (of_rows(tolerance, index) for tolerance in (self.rtol, self.atol))
        norm = self.norm if isinstance(self.norm, str) else OfRows(self.norm, index, batch)
        return replace(self, rtol=rtol, atol=atol, norm=norm)

    def scaled(self, error: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """The error of a step from x0 to x1 in units of what is allowed, componentwise: (B, ...)."""
        error = error.detach()
        scaled = error / (self.atol + self.rtol * torch.maximum(x0.detach().abs(), x1.detach().abs()))
        if isinstance(self.atol, float) and self.atol > 0.0:
            return scaled
        return torch.where(error == 0.0, 0.0, scaled)

    def norms(self, error: Tensor, x0: Tensor, x1: Tensor) -> Array:
        """The norm of the scaled error: of each sample, (B,), or of the whole state, (1,)."""
        scaled = self.scaled(error, x0, x1)
        scaled = scaled.to(torch.promote_types(scaled.dtype, torch.float32))
        found = host(sizes(self.norm, scaled, self.per_sample))
        try:
            return array(found)
        except RuntimeError:
            raise ValueError(
                "Adaptive steps follow from the numbers of the state, which has none of its own under vmap; give a "
                "grid, or the whole batch as x with per_sample=True."
            ) from None

    def time(self, values: Array, x: Tensor) -> Time:
        """The times of the groups as a step takes them: a float, or one time a sample, (B, 1, …, 1)."""
        return columns(values, x) if self.per_sample else float(values[0])

    def start(self, x: Tensor) -> Time:
        """t0 as a step takes it: a float, or once a sample, (B, 1, …, 1)."""
        return self.time(np.full(len(x) if self.per_sample else 1, self.t0), x)

    def first_steps(self, drift: Function, x: Tensor, slope: Tensor, order: float) -> Array:
        """The lengths of the first steps, (groups,), which make a local error near 1 % of what is allowed.

        Args:
            drift: f(t, x). It is called once, at the end of a short Euler step.
            x: the initial state, (B, ...).
            slope: f there, (B, ...).
            order: p of the error estimate, O(h^p).

        Raises:
            ValueError: no error at all is allowed of a component that moves.
        """
        size, speed = self.norms(x, x, x), self.norms(slope, x, x)
        if np.isinf(speed).any() and torch.isfinite(slope).all():
            raise ValueError("With atol = 0 no error is allowed where the state is zero; give a positive atol there.")
        length, sign = abs(self.t1 - self.t0), math.copysign(1.0, self.t1 - self.t0)
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = np.where((size > 1e-5) & (speed > 1e-5), 0.01 * size / speed, 1e-6)
            guess = np.minimum(np.nan_to_num(guess, nan=1e-6), length)
            h = self.time(sign * guess, x)
            short = (matching(h, x) if isinstance(h, Tensor) else h) * slope
            there = drift(self.time(self.t0 + sign * guess, x), x + short)
            change = self.norms(there - slope, x, x) / guess
            fastest = np.fmax(speed, change)
            step = np.where(fastest > 1e-15, (0.01 / fastest) ** (1.0 / order), 1e-6)
        first: Array = np.minimum(np.minimum(100.0 * guess, np.nan_to_num(step, nan=1e-6)), length)
        return first
