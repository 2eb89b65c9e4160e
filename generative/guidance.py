"""Guidance maps denoisers to denoisers.

Classifier-free guidance extrapolates from the unconditional prediction through the conditional one,

    ỹ = (1 − w) y(x, ∅) + w y(x, c),

w = 0 unconditional, w = 1 conditional, w > 1 guided. The weights sum to one, so the combination commutes with the
affine conversions between kinds of prediction: guiding the velocity, the score or x₀ is the same.

Source: Ho and Salimans, Classifier-Free Diffusion Guidance (2207.12598), eq. 6, with their 1 + w written w.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .denoiser import Denoiser
from .elementary import Real

__all__ = ["CFG"]


class CFG(Denoiser):
    """Classifier-free guidance of a conditional denoiser, both branches in one batched call (two evaluations).

    weight: w above. null: the label that means "no label"; by default the network's own `null_label`.
    Raises ValueError when there is no label to condition on, or none that means nothing.
    """

    def __init__(self, denoiser: Denoiser, weight: float, null: int | None = None) -> None:
        null = getattr(denoiser.net, "null_label", None) if null is None else null
        if null is None:
            raise ValueError(f"{denoiser!r} declares no null_label; give CFG(..., null=...), the label for none.")
        if denoiser.label is None:
            raise ValueError("CFG needs a conditional denoiser; give it a label: CFG(denoiser.given(label), weight).")
        super().__init__(
            denoiser.net, denoiser.path, predicts=denoiser.predicts, time=denoiser.time, label=denoiser.label
        )
        self.denoiser, self.weight, self.null = denoiser, float(weight), null
        self.cost = 2 * denoiser.cost

    def given(self, label: int | Sequence[int] | Tensor | None) -> CFG:
        return CFG(self.denoiser.given(label), self.weight, self.null)

    def output(self, t: Real, x: Tensor) -> Tensor:
        label = torch.as_tensor(self.label, dtype=torch.int64, device=x.device).expand(x.shape[0])
        both = torch.cat([torch.full_like(label, self.null), label])
        doubled = torch.cat([t, t]) if isinstance(t, Tensor) else t
        unconditional, conditional = self.denoiser.given(both).output(doubled, torch.cat([x, x])).chunk(2)
        return unconditional + self.weight * (conditional - unconditional)
