"""The mass of a normal law on the cells of grey levels: the decoder of images whose pixels are integers.

K levels x_k = −1 + 2k/(K − 1) have cells of half-width w = 1/(K − 1), the two outermost open, and under N(m, s²) the
mass

    p_k = Φ((x_k + w − m)/s) − Φ((x_k − w − m)/s),        Φ(∞) = 1 and Φ(−∞) = 0 at the ends,

which sum to one. On the left of m it is Φ(b) − Φ(a), on the right the same of the mirror image, and

    log p_k = log Φ(b) + log(−expm1(log Φ(a) − log Φ(b))),        a < b,

so that far from m it neither vanishes nor cancels.

Source: Ho et al. (2006.11239), eq. 13.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..likelihood import Dequantisation

__all__ = ["check_levels", "grey_levels_log_prob"]


def grey_levels_log_prob(x: Tensor, mean: Tensor, deviation: Tensor, levels: int) -> Tensor:
    """log p_k of the levels x under N(mean, deviation²), elementwise; differentiable in mean and deviation.

    Args:
        x: values on the levels, −1, …, 1.
        mean: m, like x.
        deviation: s, like x or a scalar.
        levels: K.
    """
    half = 1.0 / (levels - 1)
    width, z = half / deviation, (x - mean) / deviation
    right = z > 0.0
    z = torch.where(right, -z, z)
    lowest, highest = x < -1.0 + 0.5 * half, x > 1.0 - 0.5 * half
    no_lower, no_upper = torch.where(right, highest, lowest), torch.where(right, lowest, highest)
    upper = torch.where(no_upper, 0.0, torch.special.log_ndtr(z + width))
    lower = torch.where(no_lower, -math.inf, torch.special.log_ndtr(z - width))
    return upper + (-torch.expm1(lower - upper)).log()


def check_levels(x: Tensor, levels: int) -> None:
    """Raises ValueError for data that do not lie on K = `levels` grey levels from −1 to 1."""
    cells = Dequantisation.centred(levels, -1.0, 1.0)
    off = (x - cells.centre(cells.level(x))).abs().amax().item()
    if not off < 0.01 * cells.width:
        raise ValueError(
            f"The data does not lie on {levels} grey levels from -1 to 1; scale it there, without dequantisation, or "
            "leave levels out for a density."
        )
