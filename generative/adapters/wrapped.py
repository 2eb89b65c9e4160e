"""The network inside a wrapper, which alone says how it is called and what it was trained for.

    DataParallel, DistributedDataParallel, FSDP     module
    torch.compile                                   _orig_mod
    PEFT                                            base_model, and in it model

The wrapper is what is called; the network inside is what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["settings_of", "unwrapped"]

INSIDE = {
    "module": ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "DeepSpeedEngine"),
    "_orig_mod": ("OptimizedModule",),
    "base_model": ("PeftModel", "PeftMixedModel"),
    "model": ("BaseTuner",),
}
"""The attribute that holds the network, with the classes of the wrappers that have it."""


def unwrapped(net: Any) -> Any:
    """The innermost network of a module that wraps another; anything else is returned unchanged."""
    while isinstance(net, nn.Module):
        classes = {each.__name__ for each in type(net).__mro__}
        held = next((name for name, wrappers in INSIDE.items() if classes.intersection(wrappers)), None)
        if held is None:
            return net
        net = getattr(net, held)
    return net


def settings_of(net: Any) -> Mapping[str, Any]:
    """The configuration of a network of diffusers, which may be wrapped; empty if it has none."""
    config = getattr(unwrapped(net), "config", None)
    return config if isinstance(config, Mapping) else {}
