"""log p(x) under a flow from any source whose density is known, such as that of an `Interpolant`.

    dx/dt = u(t, x),      log p₁(x₁) = log p₀(x₀) − ∫₀¹ ∇·u dt

between the source x₀ at t = 0 and the data x₁ at t = 1. The clock is t itself, and no part of the divergence is known
in closed form. Nodes, probes and their errors are those of `log_likelihood`.

Sources: Chen et al., Neural ODEs (1806.07366), theorem 1; Albergo et al., Stochastic Interpolants (2303.08797),
section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ...solvers import ODE, Field
from ...solvers.common import check_callable, check_instance, check_samples, flag, pullback, widest
from ...solvers.noise import per_sample_keys
from .change_of_variables import ChangeOfVariables
from .likelihood import LogLikelihood, likelihood_of
from .plan import plan_of
from .trace import Products

__all__ = ["flow_log_likelihood"]


@dataclass(frozen=True)
class SourceFlow(ChangeOfVariables):
    """The change of variables from data to their source, with r = t, z = x, N = u and A = ∂u/∂x.

    Args:
        flow: the equation.
        log_source: log p₀ of states, (n, ...): (n,).
        shape: the shape of a sample.
        first: t of the samples.
        last: t of the other end.
    """

    flow: ODE
    log_source: Callable[[Tensor], Tensor]
    shape: torch.Size
    first: float = 1.0
    last: float = 0.0

    @property
    def reference(self) -> float:
        return 0.0

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, flow=self.flow.of_rows(index))

    def reversed(self) -> Self:
        return replace(self, first=self.last, last=self.first)

    @property
    def field(self) -> Field:
        return self.flow.field

    def products(self, r: Tensor, z: Tensor) -> Products:
        def function(flat: Tensor) -> Tensor:
            return self.field(r, flat.reshape(-1, *self.shape)).flatten(1)

        return pullback(function, z.flatten(1), self.field)[1]

    def entering(self, x: Tensor) -> Tensor:
        return x

    def leaving(self, z: Tensor) -> Tensor:
        return z

    def log_density(self, noise: Tensor) -> Tensor:
        value = self.log_source(noise)
        if not isinstance(value, Tensor) or value.shape != (len(noise),):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"log_source gave {got} for states of shape {tuple(noise.shape)}; give one log p₀ a state, (n,)."
            )
        if bool(value.isnan().any()):
            raise ValueError("log_source gave nan for a state; give log p₀, or −inf where the source has no mass.")
        return value.to(widest(noise.device))


def flow_log_likelihood(
    flow: ODE,
    x: Tensor,
    log_source: Callable[[Tensor], Tensor],
    seed: int | Sequence[int] = 0,
    *,
    error: float | None = None,
    error_of_mean: float | None = None,
    nodes: int | None = None,
    trace: str = "auto",
    probes: int | None = None,
    frozen: bool = False,
    law: str = "rademacher",
    progress: bool = False,
) -> LogLikelihood:
    """log p(x) of the density that a flow makes of its source.

    The value of a sample depends on its batch by the plan and by rounding alone. It is differentiable; inside
    `torch.no_grad()` nothing is kept for that.

    Args:
        flow: the equation from the source at t = 0 to the data at t = 1, such as `Interpolant(path).flow(net)`.
        x: the data, floating-point, (B, ...).
        log_source: log p₀, a function of states, (n, ...), with values (n,); −∞ where the source has no mass.
        seed: the seed of the probes, and so the other arguments: as for `log_likelihood`.

    Returns:
        As `log_likelihood`; `latent` is the source of each sample, and `prior_mismatch` is 0.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: as `log_likelihood` raises; or `log_source` has values that are no log p₀.
        SolveError: as `solve` raises.

    Example:
        >>> import math
        >>> doubled = ODE(lambda t, x: math.log(2.0) * x)  # x₁ = 2 x₀
        >>> x = torch.tensor([[1.5, 1.0], [-1.0, 0.5]], dtype=torch.float64)
        >>> box = lambda x: torch.where((x.abs() < 1.0).all(1), -2.0 * math.log(2.0), -math.inf)  # uniform on [−1, 1]²
        >>> flow_log_likelihood(doubled, x, box).value.exp()  # uniform on [−2, 2]²
        tensor([0.0625, 0.0625], dtype=torch.float64)
    """
    check_instance("flow", flow, ODE, "an ODE, such as Interpolant(CondOT()).flow(net)")
    check_samples("x", x, axes=2, empty=False, wait=True)
    check_callable("log_source", log_source, "a function of states, (n, ...), with values log p₀, (n,)")
    progress = flag("progress", progress)
    keys = per_sample_keys(seed, len(x), x.device)
    change = SourceFlow(flow, log_source, x.shape[1:])
    plan = plan_of(
        change, x, (1.0, 0.0), error=error, error_of_mean=error_of_mean, nodes=nodes, trace=trace, probes=probes,
        frozen=frozen, law=law,
    )  # fmt: skip
    return likelihood_of(change, x, plan, keys, progress)
