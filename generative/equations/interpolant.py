"""A bridge between two arbitrary distributions, of which neither needs to be Gaussian, with latent noise or without.

    x_t = I(t, x₀, x₁) + γ(t) z,        x₀ ~ source at t = 0,      x₁ ~ data at t = 1,      z ~ N(0, 1)

I is α_t x₁ + σ_t x₀ of a path, or any function that joins the two samples. With u_t(x) = E[∂_t I + γ' z | x_t = x] the
ODE dx = u_t(x) dt carries the source to the data, and with the score s_t = ∇ log p_t so does every

    dX = [u_t + ½ σ_t² s_t] dt + σ_t dW,        σ_t ≥ 0.

x₀ and x₁ may be coupled in any way that has the right two marginals, independently or by `minibatch_ot`. u minimises
the mean square E ‖net(x_t, t) − ∂_t I − γ' z‖² over functions of (x_t, t), whatever the path is conditioned on.

A velocity alone says nothing of ∇ log p_t. With γ > 0 a second network learns it: s = −η/γ with η = E[z | x_t]. Without
γ the score has to be known, unless the source is standard normal and independent of the data, where the velocity is
that of Denoiser(net, path, predicts="velocity").

Sources: Albergo et al., Stochastic Interpolants (2303.08797), eq. 4 and corollary 2.10; Holderrieth and
Erives, lecture notes 2025, theorem 13 and section 4.3; Liu et al., Rectified Flow (2209.03003); Tong et al.
(2302.00482), section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import torch
from torch import Generator, Tensor

from ...solvers import ODE, SDE
from ...solvers.common import check_alike, check_callable, check_samples, choice, real, whole
from ..denoiser import Label, checked_label, per_sample
from ..paths import GaussianPath, derivative, stratified
from .bridge_fields import BridgeDrift, BridgeNoise, Conditioned, Net, Velocity
from .bridge_losses import NEAREST, Drawn, drawn
from .coupling import check_pairs
from .latent_noise import INSIDE, check_latent
from .noise_level import NoiseLevel, level_at

__all__ = ["Interpolant"]

Curve = Callable[[Tensor, Tensor, Tensor], Tensor]
"""I(t, source, data) with t of shape (B, 1, ...), source at t = 0 and data at t = 1."""


@dataclass(frozen=True)
class Interpolant:
    """x_t = I(t, `source`, `data`) + γ(t) z.

    Args:
        path: the path with the coefficients α and σ of I = α data + σ source; `CondOT()` is the straight line, and
            `Cosine(-math.inf, math.inf)` the trigonometric one. Its ends must be the two samples themselves, (α, σ) =
            (0, 1) at t = 0 and (1, 0) at t = 1. Or any function I(t, source, data) of tensors, differentiable in t of
            shape (B, 1, ...), that is the source at t = 0 and the data at t = 1, such as `EncoderDecoder()`.
        gamma: γ, a function of a float or a tensor t that is 0 at both ends and positive between, such as
            `BrownianLatent()` or `noise_level.sine(1.0)`. None is no latent noise.

    Raises:
        TypeError: `path` is no path and no function, or gamma no function.
        ValueError: the path has other ends, or γ other values.

    Example:
        >>> line, source, data = Interpolant(CondOT()), torch.zeros(1, 2), torch.tensor([[4.0, 8.0]])
        >>> line.state(torch.tensor([0.25]), source, data)
        tensor([[1., 2.]])
        >>> solve(line.flow(lambda x, t: data - source), source, [0.0, 1.0], Euler()).x
        tensor([[4., 8.]])
    """

    path: GaussianPath | Curve
    gamma: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.path, GaussianPath):
            _check_ends(self.path)
        else:
            check_callable("path", self.path, "a path, such as CondOT(), or a function I(t, source, data)")
        if self.gamma is not None:
            check_latent(self.gamma)

    def state(self, t: float | Tensor, source: Tensor, data: Tensor, z: Tensor | None = None) -> Tensor:
        """x_t of each pair.

        Args:
            t: the times, (B,), or one for all.
            source: the samples at t = 0, (B, ...).
            data: the samples at t = 1, (B, ...).
            z: the latent noise, like the data; None without γ.

        Returns:
            The states, (B, ...).

        Raises:
            TypeError: t, source or data are no floating-point numbers.
            ValueError: source, data and z have different shapes, t another number of entries, or z is missing.
        """
        t = self._checked(t, source, data, z)
        mean = self._mean(t, source, data)
        return mean if self.gamma is None or z is None else mean + per_sample(self.gamma(t), data) * z

    def velocity(self, t: float | Tensor, source: Tensor, data: Tensor, z: Tensor | None = None) -> Tensor:
        """∂_t I + γ' z, the velocity of each pair, (B, ...); arguments and errors as for `state`."""
        t = self._checked(t, source, data, z)
        slope = self._slope(t, source, data)
        return slope if self.gamma is None or z is None else slope + per_sample(derivative(self.gamma, t), data) * z

    def loss(
        self,
        net: Net,
        source: Tensor,
        data: Tensor,
        label: Tensor | None = None,
        *,
        generator: Generator | None = None,
    ) -> Tensor:
        """The mean square of net(x_t, t) − (∂_t I + γ' z), with one stratified time a pair.

        With latent noise each pair is seen at I + γ z and at I − γ z, and the constant E γ'² z², which may be infinite,
        is left out.

        Args:
            net: the network, net(x, t) with x of shape (B, ...) and t of shape (B,); net(x, t, label) with a label.
            source: the samples at t = 0, (B, ...).
            data: the samples at t = 1, (B, ...). Two independent batches are coupled independently; for optimal
                transport give data[minibatch_ot(source, data)].
            label: the labels of the data, int64 (B,), or None. For guidance replace some by that which stands for none.
            generator: draws times and latent noise; torch's default one if None.

        Returns:
            The mean over pairs and components, a scalar.

        Raises:
            ValueError: source and data have different shapes.
        """
        return self._drawn(net, 1, source, data, label, generator).velocity_error()

    def eta_loss(
        self,
        net: Net,
        source: Tensor,
        data: Tensor,
        label: Tensor | None = None,
        *,
        generator: Generator | None = None,
    ) -> Tensor:
        """The mean square of net(x_t, t) − z, whose minimiser is η = −γ ∇ log p_t; arguments as for `loss`.

        Raises:
            ValueError: source and data have different shapes, or there is no latent noise.
        """
        self._check_latent()
        return self._drawn(net, 1, source, data, label, generator).eta_error()

    def joint_loss(
        self,
        net: Net,
        source: Tensor,
        data: Tensor,
        label: Tensor | None = None,
        *,
        generator: Generator | None = None,
    ) -> Tensor:
        """`loss` and `eta_loss` together, of a network that returns the pair (u, η); arguments and errors as there."""
        self._check_latent()
        found = self._drawn(net, 2, source, data, label, generator)
        return found.velocity_error(0) + found.eta_error(1)

    def flow(self, net: Net, label: Label | None = None, guidance: float | None = None, null: int | None = None) -> ODE:
        """The equation dx/dt = net(x, t), from the source at t = 0 to the data at t = 1.

        Args:
            net: the network, net(x, t) with x of shape (B, ...) and t of shape (B,); of a pair it is the first.
            label: the label y that it is given, an int or int64 (B,).
            guidance: w of (1 − w) net(x, t, ∅) + w net(x, t, y); None for net(x, t, y).
            null: the label ∅ that stands for none; None takes `null_label` of the network.

        Raises:
            ValueError: a label that the network does not know, or guidance without label or null.
        """
        check_callable("net", net, "a network, net(x, t)")
        return ODE(Velocity(_conditioned(net, label, guidance, null)))

    def sde(
        self,
        velocity: Net,
        score: Net | None,
        sigma: NoiseLevel,
        *,
        predicts: Literal["score", "eta"] = "score",
        label: Label | None = None,
        guidance: float | None = None,
        null: int | None = None,
    ) -> SDE:
        """dX = [u + ½ σ_t² s] dt + σ_t dW from the source at t = 0, with the same marginals for every σ_t.

        It is for `EulerMaruyama`, `SRA1` and their like. Where σ_t = 0 the score is not asked. Methods that evaluate
        the drift at both ends need scores that exist there.

        Args:
            velocity: the network of u, as for `flow`.
            score: the network of the score. None if `velocity` returns the pair of both.
            sigma: σ_t, a function of a float t, such as `noise_level.sine(1.0)`.
            predicts: "score", or "eta" for a network of η = −γ s. At the ends, where γ = 0, η has a score only with a σ
                that vanishes there.
            label: as for `flow`, and so are guidance and null. They hold for both networks.

        Raises:
            ValueError: sigma is negative or not finite in (0, 1), or has a gradient; there is no η without latent
                noise; or as for `flow`.

        Example:
            >>> line = Interpolant(CondOT())                                     # from N(0, 1) to the point 0
            >>> equation = line.sde(lambda x, t: -x / (1 - t[:, None]), lambda x, t: -x / (1 - t[:, None]) ** 2,
            ...                     noise_level.power_of_sigma(CondOT(), 1.0))
            >>> solve(equation, torch.ones(4, 2), [0.0, 0.5, 1.0], EulerMaruyama(), WhiteNoise(0)).x.shape
            torch.Size([4, 2])
        """
        check_callable("velocity", velocity, "a network, net(x, t)")
        check_callable("sigma", sigma, "a function σ(t), such as noise_level.sine(1.0)")
        if score is not None:
            check_callable("score", score, "a network, net(x, t)")
        if choice("predicts", predicts, ("score", "eta")) == "eta":
            self._check_latent()
        for t in INSIDE:
            if not 0.0 <= level_at(sigma, t) < math.inf:
                raise ValueError(f"sigma must be finite and not negative, but is {level_at(sigma, t):g} at t = {t:g}.")
        first = _conditioned(velocity, label, guidance, null)
        second = None if score is None else _conditioned(score, label, guidance, null)
        drift = BridgeDrift(first, second, sigma, self.gamma if predicts == "eta" else None)
        return SDE(drift, BridgeNoise(sigma), noise="additive")

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("score", "log_snr", "half_log_snr", "transition", "time"):
            raise AttributeError(
                f"An interpolant has no {name}: its source need not be Gaussian, and a velocity alone determines "
                "neither score nor noise; if the source is standard normal, use Denoiser(net, path, "
                "predicts='velocity')."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _mean(self, t: float | Tensor, source: Tensor, data: Tensor) -> Tensor:
        """I."""
        if isinstance(self.path, GaussianPath):
            return per_sample(self.path.alpha(t), data) * data + per_sample(self.path.sigma(t), source) * source
        return self.path(_column(t, data), source, data)

    def _slope(self, t: float | Tensor, source: Tensor, data: Tensor) -> Tensor:
        """∂_t I."""
        if isinstance(self.path, GaussianPath):
            return per_sample(self.path.d_alpha(t), data) * data + per_sample(self.path.d_sigma(t), source) * source
        at, curve = _column(t, data), self.path
        slope: Tensor = torch.func.jvp(lambda t: curve(t, source, data), (at,), (torch.ones_like(at),))[1]
        return slope

    def _drawn(
        self, net: Net, outputs: int, source: Tensor, data: Tensor, label: Tensor | None, generator: Generator | None
    ) -> Drawn:
        """What the network says at random times of the pairs."""
        check_pairs(source, data)
        check_callable("net", net, "a network, net(x, t)")
        if label is not None and (not isinstance(label, Tensor) or label.shape != data.shape[:1]):
            raise ValueError(f"label must be a tensor of {len(data)} integers, one a pair, int64 ({len(data)},).")
        t = stratified(len(data), generator, like=data)
        if self.gamma is not None:
            t = t.clamp(NEAREST, 1.0 - NEAREST)
        mean, slope = self._mean(t, source, data), self._slope(t, source, data)
        return drawn(net, outputs, mean, slope, t, self.gamma, label, generator)

    def _check_latent(self) -> None:
        if self.gamma is None:
            raise ValueError("Without latent noise there is no η; give the interpolant a gamma, BrownianLatent(1.0).")

    def _checked(self, t: float | Tensor, source: Tensor, data: Tensor, z: Tensor | None) -> float | Tensor:
        """The times of the pairs, (B,) or one for all."""
        check_pairs(source, data)
        if (z is None) != (self.gamma is None):
            kind = "no gamma, so that there is no z" if self.gamma is None else "latent noise; give z, like the data"
            raise ValueError(f"The interpolant has {kind}.")
        if z is not None:
            check_samples("z", z)
            check_alike("z", z, "data", data)
        if not isinstance(t, Tensor):
            return real("t", t)
        check_samples("t", t, axes=0)
        if t.shape not in ((), (1,), data.shape[:1]):
            given = f"shape {tuple(t.shape)} for {len(data)} pairs"
            raise ValueError(f"t has {given}; give one time a pair, or one for all.")
        return t


def _check_ends(path: GaussianPath) -> None:
    for t in (0.0, 1.0):
        alpha, sigma = path.alpha(t), path.sigma(t)
        if math.hypot(alpha - t, sigma - (1.0 - t)) > 1e-12:
            raise ValueError(
                f"{path} has alpha = {alpha:g} and sigma = {sigma:g} at t = {t:g}, but an interpolant needs "
                f"{t:g} and {1.0 - t:g} there; take CondOT(), Polynomial(n) or Cosine(-math.inf, math.inf)."
            )


def _column(t: float | Tensor, data: Tensor) -> Tensor:
    """The times as (B, 1, ...)."""
    times = torch.as_tensor(t, dtype=data.dtype, device=data.device)
    return times.expand(len(data)).reshape(-1, *(1,) * (data.ndim - 1))


def _conditioned(net: Net, label: Label | None, guidance: float | None, null: int | None) -> Conditioned:
    """The network with its label and its guidance."""
    if guidance is None:
        return Conditioned(net, checked_label(label, net))
    null = getattr(net, "null_label", None) if null is None else whole("null", null)
    if label is None or null is None:
        raise ValueError("Guidance needs a label, and null, the label that stands for none; give both.")
    return Conditioned(net, checked_label(label, net), real("guidance", guidance), null)
