"""Exact models for guidance: classes with known laws, the population, and the law that guidance makes of two normals.

Every class c is a Gaussian mixture p(x₀|c), and so is the population p(x₀) = Σ_c π_c p(x₀|c), the law without a label.
All these mixtures have the same components with different weights, a row of weights for each label, so that one
evaluation serves samples with different labels. Bayes' rule gives the classifier of noisy states,

    log p_t(c|x) = log π_c + log p_t(x|c) − log p_t(x).

Guidance by weight w of N(m, s²) away from N(M, S²), in one dimension: with ρ = σ/α, z = x/α − M and u = ρ², the flow

    dz/du = (1/2) [(1 − w) z / (S² + u) + w (z − (m − M)) / (s² + u)]

is linear, whatever the schedule. With Ψ(u) = (S² + u)^{(1−w)/2} (s² + u)^{w/2}, D = S² − s² and h = 1/√(S² + u),

    z(0) = (Ψ(0)/Ψ(u)) z(u) + w (m − M) Ψ(0) ∫_{h(u)}^{1/S} (1 − D h²)^{−1−w/2} dh,

so that noise becomes a normal law of standard deviation S^{1−w} s^w. This law is neither p(x|c) nor p(x)^{1−w}
p(x|c)^w.

Source: Ho and Salimans (2207.12598), eq. 6, for the field; the law follows from it as above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.paths import GaussianPath
from ...solvers.common import check_floating, check_instance, real, whole
from .arguments import check_weights, coefficients, fitting
from .gaussian import Gaussian, GaussianMixture

__all__ = ["GaussianClasses", "guided_law"]


class GaussianClasses:
    """Classes 0, …, K−1, each a Gaussian mixture, and the population, whose label is `null_label` = K.

    Args:
        classes: mixtures of one dimension and dtype.
        priors: π, (K,), positive with sum 1, of the same dtype; None for equal ones.
        population: another law in place of Σ π_c p(x|c), for guidance away from a model of other data. The classifier
            then gives log-ratios up to a constant, whose gradients are those that guidance needs.

    Raises:
        TypeError: parameters of another kind.
        ValueError: parameters that do not fit each other or are not finite.
    """

    def __init__(
        self,
        classes: Sequence[GaussianMixture],
        priors: Tensor | None = None,
        population: GaussianMixture | None = None,
    ) -> None:
        check_instance("classes", classes, (list, tuple), "a list of mixtures, such as [Gaussian(mean, cov)]")
        if not classes:
            raise ValueError("There are no classes; give at least one mixture.")
        count, laws = len(classes), [*classes] if population is None else [*classes, population]
        for name, law in zip([*(f"classes[{i}]" for i in range(count)), "population"], laws, strict=False):
            check_instance(name, law, GaussianMixture, "a Gaussian or a GaussianMixture")
            if law.means.shape[1] != laws[0].means.shape[1] or law.means.dtype != laws[0].means.dtype:
                raise ValueError(
                    f"{name} has {law.means.shape[1]} dimensions in {law.means.dtype}, but classes[0] has "
                    f"{laws[0].means.shape[1]} in {laws[0].means.dtype}; give all the same."
                )
        priors = classes[0].weights.new_full((count,), 1.0 / count) if priors is None else priors
        check_weights("priors", priors, count, classes[0].means.dtype, "classes")
        self.classes, self.priors = tuple(classes), priors
        self.population = population or _mixture(classes, priors)
        # A row of weights for each law, zero where it lacks the component.
        own: Tensor = torch.block_diag(*(law.weights for law in laws))  # type: ignore[no-untyped-call]  # torch's
        everyone = priors @ own if population is None else own[-1]
        self._components = _mixture(laws, priors.new_full((len(laws),), 1.0 / len(laws)))
        self._log_weights = torch.cat([own[:count], everyone[None]]).log()

    @property
    def null_label(self) -> int:
        return len(self.classes)

    def given(self, label: int | Tensor) -> GaussianMixture:
        """The law of a class, or of the population; for labels (B,) a law for B states, each with its own label."""
        if not isinstance(label, Tensor) or label.ndim == 0:
            label = whole("label", label, 0, self.null_label)
            return self.population if label == self.null_label else self.classes[label]
        _check_labels(label)
        if bool(((label < 0) | (label > self.null_label)).any()):
            raise ValueError(f"label goes from {int(label.min())} to {int(label.max())}, but the labels of this model "
                             f"are 0 to {self.null_label}.")
        return self._of(label)

    def _of(self, label: Tensor) -> GaussianMixture:
        """The law for labels (B,) that are checked."""
        return self._components.reweighted(self._log_weights[label])

    def denoiser(self, path: GaussianPath) -> Denoiser:
        """The exact network net(x, time, label), which predicts v; without a label that of the population."""
        return Denoiser(_Network(self, path), path, predicts="v", label=self.null_label)

    def classifier(self, path: GaussianPath) -> _Classifier:
        """The function of x (B, d), times (B,) and labels (B,) that returns log p_t(c|x), (B,)."""
        check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
        return _Classifier(self, path)


class _Network:
    """The exact v of the class of each sample."""

    def __init__(self, model: GaussianClasses, path: GaussianPath) -> None:
        self.model, self.path = model, path
        self.classes = self.null_label = model.null_label

    def __call__(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        law = self.model._of(label)
        return law._field("v", fitting(x, law.means), time, self.path)


def _check_labels(label: Tensor) -> None:
    """Raises TypeError unless they are integers, (B,)."""
    integers = isinstance(label, Tensor) and not (label.is_floating_point() or label.is_complex())
    if not integers or label.dtype == torch.bool or label.ndim != 1:
        given = f"{label.dtype} of shape {tuple(label.shape)}" if isinstance(label, Tensor) else repr(label)
        raise TypeError(f"label is {given}, but must hold integers, (B,).")


@dataclass(frozen=True, eq=False)
class _Classifier:
    """The exact log p_t(c|x)."""

    model: GaussianClasses
    path: GaussianPath

    def __call__(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        model = self.model
        check_floating("time", time)
        _check_labels(label)
        alpha, sigma = coefficients(fitting(x, model.population.means), time, self.path)
        evidence = model._of(label)._log_prob(x, alpha, sigma) - model.population._log_prob(x, alpha, sigma)
        return model.priors.log()[label] + evidence


class _Components(GaussianMixture):
    def reweighted(self, log_weights: Tensor) -> _Components:
        """The same components with log-weights for each sample, (B, K)."""
        made = copy(self)
        made._log_weights = log_weights
        return made


def _mixture(laws: Sequence[GaussianMixture], shares: Tensor) -> _Components:
    """The mixture of mixtures."""
    weights = torch.cat([share * law.weights for share, law in zip(shares, laws, strict=True)])
    return _Components(weights, torch.cat([law.means for law in laws]), torch.cat([law.covs for law in laws]))


def guided_law(population: Gaussian, conditional: Gaussian, weight: float, log_snr: float = -math.inf) -> Gaussian:
    """The law at σ = 0 that the guided flow makes of noise N(0, σ²), in one dimension.

    The result is exact to 1e-12 if the two standard deviations differ by less than a factor of 30.

    Args:
        population: N(M, S²), the law without a label.
        conditional: N(m, s²), the law of the class.
        weight: w; 1 is the class itself, 0 the population.
        log_snr: log(α²/σ²) at the start; −∞ is noise without signal.

    Raises:
        TypeError: arguments of another kind.
        ValueError: laws of more than one dimension, and a weight so large that the law has no finite moments in
            float64.
    """
    for name, law in (("population", population), ("conditional", conditional)):
        check_instance(name, law, Gaussian, "a Gaussian")
    weight, log_snr = real("weight", weight), real("log_snr", log_snr, high=700.0, infinite=True)
    if population.means.shape != (1, 1) or conditional.means.shape != (1, 1):
        raise ValueError("The law under guidance is known in one dimension; give two normal laws of one component.")
    centre, wide = population.means.item(), population.covs.item()
    shift, narrow = conditional.means.item() - centre, conditional.covs.item()

    noise = math.exp(-log_snr) if log_snr > -708.0 else math.inf  # u at the start
    try:
        mean, deviation = _guided_moments(centre, wide, shift, narrow, weight, noise)
    except OverflowError:
        mean = deviation = math.nan
    if not (math.isfinite(mean) and 0.0 < deviation * deviation < math.inf):
        raise ValueError(f"Under guidance of weight {weight:g} the law has no finite moments in float64; take a weight "
                         "nearer to 1.")
    return Gaussian(population.means.new_tensor([mean]), population.means.new_tensor([[deviation**2]]))


def _guided_moments(
    centre: float, wide: float, shift: float, narrow: float, weight: float, noise: float
) -> tuple[float, float]:
    """The mean and the deviation of the guided law, for M, S², m − M, s², w and u at the start."""
    start = (1.0 - weight) * math.log1p(wide / noise) + weight * math.log1p(narrow / noise)
    spread = math.sqrt(wide) ** (1.0 - weight) * math.sqrt(narrow) ** weight  # Ψ(0)
    deviation = spread * math.exp(-0.5 * start)  # Ψ(0) √u/Ψ(u)
    # Gauss and Legendre's rule is exact to rounding here: the integrand is analytic around [h(u), 1/S].
    nodes, weights = np.polynomial.legendre.leggauss(256)
    low, high = 1.0 / math.sqrt(wide + noise), 1.0 / math.sqrt(wide)
    h = low + (high - low) * (nodes + 1.0) / 2.0
    integral = float((weights * (1.0 - (wide - narrow) * h**2) ** (-1.0 - weight / 2.0)).sum()) * (high - low) / 2.0
    return centre * (1.0 - deviation / math.sqrt(noise)) + weight * shift * spread * integral, deviation
