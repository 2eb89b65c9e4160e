"""The error of a sampler by its sources: W₂ between its output and the data, with one stage made exact at a time.

    prior            it starts from N(0, σ²) instead of the marginal at its first time
    early stop       it ends at its last time instead of at t = 1
    discretisation   it takes steps instead of following the equation
    model            its equation has the network's denoiser instead of the exact one
    round-off        it computes in `dtype` instead of in float64

D(E) is the distance where the stages in E are exact. Every stage has two numbers,

    share = D(∅) − D({stage})          by how much the distance falls if this stage is made exact
    alone = D(all others)              the distance that is left if all other stages are exact.

The remainder D(∅) − Σ share is the interaction of the stages: errors cancel, or later stages damp them. A share may be
negative.

For Gaussian data and an affine denoiser, all laws are exact (`impulse`), and D is W₂. Otherwise D is the root mean
square distance of coupled samples: the sampler's output and the exact output have the same x₀, ε and Brownian path. It
is at least W₂. Round-off is always measured on coupled samples, as the distance between the sampler's outputs in
`dtype` and in float64; for exact laws it is added to D.

Source: Chen et al., Sampling is as easy as learning the score (2209.11215), theorem 2, for the first four stages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.equations import HOLDS
from ...generative.paths import GaussianPath
from ...generative.sampling import Sampler
from ...solvers import Solver
from ...solvers.common import check_dtype, check_instance, check_memory, choice, host, real, reals, whole
from ..oracles import Gaussian, Law, Oracle, marginal, reversed_transition
from ..statistics import gaussian_w2
from .coupled_samples import STAGES, Coupled, Subject
from .impulse import impulse_response

__all__ = ["ErrorBudget", "Stage", "error_budget"]


@dataclass(frozen=True)
class Stage:
    """One source of error.

    Attributes:
        name: one of `STAGES`.
        share: by how much the distance falls if this stage is made exact.
        alone: the distance that is left if all other stages are exact.
    """

    name: str
    share: float
    alone: float


@dataclass(frozen=True)
class ErrorBudget:
    """The distance between a sampler's output and the data, by stages.

    Attributes:
        total: the distance, in units of the data.
        stages: the stages in the order in which they act.
        remainder: total − Σ share, the interaction of the stages.
        exact: whether distances are W₂ of exact laws; otherwise they are bounds from coupled samples.
        size: the root mean square of the data, to compare with.
    """

    total: float
    stages: tuple[Stage, ...]
    remainder: float
    exact: bool
    size: float

    def __getitem__(self, name: str) -> Stage:
        """The stage of that name. Raises KeyError for an unknown one."""
        return {stage.name: stage for stage in self.stages}[name]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"stages": [asdict(stage) for stage in self.stages]}

    def __str__(self) -> str:
        what = "W2, exact laws" if self.exact else "at least W2, coupled samples"
        head = f"{self.total:.3g} from the data, whose size is {self.size:.3g} ({what})"
        lines = [head, "", f"{'':16}   share   alone"]
        lines += [f"{stage.name:16}{stage.share:8.2g}{stage.alone:8.2g}" for stage in self.stages]
        return "\n".join([*lines, f"{'interaction':16}{self.remainder:8.2g}"])


def error_budget(
    data: Oracle,
    path: GaussianPath,
    times: Tensor | Sequence[float],
    solver: Solver,
    *,
    hold: str = "velocity",
    eta: float = 0.0,
    model: Denoiser | None = None,
    dtype: torch.dtype = torch.float32,
    samples: int = 4096,
    seed: int = 0,
) -> ErrorBudget:
    """Split a sampler's distance from the data into the stages that cause it.

    Args:
        data: the law of the data, an oracle in float64 with states (B, d).
        path: the path on which the sampler runs.
        times: the times of its steps, rising.
        solver: the solver of its equation.
        hold: the quantity that an exponential solver holds.
        eta: the noise level: 0 for `flow`, otherwise that of `reverse_sde`.
        model: the denoiser that the sampler has, on the same path, in float64; the exact one if None.
        dtype: the dtype in which the solver computes around the denoiser.
        samples: the number of coupled samples.
        seed: the seed of the coupled samples.

    Raises:
        TypeError: arguments of another kind.
        ValueError: the model is on another path, numbers are out of range, the data are not in float64 or no vectors,
            more samples than memory holds, or as `solve` raises.
    """
    check_instance("data", data, Oracle, "an oracle, such as Gaussian(mean, cov)")
    check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
    check_instance("solver", solver, Solver, "a solver, such as Heun()")
    check_dtype("dtype", dtype)
    mean, cov = data.moments()
    if len(data.shape) != 1 or mean.dtype != torch.float64 or not bool(cov.isfinite().all()):
        raise ValueError(
            f"The data are {mean.dtype} of shape {tuple(data.shape)}; give vectors of float64 with a finite variance."
        )
    rising = [real(f"times[{i}]", t, 0.0, 1.0) for i, t in enumerate(reals("times", times))]
    if len(rising) < 2 or any(s >= t for s, t in pairwise(rising)):
        raise ValueError(f"times are {rising}, but must be at least two that rise.")
    samples, seed = whole("samples", samples, 2), whole("seed", seed)
    check_memory("samples", samples, 16 * samples * len(mean))
    if model is not None:
        check_instance("model", model, Denoiser, "a Denoiser")
        if model.path != path:
            raise ValueError(f"The model is on {model.path}, but the sampler on {path}; give both the same path.")
    sampler = Sampler(solver, choice("hold", hold, HOLDS), real("eta", eta, 0.0))
    subject = Subject(data, path, host(rising), sampler, model)
    coupled = Coupled(subject, dtype, samples, seed)
    exact = isinstance(data, Gaussian) and (model is None or _affine(subject))
    distance = _in_law(subject, coupled.rounding) if exact else coupled.distance
    total = distance(())
    stages = tuple(
        Stage(name, total - distance((name,)), distance([other for other in STAGES if other != name]))
        for name in STAGES[:-1]
    )
    stages += (Stage(STAGES[-1], total - distance(STAGES[-1:]), coupled.rounding),)
    size = float((mean.square().sum() + cov.trace()).sqrt())
    return ErrorBudget(total, stages, total - sum(stage.share for stage in stages), exact, size)


def _affine(subject: Subject) -> bool:
    """Whether the first step is an affine map of the state."""
    times, dim = subject.times[:2], subject.data.shape[0]
    try:
        impulse_response(subject.sampler.solver, subject.equation(False), times, dim=dim)
    except ValueError as error:
        if "off an affine map" in str(error):
            return False
        raise
    return True


def _in_law(subject: Subject, rounding: float) -> Callable[[Collection[str]], float]:
    """D by exact laws, as a function of the stages that are exact."""
    (start, stop), path, sampler, dim = subject.ends, subject.path, subject.sampler, subject.data.shape[0]
    exact = Law(*subject.data.moments())
    prior = Law(torch.zeros_like(exact.mean), path.sigma(start) ** 2 * exact.cov.new_ones(dim).diag())
    stepped = {
        fine: impulse_response(sampler.solver, subject.equation(fine), subject.times, dim=dim)
        for fine in ((True, False) if subject.model is not None else (True,))
    }
    followed = None
    if subject.model is not None:
        equation, times, solver = subject.reference(False)
        followed = impulse_response(solver, equation, times, dim=dim)

    def distance(exactly: Collection[str]) -> float:
        law = marginal(exact, path, start) if "prior" in exactly else prior
        true_model = "model" in exactly or subject.model is None
        if "discretisation" not in exactly:
            law = stepped[true_model].law(law)
        elif true_model or followed is None:
            law = reversed_transition(exact, path, sampler.eta, start, stop).of(law)
        else:
            law = followed.law(law)
        if "early stop" in exactly and stop < 1.0:
            law = reversed_transition(exact, path, 0.0, stop, 1.0).of(law)
        return gaussian_w2(*law, *exact) + (0.0 if "round-off" in exactly else rounding)

    return distance
