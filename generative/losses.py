"""One regression trains every model.

    L = E ‖ net(x_t, t, label) − y_t ‖² / dim,      x_t = α x₀ + σ ε,      y_t = p x₀ + q ε,

with (p, q) the row of `predicts` in the table of predictions: "velocity" is conditional flow matching (Lipman
et al., 2210.02747, eq. 9), "eps" the simple loss of DDPM (Ho et al., 2006.11239, eq. 14), "x0" denoising. The
conditional target may stand for the marginal one: the minimiser of a square is a conditional mean, and
E[y_t | x_t] is the marginal target.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .path import GaussianPath
from .prediction import per_sample, target

__all__ = ["regression_loss", "stratified"]


def stratified(count: int, generator: Generator | None = None, like: Tensor | None = None) -> Tensor:
    """`count` times in [0, 1), each uniform, one in every interval of length 1/count, in random order.

    t_k = (u + k/count) mod 1 with one common u: the loss varies with t by orders of magnitude, and this takes
    that part of its variance away. Source: Kingma et al. (2107.00630), appendix I.1.
    """
    device = None if like is None else like.device
    dtype = None if like is None else like.dtype
    u = torch.rand((), generator=generator, device=device, dtype=dtype)
    order = torch.randperm(count, generator=generator, device=device)
    return (u + order / count) % 1.0


def regression_loss(
    net: Callable[..., Tensor],
    path: GaussianPath,
    predicts: str,
    x0: Tensor,
    label: Tensor | None = None,
    *,
    generator: Generator | None = None,
    label_dropout: float = 0.0,
) -> Tensor:
    """The mean square above, a scalar, on a batch x0 of shape (B, ...) with labels (B,) int64 or none.

    Each label is replaced by `net.null_label` with probability `label_dropout`, so that one network learns
    the conditional and the unconditional model (Ho and Salimans, 2207.12598, algorithm 1). Raises ValueError
    for an unknown kind of prediction.
    """
    t = stratified(len(x0), generator, like=x0)
    eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
    if label is not None and label_dropout > 0.0:
        dropped = torch.rand(label.shape, generator=generator, device=x0.device) < label_dropout
        label = label.masked_fill(dropped, int(net.null_label))  # type: ignore[attr-defined]
    x = per_sample(path.alpha(t), x0) * x0 + per_sample(path.sigma(t), x0) * eps
    return (net(x, t, label) - target(predicts, path, t, x0, eps)).square().mean()
