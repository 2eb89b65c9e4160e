"""Probes and audits of networks by name, on clean data by name.

Data are a data set by name (its dequantised held-out images), or a file of samples, .npy or .safetensors with the
tensor "data".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...generative.training import DATASETS, dataset, training_record
from ...solvers.common import check_finite
from ..named_networks import is_folder, is_imported, named_denoiser, named_network
from .audit import audit
from .audit_result import Audit
from .finding import Finding
from .probe import probe

__all__ = ["audit_checkpoint", "clean_data", "probe_checkpoint_or_module", "read_samples"]


def probe_checkpoint_or_module(network: str, data: str | None = None, **options: Any) -> Finding:
    """Probes a network by name. A checkpoint's own statements on the network are not used.

    Args:
        network: the name of the network.
        data: the name or file of the data; None for the data set of a checkpoint's training.
        options: those of `probe`.

    Raises:
        Exception: what `named_network`, `clean_data` and `probe` raise.
    """
    net = named_network(network)
    return probe(net, _like(net, clean_data(data, network)), **options)


def audit_checkpoint(network: str, data: str | None = None, **options: Any) -> Audit:
    """Audits a denoiser by name. A data set by name also gives the samples of the training.

    Args:
        network: the name of the denoiser.
        data: the name or file of the data; None for the data set of a checkpoint's training.
        options: those of `audit`.

    Raises:
        Exception: what `named_denoiser`, `clean_data` and `audit` raise.
    """
    denoiser, held_out = named_denoiser(network), clean_data(data, network)
    name = data or _trained_on(network)
    if name in DATASETS:
        images = dataset(name)
        trained = images.dequantisation(images.train, seed=0)
        options = {"trained_on": trained, "dequantisation": images.dequantisation} | options
    return audit(denoiser, _like(denoiser.net, held_out), name=network, **options)


def clean_data(data: str | None, network: str = "") -> Tensor:
    """Clean samples (M, …), float32 for a data set by name.

    data: None for the data set of the training of the checkpoint `network`. Raises ValueError for unknown data and for
    a network that names none, and what `dataset` raises.
    """
    data = data or _trained_on(network)
    if data in DATASETS:
        images = dataset(data)
        return images.dequantisation(images.held_out, seed=0)
    found = read_samples(data)
    if not found.is_floating_point():
        raise ValueError(f"{data} holds {found.dtype}; write the samples as floats, scaled as in training.")
    check_finite(data, found)
    return found


def read_samples(data: str) -> Tensor:
    """The samples in a file, (M, ...), of any dtype. Raises ValueError for a file that holds none."""
    file = Path(data)
    if not file.is_file():
        raise ValueError(f"There is no data {data!r}; give a file, or one of {', '.join(DATASETS)}.")
    found = _read(file)
    if found.ndim < 2:
        raise ValueError(f"{file} has the shape {tuple(found.shape)}; write one sample a row, (M, ...).")
    return found


def _read(file: Path) -> Tensor:
    """The tensor in a file. Raises ValueError for a file that holds none."""
    if file.suffix not in (".npy", ".safetensors"):
        raise ValueError(f"{file} is neither .npy nor .safetensors; write the samples as one of them.")
    try:
        if file.suffix == ".npy":
            return torch.from_numpy(np.load(file, allow_pickle=False))
        tensors = load_file(file)
    except (TypeError, ValueError, EOFError, SafetensorError) as error:
        reason = str(error).partition(". ")[0].removesuffix(".")
        raise ValueError(f"{file} holds no numbers ({reason}); write the samples with numpy.save.") from None
    if "data" not in tensors:
        raise ValueError(f'{file} holds {", ".join(tensors) or "nothing"}; call the samples "data".')
    return tensors["data"]


def _like(net: Callable[..., Tensor], data: Tensor) -> Tensor:
    """The data in the dtype of the network's weights, if the network has weights."""
    weight = next(net.parameters(), None) if isinstance(net, nn.Module) else None
    return data if weight is None else data.to(weight.dtype)


def _trained_on(network: str) -> str:
    """The data set that a checkpoint names. Raises ValueError if there is none."""
    record = {} if is_imported(network) or is_folder(network) else training_record(network)
    name = record.get("data")
    if name is None:
        raise ValueError(f"{network} does not say what it was trained on; give the data, a name or a file.")
    return str(name)
