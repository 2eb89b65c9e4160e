"""Couplings of two batches: which sample of the source goes with which of the data."""

from __future__ import annotations

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ...solvers.common import check_alike, check_finite, check_memory, check_samples

__all__ = ["check_pairs", "minibatch_ot"]


def check_pairs(source: Tensor, data: Tensor) -> None:
    """Raises TypeError or ValueError unless both are samples, alike in shape, dtype and device."""
    check_samples("source", source)
    check_samples("data", data)
    check_alike("source", source, "data", data)


def minibatch_ot(source: Tensor, data: Tensor) -> Tensor:
    """The permutation with the least Σ_i ‖source[i] − data[permutation[i]]‖².

    It couples two batches so that the lines between the pairs are short and cross less. In one dimension it sorts both
    batches alike. It takes O(B³) operations on the CPU. Optimal transport within batches is not that of the two laws,
    but its marginals are right, so that the flow still arrives at the data.

    Args:
        source: the samples at t = 0, (B, ...).
        data: the samples at t = 1, (B, ...).

    Returns:
        The permutation, int64 (B,), on the device of the data.

    Raises:
        ValueError: source and data have different shapes.

    Source: Tong et al. (2302.00482), section 3.2.3.

    Example:
        >>> minibatch_ot(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[9.0], [7.0], [8.0]]))
        tensor([1, 2, 0])
    """
    check_pairs(source, data)
    check_memory("The number of pairs", len(data), 3 * len(data) ** 2)
    shape = len(data), math.prod(data.shape[1:])
    left, right = (batch.detach().reshape(shape).cpu().double() for batch in (source, data))
    distance = torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
    squared = distance.square().cpu()
    check_finite("The squared distance of two samples", squared)
    _, permutation = linear_sum_assignment(squared.numpy())
    return torch.from_numpy(permutation).to(data.device)
