"""How the density of the mixture in the plane changes: in time by differences, and by an equation exactly."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ....generative.paths import GaussianPath
from ..claim import Check
from .errors import largest, order
from .points import MIXTURE_2D

__all__ = ["fokker_planck_rate", "rate_checks"]


def fokker_planck_rate(
    drift: Callable[[float, Tensor], Tensor], g: float, x: Tensor, t: float, path: GaussianPath
) -> Tensor:
    """−∇·(p f) + ½ g² Δp of MIXTURE_2D at x (n, 2), by automatic differentiation: (n,)."""
    at = x.clone().requires_grad_()
    f, score = drift(t, at), MIXTURE_2D.score(at, t, path)
    terms = torch.zeros(len(x), dtype=torch.float64, device="cpu")
    for i in (0, 1):
        of_drift, of_score = (torch.autograd.grad(v[:, i].sum(), at, retain_graph=True)[0][:, i] for v in (f, score))
        terms = terms - of_drift - f[:, i] * score[:, i] + 0.5 * g**2 * (of_score + score[:, i] ** 2)
    return (MIXTURE_2D.log_prob(x, t, path).exp() * terms).detach()


def rate_checks(x: Tensor, t: float, path: GaussianPath, exact: Tensor, where: str) -> list[Check]:
    """∂p/∂t by central differences against its exact value.

    A difference over ±e errs by e² p'''/6 + O(e⁴): its order is 2, to O(e²), 0.01 here. One extrapolation from
    e = 0.005 leaves e⁴ p⁽⁵⁾/480, which is 5·10⁻⁷ with p⁽⁵⁾ = 5! (σ'/σ)⁵ and σ'/σ = 5: 1e-6.
    """

    def difference(e: float) -> Tensor:
        after, before = (MIXTURE_2D.log_prob(x, t + sign * e, path).exp() for sign in (1.0, -1.0))
        return (after - before) / (2.0 * e)

    one, two = difference(0.005), difference(0.0025)
    shown = order((1, 2), [float((one - exact).norm()), float((two - exact).norm())])
    return [
        Check(shown, 2.0, 0.01, f"the order of the residual, {where}"),
        Check(largest((4.0 * two - one) / 3.0 - exact), 0.0, 1e-6, f"extrapolated, {where}"),
    ]
