"""Sampling in two lines: a denoiser and a shape.

Noise x = σ ξ at t = 0 is carried along the probability flow to data at t = 1 by a multistep exponential integrator, one
network evaluation a step; or by a published sampler, stochastic ones too, or by a solver of your own.

The default is what `fokker bench` finds best: the velocity held, on steps uniform in √(1 − t), and corrected, with two
values below 25 evaluations and with three, whose start-up takes two of them, from there on. Over its seven problems,
the exact ones and the trained networks, the error is in the geometric mean 1.7 times that of the best of 60 pairs of a
solver and a grid, chosen for each problem, at 5 evaluations, and 1.1 to 1.5 times at 8 to 50. At few evaluations two
corrected values are hardly ever far off, where three are worse by ten and more for networks that predict ε.

Every number that is drawn, at the start and on the way, is a function of the seed and of the sample's position, or of
the sample's own seed, and of nothing else: to the last bit the same in every batch and chunk, and up to rounding on
every device. So is every coefficient, and the arithmetic between them is elementwise. The network is left: where its
matrix products round differently for another batch, so do the samples, by that rounding and what the flow makes of it.

Where the flow has no start at an end of the path (ε-hat tells nothing of x₀ at α = 0, nor x₀-hat of ε at σ = 0), it
starts at σ/α = 80, or at 0.002, which are EDM's bounds, and the state there is taken for that of the end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..solvers import BrownianTree, ExponentialAdams, Noise, Solver, Time, solve
from ..solvers.progress import Progress
from ..solvers.random import per_sample_keys, standard_normals
from . import grids
from .conditioning import Condition, Label, for_batch
from .denoiser import Denoiser
from .guidance import CFG
from .named import Published, named
from .networks.network import Network
from .path import GaussianPath

__all__ = ["Sampler", "chosen", "conditioned", "default_sampler", "ends", "planned", "sample", "sample_chunks", "steps"]

Sampler = str | Published | Solver | None

THREE_VALUES_FROM = 25
"""Evaluations from which a third value pays."""

NUMBERS_AT_ONCE, SAMPLES_AT_ONCE = 2**20, 4096
"""The most numbers, and samples, of a chunk by default: networks hold hundreds of numbers for each of their input."""


def default_sampler(path: GaussianPath, nfe: int, *, t1: float = 1.0) -> tuple[Solver, Tensor]:
    """The best measured solver for `flow(denoiser)` with at most `nfe` evaluations, and its times from 0 to t1."""
    row = chosen(None, nfe)
    return row.solver, row.grid(path, row.solver.steps(nfe), t1=t1)


def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    nfe: int = 20,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    seed: int | Sequence[int] = 0,
    *,
    sampler: Sampler = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Tensor:
    """Draw samples of `shape` (B, ...) with at most `nfe` network evaluations each.

    denoiser: a guided one too. label: class labels, an int or one for each sample, or a condition (see `Denoiser`).
    guidance: the weight of classifier-free guidance, or one a sample (1: the plain conditional model, more: sharper and
    less diverse); it needs a label, and two evaluations a step. seed: an int, or one int a sample.
    sampler: the name of a published sampler ("ddpm", "dpm++2m", see `named`), a row of that table, or a solver, which
    then holds the velocity on the default grid; None is the best measured one for the budget.
    chunk: how many samples are made at a time, so that memory beyond the result does not grow with B; by default
    2²⁰ numbers, and at most 4096 samples. No sample depends on it but by the rounding of the network.

    Raises ValueError for what the network contradicts (shape, dtype, device, a label that it does not have), a budget
    below one step, guidance without a label, an unknown sampler and another number of labels or seeds than samples.
    """
    chunks = sample_chunks(
        denoiser, shape, nfe, label, guidance, seed,
        sampler=sampler, chunk=chunk, dtype=dtype, device=device, progress=progress,
    )  # fmt: skip
    samples, made = torch.empty(tuple(shape), dtype=dtype, device=device), 0
    for x in chunks:
        samples[made : made + len(x)] = x
        made += len(x)
    return samples


def sample_chunks(
    denoiser: Denoiser,
    shape: Sequence[int],
    nfe: int = 20,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    seed: int | Sequence[int] = 0,
    *,
    sampler: Sampler = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Iterator[Tensor]:
    """The samples of `sample`, `chunk` at a time and in order, for those who do not keep them all.

    Raises what `sample` raises, at the call and not at the first chunk.
    """
    batch, *rest = shape
    if batch < 1:
        raise ValueError(f"shape = {tuple(shape)} asks for no samples; give (B, ...) with B >= 1.")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk = {chunk} makes no samples; give a number of at least 1.")
    like = torch.empty(0, *rest, dtype=dtype, device=device)
    denoiser = conditioned(denoiser, like, batch, label, guidance)
    row = chosen(sampler, nfe // denoiser.cost)
    start, end = ends(denoiser, row)
    times = planned(denoiser, row, nfe, start, 1.0 if row.solver.semilinear else end)
    keys = per_sample_keys(seed, batch, like.device)
    size = chunk or max(1, min(SAMPLES_AT_ONCE, NUMBERS_AT_ONCE // max(1, math.prod(rest))))

    @torch.no_grad()
    def made(index: Tensor) -> Tensor:
        own = keys[index.to(keys.device)]
        x = denoiser.path.sigma(start) * standard_normals(own, [START], rest, dtype)[0]
        equation = row.equation(denoiser.of_rows(index))
        noise = driven(x, times, own) if row.stochastic else None
        return solve(equation, x, times, row.solver, noise, max_nfe=nfe, progress=progress and size >= batch).x

    def chunks() -> Iterator[Tensor]:
        with Progress(0.0, batch, progress and size < batch) as bar:
            for first in range(0, batch, size):
                last = min(first + size, batch)
                yield made(torch.arange(first, last))
                bar.reach(last)

    return chunks()


START = -1
"""The number of the normals from which `solvers.standard_normal` makes an initial state."""


def driven(x: Tensor, times: Tensor, keys: Tensor) -> Noise:
    """The Brownian paths of samples with these keys."""
    tree = BrownianTree(x, times[0].item(), times[-1].item())
    tree.keys = keys
    return tree


def chosen(sampler: Sampler, nfe: int) -> Published:
    """What `sampler` means with `nfe` evaluations of the field: the quantity held, the solver and the grid.

    Raises ValueError for an unknown name, TypeError for what is no sampler.
    """
    if isinstance(sampler, str):
        return named(sampler)
    if isinstance(sampler, Published):
        return sampler
    solver = ExponentialAdams(3 if nfe >= THREE_VALUES_FROM else 2, corrector=True) if sampler is None else sampler
    if not isinstance(solver, Solver):
        raise TypeError(f"sampler is {solver!r}; give the name of a published one, or a solver such as Heun().")
    return Published(repr(solver), solver, "velocity", grids.quadratic, "what is measured to be best")


def steps(row: Published, nfe: int, cost: int) -> int:
    """The number of steps that `nfe` evaluations pay for, `cost` in each call. Raises ValueError if there is none."""
    least = row.solver.evaluations(1)
    if least is None:
        raise ValueError(f"{row.solver!r} cannot tell its evaluations beforehand; use it in solve(), with times.")
    if nfe < least * cost:
        raise ValueError(f"nfe = {nfe} is less than one step, which takes {least * cost} evaluations; allow more.")
    return row.solver.steps(nfe // cost)


def planned(denoiser: Denoiser, row: Published, nfe: int, start: float, end: float) -> Tensor:
    """The times of the steps that `nfe` evaluations pay for; more of them where some calls take less than `cost`.

    What a number of steps takes is then counted in a solve of zeros, without the network.
    """
    least = steps(row, nfe, denoiser.cost)
    times = row.grid(denoiser.path, least, t0=start, t1=end)
    cheapest = min(int(denoiser.spends(t)) for t in times.tolist())
    if cheapest == denoiser.cost:
        return times

    def idle(t: Time, x: Tensor) -> Tensor:
        return x

    equation, zero = replace(row.equation(denoiser), field=idle, score=idle), torch.zeros(1, 1, dtype=torch.float64)

    def spent(n: int) -> int:
        times = row.grid(denoiser.path, n, t0=start, t1=end)
        noise = driven(zero, times, torch.zeros(1, dtype=torch.int64)) if row.stochastic else None
        return int(solve(equation, zero, times, row.solver, noise).nfe)

    numbers = range(least, row.solver.steps(nfe // cheapest) + 1)
    fitting = bisect_right(numbers, nfe, key=spent)
    return row.grid(denoiser.path, numbers[max(fitting, 1) - 1], t0=start, t1=end)


def ends(denoiser: Denoiser, row: Published) -> tuple[float, float]:
    """The noisiest and the cleanest time from which a sampler can start: 0 and 1, or those of σ/α = 80 and 0.002.

    At the end itself the prediction that is held must exist, its network's clock be finite, and so must be the scale
    of the equation, or for a classical solver its drift. A network that returns its input and its clock tells all of
    it.
    """
    path = denoiser.path

    def passed(x: Tensor, time: Tensor) -> Tensor:
        return x + time

    probe = Denoiser(
        passed,
        path,
        predicts=denoiser.predicts,
        time=denoiser.time,
        precondition=denoiser.precondition,
        threshold=denoiser.threshold,
    )
    equation = row.equation(probe)
    held = equation.field if row.solver.semilinear else equation.drift

    def regular(t: float) -> bool:
        scale = equation.scale(torch.tensor(t, dtype=torch.float64)).item()
        if not 0.0 < scale < math.inf:
            return False
        try:
            return bool(held(t, torch.ones(1, 1, dtype=torch.float64)).isfinite())
        except (ValueError, ZeroDivisionError):
            return False

    return (
        0.0 if regular(0.0) else float(path.time(-math.log(grids.NOISIEST))),
        1.0 if regular(1.0) else float(path.time(-math.log(grids.CLEANEST))),
    )


def conditioned(
    denoiser: Denoiser, x: Tensor, batch: int, label: Label | Condition | None, guidance: float | Tensor | None
) -> Denoiser:
    """The denoiser for a batch of samples like x, (any, ...), with labels and guidance, checked against its network.

    All that belongs to single samples has then one row for each, on the device of x.
    """
    _check_network(denoiser, x)
    if label is not None:
        denoiser = denoiser.given(label)
    if guidance is not None:
        if denoiser.label is None and not denoiser.condition:
            raise ValueError("guidance needs a label to guide towards; give label=..., or leave guidance out.")
        denoiser = CFG(denoiser, guidance)
    return denoiser.mapped(lambda rows: for_batch("label, condition or weight", rows, batch).to(x.device))


def _check_network(denoiser: Denoiser, x: Tensor) -> None:
    """Raises ValueError where one of our networks cannot take x. Other networks answer for themselves."""
    net, shape = denoiser.net, tuple(x.shape[1:])
    if not isinstance(net, Network):
        return
    own = net.shape
    if shape != own and not (len(own) == 1 and math.prod(shape) == own[0]):  # points may have any shape
        raise ValueError(f"The samples have shape {shape}, but the network's have {own}; give (B, {own}).")
    weight = next(net.parameters())
    if (x.dtype, x.device.type) != (weight.dtype, weight.device.type):
        raise ValueError(
            f"The state is {x.dtype} on {x.device.type}, but the network {weight.dtype} on {weight.device.type}; "
            f"give dtype={weight.dtype} and device='{weight.device.type}', or move the network with .to(...)."
        )
