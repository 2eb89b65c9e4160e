"""The data whose likelihood is measured, and the network with its conditions for them.

    name             the held-out images of a data set, grey levels
    file, --levels   grey levels 0 … N − 1, which the network sees in [−1, 1]
    file             points, as the network sees them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...generative import CFG, Denoiser, Dequantisation
from ...generative.denoiser import each_tensor, for_batch, own_dtype
from ...generative.sampling import conditioned
from ...generative.training import DATASETS, dataset
from ...solvers import standard_normal
from ...solvers.common import check_finite
from ...verification.networks import read_samples
from ..problems import check_calls, read_condition
from .evaluate import trained_on
from .output import say

__all__ = ["Samples", "given_conditions", "samples_of"]

TRIED = 2
"""The number of samples with which a network is called as a check."""


@dataclass(frozen=True)
class Samples:
    """Data.

    Attributes:
        x: states of the model, (N, ...).
        levels: the grey levels, int64; None for points.
        dequantisation: the map from levels to states; None for points.
    """

    x: Tensor
    levels: Tensor | None = None
    dequantisation: Dequantisation | None = None

    def first(self, count: int) -> Samples:
        """The first samples."""
        levels = None if self.levels is None else self.levels[:count]
        return Samples(self.x[:count], levels, self.dequantisation)


def samples_of(data: str | None, network: str, levels: int | None, denoiser: Denoiser, seed: int) -> Samples:
    """The data in the dtype that the network computes in, float32 or float64.

    Args:
        data: the name of a data set, or a file; None for the data set that the network says it was trained on.
        network: the name of the network.
        levels: the number of grey levels in a file; None if it holds points.
        denoiser: the network.
        seed: of the dequantisation.

    Raises:
        ValueError: there are no such data, they are of another kind, or they are fewer than two.
    """
    own = own_dtype(denoiser.net)
    dtype = torch.float64 if own == torch.float64 else torch.float32
    if data is None or data in DATASETS:
        if levels is not None:
            raise ValueError("A data set by name knows its grey levels; leave out --levels, or give --data a file.")
        images = dataset(trained_on(network, data))
        return _dequantised(images.held_out, images.dequantisation, dtype, seed)
    found = read_samples(data)
    if len(found) < 2:
        raise ValueError(f"{data} holds {'one sample' if len(found) else 'no samples'}; a standard error needs two.")
    whole = not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    if levels is not None:
        if not whole:
            raise ValueError(
                f"{data} holds {found.dtype}, but levels are integers; write them as such, or leave out --levels for "
                "points."
            )
        low, high = int(found.min()), int(found.max())
        if low < 0 or high >= levels:
            fix = f"give --levels {high + 1}, or requantise them" if low >= 0 else "shift them"
            said = f"{data} holds levels from {low} to {high}, but --levels {levels} are 0 … {levels - 1}"
            raise ValueError(f"{said}; {fix}.")
        return _dequantised(found.long(), Dequantisation(levels), dtype, seed)
    if not found.is_floating_point():
        fix = "give --levels N for grey levels 0 … N − 1, or write" if whole else "write"
        raise ValueError(f"{data} holds {found.dtype}; {fix} the samples as floats, scaled as in training.")
    check_finite(data, found)
    if found.abs().max() > 1.0 and bool((found == found.round()).all()):
        say(f"{data} holds whole numbers alone; if they are grey levels, write them as integers and give --levels.")
    return Samples(found.to(torch.promote_types(found.dtype, torch.float32) if own is None else dtype))


def _dequantised(levels: Tensor, dequantisation: Dequantisation, dtype: torch.dtype, seed: int) -> Samples:
    return Samples(dequantisation(levels, seed, dtype=dtype), levels, dequantisation)


def given_conditions(
    network: str,
    denoiser: Denoiser,
    x: Tensor,
    label: int | None,
    condition: Path | None,
    guidance: float | None,
) -> Denoiser:
    """The network with the conditions of the samples x, a row a sample. It is called a few times, as a check.

    Args:
        network: its name.
        denoiser: the network.
        x: the samples.
        label: the class of all samples.
        condition: a file with further arguments of the network (see `problems.read_condition`).
        guidance: the weight of classifier-free guidance.

    Raises:
        ValueError: a condition does not fit the network or the samples, guidance has nothing to lead to, or the network
            refuses such samples, returns another shape or what is not finite, or answers one question in two ways.
    """
    negative = None
    try:
        if label is not None:
            denoiser = denoiser.given(label)
        if condition is not None:
            further, negative = read_condition(condition, denoiser)
            each_tensor(further, lambda name, value: for_batch(f"{name} in {condition}", value, len(x)))
            denoiser = denoiser.given(further)
    except TypeError as error:  # of a network that takes no label or condition
        raise ValueError(str(error)) from error
    if guidance is not None:
        if denoiser.label is None and not denoiser.condition:
            raise ValueError("--guidance needs a class or a condition to lead to; give --label or --condition, too.")
        if negative is None and getattr(denoiser.net, "null_label", None) is None:
            raise ValueError(
                f"{network} declares no null_label, the label for none, from which --guidance leads away; let the "
                "network have one, or write what stands in its place as negative.NAME into the .safetensors of "
                "--condition."
            )
        denoiser = CFG(denoiser, guidance, negative=negative)
    denoiser = conditioned(denoiser, x, len(x))
    some = torch.arange(TRIED, device="cpu")
    check_calls(network, denoiser.of_rows(some), standard_normal(x[:TRIED], 0), [0.5])
    return denoiser
