"""Guidance by a classifier of noisy states.

If log p_t(c|x) is known at every time, Bayes' rule gives the score of the conditional law, or, with a weight w, that of
the law of x_t tilted by p_t(c|x)^w:

    s̃ = s + w ∇ log p_t(c|x).

Since s = −ε/σ and x = α x₀ + σ ε, a prediction y = p x₀ + q ε moves by (σ² p/α − σ q) w ∇ log p_t(c|x).

Sources: Song et al. (2011.13456), eq. 14; Dhariwal and Nichol (2105.05233), section 4, with the weight s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Self

from torch import Tensor

from ...solvers.common import check_callable, check_unchanged, gradient, mark_of
from ..paths import Scalar
from .clocks import Clock, make_clock, network_times
from .conditioning import Conditions, Label, check_taken, checked_label
from .denoiser import Denoiser
from .guided import Guided
from .nested import Condition
from .precision import own_dtype
from .prediction import coefficients, per_sample

__all__ = ["ClassifierGuidance"]


class ClassifierGuidance(Guided):
    """A denoiser whose score is moved by w ∇ log p_t(c|x).

    `cost` counts the network alone. Every call of the denoiser takes one value and one gradient of the classifier in
    addition: a solve takes `nfe.depth` of them, one after the other.

    Args:
        denoiser: the denoiser.
        log_prob: log_prob(x, time) or log_prob(x, time, label) -> (B,). Each value depends on its own sample alone.
            Automatic differentiation takes the gradient, which can itself be differentiated. It sees its own dtype, as
            the network of a `Denoiser` does.
        weight: w, as for `CFG`. 1 is Bayes' rule.
        label: the class c, an int, or integers (B,). None calls log_prob without a label. `given` sets it, and also the
            label of the denoiser if that has one.
        time: the clock of log_prob, as that of a `Denoiser`.

    Raises:
        ValueError: for an unknown clock, for labels that the classifier does not know and for another weight. A call
            raises one at α = 0 unless the network predicts eps or score: the gradient would be divided by α.

    Example:
        >>> denoiser = Denoiser(lambda x, time: torch.zeros_like(x), CondOT(), predicts="score")
        >>> guided = ClassifierGuidance(denoiser, lambda x, time: -x.square().sum(1), weight=3.0)
        >>> guided.output(0.5, torch.ones(1, 2))
        tensor([[-6., -6.]])
    """

    def __init__(
        self,
        denoiser: Denoiser,
        log_prob: Callable[..., Tensor],
        weight: float | Tensor,
        label: Label | None = None,
        *,
        time: str | Clock = "t",
    ) -> None:
        super().__init__([denoiser], weight)
        check_callable("log_prob", log_prob, "a function log_prob(x, time)")
        self.log_prob, self.cost = log_prob, denoiser.cost
        self._class_conditions = self._checked_class(label)
        self._classifier_clock = make_clock(denoiser.path, time)

    def evaluations(self, t: Scalar) -> int | Tensor:
        return self.parts[0].evaluations(t)

    def given(self, label: Label | Condition | None) -> Self:
        if isinstance(label, Mapping):
            return super().given(label)
        made = copy(self) if self.label is None else super().given(label)
        made._class_conditions = self._checked_class(label)
        return made

    def _checked_class(self, label: Label | None) -> Conditions:
        conditions = Conditions(checked_label(label, self.log_prob))
        check_taken(self.log_prob, conditions)
        return conditions

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Self:
        made = super().map_rows(change)
        made._class_conditions = self._class_conditions.map_rows(change)
        return made

    def output_and_variance(self, t: Scalar, x: Tensor) -> tuple[Tensor, Tensor | None]:
        gain = self._gain(t)
        output, variance = self.parts[0].output_and_variance(t, x)
        return output + per_sample(gain, x) * self.weight_for(x) * self._gradient(t, x), variance

    def _gain(self, t: Scalar) -> Scalar:
        """σ² p/α − σ q."""
        (p, q), alpha, sigma = coefficients(self.predicts, self.path, t), self.path.alpha(t), self.path.sigma(t)
        if not isinstance(p, Tensor) and p == 0.0:
            return -sigma * q
        if not isinstance(alpha, Tensor) and alpha == 0.0:
            raise ValueError(
                f"A classifier moves a prediction of {self.predicts} by its gradient over alpha, which is 0 at "
                f"t = {t:g}; start later, or guide a network that predicts eps."
            )
        return sigma**2 * p / alpha - sigma * q

    def _gradient(self, t: Scalar, x: Tensor) -> Tensor:
        """∇ log p_t(c|x), (B, ...)."""
        dtype = own_dtype(self.log_prob) or x.dtype
        times = network_times("The classifier's clock", self._classifier_clock(t), t, x, dtype)
        (labels, _), batch = self._class_conditions.arguments(x), len(x)

        def total(x: Tensor) -> Tensor:
            mark = mark_of(x)
            value = self.log_prob(x.to(dtype), times, *labels)
            check_unchanged("The classifier", x, mark)
            if value.shape != (batch,):
                raise ValueError(
                    f"log_prob returned shape {tuple(value.shape)} for {batch} samples; return one number for each."
                )
            return value.sum()

        return gradient(total, x, self.log_prob)
