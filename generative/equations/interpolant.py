"""A straight or curved bridge between two arbitrary distributions, of which neither needs to be Gaussian.

    x_t = α_t x₁ + σ_t x₀,      x₀ ~ source at t = 0,      x₁ ~ data at t = 1,      u_t(x) = E[α' x₁ + σ' x₀ | x_t = x]

The ODE dx = u_t(x) dt carries the source to the data. x₀ and x₁ may be coupled in any way that has the right two
marginals, independently or by `minibatch_ot`. u minimises the mean square E ‖net(x_t, t) − (α' x₁ + σ' x₀)‖² over
functions of (x_t, t). It is the same whether the path is conditioned on x₁, on x₀ or on both.

There is no score here: Tweedie's formula needs Gaussian noise, and a velocity alone says nothing of ∇ log p_t. For a
standard normal source that is independent of the data, the same velocity is that of
Denoiser(net, path, predicts="velocity").

Sources: Albergo et al., Stochastic Interpolants (2303.08797), section 2, with γ = 0; Liu et al., Rectified Flow
(2209.03003); Tong et al. (2302.00482), section 3.2; Pooladian et al., Multisample Flow Matching (2304.14772).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import torch
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor

from ...solvers import ODE, Field, Time
from ...solvers.common import (
    check_alike,
    check_callable,
    check_finite,
    check_instance,
    check_memory,
    check_samples,
    real,
)
from ..denoiser import check_output, own_dtype, per_sample
from ..paths import GaussianPath, stratified

__all__ = ["Interpolant", "minibatch_ot"]

Net = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Interpolant:
    """x_t = α_t `data` + σ_t `source`.

    Args:
        path: the path with the coefficients α and σ; `CondOT()` is the straight line. Its ends must be the two samples
            themselves, (α, σ) = (0, 1) at t = 0 and (1, 0) at t = 1.

    Raises:
        TypeError: `path` is no path.
        ValueError: the path has other ends.

    Example:
        >>> line, source, data = Interpolant(CondOT()), torch.zeros(1, 2), torch.tensor([[4.0, 8.0]])
        >>> line.state(torch.tensor([0.25]), source, data)
        tensor([[1., 2.]])
        >>> solve(line.flow(lambda x, t: data - source), source, [0.0, 1.0], Euler()).x
        tensor([[4., 8.]])
    """

    path: GaussianPath

    def __post_init__(self) -> None:
        check_instance("path", self.path, GaussianPath, "a path, such as CondOT()")
        for t in (0.0, 1.0):
            alpha, sigma = self.path.alpha(t), self.path.sigma(t)
            if math.hypot(alpha - t, sigma - (1.0 - t)) > 1e-12:
                raise ValueError(
                    f"{self.path} has alpha = {alpha:g} and sigma = {sigma:g} at t = {t:g}, but an interpolant needs "
                    f"{t:g} and {1.0 - t:g} there; take CondOT(), Polynomial(n) or Cosine(-math.inf, math.inf)."
                )

    def state(self, t: float | Tensor, source: Tensor, data: Tensor) -> Tensor:
        """x_t of each pair.

        Args:
            t: the times, (B,), or one for all.
            source: the samples at t = 0, (B, ...).
            data: the samples at t = 1, (B, ...).

        Returns:
            The states, (B, ...).

        Raises:
            TypeError: t, source or data are no floating-point numbers.
            ValueError: source and data have different shapes, or t another number of entries.
        """
        _check_pairs(source, data)
        t = _checked_times(t, data)
        return per_sample(self.path.alpha(t), data) * data + per_sample(self.path.sigma(t), source) * source

    def velocity(self, t: float | Tensor, source: Tensor, data: Tensor) -> Tensor:
        """α' data + σ' source, the velocity of each pair, (B, ...); arguments and errors as for `state`."""
        _check_pairs(source, data)
        t = _checked_times(t, data)
        return per_sample(self.path.d_alpha(t), data) * data + per_sample(self.path.d_sigma(t), source) * source

    def loss(self, net: Net, source: Tensor, data: Tensor, *, generator: Generator | None = None) -> Tensor:
        """The mean square of net(x_t, t) − (α' data + σ' source), with one stratified time a pair.

        Args:
            net: the network, net(x, t) with x of shape (B, ...) and t of shape (B,).
            source: the samples at t = 0, (B, ...).
            data: the samples at t = 1, (B, ...). Two independent batches are coupled independently; for optimal
                transport give data[minibatch_ot(source, data)].
            generator: draws the times; torch's default one if None.

        Returns:
            The mean over pairs and components, a scalar.

        Raises:
            ValueError: source and data have different shapes.
        """
        _check_pairs(source, data)
        _check_net(net)
        t = stratified(len(data), generator, like=data)
        output = net(self.state(t, source, data), t)
        check_output(output, data)
        error = output - self.velocity(t, source, data)
        return error.square().mean()

    def flow(self, net: Net) -> ODE:
        """The equation dx/dt = net(x, t), from the source at t = 0 to the data at t = 1.

        Args:
            net: the network, net(x, t) with x of shape (B, ...) and t of shape (B,).
        """
        _check_net(net)
        return ODE(_Velocity(net))

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("score", "log_snr", "half_log_snr", "transition", "time"):
            raise AttributeError(
                f"An interpolant has no {name}: its source need not be Gaussian, and a velocity alone determines "
                "neither score nor noise; if the source is standard normal, use Denoiser(net, path, "
                "predicts='velocity')."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@dataclass(frozen=True)
class _Velocity(Field):
    """net(x, t) as a field. The network sees its own dtype, and t of shape (B,), as that of a `Denoiser` does."""

    net: Net

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        seen = x.to(own_dtype(self.net) or x.dtype)
        value = self.net(seen, t.to(seen) if isinstance(t, Tensor) else seen.new_full((len(x),), t))
        return value.to(x.dtype) if isinstance(value, Tensor) else value


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
    _check_pairs(source, data)
    check_memory("The number of pairs", len(data), 3 * len(data) ** 2)
    shape = len(data), math.prod(data.shape[1:])
    left, right = (batch.detach().reshape(shape).cpu().double() for batch in (source, data))
    distance = torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
    squared = distance.square().cpu()
    check_finite("The squared distance of two samples", squared)
    _, permutation = linear_sum_assignment(squared.numpy())
    return torch.from_numpy(permutation).to(data.device)


def _check_pairs(source: Tensor, data: Tensor) -> None:
    check_samples("source", source)
    check_samples("data", data)
    check_alike("source", source, "data", data)


def _checked_times(t: float | Tensor, data: Tensor) -> float | Tensor:
    """The times of the pairs, (B,) or one for all."""
    if not isinstance(t, Tensor):
        return real("t", t)
    check_samples("t", t, axes=0)
    if t.shape not in ((), (1,), data.shape[:1]):
        raise ValueError(f"t has shape {tuple(t.shape)} for {len(data)} pairs; give one time a pair, or one for all.")
    return t


def _check_net(net: object) -> None:
    check_callable("net", net, "a network, net(x, t)")
