"""Imperfect networks with an error of known size, made from the exact network of an oracle.

An oracle's network predicts y = E[Y | x_t], with the target Y = p x₀ + q ε of its kind. The size of an error e is

    size_t = ‖e‖_{L²(p_t)} / ‖Y‖,    ‖Y‖² = E|p x₀ + q ε|² = p² (|m|² + tr C) + q² d,

with m and C the moments of x₀. The size is relative to the target of the regression. So it is known in closed form for
every law, and stays finite where the best prediction itself vanishes. A network for ε with an error of the size 0.1 has
the loss of the exact network plus 0.01 d. The errors:

    Bias       size ‖Y‖ u                                  one direction u, everywhere
    White      size ‖Y‖ ξ(x, t)/√d                         ξ standard normal, independent between any two states
    Smooth     size ‖Y‖ Σ_j a_j √2 cos(ω_j·x/r_t + b_j)/N   random Fourier features, r_t the root mean square of x_t
    Lag        y(x, t − δ) − y(x, t)                       a clock that is late
    Rounding   the output rounded to a type with fewer digits

The first three have the given size at every time. For Smooth, N² = Σ a_j·a_l E 2 cos cos follows from the
characteristic function of the law. The sizes of the last two depend on the law; `relative_error` measures the error of
any network. Rounding to p binary digits is at most 2^{−p} |y| in every component.

Source of the features: Rahimi and Recht, Random Features for Large-Scale Kernel Machines (2007).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser, check_kind, coefficients, per_sample
from ...generative.paths import GaussianPath
from ...solvers.common import check_fields, check_finite, check_instance, check_memory, matching, real, whole
from ...solvers.noise import standard_normals
from .base import ExactNetwork, Oracle

__all__ = ["Bias", "Lag", "NetworkError", "RelativeError", "Rounding", "Smooth", "White", "perturbed", "relative_error"]


class NetworkError(ABC):
    """A known error, added to the exact output or computed from it."""

    @abstractmethod
    def output(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        """The output of the imperfect network, (B, *shape), for states x (B, *shape) and times (B,)."""


@dataclass(frozen=True)
class _Sized(NetworkError):
    """An error field of L²(p_t) norm one, times `size` ‖Y‖; `seed` draws the field."""

    size: float
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, real, "size", low=0.0)
        check_fields(self, whole, "seed", low=-(2**63), high=2**63 - 1)

    def output(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        scale = per_sample(self.size * _target_norm(exact, time), x)
        return exact(x, time) + scale * self.field(exact, x, time).to(x).reshape(x.shape)

    @abstractmethod
    def field(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        """(B, d) or one row, with E |field|² = 1 under p_t."""


@dataclass(frozen=True)
class Bias(_Sized):
    """The same vector in every state: `size` ‖Y‖ times a direction drawn from `seed`.

    Args:
        size: the norm of the error in L²(p_t), as a share of the norm of the exact output.
        seed: draws the field.
    """

    def field(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        direction = torch.randn(x[0].numel(), generator=_generator(self.seed), dtype=torch.float64, device="cpu")
        unit: Tensor = direction / direction.norm()
        return unit.expand(len(x), -1)


@dataclass(frozen=True)
class White(_Sized):
    """A standard normal vector for every state and time, a function of their bits and of `seed` alone.

    The same state at the same time has the same error in every batch and every run. Two states that differ in one bit
    have independent errors, so that no step size resolves the field. The size is that of the mean over all fields: over
    n states the square of the norm has the relative standard deviation √(2/(n d)).

    Args:
        size: the norm of the error in L²(p_t), as a share of the norm of the exact output.
        seed: draws the field.
    """

    def field(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        bits = torch.cat([x.flatten(1), time[:, None].to(x)], dim=1).double().contiguous().view(torch.int64)
        odd = torch.randint(-(2**62), 2**62, bits.shape[1:], generator=_generator(self.seed), device="cpu") * 2 + 1
        keys = (bits * odd.to(bits.device)).sum(1)
        return standard_normals(keys, [0], x.flatten(1).shape[1:], torch.float64)[0] / math.sqrt(x[0].numel())


@dataclass(frozen=True)
class Smooth(_Sized):
    """A sum of random waves, with wave numbers N(0, 1)/`length` in units of the root mean square of x_t.

    Args:
        size: the norm of the error in L²(p_t), as a share of the norm of the exact output.
        seed: draws the field.
        length: of a wave, in units of the root mean square of x_t.
        features: how many waves.
    """

    length: float = 1.0
    features: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, real, "length", above=0.0)
        check_fields(self, whole, "features", low=1)
        check_memory("features", self.features, 4 * self.features**2)

    def field(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        d, generator = x[0].numel(), _generator(self.seed)
        waves = torch.randn(self.features, d, generator=generator, dtype=torch.float64, device="cpu") / self.length
        phases = 2.0 * math.pi * torch.rand(self.features, generator=generator, dtype=torch.float64, device="cpu")
        amplitudes = torch.randn(self.features, d, generator=generator, dtype=torch.float64, device="cpu")
        times, which = torch.unique(time, return_inverse=True)
        mean, cov = (moment.double() for moment in exact.oracle.moments())
        alpha, sigma = exact.path.alpha(times).double(), exact.path.sigma(times).double()
        radius = (alpha**2 * (mean.square().sum() + cov.trace()) / d + sigma**2).sqrt()

        def mean_wave(wave: Tensor, phase: Tensor) -> Tensor:
            """E cos(ω·x_t/r_t + b), (times, m, m)."""
            scaled = wave / radius[:, None, None, None]
            signal = exact.oracle.characteristic((alpha[:, None, None, None] * scaled).reshape(-1, d).to(mean))
            noise = torch.exp(-0.5 * sigma[:, None, None] ** 2 * scaled.square().sum(-1))
            return noise * (signal.reshape(noise.shape) * torch.polar(torch.ones_like(phase), phase)).real

        gram = mean_wave(waves[:, None] - waves, phases[:, None] - phases)
        gram = gram + mean_wave(waves[:, None] + waves, phases[:, None] + phases)
        norm = torch.einsum("tjl,ji,li->t", gram, amplitudes, amplitudes).sqrt()
        angles = x.flatten(1).double() @ waves.T / radius[which, None] + phases
        field: Tensor = math.sqrt(2.0) * angles.cos() @ amplitudes / norm[which, None]
        return field


@dataclass(frozen=True)
class Lag(NetworkError):
    """The output for the time t − `delay`, limited to [0, 1]. Raises ValueError for a delay that is not finite."""

    delay: float

    def __post_init__(self) -> None:
        check_fields(self, real, "delay")

    def output(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        return exact(x, (time - self.delay).clamp(0.0, 1.0))


@dataclass(frozen=True)
class Rounding(NetworkError):
    """The output rounded to another floating type, such as torch.bfloat16. Raises ValueError for an integer type."""

    dtype: torch.dtype

    def __post_init__(self) -> None:
        check_instance("dtype", self.dtype, torch.dtype, "a torch dtype, such as torch.bfloat16")
        if not self.dtype.is_floating_point:
            raise ValueError(f"Rounding needs a floating type, but got {self.dtype}.")

    def output(self, exact: ExactNetwork, x: Tensor, time: Tensor) -> Tensor:
        return exact(x, time).to(self.dtype).to(x)


def perturbed(oracle: Oracle, error: NetworkError, path: GaussianPath, predicts: str = "v") -> Denoiser:
    """The oracle's network with an error of known size.

    Args:
        oracle: the law of x₀, whose exact network is perturbed.
        error: `Bias`, `White`, `Smooth`, `Lag` or `Rounding`.
        path: the path of the network.
        predicts: the kind of prediction that the error is added to.

    Returns:
        A denoiser like any other.

    Raises:
        TypeError: arguments of another kind.
        ValueError: an unknown kind of prediction; or the error's size is relative to the second moments, and the law
            has infinite ones.
    """
    check_instance("oracle", oracle, Oracle, "an oracle, such as Gaussian(mean, cov)")
    check_instance("error", error, NetworkError, "an error, such as Bias(0.1)")
    if isinstance(error, _Sized) and not bool(oracle.moments()[1].isfinite().all()):
        raise ValueError("The law has no finite variance, so that no size is relative to it; take Lag or Rounding.")
    return Denoiser(_Imperfect(error, ExactNetwork(oracle, path, check_kind(predicts))), path, predicts=predicts)


@dataclass(frozen=True, eq=False)
class _Imperfect:
    """The exact network with an error."""

    error: NetworkError
    exact: ExactNetwork

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        return self.error.output(self.exact, x, time)


def _target_norm(exact: ExactNetwork, time: Tensor) -> Tensor:
    """‖Y‖ at times (B,)."""
    p, q = (matching(value, time) for value in coefficients(exact.predicts, exact.path, time))
    mean, cov = exact.oracle.moments()
    return (p**2 * (mean.square().sum() + cov.trace()) + q**2 * len(mean)).sqrt()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class RelativeError(NamedTuple):
    """The size of a network's error, and the standard error of that estimate."""

    value: float
    standard_error: float


def relative_error(denoiser: Denoiser, oracle: Oracle, t: float, *, n: int = 4096, seed: int = 0) -> RelativeError:
    """Measures ‖ŷ − y‖_{L²(p_t)} / ‖Y‖ of a denoiser, on states x_t of the oracle's law.

    Args:
        denoiser: the network, on its path.
        oracle: the law of x₀.
        t: the time.
        n: the number of states, at least 2.
        seed: draws the states.

    Raises:
        TypeError: arguments of another kind.
        ValueError: numbers out of range, and a denoiser whose output does not fit the law's states or is not finite.
    """
    check_instance("denoiser", denoiser, Denoiser, "a Denoiser, such as oracle.denoiser(CondOT())")
    check_instance("oracle", oracle, Oracle, "an oracle, such as Gaussian(mean, cov)")
    n, t = whole("n", n, 2), real("t", t, 0.0, 1.0)
    exact = ExactNetwork(oracle, denoiser.path, denoiser.predicts)
    x = oracle.sample(n, seed, t, denoiser.path)
    time = x.new_full((n,), t)
    output = denoiser.output(t, x)
    check_finite("The network's output", output)
    squares = (output - exact(x, time)).double().flatten(1).square().sum(1)
    squares = squares / _target_norm(exact, time.double()[:1]) ** 2
    value = math.sqrt(float(squares.mean()))
    spread = float(squares.std()) / math.sqrt(n)
    return RelativeError(value, 0.5 * spread / value if value > 0.0 else 0.0)
