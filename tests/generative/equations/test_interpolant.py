"""Bridges between any two laws: states and velocities, the minimiser, couplings."""

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
    Shifted,
    Table,
    linear_betas,
    zero_terminal_snr,
)

BRIDGES = [
    CondOT(),
    Cosine(-math.inf, math.inf),
    Polynomial(2.0),
    Shifted(CondOT(), -0.8),
    Table(zero_terminal_snr(linear_betas(5, 0.1, 0.4))),
]
each_bridge = pytest.mark.parametrize("path", BRIDGES, ids=str)


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
    with pytest.raises(TypeError, match="path is of type str"):
        Interpolant("line")  # type: ignore[arg-type]
    for call in (Interpolant(CondOT()).state, Interpolant(CondOT()).velocity):
        with pytest.raises(ValueError, match=r"source is .* of shape \(3, 2\) on cpu, but data .* \(4, 2\)"):
            call(torch.rand(3), torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"of shape \(3, 2\) on cpu, but data .* \(3, 1\)"):
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
