"""Anyone's flow map, measured against the flow that it should follow.

    certify_flow_map(student, teacher)        the probability flow of a denoiser, solved
    certify_flow_map(student, law)            of a law, exact on the line and for Gaussians

From the same noises the reference gives the states x_t at a few times. The map is measured there: whether it leaves a
state at its own time alone, jumps to where the flow goes, and makes one jump of two; and whether one jump, two and four
from the noise make samples of the right law.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.flow_maps import Consistency, FlowMap, check_flow_map
from ...generative.sampling import Jumps, default_for, plan_jumps
from ...solvers import BrownianTree, solve, standard_normal
from ...solvers.common import check_device, check_dtype, check_instance, real, reals, whole, wholes
from ..oracles import Gaussian, Oracle
from ..statistics import distances, rms
from .flow_map_certificate import FlowMapCertificate, JumpLaw, MapError

__all__ = ["certify_flow_map"]

PLACES = 4
"""The number of jumps between the default times."""
LARGEST = 512
"""The most components of a sample for which a covariance is estimated."""

SETS = 19
"""The sets of exact samples of which the largest W₂ is the floor."""


def certify_flow_map(
    flow_map: FlowMap,
    reference: Denoiser | Oracle,
    *,
    shape: Sequence[int] | None = None,
    times: Sequence[float] | None = None,
    jumps: Sequence[int] = (1, 2, 4),
    samples: int = 256,
    steps: int = 64,
    tolerance: float = 0.1,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    name: str = "",
) -> FlowMapCertificate:
    """Measure a flow map: its boundary, its jumps, its semigroup, and the samples of one jump and of more.

    Args:
        flow_map: with its label and its weight, for one sample or for all, such as student.given(3).
        reference: the teacher, a `Denoiser` on the same path with its label and its guidance; or the law of the data.
        shape: the shape of a sample; None takes that of the law, or what the network declares.
        times: the times between which jumps are measured, rising; None takes five, of equal distance in α/(α + σ).
        jumps: the numbers of jumps of the samples.
        samples: the number of noises.
        steps: the steps of the solver of a teacher's flow; a second solve with twice as many tells its error.
        tolerance: the relative error that is allowed.
        seed: of the noises.
        dtype: of the states.
        device: of the states.
        name: of the flow map in the certificate.

    Returns:
        The certificate, which prints as a table.

    Raises:
        TypeError: arguments of another kind.
        ValueError: numbers out of range, a teacher on another path, or a shape that nobody declares.

    Example:
        >>> data, path = Gaussian(torch.zeros(2).double(), torch.eye(2).double()), CondOT()
        >>> certify_flow_map(data.map(path), data).passed
        True
    """
    check_flow_map(flow_map)
    if not isinstance(reference, Denoiser | Oracle):
        raise TypeError(f"reference is {reference!r}; give the teacher, a Denoiser, or the law of the data, an oracle.")
    if isinstance(reference, Denoiser) and reference.path != flow_map.path:
        raise ValueError(
            f"The teacher is on {reference.path}, but the flow map on {flow_map.path}; give a teacher on the same path."
        )
    check_instance("name", name, str, "a name")
    check_dtype("dtype", dtype)
    check_device("device", device)
    samples, steps, seed = whole("samples", samples, 2, 10**6), whole("steps", steps, 2, 10**5), whole("seed", seed)
    like = torch.empty(samples, *_shape(flow_map, reference, shape), dtype=dtype, device=device)
    gamma = 1.0 if isinstance(flow_map, Consistency) else 0.0
    own = Jumps(gamma, None if times is None else reals("times", times))
    places = plan_jumps(flow_map, own, PLACES if own.times is None else len(own.times)).times
    with torch.no_grad():
        measured = _Measurement(flow_map, reference, like, places, steps, seed)
        return FlowMapCertificate(
            name=name or repr(flow_map),
            reference=repr(reference) if isinstance(reference, Denoiser) else type(reference).__name__,
            samples=samples,
            tolerance=real("tolerance", tolerance, above=0.0, high=1e6),
            reference_error=measured.flow.error,
            boundary=measured.boundary(),
            maps=measured.maps(),
            laws=tuple(measured.law(n, each) for n in wholes("jumps", jumps, 1, 1000) for each in measured.gammas(n)),
        )


def _shape(flow_map: FlowMap, reference: Denoiser | Oracle, shape: Sequence[int] | None) -> tuple[int, ...]:
    if shape is not None:
        return wholes("shape", shape, 1)
    if isinstance(reference, Oracle):
        return tuple(reference.shape)
    declared = getattr(flow_map.net, "shape", None) or getattr(reference.net, "shape", None)
    if not isinstance(declared, tuple):
        raise ValueError("No network declares the shape of a sample; give shape=(...).")
    return declared


@dataclass(frozen=True)
class Flow:
    """States along the reference flow: at the times, (n, B, ...), and how far they are known, relative to the last."""

    times: list[float]
    states: Tensor
    error: float


class _Measurement:
    """A flow map beside the reference flow from the same noises."""

    def __init__(
        self, flow_map: FlowMap, reference: Denoiser | Oracle, like: Tensor, times: Tensor, steps: int, seed: int
    ) -> None:
        self.flow_map, self.reference, self.like, self.steps, self.seed = flow_map, reference, like, steps, seed
        self.noises = standard_normal(like, seed)
        self.flow = self.along(times, self.noises)
        self._ends: dict[tuple[float, float], Tensor] = {}
        self._floor: float | None = None

    def along(self, times: Tensor, noises: Tensor) -> Flow:
        """The reference flow at these times, from these noises."""
        at, path, reference = times.tolist(), self.flow_map.path, self.reference
        start = path.sigma(at[0]) * noises
        if isinstance(reference, Oracle) and (isinstance(reference, Gaussian) or reference.shape == (1,)):
            exact = reference.map(path)
            return Flow(at, torch.stack([exact(start, at[0], t) for t in at]), 0.0)
        teacher = reference.denoiser(path) if isinstance(reference, Oracle) else reference
        coarse, fine = (self._solved(teacher, start, times, steps) for steps in (self.steps, 2 * self.steps))
        return Flow(at, fine, rms(fine - coarse) / rms(fine[-1]))

    def _solved(self, teacher: Denoiser, start: Tensor, times: Tensor, steps: int) -> Tensor:
        sampler, at = default_for(teacher, steps), times.tolist()
        between = sampler.grid(teacher.path, steps, t0=at[0], t1=at[-1])
        far = (between[:, None] - times).abs().amin(1) > 1e-6  # the others are the times, but for rounding
        grid = torch.cat([between[far], times]).sort().values
        return cast(Tensor, solve(sampler.equation(teacher), start, grid, sampler.solver, save=times).xs)

    def boundary(self) -> tuple[tuple[float, float], ...]:
        """The size of X(x, t, t) − x at every time where the map can be asked."""
        asked = [(t, x) for t, x in zip(self.flow.times, self.flow.states, strict=True) if self._asks(t, t)]
        return tuple((t, rms(self.flow_map(x, t, t) - x) / rms(x)) for t, x in asked)

    def maps(self) -> tuple[MapError, ...]:
        """The jumps between all pairs of times."""
        found, places = [], list(enumerate(self.flow.times))
        for (i, s), (j, t) in combinations(places, 2):
            if not self._asks(s, t):
                continue
            x, target = self.flow.states[i], self.flow.states[j]
            end, defect = self.flow_map(x, s, t), None
            if j > i + 1:
                u = self.flow.times[i + 1]
                stop = self.flow_map(x, s, u) if self._asks(s, u) else self.flow.states[i + 1]
                defect = rms(self.flow_map(stop, u, t) - end) / rms(target)
            found.append(MapError(s, t, rms(end - target) / rms(target), defect))
        return tuple(found)

    def _asks(self, s: float, t: float) -> bool:
        """Whether the map can jump from s to t."""
        return not isinstance(self.flow_map, Consistency) or t == 1.0

    def gammas(self, jumps: int) -> tuple[float, ...]:
        """The noises between jumps that are measured."""
        every = (1.0,) if isinstance(self.flow_map, Consistency) else (0.0, 1.0)
        return every[:1] if jumps == 1 else every

    def law(self, jumps: int, gamma: float) -> JumpLaw:
        """Samples by so many jumps, from the same noises, against the flow and against exact samples."""
        planned = plan_jumps(self.flow_map, Jumps(gamma), jumps)
        first, last = planned.times[0].item(), planned.times[-1].item()
        x = planned.run(self.flow_map.path.sigma(first) * self.noises, BrownianTree(self.like, first, last, self.seed))
        end = self.end(first, last)
        error = None if planned.stochastic else rms(x - end) / rms(end)
        if self.like[0].numel() > LARGEST:
            return JumpLaw(jumps, gamma, error, None, None)
        law = self.reference.moments() if isinstance(self.reference, Oracle) else _moments(end)
        scale = rms(end) * self.like[0].numel() ** 0.5
        if self._floor is None:
            self._floor = max(distances.gaussian_w2(*_moments(each), *law) for each in self.others(end)) / scale
        return JumpLaw(jumps, gamma, error, distances.gaussian_w2(*_moments(x), *law) / scale, self._floor)

    def end(self, first: float, last: float) -> Tensor:
        """The reference's samples from the noises."""
        if (self.flow.times[0], self.flow.times[-1]) == (first, last):
            return self.flow.states[-1]
        if (first, last) not in self._ends:
            times = torch.tensor([first, last], dtype=torch.float64, device="cpu")
            self._ends[first, last] = self.along(times, self.noises).states[-1]
        return self._ends[first, last]

    def others(self, end: Tensor) -> Iterator[Tensor]:
        """Sets of as many exact samples: of the law, or drawn with replacement from the reference's."""
        n = len(end)
        generator = torch.Generator().manual_seed(self.seed)
        for i in range(SETS):
            if isinstance(self.reference, Oracle):
                yield self.reference.sample(n, self.seed + 1 + i)
            else:
                yield end[torch.randint(n, (n,), generator=generator, device="cpu").to(end.device)]


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    flat = x.flatten(1).double().cpu()
    return flat.mean(0), flat.T.cov().reshape(flat.shape[1], -1)
