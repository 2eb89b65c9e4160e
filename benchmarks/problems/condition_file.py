"""The further arguments of a network in a file.

    .npy            one array, for the only argument that the network takes besides the state, the time and a label, or
                    for encoder_hidden_states
    .safetensors    a tensor for each argument, by its name. "a.b" is the entry b of the mapping a, and "negative.a" is
                    what guidance leads away from in place of a.

A tensor has one row for all samples, or one a sample.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...generative import Denoiser
from ...generative.denoiser import module_of
from ...solvers.common import check_finite, is_file

__all__ = ["read_condition"]

TEXT = "encoder_hidden_states"
NEGATIVE = "negative"


def read_condition(file: Path, denoiser: Denoiser) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The condition in a file, and the negative one if there is any.

    Args:
        file: a file .npy or .safetensors.
        denoiser: the network, whose arguments tell the name of an array that has none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no tensors, a number that is not finite, or an array without a name.
    """
    if not is_file(file):
        raise FileNotFoundError(f"There is no file {file} with the condition.")
    try:
        if file.suffix == ".npy":
            tensors = {"": torch.from_numpy(np.load(file, allow_pickle=False))}
        elif file.suffix == ".safetensors":
            tensors = load_file(file)
        else:
            raise ValueError("it is neither .npy nor .safetensors")
    except (TypeError, ValueError, EOFError, SafetensorError) as error:
        reason = str(error).partition(". ")[0].removesuffix(".")
        raise ValueError(f"{file} holds no condition ({reason}); write tensors with safetensors.") from None
    for name, value in tensors.items():
        if not value.ndim:
            raise ValueError(f"{file} holds {name or 'a number'} without rows; give one row for all, or one a sample.")
        check_finite(f"{name or 'The array'} in {file}", value)
    if file.suffix == ".npy":
        tensors = {_only_argument(file, denoiser): tensors[""]}
    nested = _nested(tensors)
    negative = nested.pop(NEGATIVE, None)
    return nested, negative


def _only_argument(file: Path, denoiser: Denoiser) -> str:
    net = module_of(denoiser.net) or denoiser.net
    try:
        names = list(inspect.signature(net.forward if isinstance(net, nn.Module) else net).parameters)
    except (TypeError, ValueError):  # of a function in C
        names = []
    if TEXT in names:
        return TEXT
    further = [name for name in names[2:] if "label" not in name]
    if names and not further:
        raise ValueError(f"{file} is for an argument that the network does not take; leave the condition out.")
    if len(further) != 1:
        which = f", of {', '.join(further)}" if further else ""
        raise ValueError(
            f"{file} does not say which argument of the network it is{which}; write a .safetensors with its name."
        )
    return further[0]


def _nested(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Names with dots as mappings in mappings."""
    nested: dict[str, Any] = {}
    for name, value in tensors.items():
        *outer, last = name.split(".")
        inside = nested
        for part in outer:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise ValueError(f"The condition has {part!r} as a tensor, and {name!r} inside it; rename one.")
        inside[last] = value
    return nested
