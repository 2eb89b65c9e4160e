"""What a network is told besides x: the time and the label, as one vector per sample.

    c = W₂ silu(W₁ [sin(ω t), cos(ω t)]) + E[label],      ω geometric from 1 to `top_frequency`.

The top frequency bounds how fast the field may turn in t. The usual 1000 makes a field that no solver with
steps above 1/1000 can resolve: every method then stalls at the same error, whatever its order. With 16 and
t ∈ [0, 1] the field is smooth over a solver's step, and nothing is lost in the quality of the samples. What else a
network is told, such as a second time, enters by further `Waves`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

__all__ = ["Embedding", "Waves"]


FEATURES = 32  # frequencies


class Waves(nn.Module):
    """W₂ silu(W₁ [sin(ω a), cos(ω a), …]) for numbers a, b, … of each sample, (B,) each: (B, width).

    `silent` makes W₂ and its bias zero at the start of training.
    """

    frequencies: Tensor

    def __init__(self, numbers: int, width: int, top_frequency: float, silent: bool) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 1, FEATURES, base=top_frequency), persistent=False)
        self.first = nn.Linear(2 * numbers * FEATURES, width)
        self.second = nn.Linear(width, width)
        if silent:
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)

    def forward(self, *numbers: Tensor) -> Tensor:
        angles = [number[:, None] * self.frequencies for number in numbers]
        waves = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
        embedded: Tensor = self.second(silu(self.first(waves)))
        return embedded


class Embedding(nn.Module):
    """c(t, label), shape (B, width), for t of shape (B,) and label (B,) int64 or None (no label)."""

    frequencies: Tensor

    def __init__(self, width: int, classes: int, top_frequency: float) -> None:
        super().__init__()
        self.null_label, self.width = classes, width
        frequencies = torch.logspace(0, 1, FEATURES, base=top_frequency)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)

    def forward(self, t: Tensor, label: Tensor | None) -> Tensor:
        angle = t[:, None] * self.frequencies
        if label is None:
            label = torch.full(t.shape, self.null_label, dtype=torch.int64, device=t.device)
        embedded: Tensor = self.time(torch.cat([angle.sin(), angle.cos()], dim=1)) + self.label(label)
        return embedded
