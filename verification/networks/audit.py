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
from functools import partial

import torch
from scipy import stats
from torch import Tensor, nn

from ...generative.denoiser import Denoiser, check_denoiser
from ...generative.likelihood import Dequantisation, LikelihoodPlan, log_likelihood
from ...generative.sampling import check_network
from ...solvers import SolveError, standard_normal
from ...solvers.common import blamed, check_callable, check_instance, real, whole
from .audit_plan import AuditPlan, plan_audit, plan_of_likelihoods
from .audit_result import TOLERANCES, Audit, Entry, Likelihood
from .clean_samples import check_audited
from .effort import duration
from .orthogonality import Reference, Share
from .probe import LEVELS, MOST_MINUTES
from .residuals import IDENTITIES, Level, identities, time_of

__all__ = ["audit"]

FALSE_ALARM = 0.01
FEWEST = 32


def audit(
    denoiser: Denoiser,
    data: Tensor,
    *,
    trained_on: Tensor | None = None,
    dequantisation: Dequantisation | None = None,
    likelihoods: int = 16,
    name: str = "network",
    seed: int = 0,
    minutes: float | None = None,
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
        likelihoods: the number of samples whose likelihood is computed, 0 or at least 2.
        name: the name of the network in the report.
        seed: draws the noise.
        minutes: how long it may take; fewer samples are taken, and a trace with probes, if all take longer. None sets
            no limit. Levels stay.
        progress: called as progress(done, total, what), in seconds if there are minutes. It is told the plan first.

    Raises:
        TypeError: arguments of another kind.
        ValueError: the data cannot be used or do not fit the network, the path lacks a noise level, the minutes are
            too few, or the network raises an error or returns what is not finite.
    """
    check_denoiser(denoiser)
    check_audited(data, trained_on, FEWEST)
    if dequantisation is not None:
        check_instance("dequantisation", dequantisation, Dequantisation, "a Dequantisation")
    likelihoods, seed = whole("likelihoods", likelihoods, 0), whole("seed", seed, -(2**62), 2**62)
    if likelihoods == 1:
        raise ValueError("likelihoods is 1, but one has no standard error; give 0 or at least 2.")
    check_instance("name", name, str, "a name")
    minutes = None if minutes is None else real("minutes", minutes, above=0.0, high=MOST_MINUTES)
    if progress is not None:
        check_callable("progress", progress, "a function of two numbers and a text")
    exact = _in_double(denoiser)
    x0, other = (data, trained_on) if trained_on is not None else (data[0::2], data[1::2])
    x0, reference = x0.double().cpu(), Reference(other.double().cpu().flatten(1))
    check_network(exact.net, x0)
    deviation = float((data.double() - data.double().mean(0)).square().mean().sqrt())
    levels = [level - 2.0 * math.log(deviation) for level in LEVELS]
    width = float(stats.norm.isf(0.5 * FALSE_ALARM / (len(levels) * len(IDENTITIES))))
    told = progress or (lambda done, total, what: None)
    sets = {"held out": data} | ({} if trained_on is None else {"trained on": trained_on})

    def measured(number: int, count: int) -> dict[str, Share]:
        """The identities at one level, on the first samples."""
        eps = standard_normal(torch.empty_like(x0[:count]), seed + number)
        level = Level(time_of(exact.path, levels[number]), x0[:count], eps)
        with blamed(f"{name} at log-SNR {levels[number]:+.2f}", (SolveError, ValueError)):
            return identities(exact, level, reference, seed + number)

    plan = AuditPlan(len(x0), likelihoods)
    if minutes is not None:
        told(0, 0, f"{name}: timing the network")
        plan = plan_audit(
            denoiser,
            data,
            partial(measured, len(levels) // 2),
            samples=len(x0),
            fewest=FEWEST,
            levels=len(levels),
            likelihoods=likelihoods,
            sets=len(sets),
            minutes=minutes,
        )
    sets = sets if plan.likelihoods else {}
    how = plan.how
    total = len(levels) * plan.level + len(sets) * plan.likelihood
    if minutes is not None:
        told(0, max(1, round(total)), f"{name}: {plan}, about {duration(total)}")
    found: list[Entry] = []
    for number, log_snr in enumerate(levels):
        told(round(number * plan.level), round(total), f"{name}, log-SNR {log_snr:+.2f}")
        for identity, (value, error) in measured(number, plan.samples).items():
            low, high = value - width * error, value + width * error
            found.append(Entry(identity, log_snr, value, low, high, TOLERANCES[identity]))
    likely = []
    for number, (what, samples) in enumerate(sets.items()):
        done = len(levels) * plan.level + number * plan.likelihood
        told(round(done), round(total), f"{name}, likelihood of data {what}")
        with blamed(f"{name}, in the likelihood of data {what},", (SolveError, ValueError)):
            how = plan_of_likelihoods(denoiser, data) if how is None else how
            likely.append(_likelihood(denoiser, samples[: plan.likelihoods], what, how, dequantisation, seed))
    return Audit(name, plan.samples, tuple(found), tuple(likely))


def _in_double(denoiser: Denoiser) -> Denoiser:
    """The same denoiser with a copy of its network in float64, if the network has weights."""
    if not isinstance(denoiser.net, nn.Module):
        return denoiser
    other = copy.copy(denoiser)
    other.net = copy.deepcopy(denoiser.net).double().cpu().requires_grad_(False)
    return other


def _likelihood(
    denoiser: Denoiser, x: Tensor, what: str, how: LikelihoodPlan, dequantisation: Dequantisation | None, seed: int
) -> Likelihood:
    with torch.no_grad():
        found = log_likelihood(denoiser, x, how, seed)
    n, d = len(x), x[0].numel()
    nats = found.value.double()
    bits = -nats / (d * math.log(2.0)) if dequantisation is None else found.bits_per_dim(dequantisation).double()
    errors = [float(each.std()) / math.sqrt(n) for each in (nats, bits)]
    return Likelihood(what, n, float(nats.mean()), errors[0], float(bits.mean()), errors[1])
