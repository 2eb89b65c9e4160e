"""log p(x) against closed forms: every path, end, grid, tolerance, trace and kind of network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import KroghInterpolator
from scipy.stats import binom, t as student
from torch import Tensor
from toy import ENDS, GAUSSIAN, MIXTURE, log_normal, random_mixture, states

from fokker.generative import CFG, VE, VP, CondOT, Cosine, Denoiser, GaussianPath, log_likelihood
from fokker.generative.likelihood.along_flow import AlongFlow
from fokker.generative.likelihood.change_of_variables import ChangeOfVariables, even_times
from fokker.generative.likelihood.quadrature import clenshaw_curtis
from fokker.generative.likelihood.trace import estimator
from fokker.solvers import (
    RK4,
    Adaptive,
    Dopri5,
    ExponentialAdams,
    Heun,
    Restart,
    SolveError,
    Solver,
    Tsit5,
)
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.oracles import GaussianClasses, guided_law
from fokker.verification.statistics.slopes import rms, slope

CLASSES = GaussianClasses([MIXTURE, GAUSSIAN])


def within(tolerance: float, t0: float = 1.0, t1: float = 0.0) -> Adaptive:
    return Adaptive(t0, t1, rtol=tolerance, atol=tolerance)


def exact(law: GaussianMixture, latent: Tensor, t: float, path: GaussianPath) -> Tensor:
    """What `prior_mismatch` is to second order: log p_t(x) − log N(x; 0, σ² I)."""
    return law.log_prob(latent, t, path) - log_normal(latent, path.sigma(t))


def close(found: Tensor, expected: Tensor, atol: float) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=atol)


# Closed forms.


@pytest.mark.parametrize(("dim", "shape"), [(2, (2,)), (16, (1, 4, 4)), (64, (64,))])
def test_a_mixture_in_many_dimensions_and_shapes(dim: int, shape: tuple[int, ...]) -> None:
    law = random_mixture(dim)
    net = law.denoiser(CondOT()).net

    def shaped(x: Tensor, time: Tensor) -> Tensor:
        return net(x.flatten(1), time).unflatten(1, shape)

    x = law.sample(3, 1).unflatten(1, shape)
    result = log_likelihood(Denoiser(shaped, CondOT(), predicts="v"), x, within(1e-8))
    close(result.value, law.log_prob(x.flatten(1)), 1e-6)
    assert result.latent.shape == x.shape
    assert torch.equal(result.data, x)
    assert bool((result.probe_stderr == 0.0).all())
    assert bool((result.prior_mismatch == 0.0).all())
    assert bool((result.discretisation < dim * 2e-8 * 100.0).all())
    for name in ("value", "probe_stderr", "discretisation", "prior_mismatch"):
        assert getattr(result, name).shape == (3,)
        assert getattr(result, name).dtype == torch.float64


@pytest.mark.parametrize("path", ENDS, ids=str)
def test_every_path_gives_the_density_of_one_law(path: GaussianPath) -> None:
    """With the density of the noised data in place of the prior exactly; with `prior_mismatch`, which knows it to
    second order in a = α/σ, up to 10 a³. The data are noised where σ > 0 at t = 1.
    """
    x = MIXTURE.sample(8, 1)
    result = log_likelihood(MIXTURE.denoiser(path), x, within(1e-8))
    expected = MIXTURE.log_prob(x, 1.0, path) if path.sigma(1.0) else MIXTURE.log_prob(x)
    close(result.value + exact(MIXTURE, result.latent, 0.0, path), expected, 1e-6)
    a = path.alpha(0.0) / path.sigma(0.0)
    close(result.value + result.prior_mismatch, expected, 1e-6 + 10.0 * a**3)
    if a > 0.0:
        assert float((result.value - expected).abs().max()) > 0.01 * a


@pytest.mark.parametrize(
    ("path", "data_end", "noise_end"),
    [(CondOT(), 0.9, 0.3), (Cosine(), 0.9, 0.0), (VP(), 1.0, 0.3)],
    ids=str,
)
def test_ends_within_the_path_give_the_marginal_density(
    path: GaussianPath, data_end: float, noise_end: float
) -> None:
    """log p_t at the data end, from the prior N(0, σ² I) at the noise end, whose mismatch is as large as the signal."""
    x = states(path, data_end)
    result = log_likelihood(MIXTURE.denoiser(path), x, within(1e-8, data_end, noise_end))
    close(result.value + exact(MIXTURE, result.latent, noise_end, path), MIXTURE.log_prob(x, data_end, path), 1e-6)


@pytest.mark.parametrize(
    ("path", "ends"), [(CondOT(), (0.8, 0.1)), (VP(), (1.0, 0.0))], ids=str
)
def test_both_directions_give_the_same_value(path: GaussianPath, ends: tuple[float, float]) -> None:
    x = states(path, ends[0], 3)
    back = log_likelihood(MIXTURE.denoiser(path), x, within(1e-7, *ends))
    forth = log_likelihood(MIXTURE.denoiser(path), back.latent, within(1e-7, *ends[::-1]))
    close(forth.data, x, 1e-5)
    close(forth.value, back.value, 1e-5)
    close(forth.prior_mismatch, back.prior_mismatch, 1e-9)
    assert torch.equal(forth.latent, back.latent)


def test_both_directions_of_a_grid() -> None:
    times = even_times(CondOT(), 64)
    z = states(CondOT(), 0.0, 5)
    forth = log_likelihood(MIXTURE.denoiser(CondOT()), z, times, RK4())
    back = log_likelihood(MIXTURE.denoiser(CondOT()), forth.data, times.flip(0), RK4())
    close(back.value, forth.value, 1e-5)
    close(forth.value, MIXTURE.log_prob(forth.data), 1e-5)
    close(back.latent, z, 1e-5)


# Grids and tolerances.


@pytest.mark.parametrize(
    ("solver", "steps"),
    [
        (Heun(), (32, 64, 128)),
        (ExponentialAdams(3), (64, 128, 256)),
        (ExponentialAdams(3, corrector=True), (96, 192, 384)),
        (RK4(), (64, 128, 256)),
    ],
    ids=repr,
)
def test_the_order_of_the_value_is_that_of_the_solver(solver: Solver, steps: tuple[int, ...]) -> None:
    """And the estimate of the error, Richardson's for that order, is its leading term: on the finest grid their rms
    over the samples differ by less than a fourth.
    """
    law = random_mixture(3)
    x = law.sample(64, 3)
    expected, errors, estimates = law.log_prob(x), [], []
    for n in steps:
        result = log_likelihood(law.denoiser(CondOT()), x, even_times(CondOT(), n).flip(0), solver)
        errors.append(rms(result.value - expected))
        estimates.append(rms(result.discretisation))
    assert errors[-1] > 1e-10  # above rounding
    assert slope(steps, errors) == pytest.approx(min(solver.order, 6), abs=0.15)
    assert estimates[-1] / errors[-1] == pytest.approx(1.0, abs=0.25)


def test_the_order_on_uneven_steps() -> None:
    steps, errors = (64, 128, 256), []
    x = MIXTURE.sample(64, 3)
    for n in steps:
        even = even_times(CondOT(), n).flip(0)
        times = even * (0.5 + 0.5 * even)
        result = log_likelihood(MIXTURE.denoiser(CondOT()), x, times, RK4())
        errors.append(rms(result.value - MIXTURE.log_prob(x)))
    assert slope(steps, errors) == pytest.approx(4.0, abs=0.15)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_grids_of_a_few_steps(n: int) -> None:
    """An estimate needs a coarser grid; of an odd number of steps the last is taken twice."""
    result = log_likelihood(MIXTURE.denoiser(CondOT()), MIXTURE.sample(3, 1), even_times(CondOT(), n).flip(0), Heun())
    assert bool(result.value.isfinite().all())
    assert bool(result.discretisation.isnan().all()) == (n == 1)
    coarse = (n + 1) // 2
    assert result.nfe == (3 * n + 1 if n == 1 else 3 * n + 1 + 3 * coarse + 1)


@pytest.mark.parametrize("law", [MIXTURE, random_mixture(4)], ids=["toy", "4"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_adaptive_errors_are_what_was_asked_for_and_what_is_estimated(law: GaussianMixture, tolerance: float) -> None:
    """On 100 draws: an rms error below the tolerance a dimension, and an estimate that is no less, and no more than 20
    times as large, in the rms; nine in ten of the samples lie within 5 times their own, which is one difference of two
    values, where errors may cancel.
    """
    x = law.sample(100, 3)
    result = log_likelihood(law.denoiser(CondOT()), x, within(tolerance))
    error = (result.value - law.log_prob(x)).abs()
    assert rms(error) < 2.0 * tolerance * x.shape[1]
    assert 1.0 < rms(result.discretisation) / rms(error) < 20.0
    assert float((error <= 5.0 * result.discretisation).double().mean()) >= 0.9


def test_the_quadrature_does_not_stop_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the same states with 128 intervals at once: within the tolerance for every one of 300 samples."""
    x, tolerance = MIXTURE.sample(300, 3), 1e-6
    result = log_likelihood(MIXTURE.denoiser(CondOT()), x, within(tolerance))
    monkeypatch.setattr("fokker.generative.likelihood.along_flow.FEWEST", 64)
    fine = log_likelihood(MIXTURE.denoiser(CondOT()), x, within(tolerance))
    assert float((result.value - fine.value).abs().max()) < 4.0 * tolerance


def along_flow(steps: Adaptive) -> AlongFlow:
    x = torch.zeros(3, 2, dtype=torch.float64)
    change = ChangeOfVariables(MIXTURE.denoiser(CondOT()), estimator("exact", 1, "rademacher", x, 0), x.shape[1:])
    return AlongFlow(change, x, steps, Tsit5())


def test_both_tolerances_are_multiplied() -> None:
    steps = Adaptive(1.0, 0.0, rtol=1e-6, atol=1e-9)
    inner = along_flow(steps).within(steps, 4.0)
    assert (inner.rtol, inner.atol) == (4e-6, 4e-9)


def test_the_first_nodes_are_compared_with_every_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a normal law the divergence is the same everywhere in space."""
    seen: list[tuple[AlongFlow, Tensor, Tensor]] = []
    right = AlongFlow.deviation

    def deviation(self: AlongFlow, traces: Tensor, added: Tensor) -> Tensor:
        seen.append((self, traces, added))
        return right(self, traces, added)

    monkeypatch.setattr(AlongFlow, "deviation", deviation)
    law = Gaussian(torch.zeros(1).double(), 0.25 * torch.eye(1).double())
    x = torch.tensor([[0.3]], dtype=torch.float64)
    log_likelihood(law.denoiser(CondOT()), x, within(1e-6))
    block, traces, added = seen[0]
    known = block.traces(block.nodes(8), x.expand(9, 1, 1), torch.arange(1))
    torch.testing.assert_close(traces, known[::2], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(added, known[1::2], rtol=1e-12, atol=1e-12)


def test_what_added_nodes_say_is_weighed_by_their_own_weights() -> None:
    """Σ w_i |f − p| over the nodes of 16 intervals that are not among those of 8; f is a power, one for each sample."""
    block = along_flow(within(1e-6))
    (coarse, _), (fine, weights) = clenshaw_curtis(8), clenshaw_curtis(16)
    added = np.abs(fine[:, None] - coarse).min(1) > 1e-9
    powers = np.array([7, 9, 12])
    polynomial = KroghInterpolator(coarse, coarse[:, None] ** powers)(fine[added])
    expected = weights[added] @ np.abs(fine[added, None] ** powers - polynomial)
    traces = (torch.from_numpy(each[:, None] ** powers)[..., None] for each in (coarse, fine[added]))
    found = block.deviation(*traces)
    assert expected[0] < 1e-14 < 1e-6 < expected[1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-14)


def test_an_integrand_with_a_kink_is_refined_beyond_the_saved_nodes() -> None:
    """Guidance in an interval: the quadrature goes on with further solutions until it gives up, and says so."""
    denoiser = CFG(CLASSES.denoiser(CondOT()).given(0), 2.0, interval=(-1.0, 1.0))
    x = MIXTURE.sample(3, 1)
    result = log_likelihood(denoiser, x, within(1e-5))
    fine = log_likelihood(denoiser, x, even_times(CondOT(), 128).flip(0), Heun())
    assert result.nfe.vjp > 2 * 128
    error = (result.value - fine.value).abs()
    assert bool((error <= 5.0 * result.discretisation + fine.discretisation + 1e-3).all())
    assert float(error.max()) < 1e-2


def test_a_vanishing_integrand_has_a_vanishing_error() -> None:
    """Data of law N(0, I): nothing is left of the divergence, at any node."""
    law = Gaussian(torch.zeros(2).double(), torch.eye(2).double())
    x = law.sample(3, 1)
    result = log_likelihood(law.denoiser(CondOT()), x, within(1e-6))
    close(result.value, law.log_prob(x), 4e-6)
    assert bool(result.discretisation.isfinite().all())


def test_the_defaults() -> None:
    x = MIXTURE.sample(3, 1)
    result = log_likelihood(MIXTURE.denoiser(CondOT()), x)
    same = log_likelihood(MIXTURE.denoiser(CondOT()), x, within(1e-4), Tsit5(), "exact")
    assert torch.equal(result.value, same.value)
    other = log_likelihood(MIXTURE.denoiser(CondOT()), x, within(1e-8), Dopri5())
    close(other.value, MIXTURE.log_prob(x), 1e-6)


# Clocks and kinds.


def kind_of(kind: str, path: GaussianPath, clock: str, time: Callable[[Tensor], Tensor]) -> Denoiser:
    function = getattr(MIXTURE, kind)
    return Denoiser(lambda x, c: function(x, time(c), path), path, predicts=kind, time=clock)


CLOCKS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "t": ("t", lambda c: c),
    "1-t": ("1-t", lambda c: 1.0 - c),
    "sigma": ("sigma", lambda c: 1.0 - c),
    "log_snr": ("log_snr", lambda c: torch.sigmoid(0.5 * c)),
    "half_log_snr": ("half_log_snr", lambda c: torch.sigmoid(c)),
}
"""Names, and t of CondOT from the clock."""


@pytest.mark.parametrize(
    ("kind", "clock"),
    [*((k, "t") for k in ("x0", "eps", "v", "velocity", "score")), ("v", "1-t"), ("x0", "sigma"), ("eps", "log_snr")],
)
def test_every_kind_of_network_gives_the_same_value(kind: str, clock: str) -> None:
    path, ends = CondOT(), (0.95, 0.05)
    x = states(path, ends[0], 2)
    result = log_likelihood(kind_of(kind, path, *CLOCKS[clock]), x, within(1e-8, *ends))
    close(result.value + exact(MIXTURE, result.latent, ends[1], path), MIXTURE.log_prob(x, ends[0], path), 1e-6)


@pytest.mark.parametrize(
    ("kind", "path", "ends"),
    [("velocity", CondOT(), (1.0, 0.0)), ("eps", VP(), (1.0, 0.0)), ("x0", VE(), (0.999, 0.0))],
    ids=str,
)
def test_a_kind_at_the_ends_where_it_exists(kind: str, path: GaussianPath, ends: tuple[float, float]) -> None:
    x = states(path, ends[0], 4)
    result = log_likelihood(kind_of(kind, path, "t", lambda c: c), x, within(1e-8, *ends))
    close(result.value + exact(MIXTURE, result.latent, 0.0, path), MIXTURE.log_prob(x, ends[0], path), 1e-5)


# Guidance.


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_law_that_guidance_makes_of_two_normals(weight: float) -> None:
    """In one dimension it is known: neither that of the class, nor the product of powers."""
    wide = Gaussian(torch.tensor([0.3]).double(), torch.tensor([[1.5]]).double())
    narrow = Gaussian(torch.tensor([1.0]).double(), torch.tensor([[0.4]]).double())
    model = GaussianClasses([narrow], population=wide)
    denoiser = CFG(model.denoiser(CondOT()).given(0), weight)
    law = guided_law(wide, narrow, weight)
    x = law.sample(5, 1)
    result = log_likelihood(denoiser, x, within(1e-8))
    close(result.value, law.log_prob(x), 1e-6)


# Probes.


def test_random_probes_are_unbiased_along_the_whole_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over all sign vectors is the exact value, on the same grid."""
    law = random_mixture(3)
    x, times = law.sample(2, 1), even_times(CondOT(), 8).flip(0)
    whole = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), "exact")
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    monkeypatch.setattr("fokker.generative.likelihood.trace.probes", lambda *_: signs[:, None].expand(-1, 2, -1))
    found = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), "hutchinson", 8)
    assert found.probes.shape == (2, 8)
    close(found.value, whole.value, 1e-12)
    close(found.probes.mean(1), found.value, 1e-13)
    close(found.probe_stderr, found.probes.std(1) / math.sqrt(8.0), 1e-13)
    close(found.discretisation, whole.discretisation, 1e-12)


def test_error_bars_of_probes_cover_the_exact_value_as_often_as_they_say() -> None:
    """1000 values with 8 probes each of one point in 16 dimensions, against Student's t with 7 degrees of freedom.

    False alarms: 1e-3. Seen with certainty: a bar of 1/√k, or of twice, its length; as often as not, one of 11 %.
    """
    law, times, n = random_mixture(16), even_times(CondOT(), 4).flip(0), 1000
    x = law.sample(1, 1)
    truth = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), "exact").value
    result = log_likelihood(law.denoiser(CondOT()), x.expand(n, -1), times, Heun(), "hutchinson", 8, seed=11)
    for level in (0.8, 0.95):
        bars = student.ppf(0.5 + 0.5 * level, 7) * result.probe_stderr
        covered = int(((result.value - truth).abs() <= bars).sum())
        low, high = binom.ppf([5e-4, 1.0 - 5e-4], n, level)
        assert low <= covered <= high


def test_hutch_plus_plus_along_the_flow() -> None:
    """With a sketch of half of all directions: its bars are honest here as well, and no wider than Hutchinson's."""
    law = random_mixture(16)
    x, times = law.sample(64, 1), even_times(CondOT(), 16).flip(0)
    truth = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), "exact").value
    plain = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), "hutchinson", 8)
    result = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), "hutch++", 8)
    assert rms(result.value - truth) < rms(plain.value - truth)
    # rms of 64 values over their bars, whose t₇ has the variance 7/5; its own relative error is near 12 %.
    assert rms((result.value - truth) / result.probe_stderr) == pytest.approx(math.sqrt(1.4), rel=0.5)


def test_one_probe_has_no_spread_and_the_exact_trace_no_error() -> None:
    x, times = MIXTURE.sample(3, 1), even_times(CondOT(), 4).flip(0)
    one = log_likelihood(MIXTURE.denoiser(CondOT()), x, times, Heun(), "hutchinson")
    assert bool(one.probe_stderr.isnan().all())
    whole = log_likelihood(MIXTURE.denoiser(CondOT()), x, times, Heun(), "exact")
    assert bool((whole.probe_stderr == 0.0).all())


def test_auto_is_exact_up_to_a_thousand_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    law = random_mixture(4)
    x, times = law.sample(2, 1), even_times(CondOT(), 4).flip(0)
    whole = log_likelihood(law.denoiser(CondOT()), x, times, Heun())
    assert bool((whole.probe_stderr == 0.0).all())
    monkeypatch.setattr("fokker.generative.likelihood.likelihood.EXACT_UP_TO", 3)
    probed = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), probes=2)
    assert bool((probed.probe_stderr > 0.0).all())
    assert probed.nfe.vjp == 2 * (5 + 3)


# The batch.


@pytest.mark.parametrize("trace", ["exact", "hutchinson", "hutch++"])
@pytest.mark.parametrize("times", [within(1e-3), even_times(CondOT(), 8).flip(0)], ids=["adaptive", "grid"])
def test_a_sample_does_not_depend_on_its_batch(
    trace: str, times: Adaptive | Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But by the rounding of sums; in blocks of other sizes, and alone with a seed of its own."""
    law = random_mixture(4)
    model = GaussianClasses([law, random_mixture(4)], population=Gaussian(torch.zeros(4).double(), law.covs[0]))
    labels, seeds, x = torch.tensor([0, 1, 2, 0, 1]), [3, 1, 4, 1, 5], law.sample(5, 1)
    denoiser, solver = model.denoiser(VP()).given(labels), Tsit5() if isinstance(times, Adaptive) else RK4()
    whole = log_likelihood(denoiser, x, times, solver, trace, 2, seeds)
    row = torch.tensor([3])
    alone = log_likelihood(denoiser.of_rows(row), x[row], times, solver, trace, 2, [seeds[3]])
    for name in ("value", "latent", "prior_mismatch", "discretisation"):
        close(getattr(alone, name), getattr(whole, name)[row], 1e-8)
    assert alone.nfe == whole.nfe.per_sample[3]
    monkeypatch.setattr("fokker.generative.likelihood.likelihood.NUMBERS_ON_CPU", 8)
    monkeypatch.setattr("fokker.generative.likelihood.trace.NUMBERS_IN_CACHE", 100)
    split = log_likelihood(denoiser, x, times, solver, trace, 2, seeds)
    close(split.value, whole.value, 1e-8)
    close(split.probes, whole.probes, 1e-8)
    assert split.value.shape == (5,)
    if trace != "exact":
        assert torch.equal(split.nfe.per_sample, whole.nfe.per_sample)
    for name in ("vjp", "branches", "depth"):
        assert getattr(split.nfe, name) <= getattr(whole.nfe, name)


@pytest.mark.parametrize("law", ["rademacher", "gaussian"])
def test_probes_are_keyed_by_seed_and_position(law: str) -> None:
    x, times = random_mixture(4).sample(4, 1), even_times(CondOT(), 4).flip(0)
    denoiser = random_mixture(4).denoiser(CondOT())

    def value(x: Tensor, seed: Any) -> Tensor:
        return log_likelihood(denoiser, x, times, Heun(), "hutchinson", 3, seed, law=law).value

    whole = value(x, 5)
    close(value(x[:2], 5), whole[:2], 1e-12)
    assert float((value(x, 6) - whole).abs().min()) > 1e-6
    same = value(x[:1].expand(3, -1), [7, 7, 8])
    close(same[0], same[1], 1e-12)
    assert abs(float(same[2] - same[0])) > 1e-6
    default = log_likelihood(denoiser, x, times, Heun(), "hutchinson", 3, 5).value
    assert torch.equal(default, whole) == (law == "rademacher")


def test_float32_networks_have_float64_values() -> None:
    """Against the same grid in float64. Each of the 9 + 5 field values and traces has an error of some eps = 1.2e-7
    relative to states and Jacobians of size 10 at most: 100 eps.
    """
    net = MIXTURE.denoiser(CondOT()).net
    single = Denoiser(lambda x, t: net(x.double(), t.double()).float(), CondOT(), predicts="v")
    x, times = MIXTURE.sample(16, 1).float(), even_times(CondOT(), 8).flip(0)
    found = log_likelihood(single, x, times, RK4())
    exactly = log_likelihood(MIXTURE.denoiser(CondOT()), x.double(), times, RK4())
    assert found.value.dtype == found.discretisation.dtype == torch.float64
    assert found.latent.dtype == torch.float32
    close(found.value, exactly.value, 100.0 * torch.finfo(torch.float32).eps)
    assert not torch.equal(found.value, exactly.value)
    adaptive = log_likelihood(single, x, within(1e-5))
    close(adaptive.value, MIXTURE.log_prob(x.double()), 2e-4)


# The account.


class Counting:
    """A network that counts the states of its calls, of each sample, and a product that counts directions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, denoiser: Denoiser) -> None:
        self.rows = self.products = 0
        self.net = denoiser.net
        self.null_label = getattr(denoiser.net, "null_label", None)
        from fokker.generative.likelihood import change_of_variables as module

        linearised = module.ChangeOfVariables.linearised

        def counted(change: Any, *arguments: Any) -> Any:
            before = self.rows
            value, products = linearised(change, *arguments)
            states = self.rows - before

            def pulled(directions: Tensor) -> Tensor:
                self.products += states * len(directions)
                return products(directions)

            return value, pulled

        monkeypatch.setattr(module.ChangeOfVariables, "linearised", counted)

    def __call__(self, x: Tensor, *others: Any) -> Tensor:
        self.rows += len(x)
        output: Tensor = self.net(x, *others)
        return output


@pytest.mark.parametrize("trace", ["exact", "hutchinson", "hutch++"])
@pytest.mark.parametrize("guidance", [None, {}, {"interval": (-1.0, 1.5)}], ids=["plain", "guided", "interval"])
@pytest.mark.parametrize("times", [within(1e-3), even_times(CondOT(), 7).flip(0)], ids=["adaptive", "grid"])
def test_the_account_is_what_the_network_saw(
    trace: str, guidance: dict[str, Any] | None, times: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states of all its calls, those of `prior_mismatch` too, and the directions in which it was differentiated,
    but for one state at each end, where it is tried beforehand.
    """
    path = VP()
    model = GaussianClasses([random_mixture(4), random_mixture(4)])
    plain = model.denoiser(path).given(0)
    net = Counting(monkeypatch, plain)
    denoiser = Denoiser(net, path, predicts="v", label=torch.tensor([0, 1, 0]))
    if guidance is not None:
        denoiser = CFG(denoiser, 1.5, **guidance)
    x = random_mixture(4).sample(3, 1)
    result = log_likelihood(denoiser, x, times, Tsit5() if isinstance(times, Adaptive) else Heun(), trace, 2)
    tried = sum(int(denoiser.evaluations(t)) for t in (0.0, 1.0))
    if "interval" in (guidance or {}) and isinstance(times, Adaptive):
        assert net.rows - tried <= result.nfe.total  # samples at different times: a call counts as its costliest one
    else:
        assert net.rows - tried == result.nfe.total
    assert result.nfe == int(result.nfe.per_sample.max())
    assert result.nfe.branches == denoiser.cost
    assert result.nfe.jvp == 0
    if isinstance(times, Tensor):
        assert net.products == 3 * result.nfe.vjp
        assert result.nfe.rejected == 0
    else:
        assert result.nfe.vjp <= net.products <= 3 * result.nfe.vjp


def test_guidance_costs_twice_as_much() -> None:
    x, times = MIXTURE.sample(2, 1), even_times(CondOT(), 8).flip(0)
    plain = CLASSES.denoiser(CondOT()).given(0)
    one, two = (log_likelihood(d, x, times, Heun()) for d in (plain, CFG(plain, 2.0)))
    within_one = log_likelihood(CFG(plain, 2.0, interval=(-0.5, 0.5)), x, times, Heun())
    assert (two.nfe, two.nfe.vjp) == (2 * int(one.nfe), 2 * one.nfe.vjp)
    assert two.nfe.depth == one.nfe.depth
    assert one.nfe < within_one.nfe < two.nfe
    assert one.nfe.vjp < within_one.nfe.vjp < two.nfe.vjp


# Gradients.


@pytest.mark.parametrize(
    ("times", "solver"),
    [(within(1e-8), None), (even_times(CondOT(), 96).flip(0), RK4())],
    ids=["adaptive", "grid"],
)
def test_the_gradient_is_the_score(times: Any, solver: Solver | None) -> None:
    """Of the exact network. The path it goes through is the solution's, whose error is that of the value."""
    x = MIXTURE.sample(2, 1).requires_grad_()
    result = log_likelihood(MIXTURE.denoiser(CondOT()), x, times, solver)
    (gradient,) = torch.autograd.grad(result.value.sum(), x)
    close(gradient, MIXTURE.score(x.detach(), 1.0, CondOT()), 1e-5)
    assert not result.discretisation.requires_grad


@pytest.mark.parametrize(
    ("trace", "times", "solver"),
    [
        ("hutchinson", within(1e-8), None),
        ("exact", even_times(CondOT(), 8).flip(0), ExponentialAdams(2)),
        ("hutchinson", even_times(CondOT(), 8).flip(0), ExponentialAdams(2)),
    ],
    ids=["adaptive", "exact", "hutchinson"],
)
def test_gradients_of_a_parameter_against_finite_differences(trace: str, times: Any, solver: Solver | None) -> None:
    """Central ones, with an error of h² and of 1/h times that of the values (1e-8, rounding on the grid): 1e-5."""
    net = MIXTURE.denoiser(VP()).net
    x = MIXTURE.sample(3, 1)

    def value(scale: Tensor, x: Tensor) -> Tensor:
        denoiser = Denoiser(lambda y, t: scale * net(y, t), VP(), predicts="v")
        result = log_likelihood(denoiser, x, times, solver, trace)
        return (result.value + result.prior_mismatch).sum()

    parameter, h = torch.tensor(0.9, dtype=torch.float64, requires_grad=True), 1e-3
    leaf = x.clone().requires_grad_()
    by_parameter, by_x = torch.autograd.grad(value(parameter, leaf), [parameter, leaf])
    one = parameter.detach()
    difference = (value(one + h, x) - value(one - h, x)) / (2.0 * h)
    torch.testing.assert_close(by_parameter, difference, rtol=1e-5, atol=1e-5)
    step = torch.zeros_like(x)
    step[1, 0] = h
    difference = (value(one, x + step) - value(one, x - step)) / (2.0 * h)
    torch.testing.assert_close(by_x[1, 0], difference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trace", ["exact", "hutchinson", "hutch++"])
def test_gradients_are_finite_at_both_ends_and_kept_only_where_asked(trace: str) -> None:
    law = random_mixture(4)
    x = law.sample(2, 1).requires_grad_()
    times = even_times(CondOT(), 4).flip(0)
    result = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), trace, 2)
    (gradient,) = torch.autograd.grad(result.value.sum(), x)
    assert bool(gradient.isfinite().all())
    with torch.no_grad():
        plain = log_likelihood(law.denoiser(CondOT()), x, times, Heun(), trace, 2)
    assert not plain.value.requires_grad
    close(plain.value, result.value.detach(), 1e-12)


# What is refused.

X = MIXTURE.sample(2, 1)
GRID = torch.linspace(1.0, 0.0, 5)


@pytest.mark.parametrize(
    ("x", "arguments", "error", "sentence"),
    [
        ([[0.0, 0.0]], {}, TypeError, "must be a tensor of floating-point numbers"),
        (X.long(), {}, TypeError, "x is torch.int64, but must be of a floating-point dtype"),
        (X[0, 0], {}, ValueError, "has shape \\(\\), but must hold samples"),
        (X[0], {}, ValueError, "has shape \\(2,\\), but must hold samples"),
        (X[:0], {}, ValueError, "of shape \\(0, 2\\) holds no numbers"),
        (X, {"times": GRID, "nfe": 100}, ValueError, "nfe chooses times, solver, trace and probes itself"),
        (X, {"solver": Heun(), "nfe": 100}, ValueError, "give it alone"),
        (X, {"trace": "exact", "nfe": 100}, ValueError, "give it alone"),
        (X, {"probes": 2, "nfe": 100}, ValueError, "give it alone"),
        (X, {"solver": ExponentialAdams(2)}, ValueError, "knows no states between its adaptive steps; use Tsit5"),
        (X, {"solver": RK4()}, ValueError, "knows no states between its adaptive steps"),
        (X, {"times": GRID, "solver": Restart(Heun(), [0.3, 0.6], 1)}, ValueError, "draws noise, but a density"),
        (X, {"times": GRID, "solver": Heun}, TypeError, "solver is the class Heun; give a solver"),
        (X, {"trace": "xtrace"}, ValueError, "Unknown trace 'xtrace'"),
        (X, {"trace": "hutchinson", "law": "cauchy"}, ValueError, "Unknown law 'cauchy'"),
        (X, {"trace": "hutchinson", "probes": 0}, ValueError, "probes is 0, but must be a whole number from 1"),
        (X, {"trace": "hutch++", "probes": 2}, ValueError, "needs at least 4 dimensions, but there are 2"),
        (X, {"trace": "hutchinson", "seed": [1, 2, 3]}, ValueError, "3 seeds were given for 2 samples"),
        (X, {"times": [1.0, 0.5, 0.7]}, ValueError, "times must be strictly monotone"),
        (X, {"times": [1.0]}, ValueError, "at least two: a start and an end"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_any_work(
    x: Any, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    def net(x: Tensor, time: Tensor) -> Tensor:
        raise AssertionError("the network was called")

    with pytest.raises(error, match=sentence):
        log_likelihood(Denoiser(net, CondOT(), predicts="v"), x, **arguments)


@pytest.mark.parametrize(
    ("kind", "times", "sentence"),
    [
        ("eps", GRID, "does not determine 1 x0 \\+ -1 eps at t = 0"),
        ("eps", within(1e-4, 0.0, 0.9), "at t = 0"),
        ("x0", GRID, "does not determine 1 x0 \\+ -1 eps at t = 1"),
        ("score", [0.9, 0.5, 0.0], "at t = 0"),
        ("score", GRID, "The score does not exist at t = 1"),
    ],
)
def test_an_end_where_the_field_does_not_exist_is_named(kind: str, times: Any, sentence: str) -> None:
    """Before the network is called there, or for more than one sample anywhere."""

    def net(x: Tensor, time: Tensor) -> Tensor:
        assert 0.0 < float(time[0]) <= 1.0
        assert len(x) == 1
        return x

    solver = None if isinstance(times, Adaptive) else Heun()
    with pytest.raises(ValueError, match=sentence):
        log_likelihood(Denoiser(net, CondOT(), predicts=kind), X, times, solver)


def test_what_solve_refuses_is_refused() -> None:
    denoiser = MIXTURE.denoiser(CondOT())
    with pytest.raises(ValueError, match=r"x is nan at \[0, 0\]"):
        log_likelihood(denoiser, torch.full((1, 2), math.nan).double())
    with pytest.raises(SolveError):
        log_likelihood(Denoiser(lambda x, t: x / (t[:, None] - 0.5), CondOT(), predicts="velocity"), X, GRID, Heun())
    with pytest.raises(ValueError, match="below the rounding"):
        log_likelihood(Denoiser(lambda x, t: x, CondOT(), predicts="velocity"), X.float(), within(1e-9))
