"""Sampling in two lines: a denoiser and a shape.

Noise x = σ ξ at t = 0 is carried along the probability flow to data at t = 1 by a multistep exponential integrator, one
network evaluation a step; or by a published sampler, stochastic ones too, or by a solver of your own.

Every number that is drawn, at the start and on the way, is a function of the seed and of the sample's position, or of
the sample's own seed, and of nothing else: to the last bit the same in every batch and chunk, and up to rounding on
every device. So is every coefficient, and the arithmetic between them is elementwise. The network is left: where its
matrix products round differently for another batch, so do the samples, by that rounding and what the flow makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...solvers import BrownianTree, standard_normal
from ...solvers.common import Progress
from ...solvers.noise import per_sample_keys
from ..denoiser import CFG, Condition, Denoiser, Label, for_batch
from ..networks import Network
from .plan import AnySampler, chosen, plan

__all__ = ["conditioned", "sample", "sample_chunks"]

NUMBERS_AT_ONCE, SAMPLES_AT_ONCE = 2**20, 4096
"""The most numbers, and samples, of a chunk by default: networks hold hundreds of numbers for each of their input."""


def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    nfe: int = 20,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    seed: int | Sequence[int] = 0,
    *,
    sampler: AnySampler = None,
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
    like = torch.empty(0, *shape[1:], dtype=dtype, device=device)
    denoiser = conditioned(denoiser, like, shape[0], label, guidance)
    samples, made = torch.empty(tuple(shape), dtype=dtype, device=device), 0
    for x in sample_chunks(
        denoiser, shape, nfe, seed, sampler=sampler, chunk=chunk, dtype=dtype, device=device, progress=progress
    ):
        samples[made : made + len(x)] = x
        made += len(x)
    return samples


def sample_chunks(
    denoiser: Denoiser,
    shape: Sequence[int],
    nfe: int = 20,
    seed: int | Sequence[int] = 0,
    *,
    sampler: AnySampler = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Iterator[Tensor]:
    """The samples of `sample`, `chunk` at a time and in order, for those who do not keep them all.

    The denoiser brings its labels and guidance along: sample_chunks(CFG(denoiser.given(3), 2.0), ...). The other
    arguments are those of `sample`, and so is what is raised, at the call and not at the first chunk.
    """
    batch, *rest = shape
    if batch < 1:
        raise ValueError(f"shape = {tuple(shape)} asks for no samples; give (B, ...) with B >= 1.")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk = {chunk} makes no samples; give a number of at least 1.")
    like = torch.empty(0, *rest, dtype=dtype, device=device)
    whole = plan(conditioned(denoiser, like, batch), chosen(sampler, nfe // denoiser.cost), nfe)
    keys = per_sample_keys(seed, batch, like.device)
    size = chunk or max(1, min(SAMPLES_AT_ONCE, NUMBERS_AT_ONCE // max(1, math.prod(rest))))

    @torch.no_grad()
    def made(index: Tensor) -> Tensor:
        own, x = keys[index.to(keys.device)], like.new_empty(len(index), *rest)
        x = denoiser.path.sigma(whole.start) * standard_normal(x, own)
        first, last = whole.times[0].item(), whole.times[-1].item()
        noise = BrownianTree(x, first, last, own) if whole.sampler.stochastic else None
        return whole.of_rows(index).solve(x, noise, max_nfe=nfe, progress=progress and size >= batch).x

    def chunks() -> Iterator[Tensor]:
        with Progress(0.0, batch, progress and size < batch) as bar:
            for first in range(0, batch, size):
                last = min(first + size, batch)
                yield made(torch.arange(first, last))
                bar.reach(last)

    return chunks()


def conditioned(
    denoiser: Denoiser,
    x: Tensor,
    batch: int,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
) -> Denoiser:
    """The denoiser for a batch of samples like x, (any, ...), with labels and guidance, checked against its network.

    All that belongs to single samples has then one row for each, on the device of x.
    """
    check_network(denoiser.net, x)
    if label is not None:
        denoiser = denoiser.given(label)
    if guidance is not None:
        if denoiser.label is None and not denoiser.condition:
            raise ValueError("guidance needs a label to guide towards; give label=..., or leave guidance out.")
        denoiser = CFG(denoiser, guidance)
    return denoiser.map_rows(lambda rows: for_batch("label, condition or weight", rows, batch).to(x.device))


def check_network(net: object, x: Tensor) -> None:
    """Raises ValueError where one of our networks cannot take x. Other networks answer for themselves."""
    if not isinstance(net, Network):
        return
    shape = tuple(x.shape[1:])
    own = net.shape
    if shape != own and not (len(own) == 1 and math.prod(shape) == own[0]):  # points may have any shape
        needed = ", ".join(map(str, own))
        raise ValueError(f"The samples have shape {shape}, but the network's have {own}; give (B, {needed}).")
    weight = next(net.parameters())
    if (x.dtype, x.device.type) != (weight.dtype, weight.device.type):
        raise ValueError(
            f"The state is {x.dtype} on {x.device.type}, but the network {weight.dtype} on {weight.device.type}; "
            f"give dtype={weight.dtype} and device='{weight.device.type}', or move the network with .to(...)."
        )
