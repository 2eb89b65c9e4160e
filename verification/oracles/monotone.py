"""The increasing map T between two laws on the line, G(T(x)) = F(x): T = G⁻¹ ∘ F.

T is the probability flow between two times in one dimension, and the optimal map for W₂. In the lower half it equates
log F, in the upper half log(1 − F), so that T is as accurate in the tails as in the middle:

    h(y) = log G(y) − log F(x)    where F(x) ≤ 1/2,        h(y) = log(1 − F(x)) − log(1 − G(y))    elsewhere.

h increases. Growing strides bracket its zero, and Chandrupatla's method finds it; the method needs no derivative and
falls back on bisection, so that jumps and kinks of G do no harm.

Source: Chandrupatla, A new hybrid quadratic/bisection algorithm (1997), Adv. Eng. Software 28, 145.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LogCDF", "monotone_map"]

LogCDF = Callable[[Tensor, Tensor], Tensor]
"""(y, upper) -> log P(Y ≤ y), or where `upper` log P(Y > y), all of shape (B,)."""

_STRIDES = 300
_STEPS = 200


def monotone_map(source: LogCDF, target: LogCDF, x: Tensor) -> Tensor:
    """G⁻¹(F(x)).

    Args:
        source: F, as the logarithms of both tails.
        target: G, likewise.
        x: points, (B,).

    Returns:
        (B,).

    Raises:
        ValueError: a point outside the support of F.
    """
    everywhere = torch.ones_like(x, dtype=torch.bool)
    below, above = source(x, ~everywhere), source(x, everywhere)
    upper = above < below
    level, sign = torch.where(upper, above, below), torch.where(upper, -1.0, 1.0).to(x)
    if not bool(level.isfinite().all()):
        raise ValueError("A point lies where its law has no mass on one side; give points inside the support.")

    def h(y: Tensor) -> Tensor:
        return sign * (target(y, upper) - level)

    return _zero(h, *_bracket(h, x), torch.finfo(x.dtype).eps * (1.0 + level.abs()))


def _bracket(h: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Points where h ≤ 0 and where h ≥ 0, the closer to x, the fewer strides were needed."""
    low, high, width = x - 1.0, x + 1.0, torch.ones_like(x)
    for _ in range(_STRIDES):
        lower, higher = h(low) > 0.0, h(high) < 0.0
        if not bool((lower | higher).any()):
            break
        width = 4.0 * width
        low, high = (
            torch.where(lower, low - width, torch.where(higher, high, low)),
            torch.where(higher, high + width, torch.where(lower, low, high)),
        )
    return low, high


def _zero(h: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, rounding: Tensor) -> Tensor:
    """The zero of an increasing function between a and b, elementwise, to the rounding of the value or of the zero."""
    at_a, at_b = h(a), h(b)
    old, at_old = a, at_a
    share = torch.full_like(a, 0.5)
    for _ in range(_STEPS):
        new = a + share * (b - a)
        at_new = h(new)
        same = (at_new > 0.0) == (at_a > 0.0)
        # (a, b) becomes the new bracket with its latest point in a; what was left behind is `old`.
        old, at_old = torch.where(same, a, b), torch.where(same, at_a, at_b)
        b, at_b = torch.where(same, b, a), torch.where(same, at_b, at_a)
        a, at_a = new, at_new
        tolerance = 2.0 * torch.finfo(a.dtype).eps * torch.minimum(a.abs(), b.abs()) + torch.finfo(a.dtype).tiny
        slack = tolerance / (b - a).abs()
        done = (slack >= 0.5) | (at_a.abs() <= rounding)
        if bool(done.all()):
            break
        xi, phi = (a - b) / (old - b), (at_a - at_b) / (at_old - at_b)
        quadratic = (phi**2 < xi) & ((1.0 - phi) ** 2 < 1.0 - xi)
        ratio = (old - a) / (b - a)
        step = at_a / (at_b - at_a) * (at_old / (at_b - at_old)) + ratio * (
            at_a / (at_old - at_a) * (at_b / (at_old - at_b))
        )
        share = torch.where(quadratic & step.isfinite(), step, torch.full_like(step, 0.5))
        share = torch.where(done, torch.zeros_like(share), torch.clamp(share, slack, 1.0 - slack))
    return torch.where(at_a.abs() <= at_b.abs(), a, b)
