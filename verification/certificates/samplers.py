"""Anyone's samplers on data with exact answers: their order, and the law of their output.

A sampler of another library takes a denoiser, not an equation. It gets the exact one of the problem. A scheduler of
diffusers takes steps of its own, from its first level of noise to the data. It starts there from the exact state, and
what it ends in goes back along the exact flow to the end of the problem: only the error of its steps is left.

    sampling        the flow of a mixture: the order, of a sampler without noise
    keeping         the marginals of Gaussian data: the order of the law, of any sampler
    exact_laws      the mean and the variance of the output, step count by step count

The steps of a scheduler with a table are indices of it, and the last one goes to the data from wherever the others end.
Its order is measured on a table that is even in log-SNR and reaches σ/α = 0.004, so that neither limits the order. Its
law is that on its own table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from ...generative.adapters import OTHERS, FunctionSampler, draws_noise, evaluations_of
from ...generative.denoiser import Denoiser, DenoiserField
from ...generative.paths import CondOT, Table
from ...solvers import Equation, Noise
from ...solvers.common import check_instance, reals, whole
from ..laws import AFFINE, Impulses
from ..oracles import ExactNetwork
from .ladder import ROUNDING_AT_MOST
from .problems import Problem, sampling
from .stochastic_problems import LawProblem, keeping

__all__ = ["ExactLaws", "Precision", "SamplerRun", "cases_of", "exact_laws", "ladder_of", "precision_of"]

NOISIEST, CLEANEST, EVEN = -4.0, 11.0, 2521
"""The log-SNRs of the even table, and the number of its levels: 2520 steps, of which the ladder takes divisors."""
SINGLE = 1e-5
"""How far schedulers, whose states are float32, may be off an affine map, in parts of the largest response."""
DIVISORS = (8, 10, 12, 15, 18, 24, 30, 42, 60, 84, 120, 168)
"""Step counts that divide 2520, so that the steps of the table are of one length."""


@dataclass(frozen=True)
class SamplerRun:
    """A sampler as a function of the equation of a denoiser, a state, times and a noise.

    Attributes:
        sampler: the sampler.

    Raises:
        TypeError: where the equation is not that of an exact denoiser.
        ValueError: as the sampler raises; or where it draws random numbers that are not normals of the noise.
    """

    sampler: FunctionSampler

    def __call__(self, equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        denoiser = _denoiser(equation)
        found = self._run(denoiser, x, times, noise)
        if isinstance(noise, Impulses) and OTHERS in noise.extras:
            raise ValueError(
                f"{self.sampler} draws random numbers that are no normals of its state (torch.rand, or another shape), "
                "so that its law does not follow from impulses; draw by torch.randn_like(x)."
            )
        return found

    def _run(self, denoiser: Denoiser, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        n, path, law = len(times) - 1, denoiser.path, cast(ExactNetwork, denoiser.net).oracle
        if (log_snr := self.sampler.first_log_snr(n)) is None:
            return self.sampler(denoiser, x, times, noise)
        begin, end = times[0].item(), times[-1].item()
        start = min(max(path.time(log_snr), 0.0), 1.0)
        own = torch.linspace(start, 1.0, n + 1, dtype=torch.float64, device="cpu")
        found = self.sampler(denoiser, law.flow_map(x, begin, start, path), own, noise)
        flowed: Tensor = law.flow_map(found, 1.0, end, path)
        return flowed


def cases_of(sampler: FunctionSampler) -> list[tuple[FunctionSampler, Problem | LawProblem]]:
    """What is measured of a sampler: its order on a flow, if it draws no noise, and the order of its law.

    Raises:
        ValueError: as the sampler raises; where it draws from a generator that is not torch's; or for a scheduler that
            clips x₀-hat.
    """
    even = _on_even_levels(sampler)
    law = _law_of(even)
    if draws_noise(even, _denoiser(law.equation)):
        return [(even, law)]
    return [(even, sampling(_denoiser(law.equation).path)), (even, law)]


def _on_even_levels(sampler: FunctionSampler) -> FunctionSampler:
    """The sampler, or a scheduler with another table."""
    if not _has_table(sampler):
        return sampler
    levels = torch.linspace(CLEANEST, NOISIEST, EVEN, dtype=torch.float64, device="cpu")
    signal = [1.0, *levels.sigmoid().tolist()]
    betas = [1.0 - after / before for before, after in pairwise(signal)]
    table = {"trained_betas": betas, "num_train_timesteps": EVEN}
    return replace(sampler, options={**sampler.options, **table})


def _law_of(sampler: FunctionSampler) -> LawProblem:
    """The problem of a sampler's law: on the path of a scheduler, or on CondOT."""
    said = sampler.convention()
    if said is not None and said.threshold is not None:
        raise ValueError(
            f"{sampler} clips x0-hat, after which nothing is exact; set clip_sample=False or thresholding=False (on "
            "the command line --option clip_sample=false)."
        )
    path = CondOT() if said is None else said.path
    law = keeping(path, "velocity" if isinstance(path, CondOT) else "x0")
    if draws_noise(sampler, _denoiser(law.equation), seeds=(0, 0)):
        raise ValueError(
            f"Two runs of {sampler} with the same noise differ; draw by torch.randn_like(x), or from the noise."
        )
    return replace(law, rounding=SINGLE if sampler.form == "diffusers" else AFFINE)


@dataclass(frozen=True)
class Precision:
    """How exactly a method computes.

    Attributes:
        eps: the rounding unit.
        most: errors that stop falling above so many roundings do not stop because of rounding.
        left: the error that its last step leaves, in parts of the solution.
    """

    eps: float = torch.finfo(torch.float64).eps
    most: float = ROUNDING_AT_MOST
    left: float = 0.0


def precision_of(sampler: FunctionSampler) -> Precision:
    """How exactly a sampler computes.

    The step from σ to the data takes x₀-hat for the end of the flow. For data of variance c the error is σ²/(2c) in
    parts of the solution, at most 2σ² here.
    """
    if sampler.form != "diffusers":
        return Precision()
    left = 2.0 * math.exp(-CLEANEST) if _has_table(sampler) else 0.0
    return Precision(torch.finfo(torch.float32).eps, 2.0**8, left)


def ladder_of(sampler: FunctionSampler) -> tuple[int, ...] | None:
    """The step counts for a sampler; None for the usual ones."""
    return DIVISORS if _has_table(sampler) else None


@dataclass(frozen=True)
class ExactLaws:
    """The law of a sampler's output for Gaussian data, without sampling.

    Attributes:
        sampler: its name.
        problem: the problem, from one marginal of a path to another.
        steps: the step counts.
        evaluations: the network evaluations of each, in a run from noise to data.
        means: the mean of the output, less that of the data, in deviations of the data.
        variances: the variance of the output, divided by that of the data.
    """

    sampler: str
    problem: str
    steps: tuple[int, ...]
    evaluations: tuple[int, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]

    def __str__(self) -> str:
        head = f"The law of {self.sampler} on {self.problem}:\nsteps  evaluations  mean off by, in deviations  variance"
        rows = zip(self.steps, self.evaluations, self.means, self.variances, strict=True)
        return "\n".join([head, *(f"{n:5d}  {nfe:11d}  {mean:+27.2e}  {ratio:8.5f}" for n, nfe, mean, ratio in rows)])


def exact_laws(sampler: FunctionSampler, steps: Sequence[int] = (10, 20, 40, 80)) -> ExactLaws:
    """The exact law of a sampler's output at these step counts, from the exact marginal where it starts.

    Args:
        sampler: the sampler; on Gaussian data it must be affine, without a threshold.
        steps: the step counts.

    Raises:
        TypeError: arguments of another kind.
        ValueError: as the sampler raises, or where it is not affine.
    """
    check_instance("sampler", sampler, FunctionSampler, "function_sampler(f)")
    counts = tuple(whole(f"steps[{i}]", n, 1) for i, n in enumerate(reals("steps", steps)))
    problem = _law_of(sampler)
    run, denoiser = SamplerRun(sampler), _denoiser(problem.equation)
    laws = [problem.outcome(run, n) for n in counts]
    variance = problem.exact.cov.item()
    return ExactLaws(
        sampler.name,
        problem.name,
        counts,
        tuple(evaluations_of(sampler, denoiser, n) for n in counts),
        tuple((law.mean - problem.exact.mean).item() / variance**0.5 for law in laws),
        tuple(law.cov.item() / variance for law in laws),
    )


def _has_table(sampler: FunctionSampler) -> bool:
    said = sampler.convention()
    return said is not None and isinstance(said.path, Table)


def _denoiser(equation: Equation) -> Denoiser:
    """The exact denoiser of an equation."""
    field = equation.field
    if not isinstance(field, DenoiserField) or not isinstance(field.denoiser.net, ExactNetwork):
        raise TypeError("A sampler needs the exact denoiser of a problem; give sampling(path) or keeping(path).")
    return field.denoiser
