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

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isabstract
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser, check_kind
from ...generative.paths import GaussianPath, Real, Scalar
from ...solvers.noise import extra_normal, per_sample_keys
from .monotone import LogCDF, monotone_map

__all__ = ["Oracle"]


class Oracle(ABC):
    """A law of x₀ with its exact fields at every time of a Gaussian path.

    The methods take states x (B, *shape) of the oracle's dtype, a time t, which is one float or a tensor (B,) with a
    time for each sample, and the path. They raise ValueError for states and times of another shape or dtype, and where
    a field does not exist.

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
    def characteristic(self, frequency: Tensor) -> Tensor:
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
        alpha, sigma = coefficients(mean, t, path)
        return alpha * mean, alpha**2 * cov + sigma**2 * torch.eye(len(mean)).to(mean)

    def log_prob(self, x: Tensor, t: Scalar = 1.0, path: GaussianPath | None = None) -> Tensor:
        """log p_t(x), (B,); without a path the log density of x₀."""
        return self._log_prob(self._checked(x), *coefficients(x, t, path))

    def d_log_prob(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """∂_t log p_t(x), shape (B,), by the continuity equation."""
        transport = (self.velocity(x, t, path) * self.score(x, t, path)).flatten(1).sum(1)
        return -transport - self.divergence(x, t, path)

    def x0(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """E[x₀ | x_t], the ideal denoiser (Karras et al. 2206.00364, appendix B.3)."""
        alpha, sigma = coefficients(x, t, path)
        return self._mean(self._checked(x), alpha, sigma, 1.0, 0.0)

    def score(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """∇ log p_t(x) = −E[ε | x_t] / σ (Karras et al. 2206.00364, eq. 3), without the division."""
        alpha, sigma = coefficients(x, t, path)
        return self._mean(self._checked(x), alpha, sigma, 0.0, 1.0)

    def eps(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """E[ε | x_t]; 0 where σ = 0, since x_t is independent of ε there."""
        alpha, sigma = coefficients(x, t, path)
        return self._mean(self._checked(x), alpha, sigma, 0.0, -sigma)

    def v(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """α E[ε | x_t] − σ E[x₀ | x_t] (Salimans and Ho 2202.00512, section 4)."""
        alpha, sigma = coefficients(x, t, path)
        return self._mean(self._checked(x), alpha, sigma, -sigma, -alpha * sigma)

    def velocity(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """α' E[x₀ | x_t] + σ' E[ε | x_t], the probability flow (Song et al. 2011.13456, eq. 13).

        Raises ValueError at a time where σ' is infinite (VP at t = 1).
        """
        return self._mean(self._checked(x), *coefficients(x, t, path), *_flow(x, t, path))

    def divergence(self, x: Tensor, t: Scalar, path: GaussianPath) -> Tensor:
        """∇·velocity, shape (B,). Raises as `velocity` does."""
        return self._divergence(self._checked(x), *coefficients(x, t, path), *_flow(x, t, path))

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
        self._checked(x)
        self._check_line()
        return self._log_cdf(x, *coefficients(x, t, path), torch.as_tensor(upper).expand(len(x)))

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

        def tails(when: Scalar) -> LogCDF:
            return lambda y, upper: self.log_cdf(y[:, None], when, path, upper=upper)

        self._checked(x)
        self._check_line()
        return monotone_map(tails(s), tails(t), x[:, 0])[:, None]

    def denoiser(self, path: GaussianPath, predicts: str = "v") -> Denoiser:
        """The exact network. From a prediction of v, x₀ and ε follow without division by α or σ."""
        return Denoiser(ExactNetwork(self, path, check_kind(predicts)), path, predicts=predicts)

    def _check_line(self) -> None:
        if self.shape != (1,):
            raise ValueError(f"A law of shape {tuple(self.shape)} has no distribution function; take shape (1,).")

    def _checked(self, x: Tensor) -> Tensor:
        like = self._like
        if x.ndim == 0 or x.shape[1:] != self.shape or x.dtype != like.dtype:
            needed = ", ".join(["B", *map(str, self.shape)])
            raise ValueError(
                f"The state is {x.dtype} of shape {tuple(x.shape)}, but this oracle needs {like.dtype} "
                f"of shape ({needed}); convert the state, or build the oracle from {x.dtype}."
            )
        return x


@dataclass(frozen=True, eq=False)
class ExactNetwork:
    """The best prediction of a kind on a path: the network that an oracle stands in for."""

    oracle: Oracle
    path: GaussianPath
    predicts: str

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        predicted: Tensor = getattr(self.oracle, self.predicts)(x, time, self.path)
        return predicted


def coefficients(x: Tensor, t: Scalar, path: GaussianPath | None) -> tuple[Scalar, Scalar]:
    """(α, σ) at t, floats or tensors (B,). Without a path (1, 0), at t = 1 only."""
    if path is not None:
        return _per_sample(path.alpha, t, x), _per_sample(path.sigma, t, x)
    if isinstance(t, Tensor) or t != 1.0:
        raise ValueError("The law at a time other than t = 1 depends on the path; give path=.")
    return 1.0, 0.0


def broadcast(value: Real, x: Tensor) -> Real:
    """A coefficient of shape (B,) reshaped to multiply tensors with as many axes as x; a float stays as it is."""
    return value.reshape(-1, *(1,) * (x.ndim - 1)) if isinstance(value, Tensor) else value


def _flow(x: Tensor, t: Scalar, path: GaussianPath) -> tuple[Scalar, Scalar]:
    """(α', −σ σ'), the velocity's row of the table above."""
    d_alpha, d_sigma = _per_sample(path.d_alpha, t, x), _per_sample(path.d_sigma, t, x)
    if not isinstance(d_sigma, Tensor) and math.isinf(d_sigma):
        raise ValueError(f"The slope of sigma is infinite at t = {t:g} on {path}; take an earlier time.")
    return d_alpha, -_per_sample(path.sigma, t, x) * d_sigma


def _per_sample(coefficient: Callable[[Scalar], Scalar], t: Scalar, x: Tensor) -> Scalar:
    """A coefficient of the path at t: a float, or a tensor (B,) in x's dtype for a tensor t."""
    if not isinstance(t, Tensor):
        return coefficient(t)
    if t.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"The times have shape {tuple(t.shape)}; give one float, or one for each of the {len(x)} samples."
        )
    value = coefficient(t)
    return value.to(x).expand(len(x)) if isinstance(value, Tensor) else value
