"""What a network draws while it is being trained: a sheet of samples from the same noise every time."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from matplotlib.image import imsave
from torch import Tensor
from torch.nn.functional import pad

from ...solvers.common import write_whole
from ..denoiser import Denoiser
from ..sampling import sample

__all__ = ["draw_sheet", "tiled"]

ROWS = 4
COLUMNS = 10  # unless there are classes: one each
MAGNIFIED = 4
NFE = 20


def draw_sheet(file: Path, denoiser: Denoiser, shape: tuple[int, ...], classes: int) -> None:
    """Four rows of grey images of `shape` (1, height, width), a column a class, as a PNG, whole or not at all.

    Raises what `sample` raises.
    """
    columns = classes or COLUMNS
    label = torch.arange(ROWS * columns) % columns if classes else None
    x = sample(denoiser, (ROWS * columns, *shape), nfe=NFE, label=label)
    content = io.BytesIO()
    imsave(content, tiled(x[:, 0], columns).numpy(), cmap="gray", vmin=-1.0, vmax=1.0, format="png")
    write_whole(file, content.getvalue())


def tiled(images: Tensor, columns: int) -> Tensor:
    """Images (rows · columns, height, width) in rows, magnified, with a white line between: one image."""
    framed = pad(images.clamp(-1.0, 1.0), (0, 1, 0, 1), value=1.0)
    _, height, width = framed.shape
    rows = framed.reshape(-1, columns, height, width).transpose(1, 2).reshape(-1, columns * width)
    return rows.repeat_interleave(MAGNIFIED, 0).repeat_interleave(MAGNIFIED, 1)
