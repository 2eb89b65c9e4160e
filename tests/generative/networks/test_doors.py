"""What the architectures refuse, before they take memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from doors import check_numbers, check_refusals

from fokker.generative.networks import MLP, DiT, Network, UNet

SIZES: dict[type[Network], dict[str, int]] = {
    MLP: {"dim": 4, "width": 8, "depth": 1, "classes": 2},
    UNet: {"size": 4, "channels": 1, "width": 8, "classes": 2, "patch": 1},
    DiT: {"size": 4, "channels": 1, "patch": 2, "width": 8, "depth": 1, "heads": 1, "classes": 2},
}
EACH = [(kind, name) for kind, sizes in SIZES.items() for name in sizes]


@pytest.mark.parametrize(("kind", "name"), EACH, ids=lambda each: getattr(each, "__name__", each))
def test_a_size_is_whole_and_memory_holds_it(kind: type[Network], name: str) -> None:
    def make(value: Any) -> Network:
        return kind(**SIZES[kind] | {name: value})

    check_refusals(f"{name}|number of parameters", "whole", make)
    check_numbers(lambda v: make(v).arguments[name], 4 if name in ("size", "dim") else 8 if name == "width" else 1)


@pytest.mark.parametrize("kind", SIZES, ids=lambda kind: kind.__name__)
def test_parameters_are_counted_before_they_are_made(kind: type[Network]) -> None:
    with pytest.raises(ValueError, match=r"The number of parameters is .*, which takes .* GB of memory"):
        kind(**SIZES[kind] | {"width": 2**19})
    with torch.device("meta"):
        assert kind(**SIZES[kind] | {"width": 2**19}).shape == kind(**SIZES[kind]).shape


@pytest.mark.parametrize("kind", SIZES, ids=lambda kind: kind.__name__)
def test_the_top_frequency_exceeds_the_lowest(kind: type[Network]) -> None:
    make = partial(kind, **SIZES[kind])
    check_refusals("top_frequency", "real", lambda v: make(top_frequency=v))
    assert type(make(top_frequency=np.float32(8.0)).arguments["top_frequency"]) is float


@pytest.mark.parametrize("kind", SIZES, ids=lambda kind: kind.__name__)
def test_states_of_another_shape_are_refused(kind: type[Network]) -> None:
    for shape in ((2, 5), (2, 1, 3, 3), (2,), ()):
        with pytest.raises(ValueError, match="but the network's have"):
            kind(**SIZES[kind])(torch.zeros(shape), torch.zeros(2))
