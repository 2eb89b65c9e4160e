"""log p(x) against closed forms: every path, end, clock and kind of network, and samples that do not see each other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import ENDS, GAUSSIAN, MIXTURE, log_normal, random_mixture, states

from fokker.generative import CFG, VE, VP, CondOT, Cosine, Denoiser, GaussianPath, log_likelihood, plan_likelihood
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.oracles import GaussianClasses, guided_law

CLASSES = GaussianClasses([MIXTURE, GAUSSIAN])
TIGHT = 1e-5
"""An error in nats. Values may be off by a few times as much: it is that of nine samples in ten."""


def exact(law: GaussianMixture, latent: Tensor, t: float, path: GaussianPath) -> Tensor:
    """What `prior_mismatch` is to second order: log p_t(x) − log N(x; 0, σ² I)."""
    return law.log_prob(latent, t, path) - log_normal(latent, path.sigma(t))


def close(found: Tensor, expected: Tensor, atol: float) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=atol)


@pytest.mark.parametrize(
    ("dim", "shape"), [(1, (1,)), (2, (2,)), (16, (1, 4, 4)), (16, (4, 2, 1, 2)), (64, (64,))], ids=str
)
def test_a_mixture_in_many_dimensions_and_shapes(dim: int, shape: tuple[int, ...]) -> None:
    law = random_mixture(dim)
    net = law.denoiser(CondOT()).net

    def shaped(x: Tensor, time: Tensor) -> Tensor:
        return net(x.flatten(1), time).unflatten(1, shape)

    x = law.sample(3, 1).unflatten(1, shape)
    result = log_likelihood(Denoiser(shaped, CondOT(), predicts="v"), x, error=1e-5, trace="exact")
    close(result.value, law.log_prob(x.flatten(1)), 1e-4)
    assert result.latent.shape == x.shape
    assert torch.equal(result.data, x)
    assert bool((result.probe_stderr == 0.0).all())
    assert bool((result.prior_mismatch == 0.0).all())
    for name in ("value", "probe_stderr", "discretisation", "prior_mismatch", "freedom"):
        assert getattr(result, name).shape == (3,)
        assert getattr(result, name).dtype == torch.float64


@pytest.mark.parametrize("path", ENDS, ids=str)
def test_every_path_gives_the_density_of_one_law(path: GaussianPath) -> None:
    """With the density of the noised data in place of the prior exactly; with `prior_mismatch`, which knows it to
    second order in a = α/σ, up to 10 a³. The data are noised where σ > 0 at t = 1.
    """
    x = MIXTURE.sample(8, 1)
    result = log_likelihood(MIXTURE.denoiser(path), x, error=TIGHT)
    expected = MIXTURE.log_prob(x, 1.0, path) if path.sigma(1.0) else MIXTURE.log_prob(x)
    close(result.value + exact(MIXTURE, result.latent, 0.0, path), expected, 1e-4)
    a = path.alpha(0.0) / path.sigma(0.0)
    close(result.value + result.prior_mismatch, expected, 1e-4 + 10.0 * a**3)
    if a > 0.0:
        assert float((result.value - expected).abs().max()) > 0.01 * a


@pytest.mark.parametrize(
    ("path", "data_end", "noise_end"),
    [(CondOT(), 0.9, 0.3), (Cosine(), 0.9, 0.0), (VP(), 1.0, 0.3)],
    ids=str,
)
def test_ends_within_the_path_give_the_marginal_density(path: GaussianPath, data_end: float, noise_end: float) -> None:
    """log p_t at the data end, from the prior N(0, σ² I) at the noise end, whose mismatch is as large as the signal."""
    x = states(path, data_end)
    result = log_likelihood(MIXTURE.denoiser(path), x, error=TIGHT, times=(data_end, noise_end))
    close(result.value + exact(MIXTURE, result.latent, noise_end, path), MIXTURE.log_prob(x, data_end, path), 1e-4)


@pytest.mark.parametrize(("path", "ends"), [(CondOT(), (0.8, 0.1)), (VP(), (1.0, 0.0))], ids=str)
def test_both_directions_give_the_same_value(path: GaussianPath, ends: tuple[float, float]) -> None:
    x = states(path, ends[0], 3)
    back = log_likelihood(MIXTURE.denoiser(path), x, error=TIGHT, times=ends)
    forth = log_likelihood(MIXTURE.denoiser(path), back.latent, error=TIGHT, times=ends[::-1])
    close(forth.data, x, 1e-4)
    close(forth.value, back.value, 1e-4)
    close(forth.prior_mismatch, back.prior_mismatch, 1e-9)
    assert torch.equal(forth.latent, back.latent)


@pytest.mark.parametrize("path", [CondOT(), VP(), Cosine()], ids=str)
def test_noise_becomes_data_of_a_known_density(path: GaussianPath) -> None:
    """From the noise to σ = 0, where the score does not exist; at the data that it becomes."""
    z = states(path, 0.0, 5)
    result = log_likelihood(MIXTURE.denoiser(path), z, error=1e-4, times=(0.0, 1.0))
    expected = MIXTURE.log_prob(result.data, 1.0, path) if path.sigma(1.0) else MIXTURE.log_prob(result.data)
    close(result.value + exact(MIXTURE, z, 0.0, path), expected, 1e-3)
    assert torch.equal(result.latent, z)
    assert bool(result.discretisation.isfinite().all())


@pytest.mark.parametrize("nodes", [5, 17, 65])
def test_a_fixed_number_of_nodes(nodes: int) -> None:
    """Steps of RK4: the error falls like n⁻⁴, and the estimate is its size to a factor of 5 in the root mean square."""
    x = MIXTURE.sample(32, 3)
    result = log_likelihood(MIXTURE.denoiser(CondOT()), x, nodes=nodes)
    error = (result.value - MIXTURE.log_prob(x)).square().mean().sqrt()
    assert float(error) < {5: 1.0, 17: 2e-2, 65: 2e-5}[nodes]
    assert 0.5 < float(result.discretisation.square().mean().sqrt() / error) < 20.0
    assert result.nfe.per_sample.unique().numel() == 1
    assert result.nfe.vjp == 6 * nodes  # 2 for the value, and as many for each of the two flows that are compared
    assert result.nfe.rejected == 0


def test_an_integrand_that_vanishes() -> None:
    """Data of law N(0, I): nothing is left of the divergence, at any node."""
    for dim in (1, 3):
        law = Gaussian(torch.zeros(dim).double(), torch.eye(dim).double())
        x = law.sample(3, 1)
        for options in ({"error": 1e-6}, {"nodes": 9}, {"error": 1e-3, "trace": "orthogonal"}):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = log_likelihood(law.denoiser(CondOT()), x, **options)
            close(result.value, law.log_prob(x), 1e-3)
            assert bool(result.discretisation.isfinite().all())
            assert bool((result.discretisation < 1e-3).all())


def test_one_sample_alone() -> None:
    for law in (random_mixture(1), random_mixture(4)):
        x = law.sample(1, 2)
        result = log_likelihood(law.denoiser(CondOT()), x, error=1e-4)
        close(result.value, law.log_prob(x), 1e-3)


def test_an_integrand_with_a_kink_says_how_far_it_is_off() -> None:
    """Guidance in an interval of the log-SNR: the quadrature is refined until it gives up, and says so."""
    denoiser = CFG(CLASSES.denoiser(CondOT()).given(0), 2.0, interval=(-1.0, 1.0))
    x = MIXTURE.sample(8, 1)
    result = log_likelihood(denoiser, x, error=1e-3)
    fine = log_likelihood(denoiser, x, nodes=257)
    error = (result.value - fine.value).abs()
    said = result.discretisation + fine.discretisation
    assert int((error <= said).sum()) >= 5
    assert bool((error <= 5.0 * said).all())
    assert float(error.max()) < 5e-2


# Clocks and kinds.


def kind_of(kind: str, path: GaussianPath, clock: str, time: Callable[[Tensor], Tensor]) -> Denoiser:
    function = getattr(MIXTURE, kind)
    return Denoiser(lambda x, c: function(x, time(c), path), path, predicts=kind, time=clock)


CLOCKS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "t": ("t", lambda c: c),
    "1-t": ("1-t", lambda c: 1.0 - c),
    "sigma": ("sigma", lambda c: 1.0 - c),
    "log_snr": ("log_snr", lambda c: torch.sigmoid(0.5 * c)),
}
"""Names, and t of CondOT from the clock."""


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    ("kind", "clock"),
    [*((k, "t") for k in ("x0", "eps", "v", "velocity", "score")), ("v", "1-t"), ("x0", "sigma"), ("eps", "log_snr")],
)
def test_every_kind_of_network_gives_the_same_value(kind: str, clock: str) -> None:
    path, ends = CondOT(), (0.95, 0.05)
    x = states(path, ends[0], 2)
    result = log_likelihood(kind_of(kind, path, *CLOCKS[clock]), x, error=TIGHT, times=ends)
    close(result.value + exact(MIXTURE, result.latent, ends[1], path), MIXTURE.log_prob(x, ends[0], path), 1e-4)


@pytest.mark.parametrize(
    ("kind", "path", "ends"),
    [("velocity", CondOT(), (1.0, 0.0)), ("eps", VP(), (1.0, 0.0)), ("x0", VE(), (0.999, 0.0))],
    ids=str,
)
def test_a_kind_at_the_ends_where_it_exists(kind: str, path: GaussianPath, ends: tuple[float, float]) -> None:
    x = states(path, ends[0], 4)
    result = log_likelihood(kind_of(kind, path, "t", lambda c: c), x, error=TIGHT, times=ends)
    close(result.value + exact(MIXTURE, result.latent, 0.0, path), MIXTURE.log_prob(x, ends[0], path), 1e-4)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_law_that_guidance_makes_of_two_normals(weight: float) -> None:
    """In one dimension it is known: neither that of the class, nor the product of powers."""
    wide = Gaussian(torch.tensor([0.3]).double(), torch.tensor([[1.5]]).double())
    narrow = Gaussian(torch.tensor([1.0]).double(), torch.tensor([[0.4]]).double())
    denoiser = CFG(GaussianClasses([narrow], population=wide).denoiser(CondOT()).given(0), weight)
    law = guided_law(wide, narrow, weight)
    x = law.sample(5, 1)
    close(log_likelihood(denoiser, x, error=TIGHT).value, law.log_prob(x), 1e-4)


# The batch.


@pytest.mark.thinned(3)
@pytest.mark.parametrize("trace", ["exact", "orthogonal", "coloured", "hutchinson", "hutch++"])
@pytest.mark.parametrize("how", [{"error": 1e-3}, {"nodes": 9}], ids=["adaptive", "fixed"])
def test_a_sample_does_not_depend_on_its_batch(
    trace: str, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a plan, but by the rounding of sums; in blocks of other sizes, and alone with a seed of its own."""
    law = random_mixture(4)
    model = GaussianClasses([law, random_mixture(4)], population=Gaussian(torch.zeros(4).double(), law.covs[0]))
    labels, seeds, x = torch.tensor([0, 1, 2, 0, 1]), [3, 1, 4, 1, 5], law.sample(5, 1).reshape(5, 1, 4)
    plain = model.denoiser(VP())
    net = plain.net

    def shaped(x: Tensor, *others: Any) -> Tensor:
        return net(x.flatten(1), *others).reshape(x.shape)

    denoiser = Denoiser(shaped, VP(), predicts="v", label=labels)
    plan = plan_likelihood(denoiser, x, trace=trace, probes=None if trace == "exact" else 2, **how)
    whole = log_likelihood(denoiser, x, plan, seeds)
    row = torch.tensor([3])
    alone = log_likelihood(denoiser.of_rows(row), x[row], plan, [seeds[3]])
    for name in ("value", "latent", "prior_mismatch", "discretisation", "probe_stderr"):
        close(getattr(alone, name), getattr(whole, name)[row], 1e-8)
    assert alone.nfe == whole.nfe.per_sample[3]
    monkeypatch.setattr("fokker.generative.likelihood.likelihood.NUMBERS_ON_CPU", 8)
    monkeypatch.setattr("fokker.generative.likelihood.trace.NUMBERS_IN_CACHE", 100)
    split = log_likelihood(denoiser, x, plan, seeds)
    close(split.value, whole.value, 1e-8)
    assert torch.equal(split.nfe.per_sample, whole.nfe.per_sample)


@pytest.mark.parametrize("law", ["rademacher", "gaussian"])
def test_probes_are_keyed_by_seed_and_position(law: str) -> None:
    x = random_mixture(4).sample(4, 1)
    denoiser = random_mixture(4).denoiser(CondOT())
    plan = plan_likelihood(denoiser, x, nodes=9, trace="hutchinson", probes=3, law=law)

    def value(x: Tensor, seed: Any) -> Tensor:
        return log_likelihood(denoiser, x, plan, seed).value

    whole = value(x, 5)
    close(value(x[:2], 5), whole[:2], 1e-12)
    assert float((value(x, 6) - whole).abs().min()) > 1e-6
    same = value(x[:1].expand(3, -1), [7, 7, 8])
    close(same[0], same[1], 1e-12)
    assert abs(float(same[2] - same[0])) > 1e-6


def single(x: Tensor, t: Tensor) -> Tensor:
    return MIXTURE.denoiser(CondOT()).net(x.double(), t.double()).float()


def test_float32_networks_have_float64_values() -> None:
    """Against the same plan in float64. Each of 17 traces, and of 64 evaluations, has an error of some eps = 1.2e-7
    relative to states and Jacobians of size 10 at most: 100 eps.
    """
    x, exactly = MIXTURE.sample(16, 1).float(), MIXTURE.denoiser(CondOT())
    plan = plan_likelihood(exactly, x.double(), nodes=17)
    found = log_likelihood(Denoiser(single, CondOT(), predicts="v"), x, plan)
    wide = log_likelihood(exactly, x.double(), plan)
    assert found.value.dtype == found.discretisation.dtype == torch.float64
    assert found.latent.dtype == torch.float32
    close(found.value, wide.value, 100.0 * torch.finfo(torch.float32).eps)
    assert not torch.equal(found.value, wide.value)


class Single(torch.nn.Module):
    """A network whose parameters say that it computes in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        assert x.dtype == torch.float32
        return self.one * single(x, t)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_float32_network_asks_for_no_more_than_it_has(dtype: torch.dtype) -> None:
    """An error below its rounding: the value is as good as it gets, and the estimate says how good that is."""
    x = MIXTURE.sample(16, 1).to(dtype)
    result = log_likelihood(Denoiser(Single(), CondOT(), predicts="v"), x, error=1e-7)
    error = (result.value - MIXTURE.log_prob(x.double())).abs()
    assert float(error.max()) < 1e-3
    assert float((error <= result.discretisation).double().mean()) >= 0.75
    assert math.isfinite(float(result.discretisation.max()))
