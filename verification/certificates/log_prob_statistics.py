"""What errors of a log_prob show: a bias, a common probe, error bars that are too small, a spread that does not fall.

Errors are (S, B), of S seeds at B samples. Samples of one seed may share their random numbers, so that the S seeds are
the independent units of every test. Each test raises a false alarm with the probability 1e-3, and its finding states
the smallest fault that it finds with the probability 0.9.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from .log_prob_certificate import LogProbFinding

__all__ = ["ALARM", "bias", "change", "coverage", "falling", "independence", "spread"]

ALARM, FOUND = 1e-3, 0.9
"""The probabilities of a false alarm, and of finding the smallest fault that is stated."""
LEVELS, ALLOWED = (0.68, 0.95), 0.05
"""The nominal coverages, and what may be missing from each: an error bar is itself an estimate."""
RIGHT = 1.2
"""Bars that are as long as the errors in the mean square, within a fifth."""
SLOWER = 0.25
"""A variance that falls like k^−0.75 or more slowly does not fall like 1/k."""
ROUNDING = 1e-9


class _Mean(NamedTuple):
    """A mean over seeds, half of its interval at the level of the tests, and the smallest mean that is found."""

    value: float
    half: float
    least: float

    @classmethod
    def of(cls, each: Tensor) -> _Mean:
        """Of one number a seed, (S,)."""
        if len(each) == 1:
            return cls(each.item(), 0.0, 0.0)
        error, freedom = each.std().item() / math.sqrt(len(each)), len(each) - 1
        threshold = float(stats.t.isf(0.5 * ALARM, freedom))
        return cls(each.mean().item(), threshold * error, (threshold + float(stats.t.ppf(FOUND, freedom))) * error)


def bias(law: str, errors: Tensor, tolerance: float, about: str = "bias", what: str = "") -> LogProbFinding:
    """The error of log p: exact without random numbers, and otherwise a mean with its interval.

    Args:
        law: the law.
        errors: (S, B).
        tolerance: what is allowed, in nats.
        about: the finding.
        what: how the function was called, in words.
    """
    start = f"{what}, log p" if what else "Log p"
    wrong = int((~errors.isfinite()).sum())
    if wrong:
        return LogProbFinding(about, law, "fail", f"{start} is not finite {wrong} times of {errors.numel()}.")
    if len(errors) == 1:
        mean, largest = errors.abs().mean().item(), errors.abs().max().item()
        verdict = "fail" if largest > tolerance else "pass"
        said = f"{start} is off by {mean:.2g} nats in the mean and at most {largest:.2g}, on {errors.numel()} samples"
        said = f"{said}; {tolerance:.2g} is allowed." if verdict == "fail" else f"{said}."
        return LogProbFinding(about, law, verdict, said, {"mean": mean, "largest": largest})
    found = _Mean.of(errors.mean(1))
    verdict = "fail" if abs(found.value) - found.half > tolerance else "pass"
    return LogProbFinding(
        about,
        law,
        verdict,
        f"{start} is off by {found.value:+.2g} ± {found.half:.2g} nats in the mean, at 99.9 %; a bias of "
        f"{tolerance + found.least:.2g} would be found.",
        {"mean": found.value, "half_width": found.half, "smallest_found": tolerance + found.least},
    )


def spread(law: str, errors: Tensor) -> LogProbFinding:
    """The standard deviation over seeds, of a sample and of the mean of all samples."""
    each, of_mean = errors.std(0).square().mean().sqrt().item(), errors.mean(1).std().item()
    said = f"The standard deviation over seeds is {each:.2g} nats for a sample."
    return LogProbFinding("spread", law, "note", said, {"of_a_sample": each, "of_the_mean": of_mean})


def independence(law: str, errors: Tensor) -> LogProbFinding:
    """Whether samples of one seed have errors of their own: the variance of their mean against B independent ones.

    With a common correlation ρ it is 1 + (B − 1) ρ times as large, and S − 1 times its estimate has the law χ².
    """
    seeds, count = errors.shape
    apart = (errors - errors.mean(0)) / errors.std(0)
    ratio = count * apart.mean(1).var().item()
    threshold = float(stats.chi2.isf(ALARM, seeds - 1)) / (seeds - 1)
    correlation = (ratio - 1.0) / (count - 1)
    least = (threshold / (float(stats.chi2.isf(FOUND, seeds - 1)) / (seeds - 1)) - 1.0) / (count - 1)
    figures = {"correlation": correlation, "smallest_found": least}
    if ratio > threshold:
        return LogProbFinding(
            "independence",
            law,
            "fail",
            f"Errors of one seed have the correlation {correlation:.2f}: samples share their probes, and the mean of "
            f"{count} has {math.sqrt(ratio):.1f} times the error of independent ones. Draw probes for each sample.",
            figures,
        )
    said = f"Errors of one seed are uncorrelated ({correlation:+.3f}); a correlation of {least:.2g} would be found."
    return LogProbFinding("independence", law, "pass", said, figures)


def coverage(law: str, errors: Tensor, stderr: Tensor) -> LogProbFinding:
    """How many errors lie within the function's own error bars, at 68 % and 95 % of a normal law.

    The binomial interval counts as many trials as independent ones would have the same variance between seeds.
    """
    figures: dict[str, float] = {}
    said, failed = [], False
    factor = (errors.square().mean() / stderr.square().mean()).sqrt().item()
    least = 1.0
    for nominal in LEVELS:
        bar = float(stats.norm.isf(0.5 * (1.0 - nominal)))
        inside = (errors.abs() <= bar * stderr).double()
        share, trials = inside.mean().item(), _trials(inside)
        interval = stats.binomtest(round(share * trials), trials).proportion_ci(1.0 - ALARM)
        failed |= interval.high < nominal - ALLOWED
        half = 0.5 * (interval.high - interval.low)
        smaller = nominal - ALLOWED - half - float(stats.norm.ppf(FOUND)) * math.sqrt(nominal * (1 - nominal) / trials)
        least = min(least, float(stats.norm.ppf(0.5 * (1.0 + max(smaller, 0.0)))) / bar)
        name = f"{nominal:.0%}".replace("%", "")
        figures |= {f"share_at_{name}": share, f"low_at_{name}": interval.low, f"high_at_{name}": interval.high}
        found = f"{share:.1%} ({interval.low:.1%} to {interval.high:.1%})"
        said.append(f"{found} of the errors are within the bars of {nominal:.0%}")
    figures |= {"errors_over_bars": factor, "smallest_found": least}
    if not failed:
        end = f"bars that are {least:.2g} times as long as they should be would be found."
    elif factor < RIGHT and (freedom := _freedom(figures["share_at_95"])):
        end = (
            f"the bars are right in the mean square, but vary: this is Student's law with {freedom} degrees of freedom."
        )
    else:
        end = f"errors are {factor:.2g} times the bars."
    return LogProbFinding("coverage", law, "fail" if failed else "pass", f"{', '.join(said)}; {end}", figures)


def _freedom(share: float) -> int:
    """The degrees of freedom with which Student's law has this share within the bars of 95 %; 0 if none has."""
    bar = float(stats.norm.isf(0.025))
    shares = {n: 1.0 - 2.0 * float(stats.t.sf(bar, n)) for n in range(1, 30)}
    return min(shares, key=lambda n: abs(shares[n] - share)) if share > shares[1] else 0


def _trials(inside: Tensor) -> int:
    """How many independent trials have the variance that the share of a seed has, at most all."""
    seeds, count = inside.shape
    share = inside.mean().item()
    between, alone = inside.mean(1).var().item() if seeds > 1 else 0.0, share * (1.0 - share) / count
    return max(2, int(seeds * count / max(1.0, between / alone if alone > 0.0 else 1.0)))


def falling(law: str, probes: tuple[int, ...], errors: tuple[Tensor, ...]) -> LogProbFinding:
    """Whether the variance falls like 1/k in the number k of probes: its slope, with an interval by the jackknife.

    Args:
        law: the law.
        probes: two numbers of probes.
        errors: the errors with each of them, (S, B).
    """
    variances = [each.var(0).mean().item() for each in errors]
    steps = math.log(probes[-1] / probes[0])
    if variances[-1] < ROUNDING**2:
        return LogProbFinding("probes", law, "pass", f"With {probes[-1]} probes there is no spread.")
    slope = math.log(variances[-1] / variances[0]) / steps
    without = torch.tensor(
        [
            [torch.cat([each[:s], each[s + 1 :]]).var(0).mean().log().item() for each in errors]
            for s in range(len(errors[0]))
        ],
        dtype=torch.float64,
        device="cpu",
    )
    seeds = len(without)
    error = ((seeds - 1) ** 2 / seeds * (without / steps).var(0).sum()).sqrt().item()
    half = float(stats.t.isf(0.5 * ALARM, seeds - 1)) * error
    figures = {"slope": slope, "half_width": half}
    said = f"The variance falls like k^{slope:.2f} ± {half:.2f} from {probes[0]} to {probes[-1]} probes"
    if slope - half > -1.0 + SLOWER:
        return LogProbFinding(
            "probes", law, "fail", f"{said}, not like 1/k: average over probes that are drawn apart.", figures
        )
    compared = "faster than" if slope + half < -1.0 else "more slowly than" if slope - half > -1.0 else "like"
    return LogProbFinding("probes", law, "pass", f"{said}, {compared} 1/k.", figures)


def change(law: str, changes: Tensor, tolerance: float, what: str) -> LogProbFinding:
    """How far log p of a sample moves with its batch.

    Args:
        law: the law.
        changes: of some samples with every seed, (S, m).
        tolerance: what is allowed, in nats.
        what: the change of the batch, in words.
    """
    largest = changes.abs().max().item()
    if not math.isfinite(largest):
        return LogProbFinding("batch", law, "fail", f"{what}, log p of a sample is not finite.")
    found = _Mean.of(changes.mean(1))
    moved = largest if len(changes) == 1 else abs(found.value) - found.half
    figures = {"largest": largest, "mean": found.value, "half_width": found.half}
    if largest <= ROUNDING:
        return LogProbFinding("batch", law, "pass", f"{what}, log p of a sample stays the same.", figures)
    if len(changes) == 1:
        said = (
            f"{what}, log p of a sample moves by up to {largest:.2g} nats: samples share steps, a plan, or random "
            "numbers that the seed does not change."
        )
    else:
        said = (
            f"{what}, log p of a sample moves by {found.value:+.2g} ± {found.half:.2g} nats in the mean over seeds, "
            f"by up to {largest:.2g} with one."
        )
    return LogProbFinding("batch", law, "fail" if moved > tolerance else "note", said, figures)
