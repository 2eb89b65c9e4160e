"""The clean samples of audits and probes, refused with a sentence where they cannot be used.

Both functions raise TypeError for tensors of another kind, and ValueError for too few samples, shapes that do not fit,
and values that are not finite or all the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...solvers.common import check_finite, check_floating

__all__ = ["check_audited", "check_probed"]


def check_audited(data: Tensor, trained_on: Tensor | None, fewest: int) -> None:
    """The samples of an audit, held out and trained on: at least twice `fewest`, and `fewest`."""
    check_floating("data", data)
    if data.ndim < 2 or len(data) < 2 * fewest or not data[0].numel():
        raise ValueError(
            f"The data are {data.dtype} of shape {tuple(data.shape)}; give at least {2 * fewest} samples of floats."
        )
    check_finite("data", data)
    if not float(data.double().var(0).sum()) > 0.0:
        raise ValueError("The samples of the data are all the same; give other data.")
    if trained_on is None:
        return
    check_floating("trained_on", trained_on)
    if trained_on.shape[1:] != data.shape[1:] or trained_on.dtype != data.dtype or len(trained_on) < fewest:
        raise ValueError(
            f"trained_on is {trained_on.dtype} of shape {tuple(trained_on.shape)}, but the data are {data.dtype} of "
            f"shape {tuple(data.shape)}; give at least {fewest} samples like them."
        )
    check_finite("trained_on", trained_on)


def check_probed(data: Tensor, label: Tensor | None, fewest: int) -> None:
    """The samples of a probe with their labels, at least `fewest`."""
    if not (isinstance(data, Tensor) and data.is_floating_point() and data.ndim > 1):
        given = f"{data.dtype} of shape {tuple(data.shape)}" if isinstance(data, Tensor) else type(data).__name__
        raise TypeError(f"data must be a floating-point tensor of clean samples, (M, ...), but is {given}.")
    check_floating("data", data)
    if len(data) < fewest:
        raise ValueError(f"data has {len(data)} samples; a verdict needs {fewest} at least.")
    check_finite("data", data)
    if not 0.0 < float(data.double().var(0).sum()) < math.inf:
        raise ValueError("The samples must differ from each other, by no more than float64 holds; give other data.")
    if label is None:
        return
    if not isinstance(label, Tensor) or label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
        kind = f"{label.dtype}" if isinstance(label, Tensor) else f"of type {type(label).__name__}"
        raise TypeError(f"label is {kind}, but must be a tensor of integers, ({len(data)},).")
    if label.shape != (len(data),):
        raise ValueError(f"label has shape {tuple(label.shape)} for {len(data)} samples; give ({len(data)},).")
