"""Guidance by a classifier of noisy states.

With log p_t(c|x) known at every time, Bayes' rule gives the score of the conditional law, or, with a weight w, of the
law tilted by p_t(c|x)^w at that time:

    s̃ = s + w ∇ log p_t(c|x).

Since s = −ε/σ and x = α x₀ + σ ε, a prediction y = p x₀ + q ε moves by (σ² p/α − σ q) w ∇ log p_t(c|x).

Sources: Song et al. (2011.13456), eq. 14; Dhariwal and Nichol (2105.05233), section 4, with the weight s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Self

import torch
from torch import Tensor

from ..paths import Real
from .conditioning import Condition, Label, checked_label, label_rows
from .denoiser import Clock, Denoiser, make_clock, network_times
from .guided import Guided
from .prediction import coefficients, per_sample

__all__ = ["ClassifierGuidance"]


class ClassifierGuidance(Guided):
    """A denoiser whose score is moved by w ∇ log p_t(c|x).

    log_prob: log_prob(x, time) or log_prob(x, time, label), of shape (B,), one of each sample alone; its gradient is
    taken by automatic differentiation, and can itself be differentiated. weight: w, or a tensor (B,) with one a
    sample; 1 is Bayes' rule. label: the class that log_prob is asked for, an int, or one a sample; `given` sets it,
    and the denoiser's own if that has one. time: the classifier's clock, as that of a `Denoiser`.

    `cost` counts the network alone. Every call of the denoiser takes one value and one gradient of the classifier
    beside it: a solve takes `nfe.depth` of them, one after the other.

    Raises ValueError at α = 0 for a network that predicts another kind than eps or score, which would divide by α.
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
        self.log_prob, self.cost = log_prob, denoiser.cost
        self._class = checked_label(label, log_prob)
        self._class_clock = make_clock(denoiser.path, time)

    def spends(self, t: Real) -> int | Tensor:
        return self.parts[0].spends(t)

    def given(self, label: Label | Condition | None) -> Self:
        if isinstance(label, Mapping):
            return super().given(label)
        made = copy(self) if self.label is None else super().given(label)
        made._class = checked_label(label, self.log_prob)
        return made

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        made = super().mapped(change)
        made._class = change(self._class) if isinstance(self._class, Tensor) else self._class
        return made

    def output_and_variance(self, t: Real, x: Tensor) -> tuple[Tensor, Tensor | None]:
        gain = self._gain(t)
        output, variance = self.parts[0].output_and_variance(t, x)
        return output + per_sample(gain, x) * self._weight(x) * self._gradient(t, x), variance

    def _gain(self, t: Real) -> Real:
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

    def _gradient(self, t: Real, x: Tensor) -> Tensor:
        """∇ log p_t(c|x), (B, ...)."""
        times, batch = network_times("The classifier's clock", self._class_clock(t), t, x), len(x)
        asked = () if self._class is None else (label_rows(self._class, batch, x),)

        def total(x: Tensor) -> Tensor:
            value = self.log_prob(x, times, *asked)
            if value.shape != (batch,):
                raise ValueError(
                    f"log_prob returned shape {tuple(value.shape)} for {batch} samples; return one number for each."
                )
            return value.sum()

        gradient: Tensor = torch.func.grad(total)(x)
        return gradient
