"""A network with its conventions: what it predicts, on which path, on which clock.

A network is trained on one kind of prediction (`predicts`) and on one clock (`time`). A `Denoiser` states both, and
gives every other prediction:

    p x₀ + q ε = a_t x + b_t net(x, clock(t))                  (prediction.conversion)

The network sees its clock as a tensor (B,). Everywhere else a time is a float, or a tensor (B,) with one time a sample.
The network computes in its own dtype, and everything else is computed in that of the state (`own_dtype`). With a
threshold every prediction is made from the thresholded x₀:

    x₀ = threshold(x₀-hat),    ε = (x − α x₀)/σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from ...solvers.common import check_callable, check_floating, check_instance, check_unchanged, flag, mark_of
from ..paths import GaussianPath, Scalar
from .clocks import Clock, make_clock, network_times
from .conditioning import Conditions, Label, check_taken, checked_condition, checked_label
from .nested import Condition, rows
from .precision import own_dtype
from .preconditioning import EDM
from .prediction import KINDS, Conversion, check_kind, checked_times, coefficients, conversion, per_sample
from .thresholding import Threshold

__all__ = ["Denoiser", "check_denoiser"]


class Denoiser:
    """A network `net(x, time)` or `net(x, time, label)`, with the path on which it was trained and what it predicts.

    `cost` is the largest number of network evaluations of one call, per sample; `evaluations(t)` is that of a call at
    time t.

    Args:
        net: the network: x of shape (B, ...) and times (B,), to a tensor of the shape of x. It sees floating-point
            numbers in the dtype of its weights, or, without weights, in that of the state. Its output is converted to
            the dtype of the state, under autocast too. It must not change x in place.
        path: the path on which it was trained.
        predicts: the kind of its prediction, one of `KINDS`: "x0", "eps", "v", "velocity", "score".
        time: its clock: "t", "1-t", "sigma" (of the path), "log_snr" (log α²/σ²), "half_log_snr" (λ = log α/σ),
            "index" (of a `Table`, at least 0, in float32 at least), or a function of t, a float or a tensor, whose
            integers the network sees as integers.
        label: its class label, an int for all samples, or integers (B,). None calls the network without a label.
        condition: its further keyword arguments. Tensors with axes have one row a sample, or one row for all samples;
            other values are passed unchanged. Mappings, lists and tuples are searched for tensors.
        precondition: `EDM()` for a network that was trained inside this frame; it predicts x0 and has its own clock.
        learned_variance: whether the network returns twice the channels (axis 1). The second half says where the
            variance of a step lies between its bounds (Nichol and Dhariwal, 2102.09672, eq. 15).
        threshold: `Static()` or `Dynamic()`, applied to x0-hat.

    Raises:
        TypeError: for a path that is not Gaussian, for labels that are no integers, for a label or a condition that
            the network does not take, and for arguments of another kind.
        ValueError: for an unknown kind, for a clock that the path does not have, and for labels that the network does
            not know. The first call raises one if the output of the network has the wrong shape.

    Example:
        >>> denoiser = Denoiser(lambda x, time: torch.zeros_like(x), CondOT(), predicts="x0")
        >>> denoiser.predict("eps", 0.75, torch.ones(1, 2))
        tensor([[4., 4.]])
    """

    cost: int = 1
    kinds: ClassVar[tuple[str, ...]] = KINDS
    """What a network may predict."""
    times: ClassVar[tuple[str, ...]] = ("time",)
    """The names of the times that the network sees."""

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
        check_callable("net", net, f"a network, net(x, {', '.join(self.times)})")
        if precondition is not None:
            check_instance("precondition", precondition, EDM, "EDM()")
        if threshold is not None:
            check_callable("threshold", threshold, "Static() or Dynamic()")
        self.net, self.path, self.predicts, self.time = net, path, check_kind(predicts, self.kinds), time
        self.precondition, self.threshold = precondition, threshold
        self.learned_variance = flag("learned_variance", learned_variance)
        self.conditions = Conditions(checked_label(label, net), checked_condition(condition))
        check_taken(net, self.conditions, self.times)
        self._clock = make_clock(path, time)

    @property
    def label(self) -> int | Tensor | None:
        """The class label, an int, or int64 (B,); None if there is none."""
        return self.conditions.label

    @property
    def condition(self) -> Condition:
        """The further keyword arguments of the network."""
        return self.conditions.keywords

    @property
    def smooth(self) -> bool:
        """Whether predictions are as smooth in x and t as the network is. If not, solvers lose their order."""
        return self.threshold is None

    def evaluations(self, t: Scalar) -> int | Tensor:
        """Network evaluations of one call at time t: an int, or, for times (B,), int64 of shape (B,) or one for all."""
        return self.cost

    def given(self, label: Label | Condition | None) -> Self:
        """The same denoiser with another label, or, for a mapping, with other keyword arguments.

        Args:
            label: as `label` of the constructor; or, if it is a mapping, as `condition`.

        Raises:
            TypeError, ValueError: as the constructor does.
        """
        if isinstance(label, Mapping):
            keywords = checked_condition(label)
            check_taken(self.net, Conditions(self.label, keywords), self.times)
            return self.map_conditions(lambda own: Conditions(own.label, keywords))
        checked = checked_label(label, self.net)
        check_taken(self.net, Conditions(checked, self.condition), self.times)
        return self.map_conditions(lambda own: Conditions(checked, own.keywords))

    def of_rows(self, index: Tensor) -> Self:
        """The same denoiser for the samples `index`, int64 (n,), of the batch."""
        return self.map_rows(lambda value: rows(value, index))

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same denoiser with `change(tensor)` in place of every tensor that has a row a sample."""
        return self.map_conditions(lambda own: own.map_rows(change))

    def map_conditions(self, change: Callable[[Conditions], Conditions]) -> Self:
        """The same denoiser with `change(conditions)` in place of the conditions of its network, unchecked."""
        changed = copy(self)
        changed.conditions = change(self.conditions)
        return changed

    def output(self, t: Scalar, x: Tensor) -> Tensor:
        """The prediction of kind `predicts`, before the threshold.

        Args:
            t: the time, a float or (B,).
            x: the states, (B, ...).

        Returns:
            A tensor of the shape of x.
        """
        return self.output_and_variance(t, x)[0]

    def output_and_variance(self, t: Scalar, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """`output`, and the learned variance as the network returned it: two tensors of the shape of x.

        The variance is None for a network that learned none.
        """
        if self.precondition is None:
            return self._network(f"The network's clock, {self.time!r},", self._clock(t), t, x)
        skip, gain, scale, clock = self.precondition.scales(self.path.alpha(t), self.path.sigma(t))
        name = "The network's clock, log(sigma / alpha) / 4,"
        output, variance = self._network(name, clock, t, per_sample(scale, x) * x)
        return per_sample(skip, x) * x + per_sample(gain, x) * output, variance

    def _network(self, name: str, clock: Scalar, t: Scalar, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The output of the network, and the learned variance, in the dtype of x."""
        own = own_dtype(self.net)
        seen = x if own is None or own == x.dtype else x.to(own)  # a call that converts nothing takes time, too
        dtype = torch.promote_types(seen.dtype, torch.float32) if self.time == "index" else seen.dtype
        labels, keywords = self.conditions.arguments(x, own)
        times, mark = self._network_times(name, clock, t, x, dtype), mark_of(x)
        output = self.net(seen, *times, *labels, **keywords)
        check_unchanged("The network", x, mark)
        return self._checked(output, x)

    def _network_times(
        self, name: str, clock: Scalar, t: Scalar, x: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """The times that the network sees, each (B,)."""
        return (network_times(name, clock, t, x, dtype),)

    def _checked(self, output: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The prediction and the learned variance in an output of the network for the states x."""
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
        output = output if output.dtype == x.dtype else output.to(x.dtype)
        if not self.learned_variance:
            return output, None
        prediction, variance = output.chunk(2, dim=1)
        return prediction, variance

    def predict(self, kind: str, t: Scalar, x: Tensor) -> Tensor:
        """The prediction of a kind, after the threshold if there is one.

        Args:
            kind: one of `KINDS`: "x0", "eps", "v", "velocity", "score".
            t: the time, a float or (B,).
            x: the states, (B, ...).

        Returns:
            A tensor of the shape of x.

        Raises:
            TypeError: for a t that is no number, and for an x that is no floating-point tensor.
            ValueError: for an unknown kind, for another number of times, and where the output of the network does not
                determine this one.
        """
        check_floating("x", x)
        if x.ndim == 0:
            raise ValueError("x has no axes, but must hold samples, (B, ...); give x[None].")
        t = checked_times(t, x)
        if kind == self.predicts and self.threshold is None:
            return self.output(t, x)
        return self.combination(*self._row(kind, t), t, x)

    def combination(self, p: Scalar, q: Scalar, t: Scalar, x: Tensor) -> Tensor:
        """p x₀-hat + q ε-hat, after the threshold if there is one.

        Args:
            p: a float or (B,).
            q: a float or (B,).
            t: the time, a float or (B,).
            x: the states, (B, ...).

        Returns:
            A tensor of the shape of x.

        Raises:
            ValueError: where the output of the network does not determine the combination.
        """
        return self.conversion_to(p, q, t)(x, self.output(t, x))

    def gives(self, kind: str, t: float) -> bool:
        """Whether `predict(kind, t, x)` exists."""
        if kind == self.predicts and self.threshold is None:
            return self._sees(t)
        try:
            return self.determines(*self._row(kind, t), t)
        except ValueError:
            return False

    def determines(self, p: Scalar, q: Scalar, t: float) -> bool:
        """Whether p x₀-hat + q ε-hat exists at t: the output determines it, and all that the network sees is finite."""
        try:
            found = self.conversion_to(p, q, t)
        except ValueError:
            return False
        numbers = [*found] if isinstance(found, Conversion) else [*found.to_x0, *found.from_x0]
        return all(map(math.isfinite, numbers)) and self._sees(t)

    def _sees(self, t: float) -> bool:
        """Whether the network's clock has a finite value at t."""
        if self.precondition is not None:
            return math.isfinite(self.precondition.scales(self.path.alpha(t), self.path.sigma(t)).clock)
        try:
            return math.isfinite(self._clock(t))
        except ValueError:
            return False

    def conversion_to(self, p: Scalar, q: Scalar, t: Scalar) -> Conversion | Thresholded:
        """The map from x and `output(t, x)` to p x₀-hat + q ε-hat, with the threshold if there is one.

        Raises:
            ValueError: where the output of the network does not determine the combination.
        """
        source = self._row(self.predicts, t)
        if self.threshold is None:
            return conversion(source, (p, q), self.path, t)
        x0 = 1.0, 0.0
        to_x0, from_x0 = conversion(source, x0, self.path, t), conversion(x0, (p, q), self.path, t)
        return Thresholded(to_x0, self.threshold, from_x0)

    def from_output(self, kind: str, t: Scalar, x: Tensor, output: Tensor) -> Tensor:
        """The prediction of a kind that belongs to an output, before the threshold: for rules of guidance in x₀ or ε.

        Args:
            kind: one of `KINDS`.
            t: the time, a float or (B,).
            x: the states, (B, ...).
            output: a prediction of kind `predicts` at t and x, (B, ...).

        Returns:
            A tensor of the shape of x.

        Raises:
            ValueError: where the output does not determine this kind.
        """
        return self._converted(self.predicts, kind, t, x, output)

    def to_output(self, kind: str, t: Scalar, x: Tensor, prediction: Tensor) -> Tensor:
        """The prediction of kind `predicts` that belongs to one of another kind: the inverse of `from_output`."""
        return self._converted(kind, self.predicts, t, x, prediction)

    def _converted(self, source: str, target: str, t: Scalar, x: Tensor, prediction: Tensor) -> Tensor:
        if source == target:
            return prediction
        row, wanted = (self._row(kind, t) for kind in (source, target))
        return conversion(row, wanted, self.path, t)(x, prediction)

    def _row(self, kind: str, t: Scalar) -> tuple[Scalar, Scalar]:
        """The pair (p, q) of a kind of prediction, p x₀ + q ε."""
        return coefficients(kind, self.path, t)

    def __repr__(self) -> str:
        net: Any = getattr(self.net, "__name__", type(self.net).__name__)
        return f"{type(self).__name__}({net}, {self.path}, predicts={self.predicts!r}, time={self.time!r})"


def check_denoiser(value: object) -> None:
    """Raises TypeError unless the value is a denoiser."""
    check_instance("denoiser", value, Denoiser, "Denoiser(net, path, predicts=...), or load(name)")


class Thresholded(NamedTuple):
    """A conversion through the thresholded x₀."""

    to_x0: Conversion
    threshold: Threshold
    from_x0: Conversion

    def __call__(self, x: Tensor, output: Tensor) -> Tensor:
        return self.from_x0(x, self.threshold(self.to_x0(x, output)))
