"""Sampling in two lines: a denoiser and a shape.

A multistep exponential integrator carries noise x = σ ξ at t = 0 along the probability flow to data at t = 1, with one
network evaluation a step. A published sampler, also a stochastic one, or a solver of your own may take its place.

Samples do not depend on how they are batched. Every number that is drawn, at the start and on the way, depends on the
seed and on the position of the sample alone, or on the sample's own seed. It is the same to the last bit in every batch
and chunk, and up to rounding on every device. The coefficients do not depend on the batch either, and the arithmetic
between them is elementwise. The network remains: if its matrix products round differently for another batch, the
samples differ by that rounding and by what the flow makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ...solvers import BrownianTree, standard_normal
from ...solvers.common import MANY, Progress, check_device, check_dtype, check_memory, flag, whole, wholes
from ...solvers.noise import per_sample_keys
from ..denoiser import CFG, Condition, Denoiser, Label, check_denoiser, for_batch
from ..flow_maps import FlowMap
from ..networks import Network
from .jumps import JumpPlan, Jumps, as_jumps, plan_jumps
from .plan import AnySampler, Plan, plan, resolve

__all__ = ["chunk_size", "check_sampled", "conditioned", "sample", "sample_chunks"]

NUMBERS_AT_ONCE, SAMPLES_AT_ONCE = 2**20, 4096
"""The most numbers and the most samples in a chunk by default: a network holds hundreds of numbers for each input."""
STATES = 8
"""About the number of states that a solver holds at once."""
Sampled = TypeVar("Sampled", Denoiser, FlowMap, Denoiser | FlowMap)


def sample(
    denoiser: Denoiser | FlowMap,
    shape: Sequence[int],
    nfe: int = 20,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    seed: int | Sequence[int] = 0,
    *,
    sampler: AnySampler | Jumps = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Tensor:
    """Draw samples with at most `nfe` network evaluations each.

    Args:
        denoiser: the network; it may be guided. Or a flow map, which takes one evaluation a jump.
        shape: the shape of the samples, (B, ...).
        nfe: the most network evaluations a sample.
        label: the class label, an int, one int a sample, or a mapping of further conditions (see `Denoiser`).
        guidance: the weight of classifier-free guidance, a number or one a sample. 1 is the plain conditional model;
            more is sharper and less diverse. It needs a label, and two evaluations a step.
        seed: an int, or one int a sample.
        sampler: the name of a published sampler such as "ddpm" or "dpm++2m" (see `named`), a `Sampler`, or a solver,
            which then holds the velocity on `grids.quadratic`; or a table, a `Scheme` or its file FILE.json, which has
            steps and times of its own. None is the default for the network and the budget. For a flow map it is
            `Jumps(gamma, times)`, "jumps" (γ = 0, the default) or "consistency" (γ = 1).
        chunk: the number of samples that are made at a time; by default 2²⁰ numbers, and at most 4096 samples. Memory
            beyond the result does not grow with B. Samples depend on it by the rounding of the network alone.
        dtype: the dtype of the states and of the result.
        device: their device.
        progress: show a progress bar on stderr.

    Returns:
        The samples, of `shape`.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: the network cannot take the shape, the device or a label; the budget is below one step, below what
            a table takes, or above a million; guidance has no label; the sampler is unknown; the number of labels or
            seeds is not that of the samples; or memory does not hold the samples.

    Example:
        >>> images = sample(load("digits-flow"), (10, 1, 8, 8), nfe=8, label=range(10))
        >>> images.shape
        torch.Size([10, 1, 8, 8])
    """
    batch, like = _states(denoiser, shape, dtype, device)
    check_memory("The number of samples", batch, batch * math.prod(like.shape[1:]) * dtype.itemsize // 8)
    denoiser = conditioned(denoiser, like, batch, label, guidance)
    samples, made = like.new_empty(batch, *like.shape[1:]), 0
    for x in sample_chunks(
        denoiser, samples.shape, nfe, seed, sampler=sampler, chunk=chunk, dtype=dtype, device=device, progress=progress
    ):
        samples[made : made + len(x)] = x
        made += len(x)
    return samples


def sample_chunks(
    denoiser: Denoiser | FlowMap,
    shape: Sequence[int],
    nfe: int = 20,
    seed: int | Sequence[int] = 0,
    *,
    sampler: AnySampler | Jumps = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Iterator[Tensor]:
    """The samples of `sample`, `chunk` at a time and in order, for those who do not keep them all.

    Args:
        denoiser: the network, with its labels and guidance: sample_chunks(CFG(denoiser.given(3), 2.0), ...).
        shape: as for `sample`, and so are the other arguments.

    Yields:
        The next samples, (chunk, ...); the last chunk may be shorter.

    Raises:
        ValueError: as `sample` raises, at the call and not at the first chunk.

    Example:
        >>> [len(x) for x in sample_chunks(load("digits-flow"), (5, 1, 8, 8), nfe=4, chunk=2)]
        [2, 2, 1]
    """
    batch, like = _states(denoiser, shape, dtype, device)
    nfe, progress = whole("nfe", nfe, 1, MANY), flag("progress", progress)
    rest, numbers = like.shape[1:], math.prod(like.shape[1:])
    size = chunk_size(rest) if chunk is None else whole("chunk", chunk, 1)
    at_once = min(size, batch)
    check_memory("The number of samples at a time", at_once, batch + at_once * numbers * STATES * dtype.itemsize // 8)
    denoiser = conditioned(denoiser, like, batch)
    if isinstance(denoiser, FlowMap):
        planned: Plan | JumpPlan = plan_jumps(denoiser, as_jumps(sampler, denoiser), nfe)
    elif isinstance(sampler, Jumps):
        raise TypeError(f"{sampler} is for flow maps; give a FlowMap, or the name of a sampler.")
    else:
        planned = plan(denoiser, resolve(sampler, denoiser, nfe // denoiser.cost), nfe)
    keys = per_sample_keys(seed, batch, like.device)

    @torch.no_grad()
    def made(index: Tensor) -> Tensor:
        own, x = keys.of_rows(index), like.new_empty(len(index), *rest)
        first, last = planned.times[0].item(), planned.times[-1].item()
        x = denoiser.path.sigma(first) * standard_normal(x, own)
        noise = BrownianTree(x, first, last, own) if planned.stochastic else None
        if isinstance(planned, JumpPlan):
            return planned.of_rows(index).run(x, noise, progress and size >= batch)
        return planned.of_rows(index).solve(x, noise, max_nfe=nfe, progress=progress and size >= batch).x

    def chunks() -> Iterator[Tensor]:
        with Progress(0.0, batch, progress and size < batch) as bar:
            for first in range(0, batch, size):
                last = min(first + size, batch)
                yield made(torch.arange(first, last, device="cpu"))
                bar.reach(last)

    return chunks()


def chunk_size(shape: Sequence[int]) -> int:
    """The number of samples of this shape, without their number, that are made at a time by default."""
    return max(1, min(SAMPLES_AT_ONCE, NUMBERS_AT_ONCE // max(1, math.prod(shape))))


def _states(
    denoiser: Denoiser | FlowMap, shape: Sequence[int], dtype: torch.dtype, device: torch.device | str
) -> tuple[int, Tensor]:
    """The number of samples, and no states like theirs, (0, ...)."""
    check_sampled(denoiser)
    batch, *rest = wholes("shape", shape, 0, 2**62) or (0,)
    if batch < 1:
        raise ValueError(f"shape = {tuple(shape)} asks for no samples; give (B, ...) with B >= 1.")
    check_dtype("dtype", dtype)
    numbers = math.prod(rest)
    check_memory("The number of components of a sample", numbers, numbers * STATES * dtype.itemsize // 8)
    check_device("device", device)
    return batch, torch.empty(0, *rest, dtype=dtype, device=device)


def check_sampled(value: object) -> None:
    """Raises TypeError unless the value is a denoiser or a flow map."""
    if not isinstance(value, FlowMap):
        check_denoiser(value)


def conditioned(
    denoiser: Sampled,
    x: Tensor,
    batch: int,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
) -> Sampled:
    """The denoiser, or the flow map, with labels and guidance for a batch of samples, checked against its network.

    Everything in it that belongs to single samples has one row a sample, on the device of x.

    Args:
        denoiser: the network.
        x: states like those of the batch, (any, ...); shape, dtype and device count.
        batch: the number of samples.
        label: as for `sample`.
        guidance: as for `sample`.

    Raises:
        ValueError: as `sample` raises.
    """
    check_network(denoiser.net, x)
    if label is not None:
        denoiser = denoiser.given(label)
    if guidance is not None:
        if denoiser.label is None and not denoiser.condition:
            raise ValueError("guidance needs a label to guide towards; give label=..., or leave guidance out.")
        if isinstance(denoiser, FlowMap):
            raise ValueError(
                "A flow map was trained for one guidance, or takes the weight as a condition; leave guidance out, or "
                'give label={"weight": ...}.'
            )
        denoiser = CFG(denoiser, guidance)
    return denoiser.map_rows(lambda rows: for_batch("label, condition or weight", rows, batch).to(x.device))


def check_network(net: object, x: Tensor) -> None:
    """Check that one of Fokker's own networks can take x; other networks raise errors of their own.

    Args:
        net: the network.
        x: a state, (B, ...).

    Raises:
        ValueError: the shape or the device differs from the network's.
    """
    if not isinstance(net, Network):
        return
    net.check_shape(x)
    device = next(net.parameters()).device.type
    if x.device.type != device:
        raise ValueError(
            f"The state is on {x.device.type}, but the network on {device}; give device='{device}', or move the "
            f"network with .to('{x.device.type}')."
        )
