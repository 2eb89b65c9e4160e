"""Pictures of samples: by the number of evaluations, and of one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...generative import sample
from ...generative.sampling import default_sampler
from ...generative.training.sheets import MOST_ROWS, contact_sheet
from ...solvers import solve
from ...solvers.common import whole
from ...verification.named_networks import declared_classes, declared_shape, named_denoiser
from ..problems import Problem
from .output import check_outputs

__all__ = ["by_budget", "draw"]

COLUMNS = 10


def by_budget(problem: Problem, budgets: Sequence[int], samples: int, seed: int) -> dict[int, Tensor]:
    """The end points of the same initial noises for each budget, by the default sampler of `sample`.

    Args:
        problem: the problem whose flow is solved.
        budgets: numbers of network evaluations.
        samples: the number of initial noises.
        seed: of the initial noises.

    Returns:
        The end points, (samples, ...), by budget.
    """
    noise, equation = problem.noise(samples, seed), problem.equation(samples)
    ends = {}
    for budget in budgets:
        solver, times = default_sampler(problem.path, budget, t1=problem.end)
        ends[budget] = solve(equation, noise, times, solver).x
    return ends


def draw(
    network: str | Path,
    samples: int,
    file: Path,
    *,
    nfe: int,
    label: int | None,
    guidance: float | None,
    seed: int,
) -> None:
    """Draw images from a network into a contact sheet.

    Args:
        network: the name of a network (see `verification.named_networks`).
        samples: the number of images.
        file: the PNG, written atomically.
        nfe: network evaluations, as for `sample`.
        label: the class of all images; the classes in turn if None.
        guidance: the weight of guidance, as for `sample`.
        seed: of the initial noises.

    Raises:
        ValueError: for a network that does not make images, for a class that it does not have, for a file that does
            not end in .png, for more images than a picture holds, and as `named_denoiser` and `sample`.
        OSError: the file cannot be written, before any work.
    """
    if file.suffix.lower() != ".png":
        raise ValueError(f"{file} must end in .png, the format of the picture.")
    check_outputs(file)
    denoiser = named_denoiser(str(network))
    shape, classes = declared_shape(denoiser), declared_classes(denoiser)
    if shape is None:
        raise ValueError(f"{network} does not say the shape of a sample; give its net the attribute shape, (C, H, W).")
    if len(shape) != 3:
        raise ValueError(f"{network} makes samples of shape {tuple(shape)}, which are no images.")
    if label is not None and label >= classes:
        raise ValueError(f"The classes of {network} run from 0 to {classes - 1}, but the label is {label}.")
    columns = min(classes if classes and label is None else COLUMNS, samples)
    whole("samples", samples, 1, columns * MOST_ROWS)
    counted = torch.arange(samples, device="cpu")
    labels = counted % columns if label is None else torch.full_like(counted, label)
    x = sample(
        denoiser, (samples, *shape), nfe=nfe, label=labels if classes else None, guidance=guidance, seed=seed
    )
    rows = -(-samples // columns)
    images = np.full((rows * columns, *shape[1:]), np.nan)
    images[:samples] = x[:, 0].numpy()
    titles = [str(value) if classes else "" for value in labels[:columns].tolist()]
    contact_sheet(images.reshape(rows, columns, *shape[1:]), [""] * rows, titles, file)
