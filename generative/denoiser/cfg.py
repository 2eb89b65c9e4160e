"""Guidance maps denoisers to denoisers.

Classifier-free guidance extrapolates from the unconditional prediction through the conditional one,

    ỹ = (1 − w) y(x, ∅) + w y(x, c),

w = 0 unconditional, w = 1 conditional, w > 1 guided. Autoguidance extrapolates from a worse model through a better one.
The weights sum to one, so that both commute with the affine conversions between kinds of prediction: guiding the
velocity, the score or x₀ is the same. Guidance with w other than 0 and 1 samples from neither model, nor from
p(x)^{1−w} p(x|c)^w.

Another rule is a subclass of `CFG` that overrides `combine`.

Sources: Ho and Salimans, Classifier-Free Diffusion Guidance (2207.12598), eq. 6, with their 1 + w written w;
Kynkäänniemi et al. (2404.07724), guidance in an interval; Lin et al. (2305.08891), section 3.4, rescaling; Karras et
al., Guiding a Diffusion Model with a Bad Version of Itself (2406.02507), eq. 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor

from ...solvers.common import real, whole
from ..paths import Scalar
from .clocks import make_clock
from .conditioning import Conditions, Label, checked_condition, checked_label
from .denoiser import Denoiser
from .guided import Guided
from .nested import Condition, check_negative

__all__ = ["CFG", "AutoGuidance"]


class CFG(Guided):
    """Classifier-free guidance of a conditional denoiser: two evaluations, in one batched call.

    A variance that the network learned is that of the conditional branch.

    Args:
        denoiser: the conditional denoiser, with a label or further conditions.
        weight: w, a number, or floating-point numbers (B,) with one a sample; further axes are those of the state, so
            that (B, 1, F, 1, 1) is one a frame.
        null: the label that stands for "no label"; None takes `null_label` of the network.
        negative: what to guide away from, in place of null: a label as in `Denoiser`, or a mapping with other tensors
            for some of the denoiser's conditions.
        interval: (low, high), the levels of noise between which, both included, there is guidance. Elsewhere the
            output is that of the conditional denoiser, at half the cost. None guides everywhere.
        interval_in: the clock of the interval: "log_snr", "half_log_snr", "sigma" or another name of a clock.
        rescale: φ in [0, 1]. The guided output is scaled by 1 − φ + φ s_c/s, where s is its standard deviation over
            each sample, and s_c that of the conditional output. It is computed in the kind that the network predicts;
            in another kind it gives another result.

    Raises:
        ValueError: if the denoiser has no condition, if neither the network nor an argument names the null label, and
            for numbers out of range.

    Example:
        >>> def net(x, time, label):
        ...     return x * label[:, None]
        >>> denoiser = Denoiser(net, CondOT(), predicts="velocity", label=2)
        >>> CFG(denoiser, 3.0, null=1).output(0.5, torch.ones(1, 2))
        tensor([[4., 4.]])
    """

    def __init__(
        self,
        denoiser: Denoiser,
        weight: float | Tensor,
        null: int | None = None,
        *,
        negative: Label | Condition | None = None,
        interval: tuple[float, float] | None = None,
        interval_in: str = "log_snr",
        rescale: float = 0.0,
    ) -> None:
        super().__init__([denoiser], weight)
        self.interval, self.interval_in = _checked_interval(interval), interval_in
        self._interval_clock = make_clock(denoiser.path, interval_in)
        self.rescale, self.cost = real("rescale", rescale, 0.0, 1.0), 2 * denoiser.cost
        self.negative = _negative_conditions(denoiser, null, negative)
        self._check_branches()

    @property
    def denoiser(self) -> Denoiser:
        """The conditional denoiser."""
        return self.parts[0]

    @property
    def smooth(self) -> bool:
        return self.interval is None and super().smooth

    def evaluations(self, t: Scalar) -> int | Tensor:
        return (1 + self._inside(t)) * self.denoiser.evaluations(t)

    def given(self, label: Label | Condition | None) -> Self:
        made = super().given(label)
        made._check_branches()
        return made

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Self:
        made = super().map_rows(change)
        made.negative = self.negative.map_rows(change)
        return made

    def combine(self, t: Scalar, x: Tensor, unconditional: Tensor, conditional: Tensor) -> Tensor:
        """The guided output (1 − w) y(x, ∅) + w y(x, c), rescaled: the rule, which a subclass overrides.

        It is called for exactly the n samples that are guided, with their weights in `self.weight`, before the
        threshold. `self.weight_for(x)` is the weight in the shape that multiplies x; `self.from_output("x0", t, x, y)`
        is the x₀ that belongs to an output y, and `self.to_output("x0", t, x, x0)` the output that belongs to an x₀.

        Args:
            t: the time, a float or (n,).
            x: the states, (n, ...).
            unconditional: y(x, ∅), the output for the null label or the negative condition: (n, ...), of the kind that
                the network predicts (`self.predicts`).
            conditional: y(x, c), likewise.

        Returns:
            The guided output, (n, ...), of the same kind.

        Raises:
            ValueError: if `rescale` is not 0 and a sample has one component.

        Example:
            Guidance that is clipped in x₀:

            >>> class Clipped(CFG):
            ...     def combine(self, t, x, unconditional, conditional):
            ...         output = super().combine(t, x, unconditional, conditional)
            ...         x0 = self.from_output("x0", t, x, output).clamp(-1.0, 1.0)
            ...         return self.to_output("x0", t, x, x0)
        """
        guided = self._extrapolated(unconditional, conditional)
        if self.rescale == 0.0:
            return guided
        axes = tuple(range(1, guided.ndim))
        if math.prod(guided.shape[1:]) < 2:
            raise ValueError("rescale compares standard deviations over each sample, which has one component; use 0.")
        wanted, found = (output.std(axes, correction=0, keepdim=True) for output in (conditional, guided))
        ratio = torch.where(found > 0.0, wanted / found, 1.0)  # a constant output stays what it is
        return guided * torch.lerp(torch.ones_like(ratio), ratio, self.rescale)

    def output_and_variance(self, t: Scalar, x: Tensor) -> tuple[Tensor, Tensor | None]:
        inside = self._inside(t)
        index = inside.expand(len(x)).nonzero().flatten() if isinstance(inside, Tensor) else None
        guided = (len(x) if inside else 0) if index is None else len(index)
        if guided == 0:
            return self.denoiser.output_and_variance(t, x)
        return self._both_branches(t, x, None if guided == len(x) else index)

    def _both_branches(self, t: Scalar, x: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The guided output of the samples `index` (None: of all), and the conditional output of the others.

        One call of the network takes the guided samples under the negative conditions, followed by all samples under
        their own.
        """

        def guided(value: Tensor) -> Tensor:
            return value if index is None else value[index.to(value.device)]

        def doubled(value: Tensor) -> Tensor:
            return torch.cat([guided(value), value])

        rule, n = (self, len(x)) if index is None else (self.of_rows(index), len(index))
        times, states, at = t, doubled(x), t
        if isinstance(t, Tensor):
            each = t.expand(len(x))
            times, at = doubled(each), guided(each)
        both = self.denoiser.map_rows(lambda value: value if len(value) == 1 else doubled(value))
        both = both.map_conditions(lambda own: own.with_first(n, rule.negative, states))
        outputs, variance = both.output_and_variance(times, states)
        conditional = outputs[n:]
        output = rule.combine(at, guided(x), outputs[:n], guided(conditional))
        if index is not None:
            output = conditional.index_copy(0, index.to(x.device), output)
        return output, None if variance is None else variance[n:]

    def _inside(self, t: Scalar) -> bool | Tensor:
        """Whether there is guidance at t."""
        if self.interval is None:
            return True
        (low, high), level = self.interval, self._interval_clock(t)
        return (level >= low) & (level <= high)

    def _check_branches(self) -> None:
        """Checks that the denoiser has conditions, of which the other branch has some."""
        check_negative(self.condition, self.negative.keywords)
        if self.negative.label is not None and self.label is None:
            raise ValueError(
                "CFG needs a conditional denoiser; give it a label: CFG(denoiser.given(label), weight), or "
                "negative={...} for a condition."
            )


class AutoGuidance(Guided):
    """Guidance of a good model away from a bad one: ỹ = (1 − w) y_bad + w y_good, with one evaluation of each.

    A variance that a network learned is that of the good model.

    Args:
        good: a denoiser.
        bad: another denoiser on the same path; it may predict another kind.
        weight: w, as for `CFG`. 1 is the good model alone.

    Raises:
        ValueError: for two paths. A call raises one where what `bad` predicts does not determine what `good` predicts.

    Example:
        >>> good = Denoiser(lambda x, time: 2.0 * x, CondOT(), predicts="velocity")
        >>> bad = Denoiser(lambda x, time: x, CondOT(), predicts="velocity")
        >>> AutoGuidance(good, bad, 3.0).output(0.5, torch.ones(1, 2))
        tensor([[4., 4.]])

    Source: Karras et al. (2406.02507), eq. 3.
    """

    def __init__(self, good: Denoiser, bad: Denoiser, weight: float | Tensor) -> None:
        super().__init__([good, bad], weight)
        if good.path != bad.path:
            raise ValueError(f"The good model is on {good.path}, the bad one on {bad.path}; guide along one path.")
        self.cost = good.cost + bad.cost

    def evaluations(self, t: Scalar) -> int | Tensor:
        good, bad = self.parts
        return good.evaluations(t) + bad.evaluations(t)

    def output_and_variance(self, t: Scalar, x: Tensor) -> tuple[Tensor, Tensor | None]:
        good, bad = self.parts
        output, variance = good.output_and_variance(t, x)
        return self._extrapolated(bad.predict(good.predicts, t, x), output), variance


def _checked_interval(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """(low, high), of which either may be infinite; None for none."""
    if interval is None:
        return None
    if not isinstance(interval, tuple | list) or len(interval) != 2:
        raise TypeError("interval must be (low, high), two numbers; give for example (-2.0, 3.0).")
    low, high = (real(f"interval[{i}]", end, infinite=True) for i, end in enumerate(interval))
    if not low < high:
        raise ValueError(f"interval must be (low, high), low < high, but is ({low:g}, {high:g}).")
    return low, high


def _negative_conditions(denoiser: Denoiser, null: int | None, negative: Label | Condition | None) -> Conditions:
    """The conditions of the other branch: a label, or keywords."""
    if null is not None and negative is not None:
        raise ValueError("negative stands in place of null; give one of them.")
    if isinstance(negative, Mapping):
        return Conditions(None, checked_condition(negative))
    null = None if null is None else whole("null", null)
    other = null if negative is None else negative
    other = getattr(denoiser.net, "null_label", None) if other is None else other
    if other is None:
        raise ValueError(
            f"{denoiser!r} declares no null_label, the label for none; let its network have one, or give CFG(..., "
            "null=...), or negative=..., what stands in its place."
        )
    return Conditions(checked_label(other, denoiser.net))
