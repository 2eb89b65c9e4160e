"""Claims about losses, weights and what minimises them. A chapter may be added without asking anyone."""

from __future__ import annotations

from . import (
    conversions as conversions,
    discrete_bound as discrete_bound,
    loss_weights as loss_weights,
    objectives as objectives,
    score_models as score_models,
)
