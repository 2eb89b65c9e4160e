"""Guidance maps denoisers to denoisers.

Classifier-free guidance extrapolates from the unconditional prediction through the conditional one,

    ỹ = (1 − w) y(x, ∅) + w y(x, c),

w = 0 unconditional, w = 1 conditional, w > 1 guided. Autoguidance does so from a worse model through a better one. The
weights sum to one, so that both commute with the affine conversions between kinds of prediction: guiding the
velocity, the score or x₀ is the same. Guidance for w other than 0 and 1 samples from neither model, nor from
p(x)^{1−w} p(x|c)^w.

Sources: Ho and Salimans, Classifier-Free Diffusion Guidance (2207.12598), eq. 6, with their 1 + w written w;
Kynkäänniemi et al. (2404.07724), guidance in an interval; Lin et al. (2305.08891), section 3.4, rescaling; Karras et
al., Guiding a Diffusion Model with a Bad Version of Itself (2406.02507), eq. 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from ..paths import Real
from .conditioning import Condition, Label, check_negative, checked_condition, checked_label, each_tensor
from .denoiser import Denoiser, make_clock
from .guided import Guided

__all__ = ["CFG", "AutoGuidance"]


class CFG(Guided):
    """Classifier-free guidance of a conditional denoiser, both branches in one batched call (two evaluations).

    weight: w above, or a tensor (B,) with one a sample. null: the label that means "no label"; by default the
    network's own `null_label`. negative: what to guide away from in place of it, a label (one for all, or one a
    sample), or a mapping of some of the denoiser's conditions to other tensors. interval: (low, high), the
    noise levels between which, both included, there is guidance; elsewhere the conditional model stands alone, at half
    the cost. interval_in: the clock of the interval, "log_snr", "half_log_snr", "sigma" or any other of a `Denoiser`.
    rescale: φ in [0, 1], by how much the standard deviation of the guided output, over each sample, is brought back to
    that of the conditional one; it acts on the kind that the network predicts, and commutes with no
    conversion.

    A variance that the network learned is that of the conditional branch. Raises ValueError when there is nothing to
    condition on, nothing that stands for none, and for numbers out of range.
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
        if interval is not None and not interval[0] < interval[1]:
            raise ValueError(f"interval must be (low, high), low < high, but is {interval}.")
        if not 0.0 <= rescale <= 1.0:
            raise ValueError(f"rescale must lie in [0, 1], but is {rescale}; 0 leaves the guided output as it is.")
        self.interval, self.interval_in, self._level = interval, interval_in, make_clock(denoiser.path, interval_in)
        self.rescale, self.cost = rescale, 2 * denoiser.cost
        self._other_label, self._other_condition = _negative(denoiser, null, negative)
        self._check_branches()

    @property
    def denoiser(self) -> Denoiser:
        """The conditional one."""
        return self.parts[0]

    @property
    def smooth(self) -> bool:
        return self.interval is None and super().smooth

    def spends(self, t: Real) -> int | Tensor:
        return (1 + self._inside(t)) * self.denoiser.spends(t)

    def given(self, label: Label | Condition | None) -> Self:
        made = super().given(label)
        made._check_branches()
        return made

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        made, other = super().mapped(change), self._other_label
        made._other_label = change(other) if isinstance(other, Tensor) else other
        made._other_condition = each_tensor(self._other_condition, lambda _, value: change(value))
        return made

    def output_and_variance(self, t: Real, x: Tensor) -> tuple[Tensor, Tensor | None]:
        inside = self._inside(t)
        if isinstance(inside, Tensor):
            inside = inside.expand(len(x))
            return self._branches(t, x, None if inside.all() else inside.nonzero().flatten())
        return self._branches(t, x, None) if inside else self.denoiser.output_and_variance(t, x)

    def _check_branches(self) -> None:
        """Raises ValueError unless there is something to guide towards, of the kind of what is guided from."""
        check_negative(self.condition, self._other_condition)
        if self._other_label is not None and self.label is None:
            raise ValueError(
                "CFG needs a conditional denoiser; give it a label: CFG(denoiser.given(label), weight), or "
                "negative={...} for a condition."
            )

    def _inside(self, t: Real) -> bool | Tensor:
        """Whether there is guidance at t."""
        if self.interval is None:
            return True
        (low, high), level = self.interval, self._level(t)
        return (level >= low) & (level <= high)

    def _branches(self, t: Real, x: Tensor, chosen: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The samples `chosen` (None: all) without their labels, and all samples with them, in one call."""
        guided = self if chosen is None else self.of_rows(chosen)

        def pick(value: Tensor) -> Tensor:
            return value if chosen is None else value[chosen.to(value.device)]

        def stack(value: Tensor) -> Tensor:
            return value if len(value) == 1 else torch.cat([pick(value), value])

        states = torch.cat([pick(x), x])
        first = len(states) - len(x)
        times = torch.cat([pick(t.expand(len(x))), t.expand(len(x))]) if isinstance(t, Tensor) else t
        both = self.denoiser.mapped(stack).joined(guided._other_label, guided._other_condition, first, states)
        outputs, variance = both.output_and_variance(times, states)
        conditional = outputs[first:]
        output = guided._combined(outputs[:first], pick(conditional))
        if chosen is not None:
            output = conditional.index_copy(0, chosen.to(x.device), output)
        return output, None if variance is None else variance[first:]

    def _combined(self, unconditional: Tensor, conditional: Tensor) -> Tensor:
        guided = self._between(unconditional, conditional)
        if self.rescale == 0.0:
            return guided
        axes = tuple(range(1, guided.ndim))
        if math.prod(guided.shape[1:]) < 2:
            raise ValueError("rescale compares standard deviations over each sample, which has one component; use 0.")
        wanted, found = (output.std(axes, correction=0, keepdim=True) for output in (conditional, guided))
        ratio = torch.where(found > 0.0, wanted / found, 1.0)  # a constant output stays what it is
        return guided * torch.lerp(torch.ones_like(ratio), ratio, self.rescale)


class AutoGuidance(Guided):
    """Guidance of a good model away from a bad one: ỹ = (1 − w) y_bad + w y_good, an evaluation of each.

    good, bad: denoisers of one path; what `bad` predicts may be another kind. weight: w, or a tensor (B,) with one a
    sample; 1 is the good model alone. The learned variance, if any, is the good model's. Raises ValueError for two
    paths, and where one kind cannot be recovered from the other.

    Source: Karras et al. (2406.02507), eq. 3.
    """

    def __init__(self, good: Denoiser, bad: Denoiser, weight: float | Tensor) -> None:
        super().__init__([good, bad], weight)
        if good.path != bad.path:
            raise ValueError(f"The good model is on {good.path}, the bad one on {bad.path}; guide along one path.")
        self.cost = good.cost + bad.cost

    def spends(self, t: Real) -> int | Tensor:
        good, bad = self.parts
        return good.spends(t) + bad.spends(t)

    def output_and_variance(self, t: Real, x: Tensor) -> tuple[Tensor, Tensor | None]:
        good, bad = self.parts
        output, variance = good.output_and_variance(t, x)
        return self._between(bad.predict(good.predicts, t, x), output), variance


def _negative(
    denoiser: Denoiser, null: int | None, negative: Label | Condition | None
) -> tuple[int | Tensor | None, dict[str, Any]]:
    """The label and the condition of the other branch: one of them."""
    if null is not None and negative is not None:
        raise ValueError("negative stands in place of null; give one of them.")
    if isinstance(negative, Mapping):
        return None, checked_condition(negative)
    other = null if negative is None else negative
    other = getattr(denoiser.net, "null_label", None) if other is None else other
    if other is None:
        raise ValueError(
            f"{denoiser!r} declares no null_label; give CFG(..., null=...), the label for none, or negative=..., what "
            "stands in its place."
        )
    return checked_label(other, denoiser.net), {}
