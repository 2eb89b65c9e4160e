"""Errata of the tutorial on losses.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative.paths import CondOT, Cosine
from ....generative.training import Seen, Unweighted, regression_loss, squared_error
from ..claim import Bound, Check, claim
from ..sources import TUTORIAL
from ..tools.errors import largest
from ..tools.points import MIXTURE_2D, exact, gaussian
from ..tools.quadrature import legendre, nodes


@claim(
    "E39",
    TUTORIAL["section 2.5"],
    statement="In the loss of ε, which is printed just above, an error of x₀ has the weight α²/σ², and not α²/σ⁴.",
    formula="‖Δε‖² = (α²/σ²) ‖Δx‖²;  ‖Δs‖² = ‖Δε‖²/σ² = (α²/σ⁴) ‖Δx‖²",
    erratum=True,
)
def weight_of_the_sample() -> list[Bound | Check]:
    """Weights of Fokker's losses on CondOT at t = 1/2, where α²/σ² = 1 and α²/σ⁴ = 4: to rounding."""
    path, t = CondOT(), torch.tensor([0.5], dtype=torch.float64)
    in_eps, in_score = (Unweighted(kind).of("x0", path, t).item() for kind in ("eps", "score"))
    return [
        Bound(4.0 / in_eps, 3.9, "printed: how many times too large", above=True),
        Check(in_eps, 1.0, 1e-14, "corrected: in the loss of ε"),
        Check(in_score, 4.0, 1e-13, "where the printed one belongs: in the loss of the score"),
    ]


@claim(
    "E43",
    TUTORIAL["section 7.3"],
    statement="The loss with a σ_min is the loss of the straight path only for σ_min = 0; and its network must be "
    "told the time.",
    formula="min L = ∫ dt/(t² + (1 − (1 − σ_min) t)²);  π/2 for σ_min = 0",
    erratum=True,
)
def loss_of_a_blurred_path() -> list[Bound | Check]:
    """N(0, 1), σ_min = 0.001: the integral is arctan(1 − r + r²) + arctan(r) with r = 1 − σ_min, 1.5698 against 1.5708;
    exact nodes in x₀ and ε and 64 in t, to 1e-12."""
    rate, path, data = 1.0 - 1e-3, CondOT(1e-3), gaussian(0.0, 1.0)
    at = nodes(data, 3, legendre(64))
    least = at.mean(squared_error(exact(data, "velocity", path), path, "velocity", at.t, at.x0, at.eps)).item()
    square = 1.0 + rate**2  # t² + (1 − r t)² = (1 + r²)(t − r/(1 + r²))² + 1/(1 + r²)
    closed = math.atan(square - rate) + math.atan(rate)
    return [
        Bound(0.5 * math.pi - least, 9e-4, "printed: how far it is from the loss of the straight path", above=True),
        Check(least, closed, 1e-12, "corrected: the least loss"),
    ]


@claim(
    "E46",
    TUTORIAL["Eq. 1-2 and listings"],
    statement="The norms of the text are sums over dimensions, but the losses of the listings are means: they differ "
    "by the factor d.",
    formula="‖·‖² = d · mean",
    erratum=True,
)
def sum_or_mean() -> list[Bound | Check]:
    """One batch in d = 2 with the same draws: a ratio of 2, to rounding."""
    path = CondOT()
    x0 = MIXTURE_2D.sample(64, 0)

    def net(x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return 0.3 * x

    seen: list[Seen] = []
    mean = regression_loss(net, path, "velocity", x0, generator=torch.Generator().manual_seed(0), observe=seen.append)
    eps = torch.Generator().manual_seed(0)
    torch.rand((), generator=eps, dtype=torch.float64)
    torch.randperm(64, generator=eps)
    noise = torch.randn(x0.shape, generator=eps, dtype=x0.dtype)
    total = squared_error(net, path, "velocity", seen[0].t, x0, noise).sum(1).mean()
    return [
        Bound(float(total - mean) / float(mean), 0.9, "printed as if equal: the relative difference", above=True),
        Check(float(total / mean), 2.0, 1e-14, "corrected: their ratio"),
    ]


@claim(
    "E47",
    TUTORIAL["listing of diffusion_loss, with v"],
    statement="A network for v that is trained by the error of ε learns nothing where all is noise, because its "
    "weight there is α².",
    formula="‖Δε‖² = α² ‖Δv‖², 3.06e-7 at t = 1;  ‖Δv‖²",
    erratum=True,
)
def weight_of_v() -> list[Bound | Check]:
    """The tutorial's cosine schedule ends at λ = −15: α² = 1/(1 + e^15) = 3.06e-7 to rounding of numbers near 1, 1e-9
    relative; in the loss of v itself the weight is 1."""
    path, t = Cosine(), torch.tensor([0.0, 0.1], dtype=torch.float64)
    printed, right = (Unweighted(kind).of("v", path, t).tolist() for kind in ("eps", "v"))
    return [
        Bound(1.0 / printed[0], 3e6, "printed: how many times less the noisy end counts", above=True),
        Check(printed[0] * (1.0 + math.exp(15.0)), 1.0, 1e-9, "printed: the weight at t = 1 over 1/(1 + e^15)"),
        Check(printed[1], 0.0246, 5e-5, "printed: the weight at t = 0.9"),
        Check(largest(*(abs(weight - 1.0) for weight in right)), 0.0, 1e-14, "corrected: the weight, less 1"),
    ]
