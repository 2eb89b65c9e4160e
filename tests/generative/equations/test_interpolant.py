"""Bridges between two mixtures: the field in closed form, three conditionings, couplings, the minimiser, the flow."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from fokker.generative import Denoiser
from fokker.generative.equations import Interpolant, minibatch_ot
from fokker.generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    Polynomial,
    Real,
    Shifted,
    Table,
    linear_betas,
    zero_terminal_snr,
)
from fokker.solvers import RK4, Adaptive, Dopri5, solve

BRIDGES = [
    CondOT(),
    Cosine(-math.inf, math.inf),
    Polynomial(2.0),
    Shifted(CondOT(), -0.8),
    Table(zero_terminal_snr(linear_betas(5, 0.1, 0.4))),
]
each_bridge = pytest.mark.parametrize("path", BRIDGES, ids=str)

# Weights, means and standard deviations of two mixtures on the line.
SOURCE = tuple(torch.tensor(row, dtype=torch.float64) for row in ([0.3, 0.7], [-2.0, 0.5], [0.4, 0.6]))
DATA = tuple(torch.tensor(row, dtype=torch.float64) for row in ([0.5, 0.2, 0.3], [-1.0, 2.0, 4.0], [0.5, 0.3, 0.4]))


def density(mixture: tuple[Tensor, ...], x: Tensor) -> Tensor:
    weights, means, stds = mixture
    return (weights * torch.distributions.Normal(means, stds).log_prob(x.unsqueeze(-1)).exp()).sum(-1)


def cdf(mixture: tuple[Tensor, ...], x: Tensor) -> Tensor:
    weights, means, stds = mixture
    return (weights * torch.special.ndtr((x.unsqueeze(-1) - means) / stds)).sum(-1)


def field(path: GaussianPath, x: Tensor, t: Real) -> Tensor:
    """E[α' x₁ + σ' x₀ | x_t = x], averaged over the pairs of components, for x of shape (B,), t a float or (B,)."""
    alpha, sigma, d_alpha, d_sigma = (
        torch.as_tensor(function(t), dtype=torch.float64)[..., None, None]
        for function in (path.alpha, path.sigma, path.d_alpha, path.d_sigma)
    )
    (w0, m0, s0), (w1, m1, s1) = SOURCE, DATA
    mean = alpha * m1 + sigma * m0[:, None]
    variance = (alpha * s1) ** 2 + (sigma * s0[:, None]) ** 2
    joint = w0[:, None] * w1 * torch.distributions.Normal(mean, variance.sqrt()).log_prob(x[:, None, None]).exp()
    gain = (alpha * d_alpha * s1**2 + sigma * d_sigma * s0[:, None] ** 2) / variance
    velocity = d_alpha * m1 + d_sigma * m0[:, None] + gain * (x[:, None, None] - mean)
    return (joint * velocity).sum((1, 2)) / joint.sum((1, 2))


@each_bridge
@pytest.mark.parametrize("t", [0.15, 0.5, 0.85])
def test_three_conditionings_have_one_field(path: GaussianPath, t: float) -> None:
    """Given x₁, given x₀, and given both (claim A062), by quadrature against the closed form.

    A bridge through x at time t between x₀ and x₁ has x = α x₁ + σ x₀, so that either integral runs over pairs. The
    trapezium rule is exact to rounding for smooth densities that vanish at both ends.
    """
    interpolant, x = Interpolant(path), torch.linspace(-2.0, 3.0, 7, dtype=torch.float64)
    z = torch.linspace(-9.0, 11.0, 4001, dtype=torch.float64)
    alpha, sigma = path.alpha(t), path.sigma(t)
    for given in ("data", "source"):
        if given == "data":
            data, source = z, (x[:, None] - alpha * z) / sigma
        else:
            source, data = z, (x[:, None] - sigma * z) / alpha
        weights = density(DATA, data) * density(SOURCE, source)
        source, data = source.expand(7, -1), data.expand(7, -1)
        times = torch.full((7,), t, dtype=torch.float64)
        torch.testing.assert_close(
            interpolant.state(times, source, data), x[:, None].expand(7, 4001), rtol=1e-11, atol=1e-11
        )
        average = (weights * interpolant.velocity(times, source, data)).sum(1) / weights.sum(1)
        torch.testing.assert_close(average, field(path, x, t), rtol=1e-8, atol=1e-8)


@each_bridge
def test_the_flow_carries_one_mixture_to_the_other(path: GaussianPath) -> None:
    """Any source to any data (claim A063). On the line a flow keeps order: F_data(x(1)) = F_source(x(0))."""
    levels = torch.tensor([[0.02], [0.2], [0.45], [0.6], [0.9], [0.99]], dtype=torch.float64)
    low, high = torch.full_like(levels, -9.0), torch.full_like(levels, 9.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = cdf(SOURCE, middle) < levels
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    equation = Interpolant(path).flow(lambda x, t: field(path, x[:, 0], t).unsqueeze(1))
    x = low
    for t0, t1 in itertools.pairwise([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]):  # within them the table's λ' is smooth
        x = solve(equation, x, Adaptive(t0 + 1e-12, t1 - 1e-12, rtol=1e-10, atol=1e-10), Dopri5()).x
    torch.testing.assert_close(cdf(DATA, x), levels, rtol=0.0, atol=1e-7)
    assert not torch.allclose(cdf(SOURCE, x), levels, atol=0.05)


def test_the_field_is_called_with_a_time_a_sample() -> None:
    seen = []

    def straight(x: Tensor, t: Tensor) -> Tensor:
        seen.append((t.shape, t.dtype))
        return t.unsqueeze(1) * torch.ones_like(x)

    equation = Interpolant(CondOT()).flow(straight)
    x = torch.zeros(3, 2)
    assert solve(equation, x, [0.0, 0.5, 1.0], RK4()).x.allclose(torch.full((3, 2), 0.5))
    adaptive = Adaptive(0.0, 1.0, rtol=1e-5, atol=1e-5, per_sample=True)
    assert solve(equation, x, adaptive, Dopri5()).x.allclose(torch.full((3, 2), 0.5), atol=1e-6)
    assert set(seen) == {((3,), torch.float32)}


@each_bridge
def test_states_and_velocities(path: GaussianPath) -> None:
    """x₀ at t = 0, x₁ at t = 1, and the velocity is the derivative of the state, for images too."""
    source, data = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    interpolant = Interpolant(path)
    ends = torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(interpolant.state(ends, source, data), source, rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(interpolant.state(ends + 1.0, source, data), data, rtol=1e-13, atol=1e-15)
    t = torch.tensor([0.25, 0.5, 0.7], dtype=torch.float64)
    _, slope = torch.func.jvp(lambda t: interpolant.state(t, source, data), (t,), (torch.ones_like(t),))
    torch.testing.assert_close(interpolant.velocity(t, source, data), slope, rtol=1e-10, atol=1e-10)


@each_bridge
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_minimiser_is_the_conditional_mean(path: GaussianPath, t: float) -> None:
    """Between N(m₀, s₀²) and N(m₁, s₁²) it is affine, and least squares see first and second moments alone.

    All four pairs of m₀ ± s₀ and m₁ ± s₁ have those of the independent coupling.
    """
    m0, s0, m1, s1 = -1.0, 0.5, 2.0, 0.8
    source = torch.tensor([m0 - s0, m0 - s0, m0 + s0, m0 + s0], dtype=torch.float64)
    data = torch.tensor([m1 - s1, m1 + s1, m1 - s1, m1 + s1], dtype=torch.float64)
    interpolant, times = Interpolant(path), torch.full((4,), t, dtype=torch.float64)
    state = interpolant.state(times, source, data)
    features = torch.stack([torch.ones_like(state), state], 1)
    fitted = torch.linalg.lstsq(features, interpolant.velocity(times, source, data).unsqueeze(1)).solution[:, 0]
    alpha, sigma, d_alpha, d_sigma = path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)
    slope = (alpha * d_alpha * s1**2 + sigma * d_sigma * s0**2) / ((alpha * s1) ** 2 + (sigma * s0) ** 2)
    offset = d_alpha * m1 + d_sigma * m0 - slope * (alpha * m1 + sigma * m0)
    torch.testing.assert_close(fitted, torch.tensor([offset, slope], dtype=torch.float64), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("path", [CondOT(), Polynomial(2.0)], ids=str)
def test_the_loss_is_stationary_at_the_field(path: GaussianPath) -> None:
    """The derivative of the loss along any change of the net has mean zero at u.

    Statistical: 2·10⁵ pairs in batches of 1000, three directions, threshold 4.5 standard errors (false alarms 2·10⁻⁵).
    A field that is 5 % too large moves the first derivative by 0.1 E u², which is more than nine of them.
    """
    generator, scale = torch.Generator().manual_seed(3), torch.zeros(3, dtype=torch.float64, requires_grad=True)
    squares = []

    def draw(weights: Tensor, means: Tensor, stds: Tensor) -> Tensor:
        k = torch.multinomial(weights, 1000, replacement=True, generator=generator)
        return (means[k] + stds[k] * torch.randn(1000, generator=generator, dtype=torch.float64)).unsqueeze(1)

    def changed(x: Tensor, t: Tensor) -> Tensor:
        exact = field(path, x[:, 0], t)
        squares.append(exact.square().mean().item())
        return (exact + torch.stack([exact, torch.sin(x[:, 0]), t], 1) @ scale).unsqueeze(1)

    slopes = []
    for _ in range(200):
        loss = Interpolant(path).loss(changed, draw(*SOURCE), draw(*DATA), generator=generator)
        slopes.append(torch.autograd.grad(loss, scale)[0])
    gradients = torch.stack(slopes)
    error = gradients.std(0) / math.sqrt(len(gradients))
    assert (gradients.mean(0).abs() < 4.5 * error).all()
    assert error[0].item() < 0.1 * (sum(squares) / len(squares)) / 9.0


def test_the_loss_is_a_mean_over_pairs_and_dimensions() -> None:
    """Of a net that is off by a constant 2 on deterministic pairs: 4, at every time."""
    source, data = torch.zeros(5, 3), torch.ones(5, 3)
    assert Interpolant(CondOT()).loss(lambda x, t: torch.full_like(x, 3.0), source, data).item() == 4.0
    curved = Interpolant(Polynomial(2.0)).loss(lambda x, t: 2.0 * t.unsqueeze(1).expand_as(x), source, data)
    assert curved.item() == pytest.approx(0.0, abs=1e-12)


def test_the_optimal_coupling_of_six_points() -> None:
    """Against all 720 couplings, in the plane and of 2 × 2 images."""
    generator = torch.Generator().manual_seed(1)
    for shape in ((6, 2), (6, 1, 2, 2)):
        source, data = (torch.randn(shape, generator=generator) for _ in range(2))
        permutation = minibatch_ot(source, data)
        assert permutation.dtype == torch.int64
        costs = {
            order: (source - data[list(order)]).square().sum().item() for order in itertools.permutations(range(6))
        }
        assert tuple(permutation.tolist()) == min(costs, key=costs.__getitem__)


def test_the_optimal_coupling_on_the_line_keeps_order() -> None:
    """Sorted to sorted: no two lines cross, and the squared lengths add up to the least."""
    source, data = torch.randn(2, 50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    coupled = data[minibatch_ot(source, data)]
    assert torch.equal(coupled[source.argsort()], data.sort().values)
    for t in (0.25, 0.5, 0.75):
        states = Interpolant(CondOT()).state(torch.full((50,), t, dtype=torch.float64), source, coupled)
        assert torch.equal(states.argsort(), source.argsort())
    assert (source - coupled).square().sum() < (source - data).square().sum()


def test_optimal_pairs_leave_less_to_average() -> None:
    """Straighter: what no net can predict, the spread of velocities around a common state, is less.

    On 200 pairs at t = 1/2, as the squared difference of velocities between neighbours on the line.
    """
    source, data = torch.randn(2, 200, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    interpolant, times = Interpolant(CondOT()), torch.full((200,), 0.5, dtype=torch.float64)

    def spread(data: Tensor) -> float:
        order = interpolant.state(times, source, data).argsort()
        return interpolant.velocity(times, source, data)[order].diff().square().mean().item()

    assert spread(data[minibatch_ot(source, data)]) < 0.1 * spread(data)


def test_large_offsets_lose_no_digits() -> None:
    source = torch.arange(40.0, dtype=torch.float64).unsqueeze(1) + 1e8
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(source[order][minibatch_ot(source, source[order])], source)


@pytest.mark.parametrize("path", [VP(), VE(), VE(1.0), Cosine(), CondOT(0.01), Shifted(VE(), 1.0)], ids=str)
def test_paths_that_do_not_join_the_samples_are_refused(path: GaussianPath) -> None:
    with pytest.raises(ValueError, match="but an interpolant needs"):
        Interpolant(path)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match="needs a path, but got a str"):
        Interpolant("line")  # type: ignore[arg-type]
    for call in (Interpolant(CondOT()).state, Interpolant(CondOT()).velocity):
        with pytest.raises(ValueError, match=r"shape \(3, 2\) and the data \(4, 2\)"):
            call(torch.rand(3), torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"pairs need the same \(B, ...\)"):
        minibatch_ot(torch.zeros(3, 2), torch.zeros(3, 1))


def test_there_is_no_score() -> None:
    interpolant = Interpolant(CondOT())
    for name in ("score", "log_snr"):
        with pytest.raises(AttributeError, match=f"has no {name}: its source need not be Gaussian"):
            getattr(interpolant, name)
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = interpolant.colour
    with pytest.raises(TypeError, match="Interpolant"):
        Denoiser(lambda x, t: x, interpolant, predicts="velocity")  # type: ignore[arg-type]
