"""Samples and likelihoods of many samples, a chunk a job, on an engine.

What is drawn for a sample depends on the seed and on its position alone, so that the results do not depend on the
engine, nor on the chunks but by the rounding of the network. The default chunks are those of `sample` and of
`log_likelihood`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ..generative import Denoiser, FlowMap, Jumps
from ..generative.denoiser import Condition, Label, check_denoiser
from ..generative.likelihood import LikelihoodPlan, LogLikelihood, block_size, joined, log_likelihood, plan_likelihood
from ..generative.sampling import (
    AnySampler,
    as_sampler,
    check_sampled,
    chunk_size,
    conditioned,
    sample_chunks,
)
from ..solvers.common import Progress, check_instance, check_memory, check_samples, flag, whole, wholes
from ..solvers.noise import Keys, per_sample_keys
from .engine import Engine

__all__ = ["log_likelihood_many", "sample_many"]

Rows = tuple[int, int]
"""The first row of a chunk, and the row behind its last."""


@dataclass(frozen=True)
class Draw:
    """Samples of a batch, any rows at a time.

    Args:
        denoiser: with its labels and guidance, a row a sample.
        keys: of all samples.
        shape: of one sample.
        options: what else `sample_chunks` takes.
    """

    denoiser: Denoiser | FlowMap
    keys: Keys
    shape: tuple[int, ...]
    options: dict[str, Any]

    def rows(self, rows: Rows) -> Tensor:
        index = torch.arange(*rows, device="cpu")
        denoiser, seed = self.denoiser.of_rows(index), cast(Any, self.keys.of_rows(index))
        (found,) = sample_chunks(denoiser, (len(index), *self.shape), seed=seed, chunk=len(index), **self.options)
        return found


def sample_many(
    denoiser: Denoiser | FlowMap,
    shape: Sequence[int],
    nfe: int = 20,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    seed: int | Sequence[int] = 0,
    *,
    engine: Engine,
    sampler: AnySampler | Jumps = None,
    chunk: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Tensor:
    """The samples of `sample`, drawn on an engine.

    Args:
        denoiser: the network, and so the other arguments: as for `sample`.
        engine: where the chunks are drawn, such as `local()` or `ray()`.
        chunk: the number of samples of a job.

    Returns:
        The samples, of `shape`.

    Raises:
        TypeError, ValueError: as `sample` raises, before any work.
        ChildProcessError: as `Engine.run` raises.

    Example:
        >>> with local(2) as engine:
        ...     images = sample_many(load("digits-flow"), (5000, 1, 8, 8), nfe=8, engine=engine)
        >>> images.shape
        torch.Size([5000, 1, 8, 8])
    """
    check_instance("engine", engine, Engine, "an engine, such as local()")
    check_sampled(denoiser)
    progress = flag("progress", progress)
    batch, *rest = wholes("shape", shape, 0, 2**62) or (0,)
    size = chunk_size(rest) if chunk is None else whole("chunk", chunk, 1)
    chosen: AnySampler | Jumps
    if isinstance(denoiser, FlowMap) or isinstance(sampler, Jumps):
        chosen = sampler
    else:  # the other processes may not see the file of a table
        chosen = None if sampler is None else as_sampler(sampler)
    options: dict[str, Any] = {"nfe": nfe, "sampler": chosen, "dtype": dtype, "device": device}
    sample_chunks(denoiser, shape, seed=seed, chunk=size, **options)  # raises what is to be raised
    like = torch.empty(0, *rest, dtype=dtype, device=device)
    check_memory("The number of samples", batch, batch * math.prod(rest) * dtype.itemsize // 8)
    denoiser = conditioned(denoiser, like, batch, label, guidance)
    draw = Draw(denoiser, per_sample_keys(seed, batch, like.device), tuple(rest), options)
    samples = like.new_empty(batch, *rest)
    done = 0
    with Progress(0.0, batch, progress, "sampling") as bar:
        for (first, last), x in engine.run(draw.rows, _chunks(batch, size)):
            samples[first:last] = x
            done += len(x)
            bar.reach(done)
    return samples


@dataclass(frozen=True)
class Block:
    """Data from the row `first` on. It travels without the other data that its memory holds."""

    first: int
    x: Tensor

    def __reduce__(self) -> tuple[Any, ...]:
        return Block, (self.first, self.x.clone())


@dataclass(frozen=True)
class Densities:
    """Likelihoods under a denoiser by a plan.

    Args:
        denoiser: with a row a sample.
        plan: of all samples.
        keys: of the probes of all samples.
    """

    denoiser: Denoiser
    plan: LikelihoodPlan
    keys: Keys

    def of(self, block: Block) -> LogLikelihood:
        index = torch.arange(block.first, block.first + len(block.x), device="cpu")
        denoiser, seed = self.denoiser.of_rows(index), cast(Any, self.keys.of_rows(index))
        with torch.no_grad():
            return log_likelihood(denoiser, block.x, self.plan, seed)


def log_likelihood_many(
    denoiser: Denoiser,
    x: Tensor,
    plan: LikelihoodPlan | None = None,
    seed: int | Sequence[int] = 0,
    *,
    engine: Engine,
    error: float | None = None,
    error_of_mean: float | None = None,
    nodes: int | None = None,
    trace: str = "auto",
    probes: int | None = None,
    frozen: bool = False,
    law: str = "rademacher",
    times: Sequence[float] = (1.0, 0.0),
    chunk: int | None = None,
    progress: bool = False,
) -> LogLikelihood:
    """The result of `log_likelihood`, computed on an engine, without derivatives. All chunks have one plan.

    Args:
        denoiser: the network, and so the other arguments: as for `log_likelihood`.
        engine: where the chunks are computed, such as `local()` or `ray()`.
        chunk: the number of samples of a job.

    Raises:
        TypeError, ValueError, SolveError: as `log_likelihood` raises.
        ChildProcessError: as `Engine.run` raises.

    Example:
        >>> with local(2) as engine:
        ...     found = log_likelihood_many(load("digits-flow"), torch.zeros(2, 1, 8, 8), engine=engine)
        >>> found.value.shape
        torch.Size([2])
    """
    check_instance("engine", engine, Engine, "an engine, such as local()")
    check_denoiser(denoiser)
    check_samples("x", x, axes=2, empty=False, wait=True)
    progress = flag("progress", progress)
    size = block_size(x) if chunk is None else whole("chunk", chunk, 1)
    keys = per_sample_keys(seed, len(x), x.device)
    if plan is None:
        plan = plan_likelihood(
            denoiser, x, error=error, error_of_mean=error_of_mean, nodes=nodes, trace=trace, probes=probes,
            frozen=frozen, law=law, times=times,
        )  # fmt: skip
    check_instance("plan", plan, LikelihoodPlan, "plan_likelihood(denoiser, x)")
    densities = Densities(denoiser, plan, keys)
    blocks = [Block(first, x.detach()[first:last]) for first, last in _chunks(len(x), size)]
    parts: dict[int, LogLikelihood] = {}
    done = 0
    with Progress(0.0, len(x), progress, "likelihoods") as bar:
        for block, part in engine.run(densities.of, blocks):
            parts[block.first] = part
            done += len(block.x)
            bar.reach(done)
    return joined([parts[first] for first in sorted(parts)])


def _chunks(batch: int, size: int) -> list[Rows]:
    return [(first, min(first + size, batch)) for first in range(0, batch, size)]
