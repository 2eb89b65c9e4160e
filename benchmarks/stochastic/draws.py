"""What a job makes: the samples of a sampler at a budget, or their exact law; and sets of reference samples.

The law that samplers are compared with is that of the data where it is known (an oracle), and that of the converged
flow where a network defines it. A network is no exact score, so that even with many steps a stochastic sampler has
another law than the flow.
"""

from __future__ import annotations

import time
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...generative import Denoiser
from ...generative.denoiser import own_dtype
from ...generative.paths import GaussianPath
from ...generative.sampling import Sampler
from ...solvers import ExponentialAdams, SolveError, WhiteNoise
from ...verification import Gaussian, Oracle
from ...verification.oracles import Law, marginal
from ...verification.statistics import gaussian_w2, rms
from ..problems import Problem
from .entrants import Entrant, ForeignRun, Planned, Run

__all__ = ["Draw", "ExactErrors", "Job", "draw", "known_law", "reference_gap", "samples_of"]

AT_ONCE = 512
"""Samples in a batch."""
REFERENCE = Planned("reference", Sampler(ExponentialAdams(3, corrector=True)))
REFERENCE_NFE = 64
CHECKED = 64
"""The number of noises on which the reference is compared with one of twice the steps."""


@dataclass(frozen=True)
class Job:
    """A sampler at a budget.

    Attributes:
        entrant: the sampler.
        budget: the most evaluations a sample.
        samples: the number of samples.
        seed: of their initial noises, and of the noise on the way.
    """

    entrant: Entrant
    budget: int
    samples: int
    seed: int


@dataclass(frozen=True)
class ExactErrors:
    """W₂ for a Gaussian law of data, without sampling.

    Attributes:
        total: between the output and the data.
        steps: between what becomes of the exact law at the first time, and the exact law at the last time.
    """

    total: float
    steps: float


@dataclass(frozen=True)
class Draw:
    """What a sampler made at a budget.

    Attributes:
        nfe: evaluations a sample.
        seconds: of the processor.
        x: the samples, float64 (n, d); None if they failed, or are not needed.
        exact: the errors of the exact law, for Gaussian data.
        failure: why there are no samples.
    """

    nfe: int
    seconds: float
    x: Tensor | None = None
    exact: ExactErrors | None = None
    failure: str = ""


def known_law(problem: Problem) -> Oracle | None:
    """The law of the data of a problem, if its denoiser is exact."""
    denoiser: Any = problem.denoiser
    law = getattr(denoiser.net, "oracle", None)
    if type(denoiser) is not Denoiser or denoiser.threshold is not None or not isinstance(law, Oracle):
        return None
    return law if isinstance(denoiser.net, type(law.denoiser(problem.path).net)) else None


def draw(job: Job, problem: Problem) -> Draw:
    """Run a sampler. A sampler that fails, or does not apply, says why."""
    law, started = known_law(problem), time.process_time()
    nfe = 0
    try:
        if isinstance(law, Gaussian):
            run = job.entrant.run(problem.labelled(1), job.budget)
            nfe = run.draw(problem.noise(1, job.seed), WhiteNoise(job.seed))[1]
            return Draw(nfe, time.process_time() - started, exact=_exact_errors(run, law, problem.path))
        x, nfe = samples_of(job, problem)
        if broken := int((~x.isfinite()).any(1).sum()):
            return Draw(nfe, time.process_time() - started, failure=f"{broken} of {len(x)} samples are not finite.")
        return Draw(nfe, time.process_time() - started, x)
    except SolveError as error:
        return Draw(int(error.solution.nfe), time.process_time() - started, failure=str(error))
    except (ValueError, TypeError) as error:
        return Draw(nfe, time.process_time() - started, failure=str(error))


def samples_of(job: Job, problem: Problem) -> tuple[Tensor, int]:
    """The samples, float64 (n, d) on the host, and the evaluations of each, from the noises of the problem."""
    labelled = _in_single(problem.labelled(job.samples))
    dtype = torch.float64 if own_dtype(labelled.net) is None else torch.float32
    noises, made, nfe = problem.noise(job.samples, job.seed), [], 0
    noise = WhiteNoise(job.seed)  # it goes on from one chunk to the next
    with torch.no_grad():
        for index in torch.split(torch.arange(job.samples, device="cpu"), AT_ONCE):
            run = job.entrant.run(labelled.of_rows(index), job.budget)
            scale = problem.path.sigma(float(run.times[0])) / problem.path.sigma(problem.start)
            x, nfe = run.draw(scale * noises[index.to(noises.device)].to(dtype), noise)
            made.append(x.flatten(1).double().cpu())
    return torch.cat(made), nfe


def _in_single(denoiser: Denoiser) -> Denoiser:
    """The same denoiser with a network in single precision, which is precise enough for a law and many times faster."""
    if type(denoiser) is not Denoiser or not isinstance(denoiser.net, nn.Module):
        return denoiser
    made = copy(denoiser)
    made.net = deepcopy(denoiser.net).float()
    return made


def _exact_errors(run: Run | ForeignRun, data: Gaussian, path: GaussianPath) -> ExactErrors:
    d = len(data.means[0])
    response = run.response(d)
    first, last = float(run.times[0]), float(run.times[-1])
    noise = torch.eye(d, dtype=torch.float64, device="cpu") * path.sigma(first) ** 2
    made = response.law(Law(noise.new_zeros(d), noise))
    kept = response.law(marginal(data, path, first))
    return ExactErrors(gaussian_w2(*made, data.means[0], data.covs[0]), gaussian_w2(*kept, *marginal(data, path, last)))


def reference_gap(problem: Problem) -> float:
    """The root mean square over noises and components of what twice the steps change in the reference samples."""
    ends = [samples_of(Job(REFERENCE, k * REFERENCE_NFE, CHECKED, 0), problem)[0] for k in (1, 2)]
    return rms(ends[1] - ends[0])
