"""The agenda of a scheduler: at which times the pipeline evaluates its network, and what is done with the outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...solvers import ExponentialAdams, Scheme, Semilinear, unroll
from ...solvers.common import MANY, host, reals, whole
from ..denoiser import Denoiser
from ..paths import Table
from ..sampling import AnySampler, Sampler, resolve, steps, table_of
from .apart import clock_of, times_of
from .entering import begun, without_start_up
from .spacing import Shift, given, spaced, thinned

__all__ = ["Agenda", "asked", "noise_times", "planned"]

Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Rising times, and values there, with straight lines between them."""


@dataclass(frozen=True, eq=False)
class Agenda:
    """A sampler at its times.

    Attributes:
        sampler: the sampler.
        times: the grid, float64 (n + 1,).
        scheme: its table.
        timesteps: what the network sees at the evaluations, (m,): integers if they are, otherwise float32.
        sigmas: σ at the evaluations and at the end, float32 (m + 1,), or α where the flow counts from the noise.
        deviation: the standard deviation of the noise in the first state.
        shown: what the network sees in place of its clock, as a function of time; None for its clock.
    """

    sampler: Sampler
    times: Tensor
    scheme: Scheme
    timesteps: Tensor
    sigmas: Tensor
    deviation: float
    shown: Curve | None = None

    def due(self, index: int, timestep: float) -> bool:
        """Whether an evaluation is at this timestep, to the rounding of single precision."""
        return math.isclose(timestep, self.timesteps[index].item(), rel_tol=1e-5, abs_tol=1e-6)

    def index(self, timestep: float) -> int | None:
        """The number of the evaluation at a timestep, of the second one if there are several; None for no timestep."""
        near = [k for k in range(len(self.timesteps)) if self.due(k, timestep)]
        return near[:2][-1] if near else None

    def times_of(self, denoiser: Denoiser, shown: Tensor) -> Tensor:
        """The times at which the network sees these values, float64 (k,): those of evaluations exactly."""
        if self.shown is not None:
            times, values = self.shown
            rising = values[-1] > values[0]
            way = slice(None) if rising else slice(None, None, -1)
            found = torch.from_numpy(np.interp(shown.numpy(), values[way], times[way]))
        else:
            found = times_of(denoiser, shown)
        at = host([each.time for each in self.scheme.evaluations])
        gaps = (self.timesteps.double() - shown[:, None]).abs()
        nearest = gaps.argmin(1)
        exact = gaps.gather(1, nearest[:, None])[:, 0] <= 1e-6 * shown.abs()
        return torch.where(exact, at[nearest], found)


def asked(
    evaluations: Any, timesteps: Any, sigmas: Any
) -> tuple[int, tuple[float, ...] | None, tuple[float, ...] | None]:
    """A number of evaluations, timesteps and noise levels, of which some may be None, as `planned` takes them.

    Raises:
        TypeError: they are no numbers.
        ValueError: there are neither, or as many as they do not say.
    """
    shown = None if timesteps is None else reals("timesteps", timesteps)
    levels = None if sigmas is None else reals("sigmas", sigmas)
    lengths = {len(values) for values in (shown, levels) if values is not None}
    if evaluations is None and not lengths:
        raise ValueError("set_timesteps needs num_inference_steps, timesteps or sigmas; give one of them.")
    n = max(lengths) if evaluations is None else whole("num_inference_steps", evaluations, 1, MANY)
    if lengths - {n, n + 1}:  # one more ends at the data
        raise ValueError(f"num_inference_steps is {n}, but {max(lengths)} times are given; leave one of both out.")
    return n, shown, levels


def noise_times(denoiser: Denoiser, agenda: Agenda | None, timesteps: Any, batch: int) -> Tensor:
    """The times of timesteps, one for all samples or one for each: float64 (1,) or (batch,).

    Raises:
        ValueError: there are more of them, or the network does not see them.
    """
    alone = not isinstance(timesteps, Sequence) and not (isinstance(timesteps, Tensor | np.ndarray) and timesteps.ndim)
    shown = host(reals("timesteps", [timesteps] if alone else timesteps))
    noisiest, t = 0.0, times_of(denoiser, shown) if agenda is None else agenda.times_of(denoiser, shown)
    if agenda is not None:
        noisiest = min(0.0, agenda.scheme.evaluations[0].time)
    if len(shown) not in (1, batch) or not bool(((t >= noisiest - 1e-6) & (t <= 1.0)).all()):
        raise ValueError(
            f"timesteps are {shown.tolist()}, but must be one for all samples or one for each, and within those of the "
            "network; take them from scheduler.timesteps."
        )
    return t


def planned(
    denoiser: Denoiser,
    sampler: AnySampler,
    config: Mapping[str, Any],
    shift: Shift,
    *,
    evaluations: int,
    timesteps: tuple[float, ...] | None = None,
    sigmas: tuple[float, ...] | None = None,
    mu: float | None = None,
    integers: bool = False,
) -> Agenda:
    """The agenda of at most a number of evaluations, on the sampler's own grid or on that of a pipeline.

    A table has times of its own, which nothing shifts or rounds. On the grid of a pipeline a multistep method takes no
    start-up, so that the evaluations are at the given times. A method with several evaluations a step starts its steps
    at times that are evenly chosen among the given ones.

    Raises:
        ValueError: too few evaluations, integers that coincide, times that do not lead to the data, mu is missing; or
            times for a table, which has its own.
    """
    row, shown = resolve(sampler, denoiser, evaluations), None
    if (table := table_of(row)) is not None:
        _check_table(table, evaluations, given=timesteps is not None or sigmas is not None, integers=integers)
        first, scheme = table.evaluations[0].argument, begun(table)
        alone = first.keys() == {("x", 0)}  # the pipeline's first state is this part of the table's, at the same level
        level = first["x", 0] * denoiser.path.sigma(table.times[0]) if alone else None
        return _agenda(denoiser, row, host(table.times), scheme, config, deviation=level)
    if timesteps is None and sigmas is None:
        factor, most = shift.at(mu), evaluations

        def grid(n: int) -> Tensor:
            return spaced(denoiser, row, n, shift=factor, terminal=shift.terminal, integers=integers)
    else:
        times, values = given(denoiser, config, shift, timesteps=timesteps, sigmas=sigmas, mu=mu)
        if values is not None:
            last = clock_of(denoiser, 1.0).item()
            shown = (*times.tolist(), 1.0), (*values.tolist(), last)
        times, row = _rising(times), _plain(row)
        most = len(times)

        def grid(n: int) -> Tensor:
            return thinned(denoiser, row, times, n)

    if row.solver.steps(evaluations) == 0:
        row = _plain(row)
    n = _steps(row, row.equation(denoiser), grid, evaluations, most, fixed=integers)
    scheme = begun(unroll(row.equation(denoiser), grid(n), row.solver))
    if scheme.nfe < min(evaluations, most) and _plain(row) is not row:
        row, n = _plain(row), evaluations
        scheme = unroll(row.equation(denoiser), grid(n), row.solver)
    return _agenda(denoiser, row, grid(n), scheme, config, shown)


def _agenda(
    denoiser: Denoiser,
    row: Sampler,
    times: Tensor,
    scheme: Scheme,
    config: Mapping[str, Any],
    shown: Curve | None = None,
    deviation: float | None = None,
) -> Agenda:
    """The agenda of the evaluations of a table, whose first state has σ at the first of them unless it is stated."""
    at = [each.time for each in scheme.evaluations]
    level = denoiser.path.alpha if config.get("invert_sigmas") else denoiser.path.sigma
    levels = level(host([*at, scheme.times[-1]])).float()
    deviation = denoiser.path.sigma(at[0]) if deviation is None else deviation
    return Agenda(row, times, scheme, _clock(denoiser, shown)(at), levels, deviation, shown)


def _check_table(table: Scheme, evaluations: int, *, given: bool, integers: bool) -> None:
    """Raise ValueError for what a table cannot do: fewer evaluations, or other times."""
    if evaluations < table.nfe:
        raise ValueError(
            f"num_inference_steps is {evaluations}, but {table.name} takes {table.nfe} evaluations; allow {table.nfe}."
        )
    if given or integers:
        what = "timesteps or sigmas" if given else "integers=True"
        raise ValueError(f"{table.name} is a table with times of its own; leave {what} out.")


def _steps(
    row: Sampler, equation: Semilinear, grid: Callable[[int], Tensor], evaluations: int, most: int, *, fixed: bool
) -> int:
    """The largest number of steps that takes at most these evaluations. The last step may take fewer than others.

    Where not every grid exists, it is `fixed` which, by the number that every step takes. Raises ValueError if there is
    no such number.
    """
    solver = row.solver
    n = min(solver.steps(evaluations), most)
    if fixed or solver.evaluations(1) in (1, None) or (n == 0 and unroll(equation, grid(1), solver).nfe > evaluations):
        return min(steps(row, evaluations, 1), most)
    n = max(n, 1)
    while n < most and unroll(equation, grid(n + 1), solver).nfe <= evaluations:
        n += 1
    return n


def _plain(row: Sampler) -> Sampler:
    """The sampler with one evaluation in every step, at its start, if it is a multistep method with another start."""
    solver = row.solver
    if not isinstance(solver, ExponentialAdams) or not (solver.ahead or solver.evaluations(1) > 1):
        return row
    return replace(row, solver=without_start_up(solver))


def _rising(times: Tensor) -> Tensor:
    """The times before the data. Raises ValueError unless they rise from t ≥ 0 on."""
    times = times[times < 1.0]
    if len(times) == 0 or bool((times.diff() <= 0.0).any()) or not bool(times.isfinite().all()) or times[0] < -1e-6:
        raise ValueError(
            "The timesteps or sigmas of a pipeline must lead from more to less noise, each once, and within the noise "
            "levels of the network; give them in this order."
        )
    return times.clamp(min=0.0)


def _clock(denoiser: Denoiser, shown: Curve | None) -> Callable[[list[float]], Tensor]:
    """From times to what the network sees there: integers if they are, otherwise float32."""

    def clock(times: list[float]) -> Tensor:
        if shown is not None:
            return torch.from_numpy(np.interp(times, *shown)).float()
        values = torch.cat([clock_of(denoiser, t) for t in times])
        whole = isinstance(denoiser.path, Table) and bool((values == values.round()).all())
        return values.to(torch.int64 if whole else torch.float32)

    return clock
