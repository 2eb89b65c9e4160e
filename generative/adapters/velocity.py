"""Velocity fields: flow_matching, torchcfm, and any u(x, t) or u(t, x).

Both libraries run from noise (t = 0) to data (t = 1), as Fokker does, and regress x_t' on its conditional mean, so that
their networks are velocities of a Gaussian path as soon as noise and data are drawn independently of each other:

    flow_matching   a scheduler                    x_t = α_t x₀ + σ_t ε
    torchcfm        ConditionalFlowMatcher(s)      α = t, σ = √((1 − t)² + s²)
                    TargetConditionalFlowMatcher   α = t, σ = 1 − (1 − s) t
                    VariancePreserving…(0)         α = sin(πt/2), σ = cos(πt/2)

For the first of torchcfm's, x_t = t x₀ + (1 − t) ε₁ + s ε₂ = t x₀ + σ ε. Of ε₁ one expects (1 − t)/σ ε = −σ' ε, so that
the conditional mean of its target x₀ − ε₁ is x₀-hat + σ' ε-hat: the velocity of that path.

Sources: Lipman et al. (2210.02747), eqs. 20-23; Tong et al. (2302.00482), section 3; Lipman et al. (2412.06264).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..denoiser import Condition, Denoiser, Label
from ..paths import VP, CondOT, Cosine, GaussianPath, Real, exp, hypot, sqrt

__all__ = ["NoisyCondOT", "Scheduled", "from_velocity", "path_of"]

Order = Literal["x, t", "t, x"]
TIMES = frozenset({"t", "time", "times", "timestep", "timesteps"})


def from_velocity(
    net: Callable[..., Tensor],
    path: Any = None,
    *,
    order: Order | None = None,
    scalar: bool = False,
    label: Label | None = None,
    condition: Condition | None = None,
) -> Denoiser:
    """A velocity field as a denoiser: net(x, t, **condition), or net(t, x, **condition).

    path: a Gaussian path, a scheduler or an `AffineProbPath` of flow_matching, or a matcher of torchcfm; by default
    `CondOT`. order: "x, t" or "t, x"; by default what the names of the network's parameters say. scalar: the network
    wants t without axes, as torchdiffeq calls it, instead of one time a sample. label, condition: as for `Denoiser`;
    a label is the network's third argument.

    A network trained on a coupling of noise and data (torchcfm's optimal transport) is a velocity as well, but of no
    Gaussian path: give CondOT(), and ask of the denoiser no more than flow(denoiser), whose drift it is.

    Raises ValueError for an order that the names do not tell, and for a path that is not known.
    """
    order = _order(net) if order is None else order
    if order not in ("x, t", "t, x"):
        raise ValueError(f"order is {order!r}; it is 'x, t' for net(x, t) or 't, x' for net(t, x).")
    if order == "t, x" or scalar:
        net = _Reordered(net, order, scalar)
    return Denoiser(net, path_of(path), predicts="velocity", label=label, condition=condition)


class _Reordered:
    """net as a function of x and times of shape (B,)."""

    def __init__(self, net: Callable[..., Tensor], order: Order, scalar: bool) -> None:
        self.net, self.order, self.scalar = net, order, scalar
        self.classes, self.null_label = getattr(net, "classes", None), getattr(net, "null_label", None)
        self.__name__ = getattr(net, "__name__", type(net).__name__)

    def __call__(self, x: Tensor, times: Tensor, *label: Tensor, **condition: Any) -> Tensor:
        t = self._single(times) if self.scalar else times
        return self.net(*((x, t) if self.order == "x, t" else (t, x)), *label, **condition)

    def _single(self, times: Tensor) -> Tensor:
        if not bool((times == times[0]).all()):
            raise ValueError(f"{self.__name__} takes one time for all samples; solve without per_sample, on one grid.")
        return times[0]


def _order(net: Callable[..., Tensor]) -> Order:
    """From the names of the first two parameters."""
    function = net.forward if isinstance(net, torch.nn.Module) else net
    try:
        names = [parameter.name.lower() for parameter in inspect.signature(function).parameters.values()][:2]
    except (TypeError, ValueError):
        names = []
    timed = [name in TIMES for name in names]
    if timed == [False, True]:
        return "x, t"
    if timed == [True, False]:
        return "t, x"
    found = f"({', '.join(names)})" if names else "a signature that cannot be read"
    raise ValueError(f"{found} does not say which argument is the time; give order='x, t' or order='t, x'.")


def path_of(what: Any) -> GaussianPath:
    """The path of a scheduler, of an affine path or of a matcher. Raises ValueError for what is none of them."""
    if what is None:
        return CondOT()
    if isinstance(what, GaussianPath):
        return what
    scheduler = getattr(what, "scheduler", what)
    name, sigma = type(scheduler).__name__, getattr(scheduler, "sigma", None)
    match name:
        case "CondOTScheduler":
            return CondOT()
        case "CosineScheduler":
            return Cosine(-math.inf, math.inf)
        case "VPScheduler":
            return VP(scheduler.beta_min, scheduler.beta_max)
        case "ConditionalFlowMatcher":
            return NoisyCondOT(float(scheduler.sigma)) if sigma else CondOT()
        case "TargetConditionalFlowMatcher":
            return CondOT(float(scheduler.sigma))
        case "VariancePreservingConditionalFlowMatcher" if not sigma:
            return Cosine(-math.inf, math.inf)
    if callable(scheduler) and hasattr(scheduler, "snr_inverse"):
        return Scheduled(scheduler)
    raise ValueError(
        f"{what!r} is no Gaussian path of independent noise and data that is known here; give a path, such as CondOT()."
    )


@dataclass(frozen=True)
class NoisyCondOT(GaussianPath):
    """α = t, σ = √((1 − t)² + s²): the straight line between noise and data under noise of its own, `std` = s > 0.

    At t = 1 the noise that remains is s, so that the largest log-SNR is log(1 + 1/s²), beyond which there is no time.
    """

    std: float

    def __post_init__(self) -> None:
        if not 0.0 < self.std < math.inf:
            raise ValueError(f"NoisyCondOT needs a finite std > 0, but got {self.std}; without noise it is CondOT().")

    def alpha(self, t: Real) -> Real:
        return t

    def sigma(self, t: Real) -> Real:
        return hypot(1.0 - t, self.std)

    def d_alpha(self, t: Real) -> Real:
        return 0.0 * t + 1.0

    def d_sigma(self, t: Real) -> Real:
        return (t - 1.0) / self.sigma(t)

    def time(self, log_snr: Real) -> Real:
        """The root of (1 − e^{−2λ}) t² − 2 t + 1 + s² = 0 that vanishes with α."""
        constant = 1.0 + self.std**2
        return constant / (1.0 + sqrt(1.0 - constant + constant * exp(-log_snr)))


@dataclass(frozen=True)
class Scheduled(GaussianPath):
    """The path of a scheduler of flow_matching: a function of a tensor t to alpha_t, sigma_t and their derivatives.

    scheduler.snr_inverse(α/σ) is the inverse of its log-SNR.
    """

    scheduler: Any

    def _of(self, name: str, t: Real) -> Real:
        at = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
        value: Tensor = getattr(self.scheduler(at), name)
        return value if isinstance(t, Tensor) else value.item()

    def alpha(self, t: Real) -> Real:
        return self._of("alpha_t", t)

    def sigma(self, t: Real) -> Real:
        return self._of("sigma_t", t)

    def d_alpha(self, t: Real) -> Real:
        return self._of("d_alpha_t", t)

    def d_sigma(self, t: Real) -> Real:
        return self._of("d_sigma_t", t)

    def time(self, log_snr: Real) -> Real:
        ratio = exp(0.5 * log_snr)
        at = ratio if isinstance(ratio, Tensor) else torch.tensor(ratio, dtype=torch.float64)
        time = torch.where(at.isinf(), 1.0, self.scheduler.snr_inverse(at.clamp(max=1e100)))
        return time if isinstance(log_snr, Tensor) else time.item()

    def __repr__(self) -> str:
        return f"Scheduled({type(self.scheduler).__name__})"
