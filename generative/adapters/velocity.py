"""Velocity fields: flow_matching, torchcfm, and any u(x, t) or u(t, x).

Both libraries run from noise (t = 0) to data (t = 1), as Fokker does, and train a network on x_t'. So the network is
the velocity of a Gaussian path if noise and data are drawn independently of each other:

    flow_matching   a scheduler                    x_t = α_t x₀ + σ_t ε
    torchcfm        ConditionalFlowMatcher(s)      α = t, σ = √((1 − t)² + s²)
                    TargetConditionalFlowMatcher   α = t, σ = 1 − (1 − s) t
                    VariancePreserving…(0)         α = sin(πt/2), σ = cos(πt/2)

The first path of torchcfm, x_t = t x₀ + (1 − t) ε₁ + s ε₂ = t x₀ + σ ε, is `NoisyCondOT`. The conditional mean of ε₁ is
(1 − t)/σ ε = −σ' ε, so that of the target x₀ − ε₁ is x₀-hat + σ' ε-hat: the velocity of this path.

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

from ...solvers.common import flag, host
from ..denoiser import Condition, Denoiser, Label
from ..paths import VP, CondOT, Cosine, GaussianPath, NoisyCondOT, Real, exp
from .wrapped import unwrapped

__all__ = ["Scheduled", "from_velocity", "path_of"]

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
    """A velocity field as a denoiser.

    A network that was trained on a coupling of noise and data (torchcfm's optimal transport) is a velocity, but not of
    a Gaussian path. Give CondOT() for it, and use only flow(denoiser), whose drift it is.

    Args:
        net: net(x, t, **condition) or net(t, x, **condition).
        path: a Gaussian path, a scheduler or an `AffineProbPath` of flow_matching, or a matcher of torchcfm; None for
            `CondOT`.
        order: "x, t" or "t, x"; None to read it off the names of the network's parameters.
        scalar: whether the network takes one t without axes, as torchdiffeq calls it, instead of t of shape (B,).
        label: as for `Denoiser`; the network's third argument.
        condition: as for `Denoiser`.

    Raises:
        TypeError: scalar is no bool.
        ValueError: the names do not tell the order, or the path is unknown.
    """
    scalar = flag("scalar", scalar)
    order = _order(net) if order is None else order
    if order not in ("x, t", "t, x"):
        raise ValueError(f"order is {order!r}; it is 'x, t' for net(x, t) or 't, x' for net(t, x).")
    if order == "t, x" or scalar or unwrapped(net) is not net:
        net = _Reordered(net, order, scalar)
    return Denoiser(net, path_of(path), predicts="velocity", label=label, condition=condition)


class _Reordered:
    """The network as a function of x and of times (B,), in this order."""

    def __init__(self, net: Callable[..., Tensor], order: Order, scalar: bool) -> None:
        self.net, self.order, self.scalar = net, order, scalar
        inner = unwrapped(net)
        self.classes, self.null_label = getattr(inner, "classes", None), getattr(inner, "null_label", None)
        self.__name__ = getattr(inner, "__name__", type(inner).__name__)

    def __call__(self, x: Tensor, times: Tensor, *label: Tensor, **condition: Any) -> Tensor:
        t = self._single(times) if self.scalar else times
        return self.net(*((x, t) if self.order == "x, t" else (t, x)), *label, **condition)

    def _single(self, times: Tensor) -> Tensor:
        if not bool((times == times[0]).all()):
            raise ValueError(f"{self.__name__} takes one time for all samples; solve without per_sample, on one grid.")
        return times[0]


def _order(net: Callable[..., Tensor]) -> Order:
    """Reads the order off the names of the first two parameters."""
    inner = unwrapped(net)
    function = inner.forward if isinstance(inner, torch.nn.Module) else inner
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
    """The path of a scheduler, an affine path or a matcher. Raises ValueError for anything else."""
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
class Scheduled(GaussianPath):
    """The path of a scheduler of flow_matching.

    scheduler(t) gives alpha_t, sigma_t and their derivatives for a tensor t; scheduler.snr_inverse(α/σ) gives the time.
    """

    scheduler: Any

    def _of(self, name: str, t: Real) -> Real:
        at = t if isinstance(t, Tensor) else host(t)
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
        at = ratio if isinstance(ratio, Tensor) else host(ratio)
        time = torch.where(at.isinf(), 1.0, self.scheduler.snr_inverse(at.clamp(max=1e100)))
        return time if isinstance(log_snr, Tensor) else time.item()

    def __repr__(self) -> str:
        return f"Scheduled({type(self.scheduler).__name__})"
