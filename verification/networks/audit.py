"""Audit of a learned network: where it is a score of its data, and where it is not.

The audit measures the identities of `residuals` at several noise levels, on noised data that the network was not
trained on. Each number has a confidence interval. The probability that any interval of the whole audit misses the truth
is 1 % (Bonferroni). The verdict on a number is

    good          the interval lies within the tolerance
    bad           the interval lies beyond the tolerance
    not settled   neither: more data would tell

An exact network satisfies all identities, whatever the data. For a learned network the tolerance is 1 % of the squared
error, of the curl and of the size of ∂_t s, and 5 % of the network's estimate of its error. The audit also gives the
likelihood of held-out data and, if there are any, of training data: a network for which these are likelier by more than
the interval has memorised some of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

from ...generative.denoiser import Denoiser
from ...generative.likelihood import Dequantisation, log_likelihood
from ...generative.sampling import check_network
from ...solvers import Adaptive, standard_normal
from .orthogonality import Reference
from .probe import LEVELS
from .residuals import IDENTITIES, Level, identities

__all__ = ["TOLERANCES", "Audit", "Entry", "Likelihood", "audit"]

TOLERANCES = {name: 0.05 if name == "calibration" else 0.01 for name in IDENTITIES}
FALSE_ALARM = 0.01
FEWEST = 32
CHUNK = 256


@dataclass(frozen=True)
class Entry:
    """The residual of one identity at one log-SNR.

    Attributes:
        identity: its name in `IDENTITIES`.
        log_snr: log(α²/σ²).
        value: the residual.
        low: the lower end of its interval, with family-wise confidence.
        high: the upper end.
        tolerance: the largest good residual.
    """

    identity: str
    log_snr: float
    value: float
    low: float
    high: float
    tolerance: float

    @property
    def verdict(self) -> str:
        """ "good", "bad" or "not settled"."""
        if self.low > self.tolerance or (self.two_sided and self.high < -self.tolerance):
            return "bad"
        within = self.high <= self.tolerance and not (self.two_sided and self.low < -self.tolerance)
        return "good" if within else "not settled"

    @property
    def two_sided(self) -> bool:
        """Whether the residual can have both signs; a share is negative by chance alone."""
        return self.identity == "calibration"

    @property
    def exact(self) -> bool:
        """Whether the residual of an exact network could be this one."""
        return self.low <= 1e-9 and not (self.two_sided and self.high < -1e-9)


@dataclass(frozen=True)
class Likelihood:
    """The mean log-likelihood of samples, with standard errors.

    Attributes:
        what: "held out" or "trained on".
        samples: how many.
        nats: the mean in nats.
        nats_error: its standard error.
        bits_per_dim: the mean of −log p in bits for each component.
        bits_error: its standard error.
    """

    what: str
    samples: int
    nats: float
    nats_error: float
    bits_per_dim: float
    bits_error: float


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        network: its name.
        samples: the number of samples at each level.
        entries: the residuals, from the noisiest level to the cleanest.
        likelihoods: those of held-out and of training data.
    """

    network: str
    samples: int
    entries: tuple[Entry, ...]
    likelihoods: tuple[Likelihood, ...]

    @property
    def passed(self) -> bool:
        return all(entry.verdict != "bad" for entry in self.entries)

    @property
    def exact(self) -> bool:
        """Whether the audit cannot tell the network from an exact one."""
        return all(entry.exact for entry in self.entries)

    def of(self, identity: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.identity == identity]

    def summary(self, identity: str) -> str:
        """The levels at which an identity is good, bad or not settled, in a sentence."""
        levels = {
            verdict: [f"{entry.log_snr:+.2f}" for entry in self.of(identity) if entry.verdict == verdict]
            for verdict in ("good", "bad", "not settled")
        }
        return "; ".join(f"{verdict} at {', '.join(where)}" for verdict, where in levels.items() if where)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "passed": self.passed,
            "exact": self.exact,
            "entries": [asdict(entry) | {"verdict": entry.verdict} for entry in self.entries],
        }

    def __str__(self) -> str:
        levels = sorted({entry.log_snr for entry in self.entries})
        lines = [f"{self.network}, {self.samples} samples at each log-SNR, errors in %", ""]
        lines += [f"{'log-SNR':>16}" + "".join(f"{level:>14.2f}" for level in levels)]
        for name in IDENTITIES:
            cells = [f"{100 * e.value:.1f} ± {50 * (e.high - e.low):.1f}{MARKS[e.verdict]}" for e in self.of(name)]
            lines.append(f"{name:>16}" + "".join(f"{cell:>14}" for cell in cells))
        lines += ["", *(f"{name:>16}  {formula}: {self.summary(name)}" for name, formula in IDENTITIES.items()), ""]
        lines += [
            f"{each.what}: {each.bits_per_dim:.3f} ± {each.bits_error:.3f} bits/dim, {each.nats:.2f} ± "
            f"{each.nats_error:.2f} nats, {each.samples} samples"
            for each in self.likelihoods
        ]
        return "\n".join(lines)


MARKS = {"good": " ", "bad": "!", "not settled": "?"}


def audit(
    denoiser: Denoiser,
    data: Tensor,
    *,
    trained_on: Tensor | None = None,
    dequantisation: Dequantisation | None = None,
    likelihoods: int = 16,
    name: str = "network",
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Audit:
    """Measures where a denoiser is a score of its data.

    A network of torch modules is copied to float64, for the differences in t.

    Args:
        denoiser: the network.
        data: clean samples (M, …) that the network was not trained on, scaled as in training.
        trained_on: samples that it was trained on, like `data`, which give the functions and directions of the tests
            and a likelihood of their own. Without them every other sample of `data` gives the functions.
        dequantisation: that of the data, which gives bits/dim their offset.
        likelihoods: the number of samples whose likelihood is computed, or 0.
        name: the name of the network in the report.
        seed: draws the noise.
        progress: called as progress(done, total, what).

    Raises:
        ValueError: the data cannot be used or do not fit the network, or the path lacks a noise level.
    """
    if not (data.is_floating_point() and data.ndim > 1 and len(data) >= 2 * FEWEST):
        raise ValueError(
            f"The data are {data.dtype} of shape {tuple(data.shape)}; give at least {2 * FEWEST} samples of floats."
        )
    exact = _in_double(denoiser)
    x0, other = (data, trained_on) if trained_on is not None else (data[0::2], data[1::2])
    x0, reference = x0.double().cpu(), Reference(other.double().cpu().flatten(1))
    check_network(exact.net, x0)
    deviation = float((data.double() - data.double().mean(0)).square().mean().sqrt())
    levels = [level - 2.0 * math.log(deviation) for level in LEVELS]
    width = float(stats.norm.isf(0.5 * FALSE_ALARM / (len(levels) * len(IDENTITIES))))
    told = progress or (lambda done, total, what: None)
    sets = {"held out": data, "trained on": trained_on} if likelihoods else {}
    found: list[Entry] = []
    for number, log_snr in enumerate(levels):
        told(number, len(levels) + len(sets), f"{name}, log-SNR {log_snr:+.2f}")
        eps = standard_normal(torch.empty_like(x0), seed + number)
        level = Level(exact.path.time(log_snr), x0, eps)
        for identity, (value, error) in identities(exact, level, reference, seed + number).items():
            low, high = value - width * error, value + width * error
            found.append(Entry(identity, log_snr, value, low, high, TOLERANCES[identity]))
    measured = []
    for number, (what, samples) in enumerate(sets.items(), start=len(levels)):
        told(number, len(levels) + len(sets), f"{name}, likelihood of data {what}")
        if samples is not None:
            measured.append(_likelihood(denoiser, samples[:likelihoods], what, dequantisation, seed))
    return Audit(name, len(x0), tuple(found), tuple(measured))


def _in_double(denoiser: Denoiser) -> Denoiser:
    """The same denoiser with a copy of its network in float64, if the network has weights."""
    if not isinstance(denoiser.net, nn.Module):
        return denoiser
    other = copy.copy(denoiser)
    other.net = copy.deepcopy(denoiser.net).double().cpu().requires_grad_(False)
    return other


def _likelihood(
    denoiser: Denoiser, x: Tensor, what: str, dequantisation: Dequantisation | None, seed: int
) -> Likelihood:
    with torch.no_grad():
        found = log_likelihood(denoiser, x, Adaptive(1.0, 0.0, rtol=1e-3, atol=1e-3), seed=seed)
    n, d = len(x), x[0].numel()
    nats = found.value.double()
    bits = -nats / (d * math.log(2.0)) if dequantisation is None else found.bits_per_dim(dequantisation).double()
    errors = [float(each.std()) / math.sqrt(n) for each in (nats, bits)]
    return Likelihood(what, n, float(nats.mean()), errors[0], float(bits.mean()), errors[1])
