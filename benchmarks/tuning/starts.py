"""The samplers that a fit may start at: the default one, and the published ones that make as many evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...generative import Denoiser, flow
from ...generative.sampling import PUBLISHED, Sampler, default_for
from ...solvers import Scheme, unroll
from ..problems import Problem
from .coefficients import Coefficients

__all__ = ["Start", "starts_of"]


@dataclass(frozen=True)
class Start:
    """A sampler that is known, as numbers, with its name."""

    name: str
    sampler: Sampler
    numbers: Coefficients


def starts_of(problem: Problem, nfe: int) -> Iterator[Start]:
    """The default sampler and then the published ones that make n evaluations and draw no noise, as numbers."""
    denoiser, held = problem.labelled(1), flow(problem.labelled(1), "velocity")
    for sampler in (default_for(denoiser, nfe), *PUBLISHED.values()):
        scheme = _unrolled(sampler, denoiser, nfe, problem)
        if scheme is not None and scheme.nfe == nfe:
            yield Start(sampler.name, sampler, Coefficients.of(scheme, held))


def _unrolled(sampler: Sampler, denoiser: Denoiser, nfe: int, problem: Problem) -> Scheme | None:
    """The table of a sampler within n evaluations; None for one that draws noise, or that has none here."""
    if sampler.stochastic:
        return None
    try:
        equation, times, solver = sampler(denoiser, sampler.solver.steps(nfe), t0=problem.start, t1=problem.end)
        return unroll(equation, times, solver)
    except (ValueError, ArithmeticError):  # too few evaluations, or a quantity that does not exist at an end
        return None
