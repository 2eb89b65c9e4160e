"""Tables of β: the discrete chain at the indices, the stated interpolation between them, and exact ends."""

from __future__ import annotations

import math

import pytest
import torch
from toy import GAUSSIAN, MIXTURE, states

from fokker.generative import flow
from fokker.generative.equations import grids
from fokker.generative.paths import Table, linear_betas, scaled_linear_betas, squared_cosine_betas, zero_terminal_snr
from fokker.solvers import ExponentialAdams, solve

TABLES = [
    Table(linear_betas()),
    Table(scaled_linear_betas()),
    Table(squared_cosine_betas()),
    Table(zero_terminal_snr(scaled_linear_betas())),
    Table((0.1, 0.3)),
    Table((0.1, 0.3, 1.0)),
]
each_table = pytest.mark.parametrize("path", TABLES, ids=str)


@each_table
def test_the_indices_hold_the_table(path: Table) -> None:
    """ᾱ_i = Π (1 − β_j). A time is known to 2⁻⁵³, an index to T 2⁻⁵³, of which ᾱ moves by the share β < 1."""
    betas = torch.tensor(path.betas, dtype=torch.float64)
    alpha_bar = (1.0 - betas).cumprod(0)
    index = torch.arange(path.steps)
    assert path.at(index).dtype == torch.float64
    alpha, sigma = path.alpha(path.at(index)), path.sigma(path.at(index))
    torch.testing.assert_close(alpha**2, alpha_bar, rtol=5e-14, atol=0.0)
    torch.testing.assert_close(sigma**2, 1.0 - alpha_bar, rtol=1e-12, atol=0.0)
    for i in (0, 1, path.steps // 2, path.steps - 1):
        assert path.alpha(path.at(i)) ** 2 == pytest.approx(alpha_bar[i].item(), rel=5e-14, abs=0.0)


@each_table
def test_the_kernels_are_the_steps_of_the_chain(path: Table) -> None:
    """q(x_i | x_{i−1}) = N(√(1 − β_i) x_{i−1}, β_i I), and the first from the data (2006.11239, eq. 2)."""
    for i in (0, 1, path.steps // 2, path.steps - 1):
        scale, std = path.transition(path.at(i), path.at(i - 1))
        assert scale**2 == pytest.approx(1.0 - path.betas[i], rel=1e-12)
        assert std**2 == pytest.approx(path.betas[i], rel=1e-9)


@each_table
def test_an_index_and_its_time(path: Table) -> None:
    assert path.steps == len(path.betas)
    assert path.at(path.steps - 1) == 0.0
    assert path.at(-1) == 1.0
    assert path.index(1.0) == -1.0
    assert path.index(0.0) == path.steps - 1
    continuous = torch.tensor([-0.5, 0.0, 0.3, path.steps - 1.25], dtype=torch.float64)
    torch.testing.assert_close(path.index(path.at(continuous)), continuous, rtol=0.0, atol=1e-12)
    assert [path.at(i) for i in continuous.tolist()] == path.at(continuous).tolist()


@each_table
def test_between_indices(path: Table) -> None:
    """λ is linear; σ/α is linear to the data; α/σ is linear to noise without signal."""
    i = 0.25 + torch.arange(path.steps - 1 - (path.betas[-1] == 1.0), dtype=torch.float64)
    left, right = path.half_log_snr(path.at(i.floor())), path.half_log_snr(path.at(i.ceil()))
    torch.testing.assert_close(path.half_log_snr(path.at(i)), 0.75 * left + 0.25 * right, rtol=1e-11, atol=1e-11)
    for share in (0.75, 0.25, 1e-3):
        level = path.sigma(path.at(share - 1.0)) / path.alpha(path.at(share - 1.0))
        assert level == pytest.approx(share * path.sigma(path.at(0)) / path.alpha(path.at(0)), rel=1e-9)
        if path.betas[-1] == 1.0:
            t, last = share / path.steps, path.at(path.steps - 2)
            expected = share * path.alpha(last) / path.sigma(last)
            assert path.alpha(t) / path.sigma(t) == pytest.approx(expected, rel=1e-9)


@each_table
def test_ends_are_exact(path: Table) -> None:
    assert (path.alpha(1.0), path.sigma(1.0), path.half_log_snr(1.0)) == (1.0, 0.0, math.inf)
    first = math.sqrt(path.betas[0] / (1.0 - path.betas[0]))
    assert (path.d_alpha(1.0), path.d_sigma(1.0)) == (0.0, pytest.approx(-path.steps * first, rel=1e-13))
    assert (path.time(math.inf), path.half_log_snr(0.0) == -math.inf) == (1.0, path.betas[-1] == 1.0)
    if path.betas[-1] == 1.0:
        assert (path.alpha(0.0), path.sigma(0.0), path.time(-math.inf)) == (0.0, 1.0, 0.0)
        last = path.at(path.steps - 2)
        assert path.d_alpha(0.0) == pytest.approx(path.steps * path.alpha(last) / path.sigma(last), rel=1e-11)
        ends = torch.tensor([-math.inf, math.inf], dtype=torch.float64)
        assert path.time(ends).tolist() == [0.0, 1.0]


def test_floats_never_build_tensors() -> None:
    path = Table(linear_betas())
    for function in (path.alpha, path.sigma, path.d_alpha, path.d_sigma, path.half_log_snr, path.time):
        assert isinstance(function(0.3), float)
    assert "_tensors" not in vars(path)


def test_the_published_tables() -> None:
    """As printed, with the √ᾱ of the last index that Lin et al. find (2305.08891, table 1)."""
    linear = torch.tensor(linear_betas(), dtype=torch.float64)
    torch.testing.assert_close(linear, torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), rtol=1e-14, atol=0.0)
    scaled = torch.tensor(scaled_linear_betas(), dtype=torch.float64)
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64)
    torch.testing.assert_close(scaled, roots**2, rtol=1e-13, atol=0.0)
    cosine = torch.tensor(squared_cosine_betas(), dtype=torch.float64)
    s = (torch.arange(1001, dtype=torch.float64) / 1000 + 0.008) / 1.008
    alpha_bar = (0.5 * math.pi * s).cos() ** 2 / math.cos(0.5 * math.pi * 0.008 / 1.008) ** 2
    torch.testing.assert_close((1.0 - cosine[:-1]).cumprod(0), alpha_bar[1:-1], rtol=1e-11, atol=0.0)
    assert cosine[-1] == 0.999
    assert max(squared_cosine_betas(100, max_beta=0.2)) == 0.2
    for betas, published in (
        (linear_betas(), 0.006353),
        (scaled_linear_betas(), 0.068265),
        (squared_cosine_betas(), 4.928e-5),
    ):
        assert math.sqrt(math.prod(1.0 - beta for beta in betas)) == pytest.approx(published, rel=2e-4)


@pytest.mark.parametrize("betas", [linear_betas(), scaled_linear_betas(20, 0.01, 0.3)], ids=len)
def test_zero_terminal_snr(betas: tuple[float, ...]) -> None:
    """√ᾱ is shifted to end in 0 and scaled to keep its first value (2305.08891, algorithm 1); once is enough."""
    before = (1.0 - torch.tensor(betas, dtype=torch.float64)).cumprod(0).sqrt()
    expected = (before - before[-1]) * before[0] / (before[0] - before[-1])
    rescaled = zero_terminal_snr(betas)
    after = (1.0 - torch.tensor(rescaled, dtype=torch.float64)).cumprod(0).sqrt()
    torch.testing.assert_close(after, expected, rtol=1e-11, atol=0.0)
    assert rescaled[-1] == 1.0
    assert zero_terminal_snr(rescaled) == pytest.approx(rescaled, rel=1e-9)


@pytest.mark.parametrize("path", [TABLES[0], TABLES[3]], ids=str)
def test_sampling_on_a_table(path: Table) -> None:
    """From end to end to the exact map of a Gaussian, as on every other path."""
    x = states(path, 0.0)
    exact = GAUSSIAN.flow_map(x, 0.0, 1.0, path)
    times = grids.log_snr(path, 60)
    solved = solve(flow(GAUSSIAN.denoiser(path), "x0"), x, times, ExponentialAdams(2)).x
    assert (solved - exact).abs().max() < 0.02
    assert solve(flow(MIXTURE.denoiser(path)), x, grids.uniform(path, 20), ExponentialAdams(3)).x.isfinite().all()


def test_what_it_is() -> None:
    path = Table([0.1, 0.2, 0.3])
    assert path == Table((0.1, 0.2, 0.3)) != Table((0.1, 0.2, 0.4))
    assert path.betas == (0.1, 0.2, 0.3)
    assert hash(path) == hash(Table(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)))
    assert repr(Table(linear_betas())) == "Table(1000 betas, 0.0001 to 0.02)"


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ((), "two betas below 1 at least, but got 0"),
        ((0.1,), "two betas below 1 at least, but got 1"),
        ((0.1, 1.0), "two betas below 1 at least, but got 2"),
        ((0.1, 0.0, 0.2), r"in \(0, 1\), the last perhaps 1, but beta 1 is 0"),
        ((0.1, 1.0, 0.2), "but beta 1 is 1"),
        ((0.1, 0.2, 1.1), "but beta 2 is 1.1"),
        ((0.1, -0.2, 0.2), "but beta 1 is -0.2"),
        ((0.1, math.nan, 0.2), r"betas\[1\] is nan"),
        ((0.5, 0.5, 1e-20), "must decrease at every index, but beta 2, 1e-20, is too small"),
    ],
)
def test_what_is_no_schedule_is_refused(betas: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Table(betas)
    with pytest.raises(ValueError, match=message):
        zero_terminal_snr(betas)


@pytest.mark.parametrize("factory", [linear_betas, scaled_linear_betas, squared_cosine_betas])
def test_too_few_steps_are_refused(factory) -> None:
    with pytest.raises(ValueError, match="steps is 1, but must be a whole number from 2"):
        factory(1)
