"""Class-conditional oracles against sums over components, Bayes' rule and quadrature; the law under guidance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN, MIXTURE, PATHS, states

from fokker.generative import CondOT, GaussianPath, flow
from fokker.generative.denoiser import KINDS
from fokker.solvers import ODE, Adaptive, Dopri5, solve
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.oracles import GaussianClasses, guided_law

FAR = Gaussian(torch.tensor([0.3, -1.5], dtype=torch.float64), 0.2 * torch.eye(2, dtype=torch.float64))
PRIORS = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
CLASSES = GaussianClasses([MIXTURE, FAR, GAUSSIAN], PRIORS)
LABELS = torch.tensor([0, 1, 2, 3, 1, 0, 3, 2])


def normal(mean: float, deviation: float) -> Gaussian:
    return Gaussian(torch.tensor([mean], dtype=torch.float64), torch.tensor([[deviation**2]], dtype=torch.float64))


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_each_label_has_the_field_of_its_class(path: GaussianPath, kind: str, t: float) -> None:
    """Of the mixture itself, whose components the other classes do not join; and so through the network."""
    x = states(path, t)
    laws = [*CLASSES.classes, CLASSES.population]
    expected = torch.cat([getattr(laws[k], kind)(x[i : i + 1], t, path) for i, k in enumerate(LABELS.tolist())])
    torch.testing.assert_close(getattr(CLASSES.given(LABELS), kind)(x, t, path), expected, rtol=1e-11, atol=1e-11)
    predicted = CLASSES.denoiser(path).given(LABELS).predict(kind, t, x)
    assert (predicted - expected).norm() < 1e-10 * (x.norm() + expected.norm())


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_population_is_the_mixture_of_the_classes(path: GaussianPath) -> None:
    """p_t = Σ π_c p_t(·|c), and E[x₀|x] = Σ P(c|x) E[x₀|x, c], which training with dropped labels finds for none."""
    t, x = 0.6, states(path, 0.6)
    joint = torch.stack([pi * law.log_prob(x, t, path).exp() for pi, law in zip(PRIORS, CLASSES.classes, strict=True)])
    torch.testing.assert_close(CLASSES.population.log_prob(x, t, path).exp(), joint.sum(0), rtol=1e-12, atol=0.0)
    denoised = torch.stack([law.x0(x, t, path) for law in CLASSES.classes])
    expected = ((joint / joint.sum(0))[..., None] * denoised).sum(0)
    torch.testing.assert_close(CLASSES.denoiser(path).predict("x0", t, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_classifier_is_bayes_rule(path: GaussianPath) -> None:
    """Probabilities with sum one, whose gradients lead from the population's score to the class's."""
    t, x = 0.5, states(path, 0.5).requires_grad_()
    times, log_prob = torch.full((8,), t, dtype=torch.float64), CLASSES.classifier(path)
    each = [log_prob(x, times, torch.full((8,), c)) for c in range(3)]
    torch.testing.assert_close(torch.stack(each).exp().sum(0), torch.ones(8, dtype=torch.float64), rtol=1e-12, atol=0.0)
    labels = LABELS % 3
    gradient = torch.autograd.grad(log_prob(x, times, labels).sum(), x)[0]
    expected = CLASSES.given(labels).score(x, t, path) - CLASSES.population.score(x, t, path)
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-10, atol=1e-10)


def test_a_class_velocity_is_the_mean_of_conditional_ones() -> None:
    """E[α' z + σ' (x − α z)/σ | x, c] by quadrature over z: the minimiser of guided flow matching (trapezoidal sums of
    analytic functions that have died out: exact to rounding)."""
    path, t = CondOT(), 0.35
    one = GaussianMixture(
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        torch.tensor([[-1.0], [0.8]], dtype=torch.float64),
        torch.tensor([[[0.25]], [[0.09]]], dtype=torch.float64),
    )
    model = GaussianClasses([one, normal(2.0, 0.5)])
    z = torch.linspace(-8.0, 8.0, 4001, dtype=torch.float64)[:, None]
    x = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)
    weight = (one.log_prob(z)[:, None] - 0.5 * ((x - t * z) / (1.0 - t)) ** 2).exp()
    expected = (weight * (z - (x - t * z) / (1.0 - t))).sum(0) / weight.sum(0)
    labels = torch.zeros(7, dtype=torch.int64)
    velocity = model.given(labels).velocity(x[:, None], t, path)[:, 0]
    torch.testing.assert_close(velocity, expected, rtol=1e-12, atol=1e-12)


def test_another_population() -> None:
    path, t, x = CondOT(), 0.4, states(CondOT(), 0.4)
    model = GaussianClasses([FAR, GAUSSIAN], population=MIXTURE)
    assert model.null_label == 2
    torch.testing.assert_close(model.denoiser(path).predict("x0", t, x), MIXTURE.x0(x, t, path), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.given(torch.ones(8, dtype=torch.int64)).x0(x, t, path), GAUSSIAN.x0(x, t, path))
    assert model.given(2) is MIXTURE
    assert model.given(0) is FAR


@pytest.mark.parametrize(
    ("weight", "mean", "deviation"),
    [(0.0, 0.0, 2.0), (1.0, 1.5, 1.0), (2.0, 2.07026, 0.5), (4.0, 2.27635, 0.125)],
)
def test_the_law_under_guidance_has_the_known_numbers(weight: float, mean: float, deviation: float) -> None:
    """S = 2, s = 1, m = 1.5, to the six digits known; it is not the normal law of p^{1−w} p_y^w."""
    law = guided_law(normal(0.0, 2.0), normal(1.5, 1.0), weight)
    assert law.means.item() == pytest.approx(mean, abs=5e-6)
    assert law.covs.item() == pytest.approx(deviation**2, rel=1e-12)
    tilted = 1.0 / ((1.0 - weight) / 4.0 + weight)
    if weight > 1.0:
        assert abs(law.covs.item() - tilted) > 0.25
        assert abs(law.means.item() - tilted * weight * 1.5) > 0.3


@pytest.mark.parametrize("weight", [-0.5, 0.7, 3.0])
@pytest.mark.parametrize(("wide", "narrow"), [(2.0, 1.0), (1.0, 2.0), (1.5, 1.5), (3.0, 0.3)])
@pytest.mark.parametrize("log_snr", [-math.inf, -6.0])
def test_the_law_under_guidance_solves_its_equation(weight: float, wide: float, narrow: float, log_snr: float) -> None:
    """dz/d log ρ from ρ = e³, or from 1e9 in place of ∞, where w (m − M) Ψ(0)/ρ < 5e-8 of the mean is yet to come."""
    population, conditional = normal(-0.4, wide), normal(1.1, narrow)
    law = guided_law(population, conditional, weight, log_snr)

    def slope(log_rho: float, z: Tensor) -> Tensor:
        u = math.exp(2.0 * log_rho)
        return u * ((1.0 - weight) * (z + 0.4) / (wide**2 + u) + weight * (z - 1.1) / (narrow**2 + u))

    start = min(-0.5 * log_snr, math.log(1e9))
    z = math.exp(start) * torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    end = solve(ODE(slope), z, Adaptive(start, -25.0, rtol=1e-9, atol=1e-10), Dopri5()).x
    assert end[0].item() == pytest.approx(law.means.item(), abs=2e-7)
    assert (end[1] - end[0]).item() ** 2 == pytest.approx(law.covs.item(), rel=1e-6)


def test_weight_one_keeps_the_class_and_zero_the_population() -> None:
    """From a finite log-SNR: as the exact flow carries N(0, σ²), whose mean is not quite that of the noised data."""
    path, population, conditional = CondOT(), normal(-0.4, 2.0), normal(1.1, 0.6)
    t = path.time(-4.0)
    noise = path.sigma(t) * torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    for weight, exact in ((0.0, population), (1.0, conditional)):
        law = guided_law(population, conditional, weight, -4.0)
        ends = exact.flow_map(noise, t, 1.0, path)
        assert law.means.item() == pytest.approx(ends[0].item(), abs=1e-12)
        assert law.covs.item() == pytest.approx((ends[1] - ends[0]).item() ** 2, rel=1e-12)


def test_flows_of_a_class_end_in_its_law() -> None:
    x = states(CondOT(), 0.1)
    solved = solve(
        flow(CLASSES.denoiser(CondOT()).given(2), "v"), x, Adaptive(0.1, 0.9, rtol=1e-10, atol=1e-10), Dopri5()
    ).x
    torch.testing.assert_close(solved, GAUSSIAN.flow_map(x, 0.1, 0.9, CondOT()), rtol=1e-8, atol=1e-8)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no classes"):
        GaussianClasses([])
    with pytest.raises(ValueError, match=r"shape \(3,\) for 2 classes of torch.float64; give"):
        GaussianClasses([FAR, GAUSSIAN], PRIORS)
    with pytest.raises(ValueError, match=r"sum 0\.8"):
        GaussianClasses([FAR, GAUSSIAN], torch.tensor([0.5, 0.3], dtype=torch.float64))
    with pytest.raises(ValueError, match="one dimension"):
        guided_law(FAR, GAUSSIAN, 2.0)
    with pytest.raises(ValueError, match="labels 0 to 2, and 3 for none"):
        CLASSES.denoiser(CondOT()).given(4)
