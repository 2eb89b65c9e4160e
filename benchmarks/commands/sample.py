"""Samples of a network, as pictures and as numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...generative.training import write
from ...generative.training.sheets import MOST_ROWS, contact_sheet
from ...solvers.common import whole, write_whole
from ...verification.named_networks import declared_classes, declared_shape, named_model
from ..engine import engine_named
from ..many import sample_many
from .output import check_outputs

__all__ = ["draw"]

COLUMNS = 10


def draw(
    network: str | Path,
    samples: int,
    file: Path,
    *,
    nfe: int,
    label: int | None,
    guidance: float | None,
    seed: int,
    sampler: str | None = None,
    engine: str | None = None,
    address: str | None = None,
) -> None:
    """Draw samples from a network into a file: images into a contact sheet, or the numbers themselves.

    Args:
        network: the name of a network (see `verification.named_networks`).
        samples: the number of samples.
        file: a picture, .png, or an array, .npy, or .safetensors with the tensors "samples" and "label". It is
            written atomically.
        nfe: network evaluations, as for `sample`.
        label: the class of all samples; the classes in turn if None.
        guidance: the weight of guidance, as for `sample`.
        seed: of the initial noises.
        sampler: the name of a published sampler, or the file of a table, as for `sample`.
        engine: where the samples are drawn, as for `engine_named`.
        address: of the Ray cluster.

    Raises:
        ValueError: for a network whose shape is not known, or that makes no images for a picture, for a class that it
            does not have, for a file of another kind, for more images than a picture holds, and as `named_model`,
            `sample` and `engine_named`.
        OSError: the file cannot be written, before any work.
    """
    kind = file.suffix.lower()
    if kind not in (".png", ".npy", ".safetensors"):
        raise ValueError(f"{file} must end in .png, the format of the picture, or in .npy or .safetensors for numbers.")
    check_outputs(file)
    denoiser = named_model(str(network))
    shape, classes = declared_shape(denoiser), declared_classes(denoiser)
    if shape is None:
        raise ValueError(f"{network} does not say the shape of a sample; give its net the attribute shape, (C, H, W).")
    if label is not None and label >= classes:
        raise ValueError(f"The classes of {network} run from 0 to {classes - 1}, but the label is {label}.")
    columns = min(classes if classes and label is None else COLUMNS, samples)
    if kind == ".png":
        if len(shape) != 3:
            raise ValueError(f"{network} makes samples of shape {tuple(shape)}, which are no images; write .npy.")
        whole("samples", samples, 1, columns * MOST_ROWS)
    counted = torch.arange(samples, device="cpu")
    labels = counted % max(classes, 1) if label is None else torch.full_like(counted, label)
    given = labels if classes else None
    with engine_named(engine, address=address) as where:
        x = sample_many(
            denoiser, (samples, *shape), nfe, given, guidance, seed, engine=where, sampler=sampler, progress=True
        )
    if kind == ".png":
        _picture(x, labels[:columns].tolist() if classes else [], columns, file)
    elif kind == ".npy":
        content = io.BytesIO()
        np.save(content, x.numpy())
        write_whole(file, content.getvalue())
    else:
        facts = {"network": str(network), "nfe": nfe, "guidance": guidance, "sampler": sampler, "seed": seed}
        write(file, {"samples": x} | ({"label": labels} if classes else {}), facts)


def _picture(x: Tensor, labels: Sequence[int], columns: int, file: Path) -> None:
    """Images (N, C, H, W) in rows, with their labels above the first."""
    rows = -(-len(x) // columns)
    images = np.full((rows * columns, *x.shape[2:]), np.nan)
    images[: len(x)] = x[:, 0].numpy()
    titles = list(map(str, labels)) or [""] * columns
    contact_sheet(images.reshape(rows, columns, *x.shape[2:]), [""] * rows, titles, file)
