"""Comparisons of laws: exact values on Gaussians, faults that are found, and the same numbers for the same seed."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from fokker.benchmarks.engine import local
from fokker.benchmarks.problems import Problem, problem
from fokker.benchmarks.stochastic import LawComparison, law_comparison, scan_noise_levels
from fokker.benchmarks.stochastic.draws import known_law
from fokker.generative import Cosine, GaussianPath, Sampler
from fokker.generative.equations import grids
from fokker.solvers import Ancestral, ExponentialAdams
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.oracles import Smooth, perturbed


def gaussian(deviation: float, path: GaussianPath) -> Problem:
    law = Gaussian(torch.zeros(1, dtype=torch.float64), torch.full((1, 1), deviation**2, dtype=torch.float64))
    return Problem("line", "a Gaussian", law.denoiser(path), (1,), 1)


def two_modes() -> Problem:
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    covs = torch.diag(torch.tensor([0.04, 0.09], dtype=torch.float64)).expand(2, 2, 2)
    law = GaussianMixture(torch.tensor([0.4, 0.6], dtype=torch.float64), means, covs)
    return Problem("modes", "two modes", law.denoiser(Cosine()), (2,), 1)


def network() -> Problem:
    """Two modes with an error of 5 %, the field of no law that is known."""
    law = known_law(two_modes())
    assert law is not None
    return Problem("modes", "two modes", perturbed(law, Smooth(0.05), Cosine()), (2,), 1)


class Louder(Ancestral):
    """A sampler with a fault: its noise is 1.1 times as large as it should be."""

    excess = 1.1


class Loud(Ancestral):
    """With 1.5 times the noise."""

    excess = 1.5


def test_ddim_on_noise_has_its_closed_form() -> None:
    """N(0, 1) becomes N(0, c²), c = cos(π/2N)^N, on equal steps of the angle. The path is cut where its angle is 5e-4
    off its ends, which moves c by less than 1e-3; the uncut path is off by roundings of N steps: 1e-12."""
    there = gaussian(1.0, Cosine(-math.inf, math.inf))
    found = law_comparison(there, ["ddim"], [5, 10, 50])
    for row in found.rows:
        c = math.cos(0.5 * math.pi / row.budget) ** row.budget
        assert math.isclose(row.error.value, 1.0 - c, abs_tol=1e-12)
        assert math.isclose(row.distances["W2 of the steps"].value, 1.0 - c, abs_tol=1e-12)
    assert found.samples == 0


def variance(path: GaussianPath, n: int, eta: float, deviation: float) -> float:
    """What Euler and Maruyama make of N(0, σ²): x₁ = (1 + h a) x₀ + √h g ξ, a = V'/2V − η² σ² λ'/V, g² = 2 η² σ² λ',
    for data N(0, s²), V = α² s² + σ²."""
    start, end = (path.time(-2.0 * math.log(level)) for level in (grids.NOISIEST, grids.CLEANEST))
    times = grids.log_snr(path, n, t0=start, t1=end).tolist()
    squared = float(path.sigma(start)) ** 2
    for t, after in pairwise(times):
        alpha, sigma, d_alpha, d_sigma = (float(of(t)) for of in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
        v, noise = (alpha * deviation) ** 2 + sigma**2, sigma**2 * (d_alpha / alpha - d_sigma / sigma)
        rate = (alpha * d_alpha * deviation**2 + sigma * d_sigma - eta**2 * noise) / v
        squared = (1.0 + (after - t) * rate) ** 2 * squared + (after - t) * 2.0 * eta**2 * noise
    return squared


def test_a_scan_of_eta_is_exact_on_a_gaussian() -> None:
    """Euler and Maruyama on a path that is not cut: the recursion of the variance, 30 steps of a dozen roundings times
    the largest factor of a step, 10: 1e-11. The minimum of the recursion over η lies in the interval."""
    path, levels = Cosine(-math.inf, math.inf), [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    found = scan_noise_levels(gaussian(2.0, path), [10, 30], levels, family="euler-maruyama")
    for budget in (10, 30):

        def error(eta: float, n: int = budget) -> float:
            return abs(math.sqrt(variance(path, n, eta, 2.0)) - 2.0)

        errors = [error(eta) for eta in levels]
        rows = [found.comparison.row(f"euler-maruyama(eta={eta:g})", budget) for eta in levels]
        assert [row.error.value for row in rows] == pytest.approx(errors, abs=1e-11)
        best = found.best(budget)
        assert best.level == levels[min(range(7), key=errors.__getitem__)]
        minimum = minimize_scalar(error, bounds=(best.low, best.high), method="bounded").x
        assert best.low <= minimum <= best.high
        assert error(minimum) <= min(errors)
        assert best.resolved


def test_eta_0_is_the_best_of_ddim_on_a_gaussian() -> None:
    found = scan_noise_levels(problem("gaussian"), [10, 50])
    assert [found.best(budget).level for budget in (10, 50)] == [0.0, 0.0]
    assert str(found.best(10)) == "eta = 0 (0 … 0.2) at 10 evaluations"


def test_noise_that_is_too_large_is_seen_by_exact_laws() -> None:
    """1.1 times the noise: at 200 steps the error of the law is five times as large and more."""
    right, wrong = (Sampler(kind(ExponentialAdams(1)), "x0", name=kind.__name__) for kind in (Ancestral, Louder))
    found = law_comparison(problem("gaussian"), [right, wrong], [200])
    assert found.row("Louder", 200).error.value > 5.0 * found.row("Ancestral", 200).error.value
    assert found.best(200).best.sampler == "Ancestral"
    assert found.best(200).resolved


def test_noise_that_is_too_large_is_seen_in_samples() -> None:
    """4000 samples of two modes, 200 steps. The components of the right sampler are off by one standard error: below 3
    for each of the root mean squares, of which the one of 2 weights is above in 1e-3 (fixed seed). 1.5 times the noise
    is seen in the covariances, 10 standard errors. Sliced W₂ sees less: most of it is the share of each mode, which is
    off by 0.008 in any 4000 samples."""
    right, wrong = (Sampler(kind(ExponentialAdams(1)), "x0", name=kind.__name__) for kind in (Ancestral, Loud))
    found = law_comparison(two_modes(), [right, wrong], [200], samples=4000)
    parts = [found.row(name, 200).components for name in ("Ancestral", "Loud")]
    assert parts[0] is not None
    assert parts[1] is not None
    assert not found.above_floor(found.row("Ancestral", 200))
    assert max(parts[0].weights, parts[0].means, parts[0].covs) < 3.0
    assert parts[1].covs > 8.0


def test_a_network_is_compared_with_its_own_converged_flow() -> None:
    """With 60 evaluations DDIM is not to be told from the flow, and with 3 its energy distance is above the floor of
    two sets of 400 samples."""
    found = law_comparison(network(), ["ddim", None], [3, 60], samples=400)
    rows = [found.row("ddim", budget) for budget in (3, 60)]
    assert [*rows[0].distances] == ["sliced W2", "energy"]
    assert rows[0].distances["energy"].value > found.floors["energy"].high > rows[1].distances["energy"].value
    assert not found.above_floor(rows[1])
    assert found.reference_gap < 1e-3
    assert known_law(network()) is None


def test_numbers_are_functions_of_the_seed_and_not_of_the_engine(tmp_path: Path) -> None:
    def compared(**options: Any) -> dict[str, Any]:
        found = law_comparison(two_modes(), ["ddpm", "unipc", "ddpm"], [4, 8], samples=100, **options).as_dict()
        return replace_seconds(found)

    with local(1) as engine:
        assert compared() == compared(engine=engine)
    assert compared() != compared(seed=1)


def replace_seconds(found: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(found | {"rows": [{**row, "seconds": 0.0} for row in found["rows"]]}))


def test_the_table_says_what_is_known(tmp_path: Path) -> None:
    found = law_comparison(two_modes(), ["ddpm", "ddim", "restart"], [4, 20], samples=400)
    table = found.table()
    assert "restart at NFE ≤ 4 failed: restart takes two steps and 1 repeats" in table
    assert "400 samples each, with 95 % intervals. Two sets of one law differ by sliced W2" in table
    assert table.count("  * ") == 2
    found.plot(tmp_path / "laws.png")
    assert (tmp_path / "laws.png").stat().st_size > 10_000


def test_a_scan_that_cannot_tell_says_so(tmp_path: Path) -> None:
    found = scan_noise_levels(two_modes(), [100], [0.0, 0.1], samples=40)
    assert not found.best(100).resolved
    assert "Best: eta is not resolved at 100 evaluations." in found.table()
    found.plot(tmp_path / "scan.png")
    assert (tmp_path / "scan.png").stat().st_size > 10_000
    assert json.loads(json.dumps(found.as_dict()))["best"][0]["resolved"] is False


def test_the_best_is_that_of_the_largest_budget_that_fits() -> None:
    found = law_comparison(problem("gaussian"), ["ddim"], [4, 8])
    assert [found.best(nfe).budget for nfe in (4, 7, 8, 100)] == [4, 4, 8, 8]
    with pytest.raises(ValueError, match=r"No sampler finished with 3 evaluations; the budgets are \[4, 8\]"):
        found.best(3)


def test_samples_that_are_not_finite_are_a_failure() -> None:
    there = network()
    broken = replace(there, denoiser=there.denoiser.__class__(_overflow, Cosine(), predicts="x0"))
    with pytest.raises(ValueError, match="The flow of this network has no reference samples"):
        law_comparison(broken, ["ddim"], [4], samples=40)


def _overflow(x: Tensor, time: Tensor) -> Tensor:
    return 1e300 * x


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((3, ["ddim"], [4]), {}, "problem is of type int"),
        (("gaussian", "ddim", [4]), {}, "samplers is of type str"),
        (("gaussian", [], [4]), {}, "nothing to compare"),
        (("gaussian", ["ddim", Sampler(Louder(ExponentialAdams(1)), name="ddim")], [4]), {}, "are called 'ddim'"),
        (("gaussian", ["ddim"], []), {}, "nothing to compare"),
        (("gaussian", ["ddim"], [0]), {}, r"budgets\[0\] is 0"),
        (("ring", ["ddim"], [4]), {"samples": 39}, "samples is 39"),
        (("ring", ["ddim"], [4]), {"samples": 10**9}, "samples"),
        (("gaussian", ["ddim"], [4]), {"seed": -1}, "seed is -1"),
        (("gaussian", ["ddim"], [4]), {"progress": 1}, "progress is 1"),
        (("gaussian", ["ddim"], [4]), {"engine": 1}, "engine is of type int"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], options: dict[str, Any], words: str) -> None:
    first, *rest = arguments
    with pytest.raises((TypeError, ValueError), match=words):
        law_comparison(problem(first) if isinstance(first, str) else first, *rest, **options)


def test_a_scan_of_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown family of samplers 'unipc'"):
        scan_noise_levels(problem("gaussian"), [4], family="unipc")
    with pytest.raises(ValueError, match="eta is 2"):
        scan_noise_levels(problem("gaussian"), [4], [0.0, 2.0])


def test_a_comparison_with_no_row_has_no_picture(tmp_path: Path) -> None:
    found = law_comparison(problem("gaussian"), ["restart"], [2])
    assert isinstance(found, LawComparison)
    assert "failed" in found.table()
    with pytest.raises(ValueError, match="nothing to draw"):
        found.plot(tmp_path / "none.png")
