"""Anyone's network behind one face.

A network is trained on one kind of prediction (`predicts`) and one clock (`time`); a `Denoiser` says once which,
and everything above it asks for the prediction it needs:

    p x₀ + q ε = a_t x + b_t net(x, clock(t))                  (prediction.conversion)

The network sees its clock as a tensor of shape (B,) in the state's dtype; everywhere else time is a float
(or a tensor of shape (B,), one time a sample). With a threshold every prediction goes through x₀:

    x₀ = threshold(x₀-hat),    ε = (x − α x₀)/σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Self

import torch
from torch import Tensor

from ..paths import GaussianPath, Real, Table
from .conditioning import (
    Condition,
    Label,
    checked_condition,
    checked_label,
    each_tensor,
    for_batch,
    joined,
    label_rows,
    rows,
)
from .preconditioning import EDM
from .prediction import check_kind, coefficients, conversion, per_sample
from .thresholding import Threshold

__all__ = ["Clock", "Denoiser", "make_clock", "network_times"]

Clock = Callable[[Real], Real]
WHOLE = 1e-6
"""So near to a whole number an index is one: 1 − (1 − (i + 1)/T) is not quite (i + 1)/T."""


class Denoiser:
    """A network `net(x, time)` or `net(x, time, label)`, the path it was trained on and what it predicts.

    predicts: one of `prediction.KINDS`. time: the network's clock, "t", "1-t", "sigma" (of the path), "log_snr"
    (log α²/σ²), "half_log_snr" (log α/σ), "index" (of a `Table`, where it is not negative, in float32 at least), or a
    function of t. label: class labels, an
    int, or integers of shape (B,); None calls the network without one. condition: further keyword arguments of the
    network. Tensors with axes have one row a sample, or one for all; the rest passes as it is. precondition: `EDM()`,
    for a network that was trained inside this frame; it predicts x0, and has a clock of its own. learned_variance: the
    network returns twice the channels (axis 1); the second half says where the variance lies between its bounds (Nichol
    and Dhariwal, 2102.09672, eq. 15). threshold: `Static()` or `Dynamic()`, applied to x0-hat.

    `cost` is the number of network evaluations that one call takes, per sample, `spends(t)` that of a call at time t,
    which is no more.

    Raises TypeError for a path that is not Gaussian, and ValueError for a clock that the path does not have and for
    labels that the network does not know. The first call raises where the network's output has the wrong shape.
    """

    cost: int = 1

    def __init__(
        self,
        net: Callable[..., Tensor],
        path: GaussianPath,
        *,
        predicts: str,
        time: str | Clock = "t",
        label: Label | None = None,
        condition: Condition | None = None,
        precondition: EDM | None = None,
        learned_variance: bool = False,
        threshold: Threshold | None = None,
    ) -> None:
        if not isinstance(path, GaussianPath):
            raise TypeError(
                f"path is a {type(path).__name__}; a denoiser needs a Gaussian path, such as CondOT() (an Interpolant "
                "has no score: solve interpolant.flow(net))."
            )
        if precondition is not None and (predicts, time) != ("x0", "t"):
            raise ValueError(
                f"A preconditioned network predicts x0 and sees log(sigma / alpha) / 4, but got predicts={predicts!r} "
                f"and time={time!r}; write predicts='x0', and leave time out."
            )
        self.net, self.path, self.predicts, self.time = net, path, check_kind(predicts), time
        self.precondition, self.learned_variance, self.threshold = precondition, learned_variance, threshold
        self.label, self.condition = checked_label(label, net), checked_condition(condition)
        self._clock = make_clock(path, time)

    @property
    def smooth(self) -> bool:
        """Whether predictions are as smooth in x and t as the network is; otherwise solvers lose their order."""
        return self.threshold is None

    def spends(self, t: Real) -> int | Tensor:
        """Network evaluations of one call at time t; for times of shape (B,) an int64 tensor, or one for all."""
        return self.cost

    def given(self, label: Label | Condition | None) -> Self:
        """The same denoiser with other labels, or, for a mapping, with another condition.

        Raises as the constructor does.
        """
        if isinstance(label, Mapping):
            return self._told(self.label, checked_condition(label))
        return self._told(checked_label(label, self.net), self.condition)

    def of_rows(self, index: Tensor) -> Self:
        """The same denoiser for the samples of these indices."""
        return self.mapped(lambda value: rows(value, index))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same denoiser with `change` applied to every tensor that has a row for each sample."""
        label = change(self.label) if isinstance(self.label, Tensor) else self.label
        return self._told(label, each_tensor(self.condition, lambda _, value: change(value)))

    def joined(self, label: int | Tensor | None, condition: Condition, first: int, x: Tensor) -> Self:
        """The same denoiser for the states x with another label and condition for the first ones.

        Where there is no other label, or none to replace, all keep what they have; so it is with each condition.
        """
        mine = self.label
        if mine is not None and label is not None:
            mine = torch.cat([label_rows(label, first, x), label_rows(mine, len(x), x)[first:]])
        return self._told(mine, joined(self.condition, condition, first, len(x)))

    def _told(self, label: int | Tensor | None, condition: dict[str, Any]) -> Self:
        """With a label and a condition that need no check."""
        told = copy(self)
        told.label, told.condition = label, condition
        return told

    def output(self, t: Real, x: Tensor) -> Tensor:
        """The prediction of kind `predicts` at time t, before the threshold: x of shape (B, ...) -> (B, ...)."""
        return self.output_and_variance(t, x)[0]

    def output_and_variance(self, t: Real, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """`output`, and what the network says of the variance, of x's shape, as it returned it; None if nothing."""
        if self.precondition is None:
            dtype = torch.promote_types(x.dtype, torch.float32) if self.time == "index" else x.dtype
            times = network_times(f"The network's clock, {self.time!r},", self._clock(t), t, x, dtype)
            return self._split(self._network(x, times), x)
        skip, gain, scale, clock = self.precondition.scales(self.path.alpha(t), self.path.sigma(t))
        times = network_times("The network's clock, log(sigma / alpha) / 4,", clock, t, x)
        output, variance = self._split(self._network(per_sample(scale, x) * x, times), x)
        return per_sample(skip, x) * x + per_sample(gain, x) * output, variance

    def _network(self, x: Tensor, times: Tensor) -> Tensor:
        batch = len(x)
        told = each_tensor(self.condition, lambda name, value: for_batch(f"condition {name!r}", value, batch))
        if self.label is None:
            return self.net(x, times, **told)
        return self.net(x, times, label_rows(self.label, batch, x), **told)

    def _split(self, output: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if not isinstance(output, Tensor):
            raise TypeError(f"The network returned a {type(output).__name__}; wrap it so that it returns a tensor.")
        shape = x.shape
        if self.learned_variance:
            if x.ndim < 2:
                raise ValueError("A learned variance doubles the channels, but the state has none; give (B, C, ...).")
            shape = torch.Size((shape[0], 2 * shape[1], *shape[2:]))
        if output.shape != shape:
            double = not self.learned_variance and x.ndim > 1 and output.shape[1:2] == (2 * x.shape[1],)
            fix = "say learned_variance=True" if double else "return that shape"
            raise ValueError(
                f"The network returned shape {tuple(output.shape)} for a state of shape {tuple(x.shape)}, which needs "
                f"{tuple(shape)}; {fix}."
            )
        if not self.learned_variance:
            return output, None
        prediction, variance = output.chunk(2, dim=1)
        return prediction, variance

    def predict(self, kind: str, t: Real, x: Tensor) -> Tensor:
        """The prediction of another kind: "x0", "eps", "v", "velocity" or "score".

        Raises ValueError where it cannot be recovered from what the network predicts.
        """
        if kind == self.predicts and self.threshold is None:
            return self.output(t, x)
        return self.combination(*coefficients(kind, self.path, t), t, x)

    def combination(self, p: Real, q: Real, t: Real, x: Tensor) -> Tensor:
        """p x₀-hat + q ε-hat. Raises ValueError where the network's prediction does not determine it."""
        return self.conversion_to(p, q, t)(x, self.output(t, x))

    def determines(self, p: Real, q: Real, t: float) -> bool:
        """Whether p x₀-hat + q ε-hat exists at t: the prediction determines it, and what the network sees is finite."""
        clean = (1.0, 0.0)
        try:
            source = coefficients(self.predicts, self.path, t)
            ways = [(source, (p, q))] if self.threshold is None else [(source, clean), (clean, (p, q))]
            numbers = [number for start, end in ways for number in conversion(start, end, self.path, t)]
            frame = self.precondition
            seen = [self._clock(t)] if frame is None else frame.scales(self.path.alpha(t), self.path.sigma(t))
            return all(math.isfinite(number) for number in (*numbers, *seen))
        except (ValueError, ZeroDivisionError):
            return False

    def conversion_to(self, p: Real, q: Real, t: Real) -> Callable[[Tensor, Tensor], Tensor]:
        """The map of x and `output(t, x)` to p x₀-hat + q ε-hat, through the threshold if there is one.

        Raises ValueError where the network's prediction does not determine it.
        """
        source = coefficients(self.predicts, self.path, t)
        if (threshold := self.threshold) is None:
            return _affine(*conversion(source, (p, q), self.path, t))
        denoised = _affine(*conversion(source, (1.0, 0.0), self.path, t))
        further = _affine(*conversion((1.0, 0.0), (p, q), self.path, t))
        return lambda x, output: further(x, threshold(denoised(x, output)))

    def __repr__(self) -> str:
        net: Any = getattr(self.net, "__name__", type(self.net).__name__)
        return f"{type(self).__name__}({net}, {self.path}, predicts={self.predicts!r}, time={self.time!r})"


def _affine(from_x: Real, from_output: Real) -> Callable[[Tensor, Tensor], Tensor]:
    """(x, y) -> from_x x + from_output y, without arithmetic where that is y."""
    if not isinstance(from_x, Tensor) and (from_x, from_output) == (0.0, 1.0):
        return lambda x, output: output
    return lambda x, output: per_sample(from_x, x) * x + per_sample(from_output, x) * output


def make_clock(path: GaussianPath, time: str | Clock) -> Clock:
    """A clock by name, or a function of t as it is. Raises ValueError for a clock that the path does not have."""
    if callable(time):
        return time
    clocks: dict[str, Clock] = {
        "t": lambda t: t,
        "1-t": lambda t: 1.0 - t,
        "sigma": path.sigma,
        "log_snr": path.log_snr,
        "half_log_snr": path.half_log_snr,
    }
    if time == "index":
        return _index(path)
    if time not in clocks:
        raise ValueError(f"Unknown clock {time!r}; choose one of {', '.join(clocks)}, index, or give a function of t.")
    return clocks[time]


def _index(path: GaussianPath) -> Clock:
    """The index of a table, 0 between its cleanest level and the clean sample."""
    if not isinstance(path, Table):
        raise ValueError(f"Only a Table of betas has the clock 'index', but the path is {path}; choose another clock.")

    def index(t: Real) -> Real:
        value = path.index(t)
        if not isinstance(value, Tensor):
            return max(float(round(value)) if abs(value - round(value)) < WHOLE else value, 0.0)
        nearest = value.round()
        return torch.where((value - nearest).abs() < WHOLE, nearest, value).clamp(min=0.0)

    return index


def network_times(what: str, clock: Real, t: Real, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A clock's value at t as a network sees it: (B,), in the state's dtype if no other is said.

    Raises ValueError if it is infinite.
    """
    dtype = x.dtype if dtype is None else dtype
    if isinstance(clock, Tensor):
        return clock.to(x.device, dtype).expand(len(x))
    if not math.isfinite(clock):
        raise ValueError(f"{what} is {clock} at t = {t:g}; start or end at another time.")
    return x.new_full((len(x),), clock, dtype=dtype)
