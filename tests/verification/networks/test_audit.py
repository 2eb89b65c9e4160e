"""Audits of exact networks, which pass, and of networks with one known fault, which is named.

An audit has 42 intervals that hold together with 99 % confidence; seeds are fixed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from toy import MIXTURE

from fokker.generative import VP, CondOT, Denoiser, GaussianPath
from fokker.verification import Gaussian
from fokker.verification.networks import IDENTITIES, Audit, audit
from fokker.verification.networks.audit_result import Entry
from fokker.verification.networks.orthogonality import Reference
from fokker.verification.networks.residuals import Level, identities
from fokker.verification.oracles.perturbed import Bias, Lag, Smooth, White, perturbed

FLOAT = torch.float64
DATA = MIXTURE.sample(4000, seed=0)


def audited(denoiser: Denoiser, **options: object) -> Audit:
    return audit(denoiser, DATA, **{"likelihoods": 0} | options)  # type: ignore[arg-type]


def bad(found: Audit) -> set[str]:
    return {entry.identity for entry in found.entries if entry.verdict == "bad"}


@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
@pytest.mark.parametrize("predicts", ["v", "eps"])
def test_an_exact_network_passes(path: GaussianPath, predicts: str) -> None:
    found = audited(MIXTURE.denoiser(path, predicts))
    assert found.exact
    assert found.passed
    assert {entry.identity for entry in found.entries} == set(IDENTITIES)
    assert len(found.entries) == 7 * len(IDENTITIES)
    for name in ("curl", "Fokker-Planck"):  # identities, up to rounding and differences in t
        assert max(abs(entry.value) for entry in found.of(name)) < 1e-8


def test_an_exact_network_passes_in_many_dimensions() -> None:
    """In d = 12 traces are taken with random signs."""
    cov = torch.diag(torch.linspace(0.2, 2.0, 12, dtype=FLOAT))
    law = Gaussian(torch.zeros(12, dtype=FLOAT), cov)
    found = audit(law.denoiser(CondOT()), law.sample(1000, 0), likelihoods=0)
    assert found.exact


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (Bias(0.3), {"mean"}),
        (White(0.1), {"Fokker-Planck"}),
        (Smooth(0.1), {"curl", "Fokker-Planck"}),
        (Lag(0.02), {"Fokker-Planck"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fault_is_named(error: Bias | White | Smooth | Lag, named: set[str]) -> None:
    found = audited(perturbed(MIXTURE, error, CondOT()))
    assert not found.exact
    assert not found.passed
    assert named <= bad(found)


def scaled(factor: float) -> Denoiser:
    """The mean of the posterior, moved away from x/α by a factor: the right direction, the wrong length."""
    path = CondOT()
    exact = MIXTURE.denoiser(path, "x0").net
    return Denoiser(lambda x, t: x / t[:, None] + factor * (exact(x, t) - x / t[:, None]), path, predicts="x0")


def test_a_score_of_the_wrong_length_misses_steins_identity() -> None:
    found = audited(scaled(0.8))
    assert "Stein" in bad(found)
    assert "calibration" in bad(found)
    assert "curl" not in bad(found)  # it is still a gradient


def test_a_vortex_is_seen_by_the_curl_alone() -> None:
    """A rotation added to the denoiser, in quadrature with everything else; its divergence is zero."""
    path = CondOT()
    exact = MIXTURE.denoiser(path, "x0").net
    turn = torch.tensor([[0.0, 0.2], [-0.2, 0.0]], dtype=FLOAT)
    found = audited(Denoiser(lambda x, t: exact(x, t) + t[:, None] * (x @ turn), path, predicts="x0"))
    assert "curl" in bad(found)
    assert "Stein" not in bad(found)


def test_the_curl_by_hand() -> None:
    """D = A x: the share is |(A − Aᵀ)/2|²/|A|², exactly in two dimensions, in twelve in the mean over signs."""
    for d in (2, 12):
        matrix = torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=FLOAT)
        denoiser = Denoiser(lambda x, t, m=matrix: x @ m.T, CondOT(), predicts="x0")
        x0 = torch.randn(400, d, generator=torch.Generator().manual_seed(1), dtype=FLOAT)
        found = identities(denoiser, Level(0.5, x0, x0.flip(0)), Reference(x0), 0)["curl"]
        expected = float((0.5 * (matrix - matrix.T)).square().sum() / matrix.square().sum())
        assert abs(found.value - expected) < 5.0 * found.standard_error + 1e-12
        assert (found.standard_error < 1e-9) == (d == 2)


def test_the_calibration_by_hand() -> None:
    """N(0, 1) data and D = a x at t = ½: E|e|² = ¼ a² + (1 − ½ a)², and its own idea of it is ½ a."""
    a, n = 0.9, 20_000
    law = Gaussian(torch.zeros(1, dtype=FLOAT), torch.eye(1, dtype=FLOAT))
    denoiser = Denoiser(lambda x, t: a * x, CondOT(), predicts="x0")
    x0, eps = law.sample(n, 0), law.sample(n, 1)
    found = identities(denoiser, Level(0.5, x0, eps), Reference(x0), 0)["calibration"]
    expected = 0.5 * a / (0.25 * a**2 + (1.0 - 0.5 * a) ** 2) - 1.0
    assert abs(found.value - expected) < 5.0 * found.standard_error


def test_likelihoods_are_those_of_the_law() -> None:
    """Sixteen samples: the mean of log p, to the tolerance of the solve; with those of training, both are told."""
    found = audit(MIXTURE.denoiser(CondOT()), DATA[:200], trained_on=DATA[200:400], likelihoods=16)
    assert [each.what for each in found.likelihoods] == ["held out", "trained on"]
    for each, samples in zip(found.likelihoods, (DATA[:16], DATA[200:216]), strict=True):
        expected = MIXTURE.log_prob(samples)
        assert each.nats == pytest.approx(float(expected.mean()), abs=0.02)
        assert each.nats_error == pytest.approx(float(expected.std()) / 4.0, rel=0.05)
        assert each.bits_per_dim == pytest.approx(-each.nats / (2.0 * math.log(2.0)), rel=1e-6)
    assert found.samples == 200  # all of the data, where others give the functions


def test_verdicts_of_an_entry() -> None:
    def verdict(identity: str, low: float, high: float) -> str:
        return Entry(identity, 0.0, 0.5 * (low + high), low, high, 0.05 if identity == "calibration" else 0.01).verdict

    assert verdict("mean", -0.02, 0.005) == "good"
    assert verdict("mean", 0.02, 0.03) == "bad"
    assert verdict("mean", -0.005, 0.02) == "not settled"
    assert verdict("calibration", -0.04, 0.04) == "good"
    assert verdict("calibration", -0.2, -0.06) == "bad"
    assert verdict("calibration", -0.2, 0.01) == "not settled"


def test_it_is_deterministic_and_json_and_says_where() -> None:
    seen: list[tuple[int, int, str]] = []
    one = audited(perturbed(MIXTURE, Smooth(0.1), CondOT()), name="smooth", progress=lambda *args: seen.append(args))
    two = audited(perturbed(MIXTURE, Smooth(0.1), CondOT()), name="smooth")
    assert json.dumps(one.as_json()) == json.dumps(two.as_json())
    assert len(seen) == 7
    text = str(one)
    assert "bad at -3.8" in text
    assert "∂_t s + ∇(u·s + ∇·u) = 0" in text
    assert text.startswith("smooth, 2000 samples at each log-SNR")


def test_the_network_is_left_as_it_was() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return self.gain * x

    net = Net()
    audited(Denoiser(net, CondOT(), predicts="x0"))
    assert net.gain.dtype == torch.float32
    assert net.gain.requires_grad


@pytest.mark.parametrize(
    "data", [DATA[:40], DATA[:, 0]], ids=["few", "no axis"]
)
def test_bad_data_is_refused(data: Tensor) -> None:
    check: Callable[[], object] = lambda: audit(MIXTURE.denoiser(CondOT()), data)  # noqa: E731
    with pytest.raises(ValueError, match="give at least 64 samples of floats"):
        check()
