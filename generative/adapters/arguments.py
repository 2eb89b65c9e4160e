"""What a pipeline passes to a scheduler in every step: kinds, shapes and devices. The values are not looked at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...solvers.common import check_floating, check_instance, shown

__all__ = ["check_states", "check_tokens"]


def check_states(**states: Any) -> None:
    """Raise TypeError or ValueError unless these are tensors (B, ...) on one device. Their values are not looked at."""
    for name, x in states.items():
        check_floating(name, x)
        if x.ndim == 0 or x.is_meta:
            raise ValueError(f"{name} is {shown(x)} on {x.device}, but must hold samples, (B, ...), and have values.")
    devices = {name: x.device for name, x in states.items()}
    if len(set(devices.values())) > 1:
        places = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise ValueError(f"The tensors are on two devices, {places}; move one of them.")


def check_tokens(timesteps: Any, sample: Tensor) -> None:
    """Raise TypeError or ValueError unless there is one timestep for each token of the state."""
    check_instance("per_token_timesteps", timesteps, Tensor, "a tensor (B, tokens)")
    if timesteps.shape != sample.shape[:-1] or timesteps.layout != torch.strided or timesteps.is_meta:
        raise ValueError(
            f"per_token_timesteps is {shown(timesteps)} for a state of shape {tuple(sample.shape)}, but must be dense, "
            "(B, tokens) for a state (B, tokens, C)."
        )
