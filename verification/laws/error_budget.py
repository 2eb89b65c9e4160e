"""Where a sampler's error comes from: W₂ between its output and the data, split by making one stage exact at a time.

    prior            it starts from N(0, σ²) instead of the marginal at its first time
    early stop       it ends at its last time instead of at t = 1
    discretisation   it takes steps instead of following the equation
    model            its equation has the network's denoiser instead of the exact one
    round-off        it computes in `dtype` instead of in float64

With D(E) the distance where the stages in E are exact, every stage has two numbers,

    share = D(∅) − D({stage})          what would be won by making it exact
    alone = D(all) … but for it        what is left where all others are exact,

and what the shares do not add up to, D(∅) − Σ share, is the interaction of the stages: errors cancel, or are damped by
what follows. A share may be negative.

For Gaussian data and a denoiser that is affine, laws are exact (`impulse`) and so is D. Otherwise all D are root mean
squares over samples that are coupled: the same x₀ and ε at the start and the same Brownian path make the sampler's
output and the exact one, and the distance between these pairs is at least W₂. Round-off is always measured so, as the
distance between the sampler's outputs in `dtype` and in float64; in the first case it is added to D.

Source: Chen et al., Sampling is as easy as learning the score (2209.11215), theorem 2, for the first four stages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.paths import GaussianPath
from ...solvers import Solver
from ..oracles import Gaussian, Law, Oracle, marginal, reversed_transition
from ..statistics import gaussian_w2
from .coupled import STAGES, Coupled, Sampler
from .impulse import impulse_response

__all__ = ["ErrorBudget", "Stage", "error_budget"]




@dataclass(frozen=True)
class Stage:
    """What making a stage exact wins, and what it costs alone."""

    name: str
    share: float
    alone: float


@dataclass(frozen=True)
class ErrorBudget:
    """The distance between a sampler's output and the data, by stages; `remainder` is total − Σ share.

    exact: whether distances are W₂ of exact laws, or bounds from coupled samples. size: the root mean square of the
    data, to compare with.
    """

    total: float
    stages: tuple[Stage, ...]
    remainder: float
    exact: bool
    size: float

    def __getitem__(self, name: str) -> Stage:
        """The stage of that name. Raises KeyError for another."""
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
    times: Tensor,
    solver: Solver,
    *,
    hold: str = "velocity",
    eta: float = 0.0,
    model: Denoiser | None = None,
    dtype: torch.dtype = torch.float32,
    samples: int = 4096,
    seed: int = 0,
) -> ErrorBudget:
    """The budget of `solver` on `times`, which samples from `data` by `flow`, or `reverse_sde` of level eta.

    data: an oracle in float64 with states (B, d). model: the denoiser that is used, on the same path, in float64; None:
    the exact one. dtype: in which the solver computes around it.

    Raises ValueError for another path of the model, and for what the solver cannot do.
    """
    if model is not None and model.path != path:
        raise ValueError(f"The model is on {model.path}, but the sampler on {path}; give both the same path.")
    sampler = Sampler(data, path, times, solver, hold, eta, model)
    coupled = Coupled(sampler, dtype, samples, seed)
    exact = isinstance(data, Gaussian) and (model is None or _affine(sampler))
    distance = _in_law(sampler, data, coupled.rounding) if exact else coupled.distance
    total = distance(())
    stages = tuple(
        Stage(name, total - distance((name,)), distance([other for other in STAGES if other != name]))
        for name in STAGES[:-1]
    )
    stages += (Stage(STAGES[-1], total - distance(STAGES[-1:]), coupled.rounding),)
    mean, cov = data.moments()
    size = float((mean.square().sum() + cov.trace()).sqrt())
    return ErrorBudget(total, stages, total - sum(stage.share for stage in stages), exact, size)


def _affine(sampler: Sampler) -> bool:
    """Whether the model is, at the first step."""
    try:
        impulse_response(sampler.solver, sampler.equation(False), sampler.times[:2], dim=sampler.data.shape[0])
    except ValueError as error:
        if "off an affine map" in str(error):
            return False
        raise
    return True


def _in_law(sampler: Sampler, data: Oracle, rounding: float) -> Callable[[Collection[str]], float]:
    """D by exact laws."""
    (start, stop), path, dim = sampler.ends, sampler.path, data.shape[0]
    exact = Law(*data.moments())
    prior = Law(torch.zeros_like(exact.mean), float(path.sigma(start)) ** 2 * torch.eye(dim, dtype=exact.cov.dtype))
    stepped = {
        fine: impulse_response(sampler.solver, sampler.equation(fine), sampler.times, dim=dim)
        for fine in ((True, False) if sampler.model is not None else (True,))
    }
    followed = None
    if sampler.model is not None:
        equation, times, solver = sampler.reference(False)
        followed = impulse_response(solver, equation, times, dim=dim)

    def distance(exactly: Collection[str]) -> float:
        law = marginal(exact, path, start) if "prior" in exactly else prior
        true_model = "model" in exactly or sampler.model is None
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
