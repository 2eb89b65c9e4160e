"""Sampling in two lines: a denoiser and a shape.

Noise x = σ ξ at t = 0 is carried along the probability flow to data at t = 1 by a multistep exponential integrator, one
network evaluation a step. ξ comes from a counter-based generator: sample i is the same whatever the batch.

The default is what `fokker bench` finds best: third order with the velocity held, on steps uniform in √(1 − t), and
from 15 evaluations on the corrector, whose start-up costs two of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..solvers import ExponentialAdams, Solver, solve, standard_normal
from . import grids
from .denoiser import Denoiser
from .guidance import CFG
from .path import GaussianPath
from .process import flow

__all__ = ["default_sampler", "sample"]

CORRECTED_FROM = 15
"""Evaluations from which the corrector pays."""


def default_sampler(path: GaussianPath, nfe: int, *, t1: float = 1.0) -> tuple[Solver, Tensor]:
    """The best measured solver for `flow(denoiser)` with at most `nfe` evaluations, and its times from 0 to t1."""
    solver = ExponentialAdams(3, corrector=nfe >= CORRECTED_FROM)
    return solver, grids.quadratic(path, solver.steps(nfe), t1=t1)


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    nfe: int = 20,
    label: int | Sequence[int] | Tensor | None = None,
    guidance: float | None = None,
    seed: int | Sequence[int] = 0,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Tensor:
    """Draw samples of `shape` (B, ...) with at most `nfe` network evaluations each.

    label: class labels, an int or one for each sample. guidance: the weight of classifier-free guidance (1: the plain
    conditional model, more: sharper and less diverse); it needs a label, and two evaluations a step. seed: an int, or
    one int a sample. Raises ValueError for a budget below one evaluation, and for guidance without a label.
    """
    if guidance is not None and label is None:
        raise ValueError("guidance needs a label to guide towards; give label=..., or leave guidance out.")
    if label is not None:
        denoiser = denoiser.given(label)
    if guidance is not None:
        denoiser = CFG(denoiser, guidance)
    if nfe < denoiser.cost:
        raise ValueError(f"nfe = {nfe} is less than one step, which takes {denoiser.cost} evaluations; allow more.")
    solver, times = default_sampler(denoiser.path, nfe // denoiser.cost)
    noise = standard_normal(torch.empty(tuple(shape), dtype=dtype, device=device), seed)
    return solve(flow(denoiser), denoiser.path.sigma(0.0) * noise, times, solver, progress=progress).x
