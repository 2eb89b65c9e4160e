"""The order that errors show: slopes of log error against log steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["rms", "slope", "local_slopes"]


def rms(x: Tensor) -> float:
    """The root mean square of all entries."""
    return x.square().mean().sqrt().item()


def slope(steps: Sequence[float], errors: Sequence[float]) -> float:
    """The order that all of these errors show: minus the least-squares slope of log error against log steps."""
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (steps, errors))
    return -(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


def local_slopes(steps: Sequence[float], errors: Sequence[float]) -> list[float]:
    """−Δlog e / Δlog n between neighbours; nan where an error is zero."""
    e = np.array(errors, dtype=np.float64)
    logs = np.full(len(e), np.nan)
    logs[e > 0.0] = np.log(e[e > 0.0])
    found: list[float] = (-np.diff(logs) / np.diff(np.log(np.array(steps, dtype=np.float64)))).tolist()
    return found
