"""One table of kinds and one 2×2 solve: every kind from every other, and a refusal where there is none."""

from __future__ import annotations

import math

import pytest
import torch
from toy import ENDS, MIXTURE, PATHS, states

from fokker.generative import VE, VP, CondOT, Denoiser, GaussianPath
from fokker.generative.denoiser import KINDS, coefficients, conversion, per_sample
from fokker.generative.paths import Real
from fokker.generative.training import target


def pair(path: GaussianPath, t: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    return x0, eps, path.alpha(t) * x0 + path.sigma(t) * eps


def convert(source: str, kind: str, path: GaussianPath, t: Real) -> tuple[Real, Real]:
    return conversion(coefficients(source, path, t), coefficients(kind, path, t), path, t)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_from_every_other(path: GaussianPath, source: str, kind: str) -> None:
    for t in (0.2, 0.5, 0.8):
        x0, eps, x = pair(path, t)
        (p, q), (p_target, q_target) = coefficients(source, path, t), coefficients(kind, path, t)
        from_x, from_source = convert(source, kind, path, t)
        converted = from_x * x + from_source * (p * x0 + q * eps)
        expected = p_target * x0 + q_target * eps
        assert (converted - expected).norm() < 1e-10 * (x.norm() + expected.norm())


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_times_per_sample(path: GaussianPath, source: str, kind: str) -> None:
    times = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    x0, eps, _ = pair(path, 0.5)
    x = torch.stack([path.alpha(t) * x0[0] + path.sigma(t) * eps[0] for t in times.tolist()])
    from_x, from_source = convert(source, kind, path, times)
    converted = per_sample(from_x, x) * x + per_sample(from_source, x) * eps[:3]
    for i, t in enumerate(times.tolist()):
        a, b = convert(source, kind, path, t)
        torch.testing.assert_close(converted[i], a * x[i] + b * eps[i], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_gives_every_kind_whatever_its_network_predicts(
    path: GaussianPath, source: str, kind: str
) -> None:
    """With the exact field of one kind as the network, against the exact field of another."""

    def net(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return getattr(MIXTURE, source)(x, time, path)

    for t in (0.2, 0.5, 0.8):
        x = states(path, t)
        predicted = Denoiser(net, path, predicts=source).predict(kind, t, x)
        expected = getattr(MIXTURE, kind)(x, t, path)
        assert (predicted - expected).norm() < 1e-10 * (x.norm() + expected.norm())


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_takes_a_time_for_every_sample(kind: str) -> None:
    denoiser, times = MIXTURE.denoiser(VP()), torch.linspace(0.1, 0.9, 8, dtype=torch.float64)
    x = torch.cat([states(VP(), t)[i : i + 1] for i, t in enumerate(times.tolist())])
    each = [denoiser.predict(kind, t, x[i : i + 1]) for i, t in enumerate(times.tolist())]
    torch.testing.assert_close(denoiser.predict(kind, times, x), torch.cat(each), rtol=1e-10, atol=1e-10)


def test_kinds_are_what_their_papers_say() -> None:
    """Velocity: dx/dt along the path; v: −dx/dφ where α = sin φ, σ = cos φ; score: −ε/σ."""
    x0, eps, _ = pair(CondOT(), 0.3)
    t = torch.full((6,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(target("x0", CondOT(), t, x0, eps), x0)
    torch.testing.assert_close(target("eps", CondOT(), t, x0, eps), eps)
    torch.testing.assert_close(target("velocity", CondOT(), t, x0, eps), x0 - eps)
    torch.testing.assert_close(target("v", CondOT(), t, x0, eps), 0.3 * eps - 0.7 * x0)
    torch.testing.assert_close(target("score", CondOT(), t, x0, eps), -eps / 0.7)


def test_target_has_a_time_for_every_sample() -> None:
    x0, eps, _ = pair(VP(), 0.3)
    times = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    images = x0.reshape(6, 1, 3, 1), eps.reshape(6, 1, 3, 1)
    for kind in KINDS:
        each = [target(kind, VP(), times[i : i + 1], x0[i : i + 1], eps[i : i + 1]) for i in range(6)]
        torch.testing.assert_close(target(kind, VP(), times, *images).reshape(6, 3), torch.cat(each))


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_velocity_is_the_slope_of_the_path(path: GaussianPath) -> None:
    x0, eps, _ = pair(path, 0.4)
    times = torch.full((6,), 0.4, dtype=torch.float64, requires_grad=True)
    x = path.alpha(times)[:, None] * x0 + path.sigma(times)[:, None] * eps
    slopes = [torch.autograd.grad(x[:, i].sum(), times, retain_graph=True)[0] for i in range(3)]
    velocity = target("velocity", path, times.detach(), x0, eps)
    torch.testing.assert_close(velocity, torch.stack(slopes, 1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("source", "kind", "path", "t"),
    [
        ("x0", "eps", CondOT(), 1.0),  # at σ = 0, x = x₀: nothing is known of ε
        ("x0", "v", CondOT(), 1.0),
        ("x0", "velocity", CondOT(), 1.0),
        ("x0", "eps", VP(), 1.0),
        ("x0", "eps", VE(), 1.0),
        ("eps", "x0", CondOT(), 0.0),  # at α = 0, x = ε: nothing is known of x₀
        ("eps", "velocity", CondOT(), 0.0),
        ("eps", "v", CondOT(), 0.0),
        ("score", "x0", CondOT(), 0.0),
        ("eps", "score", CondOT(), 1.0),
        ("v", "score", VE(), 1.0),
        ("score", "x0", CondOT(), 1.0),
    ],
)
def test_singular_conversions_are_refused(source: str, kind: str, path: GaussianPath, t: float) -> None:
    with pytest.raises(ValueError, match=f"t = {t:g}") as failure:
        convert(source, kind, path, t)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("source", "kind", "t"),
    [(source, kind, t) for source in ("v", "velocity") for kind in ("x0", "eps") for t in (0.0, 1.0)]
    + [("eps", "x0", 1.0), ("x0", "eps", 0.0), ("score", "eps", 0.0), ("x0", "score", 0.0)],
)
def test_conversions_that_exist_at_the_ends(source: str, kind: str, t: float) -> None:
    """There v and the velocity of CondOT still determine both x₀ and ε."""
    x0, eps, x = pair(CondOT(), t)
    (p, q), (p_target, q_target) = coefficients(source, CondOT(), t), coefficients(kind, CondOT(), t)
    from_x, from_source = convert(source, kind, CondOT(), t)
    converted = from_x * x + from_source * (p * x0 + q * eps)
    torch.testing.assert_close(converted, p_target * x0 + q_target * eps, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("path", [*ENDS, CondOT(0.1)], ids=str)
@pytest.mark.parametrize("t", [0.0, 1.0])
@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_at_an_end_a_conversion_is_right_or_refused(path: GaussianPath, t: float, source: str, kind: str) -> None:
    """There is one where both kinds are finite, and y and x together determine x₀ and ε, or the kinds are one.

    Errors are of the rounding of the coefficients, over the determinant.
    """
    x0, eps, x = pair(path, t)
    alpha, sigma = path.alpha(t), path.sigma(t)
    finite = not ("score" in (source, kind) and sigma == 0.0)
    finite = finite and not ("velocity" in (source, kind) and math.isinf(path.d_sigma(t)))
    if finite:
        (p, q), (p_target, q_target) = coefficients(source, path, t), coefficients(kind, path, t)
        determined = alpha * q != sigma * p or p * q_target == q * p_target
    if finite and determined:
        from_x, from_source = convert(source, kind, path, t)
        converted, expected = from_x * x + from_source * (p * x0 + q * eps), p_target * x0 + q_target * eps
        size = abs(from_x) * x.norm() + abs(from_source) * (abs(p) * x0.norm() + abs(q) * eps.norm())
        assert (converted - expected).norm() < 1e-14 * size + 1e-14
    else:
        with pytest.raises(ValueError, match=f"t = {t:g}") as failure:
            convert(source, kind, path, t)
        assert "\n" not in str(failure.value)


def test_unknown_kinds_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'epsilon'; choose one of x0, eps, v, velocity, score"):
        coefficients("epsilon", CondOT(), 0.5)
