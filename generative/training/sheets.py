"""Contact sheets: images in rows and columns with their labels, as a PNG; and what a network draws during training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ...solvers.common import Array, write_whole
from ..denoiser import Denoiser
from ..flow_maps import FlowMap
from ..sampling import sample

__all__ = ["INK", "MOST_ROWS", "contact_sheet", "draw_sheet", "save_figure"]

ROWS = 4
COLUMNS = 10  # unless there are classes: one each
NFE, JUMPS = 20, 4  # of a denoiser, and of a flow map
INK = "#333333"
MOST_ROWS = 600
"""More rows than these make a picture of more than 2^16 pixels, which matplotlib does not draw."""


def draw_sheet(file: Path, denoiser: Denoiser | FlowMap, shape: tuple[int, ...], classes: int) -> None:
    """Draw four rows of samples, a column a class, from the same noise every time.

    Args:
        file: the PNG, written atomically.
        denoiser: the network that is trained.
        shape: of one grey image, (1, height, width).
        classes: the number of classes; 0 for a network without labels, which gets ten columns.

    Raises:
        ValueError: as `sample`.
    """
    columns = classes or COLUMNS
    label = torch.arange(ROWS * columns, device="cpu") % columns if classes else None
    nfe = JUMPS if isinstance(denoiser, FlowMap) else NFE
    x = sample(denoiser, (ROWS * columns, *shape), nfe=nfe, label=label)
    images = x[:, 0].reshape(ROWS, columns, *shape[1:]).double().numpy()
    contact_sheet(images, [""] * ROWS, [str(k) if classes else "" for k in range(columns)], file)


def contact_sheet(
    images: Array, rows: Sequence[str], columns: Sequence[str], file: Path, title: str = ""
) -> None:
    """Draw grey images in rows and columns.

    Args:
        images: (rows, columns, height, width), white at 1 and black at −1; NaN leaves a place empty.
        rows: a label for every row.
        columns: a label for every column.
        file: the PNG, written atomically.
        title: of the whole sheet.
    """
    height, width = images.shape[2:]
    gap = max(1, height // 8)
    sheet = np.pad(images.clip(-1.0, 1.0), ((0, 0), (0, 0), (gap, 0), (gap, 0)), constant_values=np.nan)
    sheet = sheet.transpose(0, 2, 1, 3).reshape(len(rows) * (height + gap), -1)[gap:, gap:]
    left, top = 0.2 + 0.075 * max(map(len, rows)), 0.3 + 0.35 * bool(title)
    across, down = 0.62 * len(columns), 0.62 * len(rows)
    size = across + left + 0.15, down + top + 0.1
    figure = Figure(figsize=size)
    axes = figure.add_axes((left / size[0], 0.1 / size[1], across / size[0], down / size[1]))
    axes.imshow(sheet, cmap="gray", vmin=-1.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([(width + gap) * i + (width - 1) / 2 for i in range(len(columns))], columns)
    axes.set_yticks([(height + gap) * i + (height - 1) / 2 for i in range(len(rows))], rows)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=11, color=INK, loc="left", pad=10)
    save_figure(figure, file)


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG, atomically."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, facecolor="white")
    write_whole(file, content.getvalue())
