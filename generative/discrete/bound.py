"""The variational bound of a chain in discrete time, term by term.

With latents x_{t_0}, …, x_{t_n} from noise to the cleanest time with σ > 0, all terms in nats,

    −log p(x₀) ≤ L = KL(q(x_{t_0} | x₀) ‖ N(0, P² I)) + Σ_i KL(q(x_{t_{i+1}} | x_{t_i}, x₀) ‖ p) − log p(x₀ | x_{t_n}),

each under the expectation over ε in x_t = α x₀ + σ ε, estimated by one draw for each term. With the symbols of `chain`,
the reverse variance B^v β̃^{1−v} and D = log(B/β̃), the term of a step is, summed over components,

    KL = ½ [v D + expm1(−v D) + (SNR_{t_{i+1}} − SNR_{t_i}) e^{−v D} (x₀ − x₀-hat)²],

and the squared error of ε-hat has the weight B²/(2 σ_p² a² σ_s²), which is DDPM's β²/(2 σ_p² (1 − β)(1 − ᾱ)). L is
tight if the reverse kernels are exact. Otherwise the excess on smooth data is O(1/T) for v = 1. For v = 0 it stays at
γ/2 = 0.2886 nats a dimension, because the variances near the data are too small.

The decoder is N(x₀-hat, B^v β̃'^{1−v} I) with B = σ² at t_n. The last step has β̃ = 0, so β̃' is that of the step before.
The decoder gives a density, or for data on K grey levels −1, …, 1 the mass of a level's cell, which is open at both
extremes.

Sources: Ho et al. (2006.11239), eqs. 5, 12, 13; Nichol and Dhariwal (2102.09672), section 3; Kingma et al.
(2107.00630), eqs. 11-14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...solvers import Noise
from ...solvers.common import (
    MANY,
    check_finite,
    check_instance,
    check_memory,
    check_samples,
    flag,
    matching,
    real,
    whole,
)
from ..denoiser import Denoiser, check_denoiser, per_sample
from ..paths import GaussianPath
from .chain import Posterior, chain_times, learned, posterior, share
from .grey_levels import check_levels, grey_levels_log_prob

__all__ = ["Bound", "Chain", "variational_bound"]


@dataclass(frozen=True)
class Bound:
    """The terms of L in nats, each summed over the components of a sample.

    Attributes:
        prior: the KL of the prior, (B,).
        steps: the KL of each evaluated step, (B, k).
        which: the numbers of these steps, int64 (B, k), 0 the noisiest.
        weight: how many steps each evaluated step stands for.
        decoder: −log p(x₀ | x_{t_n}), (B,).
        dims: the number of components of a sample.
        nfe: network evaluations; the largest number of any sample.
    """

    prior: Tensor
    steps: Tensor
    which: Tensor
    weight: float
    decoder: Tensor
    dims: int
    nfe: int

    @property
    def transitions(self) -> Tensor:
        """The sum of the terms of all steps, (B,); an unbiased estimate of it from a subset."""
        return self.weight * self.steps.sum(1)

    @property
    def total(self) -> Tensor:
        """L, an upper bound of −log p(x₀), (B,)."""
        return self.prior + self.transitions + self.decoder

    @property
    def bits_per_dim(self) -> Tensor:
        """L in bits for each component, (B,)."""
        return self.total / (self.dims * math.log(2.0))

    @property
    def standard_error(self) -> Tensor:
        """The standard error of `transitions` over the draws of steps and ε, (B,), from pairs of neighbouring terms.

        The square is unbiased for a subset, where each stratum holds a pair. For all steps it is too large by the
        squared differences of the expectations. The spread of the decoder's single draw is not included.
        """
        differences = self.steps.diff(dim=1)
        odd_one_out = differences[:, -1:] if self.steps.shape[1] % 2 else differences[:, :0]
        squared: Tensor = torch.cat([differences[:, ::2], odd_one_out], 1).square().sum(1)
        return self.weight * squared.sqrt()


@dataclass(frozen=True)
class Chain:
    """The latents of a chain and its steps, float64 on the host.

    Attributes:
        path: the path of the chain.
        times: the times with σ > 0, (n + 1,).
        posterior: that of the n steps.
        decoder_log_variance: the logarithm of the decoder's variance for v = 0 and for v = 1.
    """

    path: GaussianPath
    times: Tensor
    posterior: Posterior[Tensor]
    decoder_log_variance: tuple[float, float]

    @classmethod
    def of(cls, denoiser: Denoiser, times: Tensor | Sequence[float] | None) -> Chain:
        """The chain of a denoiser along `times`.

        Raises ValueError for a network that does not determine x₀ at the first time (ε at α = 0), and for times that
        make no chain.
        """
        path, latents = denoiser.path, chain_times(denoiser.path, times)
        denoiser.conversion_to(1.0, 0.0, latents[0].item())
        if path.sigma(latents[-1].item()) == 0.0:
            latents = latents[:-1]
        large = 2.0 * math.log(path.sigma(latents[-1].item()))
        steps = posterior(path, latents[:-1], latents[1:])
        small = math.log(steps.variance[-1].item()) if len(latents) > 1 else large
        return cls(path, latents, steps, (small, large))

    @property
    def steps(self) -> int:
        """n, the number of KL terms."""
        return len(self.times) - 1

    def noisy(self, index: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        """x_t = α x₀ + σ ε at the latents `index` (R,), for x0 and eps (R, ...)."""
        t = self.times[index]
        return per_sample(self.path.alpha(t), x0) * x0 + per_sample(self.path.sigma(t), x0) * eps

    def step_terms(self, index: Tensor, v: Tensor | float, error: Tensor) -> Tensor:
        """The KL of steps, summed over components.

        Args:
            index: the numbers of the steps, int64 on the host, (R,).
            v: the reverse variance's exponent: one float, or a tensor like `error`.
            error: x₀ − x₀-hat, (R, ...).

        Returns:
            Nats, (R,).
        """
        spread, gain = self.posterior.spread[index], self.posterior.gain[index]
        if isinstance(v, Tensor):
            spread, gain = per_sample(spread, error), per_sample(gain, error)
        lifted = v * spread
        fixed, slope = lifted + torch.expm1(-lifted), gain * torch.exp(-lifted)
        if not isinstance(v, Tensor):  # so far in float64
            fixed, slope = per_sample(fixed, error), per_sample(slope, error)
        return 0.5 * _total(fixed + slope * error.square())

    def decoder_terms(self, v: Tensor | float, x0: Tensor, mean: Tensor, levels: int | None) -> Tensor:
        """−log p(x₀ | x_{t_n}), summed over components.

        Args:
            v: the variance's exponent: one float, or a tensor like `x0`.
            x0: the data, (R, ...).
            mean: x₀-hat, like `x0`.
            levels: the number of grey levels for the mass of a cell; None for the density.

        Returns:
            Nats, (R,).
        """
        small, large = self.decoder_log_variance
        log_variance = matching(small + v * (large - small), x0)
        if levels is not None:
            return -_total(grey_levels_log_prob(x0, mean, (0.5 * log_variance).exp(), levels))
        squared = (x0 - mean).square() * (-log_variance).exp()
        return 0.5 * _total(squared + log_variance + math.log(2.0 * math.pi))


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def variational_bound(
    denoiser: Denoiser,
    x0: Tensor,
    noise: Noise,
    times: Tensor | Sequence[float] | None = None,
    *,
    variance: str | float,
    levels: int | None = None,
    terms: int | None = None,
    prior: float | None = None,
    chunk: int = 1,
    differentiable: bool = False,
) -> Bound:
    """The variational bound on −log p(x₀) for the chain of `ancestral` with the same arguments.

    The bound takes n + 1 network evaluations for each sample, or terms + 1.

    Args:
        denoiser: the network.
        x0: clean samples, (B, ...).
        noise: `WhiteNoise`, or a `BrownianTree` like x0, whose draws do not depend on the batch.
        times: from noise to data, by default those of a `Table`. A last time with σ = 0 is the data itself.
        variance: "small", "large", a number v from 0 to 1, or "learned".
        levels: the number of grey levels, from −1 to 1, of data on levels, which makes L a bound on the probability of
            x0; None for a bound on the density.
        terms: how many of the n steps to evaluate, an even number; None for all. Two are drawn in each of terms/2 equal
            ranges of steps, so that `transitions` is unbiased.
        prior: P, by default √(α² + σ²) at the first time, which is 1 on a variance-preserving path.
        chunk: how many steps one call of the network evaluates, on chunk · B samples. Memory grows with it.
        differentiable: keep the graph for a backward pass, and the memory of all calls.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: arguments that do not fit.
    """
    check_denoiser(denoiser)
    check_samples("x0", x0, axes=1 + denoiser.learned_variance, empty=False)
    check_finite("The square of x0", x0.square())
    check_instance("noise", noise, Noise, "WhiteNoise(seed)")
    differentiable, chunk = flag("differentiable", differentiable), whole("chunk", chunk, 1)
    prior = None if prior is None else real("prior", prior, 1e-100, 1e100)
    v, chain, batch = share(variance), Chain.of(denoiser, times), len(x0)
    if levels is not None:
        check_levels(x0, levels)
    terms = None if terms is None else whole("terms", terms, 2, MANY)
    if terms is not None and (terms % 2 or chain.steps == 0):
        raise ValueError(f"terms must be an even number of at least 2 for {chain.steps} steps, but is {terms!r}.")
    which, weight = _chosen(chain.steps, terms, x0, noise)
    columns = which.shape[1]
    at_once = min(chunk, max(columns, 1))
    check_memory("The number of steps at once", at_once, at_once * x0.numel())

    def predicted(index: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor | float]:
        """x₀, x₀-hat and v at the latents `index`, (B, c), one column after the other: each (B c, ...)."""
        count = index.shape[1]
        eps = torch.cat([noise.extra(first + j, x0) for j in range(count)])
        clean, latents = x0.repeat(count, *(1,) * (x0.ndim - 1)), index.T.flatten()
        one = denoiser if count == 1 else denoiser.of_rows(torch.arange(batch, device="cpu").repeat(count))
        x, t = chain.noisy(latents, clean, eps), chain.times[latents]
        if v is None:
            return clean, *learned(one, t, x)
        return clean, one.predict("x0", t, x), v

    with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
        values = []
        for first in range(0, columns, chunk):
            index = which[:, first : first + chunk]
            clean, x0_hat, at = predicted(index, first)
            found = chain.step_terms(index.T.flatten(), at, clean - x0_hat)
            values.append(found.reshape(-1, batch).T)
        clean, x0_hat, at = predicted(torch.full((batch, 1), chain.steps, device="cpu"), columns)
        return Bound(
            prior=_prior_term(chain, x0, prior),
            steps=torch.cat(values, 1) if values else x0.new_zeros(batch, 0),
            which=which,
            weight=weight,
            decoder=chain.decoder_terms(at, clean, x0_hat, levels),
            dims=x0[0].numel(),
            nfe=_spent(denoiser, chain, which),
        )


def _chosen(steps: int, terms: int | None, x0: Tensor, noise: Noise) -> tuple[Tensor, float]:
    """The steps to evaluate, int64 on the host (B, k), and the weight of each."""
    batch = len(x0)
    if terms is None:
        return torch.arange(steps, device="cpu").expand(batch, steps), 1.0
    normal = noise.extra(terms + 1, x0.new_empty(batch, terms, dtype=torch.float32)).cpu().double()
    stratum = torch.arange(terms, device="cpu") // 2
    place = (stratum + torch.special.ndtr(normal)) * (2.0 * steps / terms)
    return place.long().clamp(max=steps - 1), steps / terms


def _spent(denoiser: Denoiser, chain: Chain, which: Tensor) -> int:
    """The largest number of network evaluations of any sample."""
    spends = torch.as_tensor(denoiser.evaluations(chain.times), device="cpu").expand(chain.steps + 1)
    return int(spends[which].sum(1).amax() + spends[-1])


def _prior_term(chain: Chain, x0: Tensor, prior: float | None) -> Tensor:
    start = chain.times[0].item()
    alpha, sigma = chain.path.alpha(start), chain.path.sigma(start)
    deviation = math.hypot(alpha, sigma) if prior is None else prior
    ratio = (sigma / deviation) ** 2
    return 0.5 * _total((ratio - 1.0 - math.log(ratio)) + (alpha / deviation) ** 2 * x0.square())
