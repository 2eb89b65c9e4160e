"""Every grid: strictly increasing, n + 1 times, the ends exactly, and spaced as it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath
from fokker.generative.equations import grids

PATHS = [CondOT(), Cosine(), Cosine(-math.inf, math.inf), VP(), VE()]
GRIDS = [grids.uniform, grids.quadratic, grids.log_snr, grids.karras, grids.power]

each_path = pytest.mark.parametrize("path", PATHS, ids=str)
each_grid = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.__name__)


@each_path
@each_grid
@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.1, 0.9)])
def test_times_increase_from_end_to_end(
    grid: Callable[..., Tensor], path: GaussianPath, ends: tuple[float, float]
) -> None:
    for n in (1, 2, 3, 7, 100):
        times = grid(path, n) if ends == (0.0, 1.0) else grid(path, n, t0=ends[0], t1=ends[1])
        assert times.dtype == torch.float64
        assert times.shape == (n + 1,)
        assert (times.diff() > 0.0).all()
        assert (times[0].item(), times[-1].item()) == ends


@each_path
def test_spacing(path: GaussianPath) -> None:
    """Between finite ends each grid is uniform in its own variable."""

    def level(times: Tensor) -> Tensor:
        return path.sigma(times) / path.alpha(times)

    for grid, variable in (
        (grids.uniform, lambda times: times),
        (grids.quadratic, lambda times: (1.0 - times).sqrt()),
        (grids.log_snr, lambda times: path.half_log_snr(times)),
        (grids.karras, lambda times: level(times) ** (1.0 / 7.0)),
    ):
        steps = variable(grid(path, 12, t0=0.1, t1=0.9)).diff()
        torch.testing.assert_close(steps, steps.mean().expand(12), rtol=1e-9, atol=0.0)
    steps = level(grids.karras(path, 12, rho=3.0, t0=0.1, t1=0.9)).pow(1.0 / 3.0).diff()
    torch.testing.assert_close(steps, steps.mean().expand(12), rtol=1e-9, atol=0.0)
    times = grids.power(path, 12, 3.0, 0.2, t0=0.1, t1=0.9)
    share = path.alpha(times) / (path.alpha(times) + path.sigma(times))
    steps = (0.2 * share.log() - (1.0 - share) ** (1.0 / 3.0)).diff()
    torch.testing.assert_close(steps, steps.mean().expand(12), rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("early", [0.0, 0.1])
def test_power_has_the_same_levels_on_every_path(early: float) -> None:
    """Between the same two levels; and on the straight path two halves of it are `quadratic`."""
    levels = []
    for path in PATHS:
        t0, t1 = (path.time(2.0 * lam) for lam in (-4.0, 5.0))
        levels.append(path.half_log_snr(grids.power(path, 9, 1.5, early, t0=t0, t1=t1)))
    for other in levels[1:]:
        torch.testing.assert_close(other, levels[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(grids.power(CondOT(), 9), grids.quadratic(CondOT(), 9), rtol=0.0, atol=1e-15)


def test_power_with_early_steps_starts_at_a_level_where_there_is_no_signal() -> None:
    """CondOT: the spacing runs from σ/α = 80, r = 1/81, and the first time is moved to t = 0."""
    times = grids.power(CondOT(), 6, 1.0, 0.1)
    places = 0.1 * times[1:].log() + times[1:]
    first = 0.1 * math.log(1.0 / 81.0) + 1.0 / 81.0
    expected = first + (places[-1] - first) * torch.arange(1, 7, dtype=torch.float64) / 6
    torch.testing.assert_close(places, expected, rtol=1e-12, atol=1e-12)
    assert times[0] == 0.0


def test_karras_is_the_published_formula() -> None:
    """σ_i = (σ_max^{1/ρ} + i/(N−1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ and σ_N = 0 (2206.00364, eq. 5)."""
    n, rho = 18, 7.0
    share = torch.arange(n, dtype=torch.float64) / (n - 1)
    sigmas = (80.0 ** (1 / rho) + share * (0.002 ** (1 / rho) - 80.0 ** (1 / rho))) ** rho
    visited = VE().sigma(grids.karras(VE(), n))
    torch.testing.assert_close(visited, torch.cat([sigmas, sigmas.new_zeros(1)]), rtol=1e-9, atol=1e-12)


def test_infinite_ends_are_reached_by_the_first_and_the_last_step() -> None:
    """CondOT: σ/α runs from 80 to 0.002, the first time moved to t = 0 and t = 1 appended."""
    times = grids.log_snr(CondOT(), 10)
    log_snr = CondOT().half_log_snr(times[1:-1])
    steps = log_snr.diff()
    torch.testing.assert_close(steps, steps.mean().expand(8), rtol=1e-9, atol=0.0)
    assert log_snr[-1].item() == pytest.approx(-math.log(0.002))
    assert (log_snr[0] - steps[0]).item() == pytest.approx(-math.log(80.0))


@each_grid
def test_impossible_grids_are_refused(grid: Callable[..., Tensor]) -> None:
    for n in (0, -1, 2.5):
        with pytest.raises(ValueError, match=r"n is .*, but must be a whole number from 1"):
            grid(CondOT(), n)
    for ends in ({"t0": 0.5, "t1": 0.5}, {"t0": 0.9, "t1": 0.1}, {"t1": 1.5}):
        with pytest.raises(ValueError, match="t0 < t1 <= 1"):
            grid(CondOT(), 5, **ends)
    with pytest.raises(TypeError, match=r"grids\.uniform"):
        grid(5, CondOT())


def test_karras_needs_rho_of_at_least_one() -> None:
    with pytest.raises(ValueError, match=r"rho is .* from 1 to"):
        grids.karras(CondOT(), 5, rho=0.5)
