"""The interface of an oracle: a law of x₀ with exact fields under any Gaussian path x_t = α x₀ + σ ε.

Two fields suffice: the denoiser D = E[x₀ | x_t] and the score s = ∇ log p_t. By Tweedie's formula E[ε | x_t] = −σ s,
so that every kind of prediction, p x₀ + q ε, is p D − q σ s, without a division by α or σ:

    kind       of D    of s
    x0         1       0
    score      0       1
    eps        0       −σ
    v          −σ      −α σ
    velocity   α'      −σ σ'

The velocity u carries p_t along, ∂_t p_t + ∇·(p_t u) = 0, and hence ∂_t log p_t = −u·s − ∇·u. In one dimension the
order of the points on the line is kept, so that the flow from s to t is F_t⁻¹ ∘ F_s, with F the distribution functions.

Sources: Robbins, An empirical Bayes approach to statistics (1956), for Tweedie's formula; Song et al. (2011.13456),
eq. 13, for the velocity.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from inspect import isabstract
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser, check_kind
from ...generative.flow_maps import FlowMap
from ...generative.paths import GaussianPath, Scalar
from ...solvers.common import check_finite, check_floating, check_instance, check_memory, real, whole
from ...solvers.noise import extra_normal, per_sample_keys
from .arguments import broadcast, checked, checked_time, coefficients, fitting, flow_coefficients
from .monotone import LogCDF, monotone_map

__all__ = ["ExactMap", "ExactNetwork", "Oracle"]


class Oracle(ABC):
    """A law of x₀ with its exact fields at every time of a Gaussian path.

    The methods take states x (B, *shape) of the oracle's dtype, a time t, which is one float or a tensor (B,) with a
    time for each sample, and the path. They raise TypeError for arguments of another kind, and ValueError for states
    and times of another shape or dtype or that are not finite, for times outside [0, 1], and where a field does not
    exist.

    A subclass gives the methods with an underscore, as functions of α and σ: floats, or tensors (B,). It is registered
    under the name of its class, unless that begins with an underscore; the tests hold every registered oracle to the
    same contract.
    """

    _registry: ClassVar[dict[str, type[Oracle]]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if not cls.__name__.startswith("_"):
            cls._registry[cls.__name__] = cls

    @staticmethod
    def registered() -> dict[str, type[Oracle]]:
        """Every oracle that has been imported and can be made, by the name of its class."""
        return {name: kind for name, kind in Oracle._registry.items() if not isabstract(kind)}

    @property
    @abstractmethod
    def _like(self) -> Tensor:
        """A tensor (n, *shape) of the law's dtype, on its device."""

    @abstractmethod
    def _draw(self, n: int, seed: int) -> Tensor:
        """n draws of x₀."""

    @abstractmethod
    def _log_prob(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> Tensor:
        """log p_t(x), (B,)."""

    @abstractmethod
    def _mean(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        """p D + r s, (B, *shape)."""

    @abstractmethod
    def _divergence(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        """p ∇·D + r ∇·s, (B,)."""

    @abstractmethod
    def _moments(self) -> tuple[Tensor, Tensor]:
        """The mean (d,) and the covariance (d, d) of x₀."""

    @abstractmethod
    def _characteristic(self, frequency: Tensor) -> Tensor:
        """E exp(i ω·x₀), complex (n,), for frequencies (n, d)."""

    @abstractmethod
    def _log_cdf(self, x: Tensor, alpha: Scalar, sigma: Scalar, upper: Tensor) -> Tensor:
        """log P(x_t ≤ x), or where `upper` (B,) log P(x_t > x), (B,); only called in one dimension."""

    @property
    def shape(self) -> torch.Size:
        """The shape of one sample."""
        return self._like.shape[1:]

    def sample(self, n: int, seed: int, t: Scalar = 1.0, path: GaussianPath | None = None) -> Tensor:
        """Draws of x_t = α x₀ + σ ε.

        Args:
            n: how many.
            seed: row i depends on (seed, i) alone.
            t: one time, or one for each draw, (n,).
            path: None for draws of x₀.

        Returns:
            (n, *shape).
        """
        n, seed, t = whole("n", n, 0), whole("seed", seed), checked_time(t, path)
        check_memory("n", n, 4 * n * max(1, self.shape.numel()))  # the draws, their bits and their normals
        x0 = self._draw(n, seed)
        if path is None:
            coefficients(x0, t, path)
            return x0
        alpha, sigma = (broadcast(value, x0) for value in coefficients(x0, t, path))
        return alpha * x0 + sigma * extra_normal(per_sample_keys(seed, n, x0.device), 0, x0)

    def moments(self, t: float = 1.0, path: GaussianPath | None = None) -> tuple[Tensor, Tensor]:
        """The mean (d,) and the covariance (d, d) of x_t with flattened axes; of x₀ without a path.

        The covariance may be infinite.
        """
        mean, cov = self._moments()
        alpha, sigma = coefficients(mean, real("t", checked_time(t, path)), path)
        return alpha * mean, alpha**2 * cov + sigma**2 * torch.eye(len(mean), dtype=mean.dtype, device=mean.device)

    def characteristic(self, frequency: Tensor) -> Tensor:
        """E exp(i ω·x₀).

        Args:
            frequency: ω, (n, d), for a law with flattened axes.

        Returns:
            Complex (n,).
        """
        check_floating("frequency", frequency)
        d = self.shape.numel()
        if frequency.ndim != 2 or frequency.shape[1] != d or frequency.dtype != self._like.dtype:
            raise ValueError(
                f"frequency is {frequency.dtype} of shape {tuple(frequency.shape)}, but this oracle needs "
                f"{self._like.dtype} of shape (n, {d})."
            )
        check_finite("frequency", frequency)
        return self._characteristic(frequency)

    def log_prob(self, x: Tensor, t: Scalar = 1.0, path: GaussianPath | None = None) -> Tensor:
        """log p_t(x), (B,); without a path the log density of x₀."""
        x, t = checked(x, t, path, self._like)
        return self._log_prob(x, *coefficients(x, t, path))

    def d_log_prob(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """∂_t log p_t(x), shape (B,), by the continuity equation."""
        x, t = self._at(x, t, path)
        transport = (self._field("velocity", x, t, path) * self._field("score", x, t, path)).flatten(1).sum(1)
        return -transport - self._divergence(x, *coefficients(x, t, path), *flow_coefficients(x, t, path))

    def x0(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """E[x₀ | x_t], the ideal denoiser (Karras et al. 2206.00364, appendix B.3)."""
        return self._field("x0", *self._at(x, t, path), path)

    def score(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """∇ log p_t(x) = −E[ε | x_t] / σ (Karras et al. 2206.00364, eq. 3), without the division."""
        return self._field("score", *self._at(x, t, path), path)

    def eps(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """E[ε | x_t]; 0 where σ = 0, since x_t is independent of ε there."""
        return self._field("eps", *self._at(x, t, path), path)

    def v(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """α E[ε | x_t] − σ E[x₀ | x_t] (Salimans and Ho 2202.00512, section 4)."""
        return self._field("v", *self._at(x, t, path), path)

    def velocity(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """α' E[x₀ | x_t] + σ' E[ε | x_t], the probability flow (Song et al. 2011.13456, eq. 13).

        Raises ValueError at a time where σ' is infinite (VP at t = 1).
        """
        return self._field("velocity", *self._at(x, t, path), path)

    def divergence(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """∇·velocity, shape (B,). Raises as `velocity` does."""
        x, t = self._at(x, t, path)
        return self._divergence(x, *coefficients(x, t, path), *flow_coefficients(x, t, path))

    def log_cdf(
        self, x: Tensor, t: Scalar = 1.0, path: GaussianPath | None = None, *, upper: bool | Tensor = False
    ) -> Tensor:
        """log P(x_t ≤ x), or log P(x_t > x), accurate in both tails, for laws on the line.

        Args:
            x: points, (B, 1).
            t: one time, or one for each point, (B,).
            path: None for the law of x₀.
            upper: whether to give P(x_t > x); one truth value, or one for each point, (B,).

        Returns:
            (B,).

        Raises:
            ValueError: the law has more than one dimension.
        """
        x, t = checked(x, t, path, self._like)
        tail = torch.as_tensor(upper, device="cpu") if isinstance(upper, bool | Tensor) else None
        if tail is None or tail.dtype != torch.bool or tail.shape not in ((), x.shape[:1]):
            raise TypeError(f"upper must be True, False, or truth values of shape ({len(x)},).")
        return self.tails(t, path)(x[:, 0], tail.expand(len(x)))

    def tails(self, t: Scalar = 1.0, path: GaussianPath | None = None) -> LogCDF:
        """Both tails of x_t as a function of points (B,) and of which tail it is, (B,); for laws on the line."""
        if self.shape != (1,):
            raise ValueError(f"A law of shape {tuple(self.shape)} has no distribution function; take shape (1,).")
        return _Tails(self, checked_time(t, path), path)

    def flow_map(self, x: Tensor, s: Scalar, t: Scalar, path: GaussianPath) -> Tensor:
        """The probability flow from time s to time t on the line: F_t⁻¹ ∘ F_s.

        The relative error is that of the distribution functions, about 1e-13.

        Args:
            x: states at time s, (B, 1).
            s: the time of x, one or (B,).
            t: the time of the result, before or after s, one or (B,).
            path: the path.

        Returns:
            (B, 1).

        Raises:
            ValueError: the law has more than one dimension.
        """
        x, s = self._at(x, s, path)
        return monotone_map(self.tails(s, path), self.tails(t, path), x[:, 0])[:, None]

    def denoiser(self, path: GaussianPath, predicts: str = "v") -> Denoiser:
        """The exact network. From a prediction of v, x₀ and ε follow without division by α or σ."""
        return Denoiser(ExactNetwork(self, path, check_kind(predicts)), path, predicts=predicts)

    def map(self, path: GaussianPath) -> FlowMap:
        """The exact flow map of the path, where `flow_map` exists: on the line, and for a Gaussian law.

        Its network returns X(x, s, t) itself.
        """
        check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
        return FlowMap(ExactMap(self, path), path, predicts="state")

    def _at(self, x: Tensor, t: Scalar, path: GaussianPath) -> tuple[Tensor, Scalar]:
        """States and times, checked, for a field, which needs a path."""
        check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
        return checked(x, t, path, self._like)

    def _field(self, kind: str, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """The prediction of this kind, a row (p, r) of the table above, for arguments that fit."""
        alpha, sigma = coefficients(x, t, path)
        rows: dict[str, tuple[Scalar, Scalar]] = {
            "x0": (1.0, 0.0),
            "score": (0.0, 1.0),
            "eps": (0.0, -sigma),
            "v": (-sigma, -alpha * sigma),
        }
        return self._mean(x, alpha, sigma, *(rows[kind] if kind in rows else flow_coefficients(x, t, path)))


@dataclass(frozen=True, eq=False)
class _Tails:
    """Both tails of a law at one time, or at one time a point."""

    oracle: Oracle
    t: Scalar
    path: GaussianPath | None

    def __call__(self, y: Tensor, upper: Tensor) -> Tensor:
        return self.oracle._log_cdf(y[:, None], *coefficients(y, self.t, self.path), upper)


@dataclass(frozen=True, eq=False)
class ExactNetwork:
    """The exact network of a law on a path: states (B, *shape) and times (B,) to a prediction of this kind."""

    oracle: Oracle
    path: GaussianPath
    predicts: str

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        return self.oracle._field(self.predicts, fitting(x, self.oracle._like), time, self.path)


@dataclass(frozen=True, eq=False)
class ExactMap:
    """The exact flow map of a law on a path: states (B, *shape) at times s (B,) to those at times t (B,)."""

    oracle: Oracle
    path: GaussianPath

    def __call__(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.oracle.flow_map(fitting(x, self.oracle._like), s, t, self.path)
