"""Bridges with latent noise, of any curve, and their stochastic equation from a velocity and a score."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import (
    BrownianLatent,
    CondOT,
    Cosine,
    EncoderDecoder,
    Interpolant,
    SineSquaredLatent,
    noise_level,
)
from fokker.solvers import SRA1, EulerMaruyama, Heun, StochasticHeun, WhiteNoise, solve

LATENTS = [BrownianLatent(0.8), SineSquaredLatent(0.5), noise_level.sine(0.7)]
M0, S0, M1, S1 = -1.0, 0.5, 2.0, 0.8


def bent(t: Tensor, source: Tensor, data: Tensor) -> Tensor:
    """Linear neither in t nor in the samples."""
    return source + t * (data - source) + t * (1.0 - t) * (data - source).square()


CURVES: list[Any] = [CondOT(), Cosine(-math.inf, math.inf), EncoderDecoder(), bent]


def times(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("curve", CURVES, ids=["straight", "trigonometric", "encoder-decoder", "bent"])
@pytest.mark.parametrize("gamma", LATENTS, ids=str)
def test_states_and_velocities(curve: Any, gamma: Callable[[Any], Any]) -> None:
    """The two samples at the ends, and the velocity is a central difference of states: h² f'''/6 at h = 1e-5, 1e-8."""
    source, data, z = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bridge, t, h = Interpolant(curve, gamma), times(0.2, 0.45, 0.7), 1e-5
    for end, sample in ((0.0, source), (1.0, data)):
        torch.testing.assert_close(bridge.state(end, source, data, z), sample, rtol=1e-14, atol=1e-14)
    slope = (bridge.state(t + h, source, data, z) - bridge.state(t - h, source, data, z)) / (2.0 * h)
    torch.testing.assert_close(bridge.velocity(t, source, data, z), slope, rtol=1e-7, atol=1e-7)


def moments(gamma: Callable[[Any], Any], t: Any) -> tuple[Any, Any, Any, Any]:
    """Mean and variance of the linear bridge between N(M0, S0²) and N(M1, S1²), and half the slopes, for a float."""
    variance = (t * S1) ** 2 + ((1.0 - t) * S0) ** 2 + gamma(t) ** 2
    mean = t * M1 + (1.0 - t) * M0
    drift = t * S1**2 - (1.0 - t) * S0**2 + 0.5 * 0.64 * (1.0 - 2.0 * t)  # γ γ' of BrownianLatent(0.8)
    return mean, variance, M1 - M0, drift


def velocity(x: Tensor, t: Tensor) -> Tensor:
    mean, variance, slope, half = (torch.as_tensor(each)[..., None] for each in moments(BrownianLatent(0.8), t))
    return slope + half / variance * (x - mean)


def score(x: Tensor, t: Tensor) -> Tensor:
    mean, variance, _, _ = (torch.as_tensor(each)[..., None] for each in moments(BrownianLatent(0.8), t))
    return -(x - mean) / variance


def eta(x: Tensor, t: Tensor) -> Tensor:
    return -BrownianLatent(0.8)(t)[:, None] * score(x, t)  # type: ignore[index]


def both(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return velocity(x, t), eta(x, t)


BRIDGE = Interpolant(CondOT(), BrownianLatent(0.8))


@pytest.mark.parametrize(
    ("level", "nets", "predicts"),
    [
        (noise_level.constant(0.0), (velocity, score), "score"),
        (noise_level.constant(1.0), (velocity, score), "score"),
        (noise_level.constant(2.0), (velocity, score), "score"),
        (noise_level.sine(2.0), (velocity, eta), "eta"),
        (noise_level.sine(2.0), (both, None), "eta"),
    ],
)
def test_the_law_at_the_end(level: Any, nets: Any, predicts: Any) -> None:
    """For linear fields the mean and variance of Euler-Maruyama follow a recursion; the error is C/n with C near 1.

    The factors of a step are read off the drift: of 0 and of 1. Twofold extrapolation from n = 100, 200, 400 leaves
    C/n³, 1e-6 times C.
    """
    equation = BRIDGE.sde(*nets, level, predicts=predicts)
    found = []
    for n in (100, 200, 400):
        mean, variance, h = M0, S0**2, 1.0 / n
        for k in range(n):
            shift, at_one = equation.drift(k * h, times(0.0, 1.0)[:, None])[:, 0].tolist()
            factor = 1.0 + h * (at_one - shift)
            mean, variance = factor * mean + h * shift, factor**2 * variance + h * level(k * h) ** 2
        found.append(times(mean, variance))
    finer = [2.0 * fine - coarse for coarse, fine in itertools.pairwise(found)]
    torch.testing.assert_close((4.0 * finer[1] - finer[0]) / 3.0, times(M1, S1**2), rtol=0.0, atol=2e-5)


@pytest.mark.parametrize("solver", [EulerMaruyama(), SRA1(), StochasticHeun()], ids=str)
def test_every_solver_of_additive_noise_runs(solver: Any) -> None:
    """4000 samples: mean and deviation within five standard errors, 0.063 and 0.045, and 0.02 of the steps.

    A false alarm has a chance below 2e-6; a score left out would change the deviation at σ = 1.5 by more than 0.3.
    """
    x = M0 + S0 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    equation = BRIDGE.sde(velocity, score, noise_level.constant(1.5))
    end = solve(equation, x, torch.linspace(0.0, 1.0, 65, dtype=torch.float64), solver, WhiteNoise(1)).x
    assert abs(end.mean().item() - M1) < 0.083
    assert abs(end.std().item() - S1) < 0.065


@pytest.mark.parametrize("gamma", LATENTS, ids=str)
def test_the_losses_have_their_minimum_at_the_exact_fields(gamma: Any) -> None:
    """Of the linear regression in x at each time the normal equations hold for u and η between Gaussians.

    Of a net a + b x the loss is quadratic, and its gradient vanishes at the exact field: here in a mean over 3 Gauss
    nodes of each of x₀, x₁ and z, exact to degree 5, of the antithetic loss, whose degree is 2.
    """
    nodes = times(-math.sqrt(3.0), 0.0, math.sqrt(3.0))
    grid = torch.cartesian_prod(nodes, nodes, nodes)
    share = torch.cartesian_prod(*[times(1 / 6, 2 / 3, 1 / 6)] * 3).prod(1)
    source, data, z = M0 + S0 * grid[:, 0], M1 + S1 * grid[:, 1], grid[:, 2]
    bridge, t = Interpolant(CondOT(), gamma), 0.3
    x, target = bridge.state(t, source, data, z), bridge.velocity(t, source, data, z)
    features = torch.stack([torch.ones_like(x), x], 1) * share.sqrt()[:, None]
    fits = [torch.linalg.lstsq(features, (y * share.sqrt())[:, None]).solution[:, 0] for y in (target, z)]
    h = 1e-5
    slope = (gamma(t + h) ** 2 - gamma(t - h) ** 2) / (4.0 * h)
    variance = (t * S1) ** 2 + ((1.0 - t) * S0) ** 2 + gamma(t) ** 2
    mean, b = t * M1 + (1.0 - t) * M0, (t * S1**2 - (1.0 - t) * S0**2 + slope) / variance
    torch.testing.assert_close(fits[0], times(M1 - M0 - b * mean, b), rtol=1e-8, atol=1e-8)
    b = gamma(t) / variance
    torch.testing.assert_close(fits[1], times(-b * mean, b), rtol=1e-10, atol=1e-10)


class Line(torch.nn.Module):
    """(a + b x) for velocity and η."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))

    def forward(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        u, eta = (a + b * x for a, b in self.weights)
        return u, eta


def test_the_gradient_of_the_loss_that_is_trained() -> None:
    """The loss is an unbiased mean of the plain square less its constant: gradients agree within the spread.

    Of joint_loss at a = b = 0 the gradients are −2 E[∂_t I + γ' z], −2 E[x (∂_t I + γ' z)], −2 E[z], −2 E[x z]: with
    ∫ t S1² − (1 − t) S0² + γγ' dt = (S1² − S0²)/2, ∫ (M1 − M0)(t M1 + (1 − t) M0) dt = (M1² − M0²)/2 and
    ∫ γ dt = 0.8 π/8. On 40000 pairs deviations are below 0.02 (x z − its mean, at most 4/√40000), five of them 0.1.
    """
    generator, net = torch.Generator().manual_seed(0), Line()
    source, data = torch.randn(2, 40000, 1, generator=generator, dtype=torch.float64)
    BRIDGE.joint_loss(net, M0 + S0 * source, M1 + S1 * data, generator=generator).backward()
    assert net.weights.grad is not None
    half = 0.5 * (S1**2 - S0**2 + M1**2 - M0**2)
    expected = -2.0 * times(M1 - M0, half, 0.0, 0.8 * math.pi / 8.0)
    torch.testing.assert_close(net.weights.grad.flatten(), expected, rtol=0.0, atol=0.1)


def test_the_gradient_sees_the_latent_velocity() -> None:
    """Of t b x at b = 0 it is −2 E[t x (∂_t I + γ' z)], and ∫ t γ γ' dt is −3/4 for γ = 3 √(t (1 − t)).

    The summands have a deviation below 10, so that the mean of 40000 has one below 0.05; five are 0.25. A wrong sign of
    γ' z changes the gradient by 3.
    """
    generator, b = torch.Generator().manual_seed(0), torch.zeros((), dtype=torch.float64, requires_grad=True)
    source, data = torch.randn(2, 40000, 1, generator=generator, dtype=torch.float64)
    bridge = Interpolant(CondOT(), BrownianLatent(3.0))
    loss = bridge.loss(lambda x, t: b * t[:, None] * x, M0 + S0 * source, M1 + S1 * data, generator=generator)
    (gradient,) = torch.autograd.grad(loss, b)
    expected = -2.0 * (S1**2 / 3.0 - S0**2 / 6.0 + (M1 - M0) * (M1 / 3.0 + M0 / 6.0) - 0.75)
    assert gradient.item() == pytest.approx(expected, abs=0.25)


def test_losses_of_one_head_add_up() -> None:
    source, data = torch.randn(2, 64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alone = [
        getattr(BRIDGE, loss)(net, source, data, generator=torch.Generator().manual_seed(1))
        for loss, net in (("loss", velocity), ("eta_loss", eta))
    ]
    joint = BRIDGE.joint_loss(both, source, data, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(joint, alone[0] + alone[1])


def labelled(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
    return x * (1.0 + label)[:, None] + t[:, None]


def test_guidance_labels_and_their_cost() -> None:
    """(1 − w) u(x, ∅) + w u(x, y): with u = (1 + y) x + t, y = 2 and ∅ = 0 that is (1 + 2 w) x + t."""
    line, x, label = Interpolant(CondOT()), times(1.0, 2.0)[:, None], torch.tensor([2, 1])
    told = line.flow(labelled, label=label)
    torch.testing.assert_close(told.drift(0.5, x)[:, 0], times(3.5, 4.5))
    guided = line.flow(labelled, label=label, guidance=2.0, null=0)
    torch.testing.assert_close(guided.drift(0.5, x)[:, 0], times(5.5, 6.5))
    torch.testing.assert_close(guided.of_rows(torch.tensor([1])).drift(0.5, x[1:])[:, 0], times(6.5))
    assert solve(guided, x, [0.0, 0.5, 1.0], Heun()).nfe == 8
    stochastic = line.sde(labelled, labelled, noise_level.constant(2.0), label=2, guidance=2.0, null=0)
    torch.testing.assert_close(stochastic.drift(0.5, x[:1])[:, 0], times(5.5 + 2.0 * 5.5))
    assert solve(stochastic, x, [0.0, 0.5, 1.0], EulerMaruyama(), WhiteNoise(0)).nfe == 8


def test_a_zero_level_asks_for_no_score() -> None:
    def never(x: Tensor, t: Tensor) -> Tensor:
        raise AssertionError

    equation = BRIDGE.sde(velocity, never, noise_level.constant(0.0))
    x = times(0.5)[:, None]
    assert torch.equal(equation.drift(0.5, x), velocity(x, times(0.5)))
    assert solve(equation, x, [0.0, 0.5, 1.0], EulerMaruyama(), WhiteNoise(0)).nfe == 2


def test_times_of_each_sample() -> None:
    equation = BRIDGE.sde(velocity, eta, noise_level.sine(1.0), predicts="eta")
    x, t = times(0.3, -0.2)[:, None], (0.2, 0.6)
    apart = [equation.drift(each, x[i : i + 1]) for i, each in enumerate(t)]
    torch.testing.assert_close(equation.drift(times(*t), x), torch.cat(apart))


def test_what_does_not_fit_is_refused() -> None:
    source, data = torch.zeros(2, 3, 1, dtype=torch.float64)
    plain, constant = Interpolant(CondOT()), noise_level.constant(1.0)
    for gamma, words in ((constant, "gamma is 1 at t = 0"), (lambda t: 0.0 * t, "gamma is 0 at t")):
        with pytest.raises(ValueError, match=words):
            Interpolant(CondOT(), gamma)
    with pytest.raises(ValueError, match="latent noise; give z"):
        BRIDGE.state(0.5, source, data)
    with pytest.raises(ValueError, match="no gamma, so that there is no z"):
        plain.velocity(0.5, source, data, source)
    with pytest.raises(ValueError, match="Without latent noise there is no η"):
        plain.eta_loss(eta, source, data)
    with pytest.raises(ValueError, match="Without latent noise there is no η"):
        plain.sde(velocity, eta, constant, predicts="eta")
    with pytest.raises(ValueError, match="score −η/γ does not exist at t = 0"):
        BRIDGE.sde(velocity, eta, constant, predicts="eta").drift(0.0, source)
    with pytest.raises(ValueError, match="sigma must be finite and not negative, but is -1"):
        BRIDGE.sde(velocity, score, lambda t: -1.0)
    with pytest.raises(TypeError, match="1 outputs for velocity and score"):
        BRIDGE.sde(velocity, None, constant).drift(0.5, source)
    with pytest.raises(ValueError, match="Guidance needs a label"):
        plain.flow(velocity, guidance=2.0)
    with pytest.raises(ValueError, match="label must be a tensor of 3 integers"):
        plain.loss(labelled, source, data, torch.zeros(2))
    with pytest.raises(ValueError, match=r"1 output\(s\), but 2 are needed"):
        BRIDGE.joint_loss(velocity, source, data)
