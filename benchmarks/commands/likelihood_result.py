"""The likelihood of data under a network, with its error budget in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...generative import Dequantisation, ImportanceWeightedBound, LogLikelihood
from .output import duration

__all__ = ["DataLikelihood", "data_likelihood"]

ALIKE = 1e-9
"""A standard error over the mean that is the rounding of equal values."""


@dataclass(frozen=True)
class DataLikelihood:
    """The mean code length of N samples, −log p in bits/dim, and its error budget. Print it for a table.

    Attributes:
        samples: N.
        dim: the dimension of a sample.
        grey: whether the samples are grey levels, whose code length it is; −log p(x) of points without an offset.
        bits_per_dim: the mean over the samples.
        over_samples: its standard error, from the choice of the samples, their dequantisation and the trace.
        over_probes: the part of it that the probes of the trace have.
        discretisation: the estimated error of the steps and the quadrature.
        prior_mismatch: the change if the law of the noised data replaces the prior.
        evaluations: network evaluations, on the average sample.
        products: products with the network's Jacobian, at most.
        trace: how the trace was taken.
        minutes: the time of the likelihoods.
        draws: the dequantisation draws of a sample.
        gap: how much of the variational gap the draws close; 0 for one.
        gap_stderr: the standard error of the gap, from the choice of the samples.
        remaining: an estimate of the part that is left; nan for one draw.
    """

    samples: int
    dim: int
    grey: bool
    bits_per_dim: float
    over_samples: float
    over_probes: float
    discretisation: float
    prior_mismatch: float
    evaluations: float
    products: int
    trace: str
    minutes: float
    draws: int = 1
    gap: float = 0.0
    gap_stderr: float = 0.0
    remaining: float = math.nan

    @property
    def alone(self) -> float:
        """The standard error without that of the probes."""
        return math.sqrt(max(self.over_samples**2 - self.over_probes**2, 1e-6 * self.over_samples**2))

    @property
    def added(self) -> float:
        """What trace, steps and quadrature add to the standard error, in units of `alone`."""
        return (self.over_samples + self.discretisation) / self.alone - 1.0 if self.alone > 0.0 else math.inf

    @property
    def worthwhile(self) -> float:
        """The number of samples whose standard error is the error of the steps and the quadrature."""
        return self.samples * (self.over_samples / self.discretisation) ** 2 if self.discretisation > 0.0 else math.inf

    def __str__(self) -> str:
        kind = "images" if self.grey else "points"
        bound = f", {self.draws} draws" if self.draws > 1 else ""
        rows = [
            (f"{'code length' if self.grey else '−log p(x)'} of {self.samples} {kind}{bound}", self.bits_per_dim, ""),
            ("  standard error", self.over_samples, ""),
            (f"    of it by the {self.trace} trace", self.over_probes, ""),
            ("  steps and quadrature, estimated", self.discretisation, ""),
            ("  noised data in place of the prior", self.prior_mismatch, "+"),
        ]
        if self.draws > 1:
            rows += [
                ("  variational gap that the draws close", self.gap, ""),
                ("    its standard error", self.gap_stderr, ""),
                ("  variational gap that is left, estimated", self.remaining, ""),
            ]
        nats = self.dim * math.log(2.0)
        lines = [f"{'':44}{'bits/dim':>9}{'nats':>12}"]
        lines += [f"{name:44}{_figure(value, sign):>9}{_figure(value * nats, sign):>12}" for name, value, sign in rows]
        lines += [
            f"{'evaluations of the network, on average':44}{self.evaluations:9.0f}",
            f"{'products with its Jacobian, at most':44}{self.products:9}",
            "",
            self._said(kind),
        ]
        return "\n".join(lines)

    def _said(self, kind: str) -> str:
        """What the errors add to the standard error, and whether more samples pay."""
        if self.over_samples <= ALIKE * abs(self.bits_per_dim):
            return f"The values of the {kind} are alike, so that more of them bring nothing."
        added = f"Trace, steps and quadrature add {100.0 * self.added:.1f} % to the standard error over {kind}.\n"
        if self.worthwhile <= self.samples:
            return (
                f"{added}The error of steps and quadrature is the larger one: more {kind} do not pay, a smaller error "
                "does."
            )
        return (
            f"{added}{4 * self.samples} {kind} would halve it, in {duration(240.0 * self.minutes)}. From "
            f"{_rounded(self.worthwhile)} {kind} on, the error of steps and quadrature would be larger."
        )


def _figure(value: float, sign: str = "") -> str:
    """Four decimals, or two digits of what they do not show."""
    return f"{value:{sign}z.4f}" if value == 0.0 or abs(value) >= 1e-3 else f"{value:{sign}.1e}"


def _rounded(number: float) -> str:
    """One digit, as 20,000; or that there is no end to it."""
    return f"{float(f'{number:.1g}'):,.0f}" if number < 1e9 else "a billion"


def data_likelihood(
    found: LogLikelihood | ImportanceWeightedBound, dequantisation: Dequantisation | None, trace: str, minutes: float
) -> DataLikelihood:
    """The mean of likelihoods, or of bounds from several draws.

    Args:
        found: the likelihoods of points or of one draw of each image; or the bounds of images.
        dequantisation: that of the images; None for points, or for bounds, which have their own.
        trace: how the trace was taken.
        minutes: the time that it took.
    """
    several: dict[str, float | int] = {}
    if isinstance(found, ImportanceWeightedBound):
        likelihood, bits, draws = found.likelihood, found.bits_per_dim, len(found.log_weights)
        each = likelihood.probe_stderr.square().reshape(draws, -1).mean(0) / found.effective
        several = {
            "draws": draws, "gap": found.gap.mean().item(), "gap_stderr": found.gap.std().item() / math.sqrt(len(bits)),
            "remaining": found.remaining.mean().item(),
        }  # fmt: skip
    else:
        likelihood, each = found, found.probe_stderr.square()
        points = -found.value / (found.data[0].numel() * math.log(2.0))
        bits = points if dequantisation is None else found.bits_per_dim(dequantisation)
    dim, count = likelihood.data[0].numel(), len(bits)
    unit = dim * math.log(2.0)
    return DataLikelihood(
        samples=count,
        dim=dim,
        grey=dequantisation is not None or bool(several),
        bits_per_dim=bits.mean().item(),
        over_samples=bits.std().item() / math.sqrt(count),
        over_probes=torch.sqrt(each.mean() / count).item() / unit,
        discretisation=likelihood.discretisation.mean().item() / unit,
        prior_mismatch=-likelihood.prior_mismatch.mean().item() / unit,
        evaluations=likelihood.nfe.per_sample.double().mean().item(),
        products=likelihood.nfe.vjp,
        trace=trace,
        minutes=minutes,
        **several,  # type: ignore[arg-type]
    )
