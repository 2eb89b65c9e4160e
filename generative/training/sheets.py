"""Sheets of images, and the sheet of samples that a training draws from the same noise every time."""

from __future__ import annotations

import io
from pathlib import Path

import torch
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
    """Draws four rows of samples, a column a class, and writes them atomically as a PNG.

    Args:
        file: where the picture goes.
        denoiser: the network, of grey images in [-1, 1].
        shape: the shape of one image, (1, height, width).
        classes: the number of its classes; 0 for a network without labels, which gets ten columns.

    Raises:
        ValueError, SolveError: as `sample` does.
    """
    from matplotlib.image import imsave  # slow to import, and of no use to those who do not look

    columns = classes or COLUMNS
    label = torch.arange(ROWS * columns) % columns if classes else None
    x = sample(denoiser, (ROWS * columns, *shape), nfe=NFE, label=label)
    content = io.BytesIO()
    imsave(content, tiled(x[:, 0], columns).numpy(), cmap="gray", vmin=-1.0, vmax=1.0, format="png")
    write_whole(file, content.getvalue())


def tiled(images: Tensor, columns: int, *, gap: int = 1, magnified: int = MAGNIFIED) -> Tensor:
    """Grey images as the tiles of one image.

    Args:
        images: (rows · columns, height, width), cut to [-1, 1].
        columns: how many of them make a row.
        gap: the width of the white line on the right of each tile and below it, in pixels before magnification.
        magnified: how many pixels of the result a pixel is wide and high.

    Returns:
        (rows · (height + gap) · magnified, columns · (width + gap) · magnified), in [-1, 1].
    """
    framed = pad(images.clamp(-1.0, 1.0), (0, gap, 0, gap), value=1.0)
    _, height, width = framed.shape
    rows = framed.reshape(-1, columns, height, width).transpose(1, 2).reshape(-1, columns * width)
    return rows.repeat_interleave(magnified, 0).repeat_interleave(magnified, 1)
