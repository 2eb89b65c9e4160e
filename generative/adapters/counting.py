"""What a sampler of anyone's takes and draws, measured on a small run, whatever it says."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...solvers import BrownianTree
from ...solvers.common import check_instance, whole, wholes
from ..denoiser import Denoiser, check_denoiser
from ..equations import grids
from .functions import FunctionSampler

__all__ = ["draws_noise", "evaluations_of", "steps_for"]


@dataclass
class _Counted:
    """A network of no cost that counts what the denoiser's would take. x₀-hat is tanh of the state."""

    denoiser: Denoiser
    evaluations: int = 0

    def __call__(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        taken = self.denoiser.evaluations(t)
        self.evaluations += int(taken.max()) if isinstance(taken, Tensor) else taken
        return x.tanh()


def evaluations_of(sampler: FunctionSampler, denoiser: Denoiser, n: int, shape: tuple[int, ...] = (1,)) -> int:
    """The network evaluations of a sampler with n steps, counted on a network of no cost.

    Args:
        sampler: the sampler.
        denoiser: the network, whose path and guidance count.
        n: the number of steps.
        shape: the shape of a sample.

    Raises:
        TypeError: arguments of another kind.
        ValueError: n is not positive, or as the sampler raises.
    """
    return _trial(sampler, denoiser, whole("n", n, 1), shape, 0)[0]


def draws_noise(
    sampler: FunctionSampler,
    denoiser: Denoiser,
    n: int = 8,
    shape: tuple[int, ...] = (1,),
    seeds: tuple[int, int] = (0, 1),
) -> bool:
    """Whether the result of a sampler depends on the noise: whether two runs with n steps differ.

    Args:
        sampler: the sampler.
        denoiser: the network, whose path counts.
        n: the number of steps.
        shape: the shape of a sample.
        seeds: those of the two runs.

    Raises:
        TypeError: arguments of another kind.
        ValueError: n is not positive, or as the sampler raises.
    """
    one, two = (_trial(sampler, denoiser, whole("n", n, 1), shape, seed)[1] for seed in seeds)
    return not torch.equal(one, two)


def steps_for(sampler: FunctionSampler, denoiser: Denoiser, nfe: int, shape: tuple[int, ...] = (1,)) -> int:
    """The largest number of steps that `nfe` evaluations pay for.

    Args:
        sampler: the sampler.
        denoiser: the network, whose path and guidance count.
        nfe: the most network evaluations a sample.
        shape: the shape of a sample.

    Raises:
        TypeError: arguments of another kind.
        ValueError: they pay for no step, or as the sampler raises.
    """
    def taken(n: int) -> int:
        try:
            return evaluations_of(sampler, denoiser, n, shape)
        except ValueError:  # fewer steps than it can take
            return 0

    found = bisect_right(range(1, whole("nfe", nfe, 1) + 1), nfe, key=taken)
    least = evaluations_of(sampler, denoiser, max(found, 1), shape)
    if least > nfe:
        raise ValueError(f"nfe = {nfe} is less than one step of {sampler}, which takes {least}; allow more.")
    return found


def _trial(
    sampler: FunctionSampler, denoiser: Denoiser, n: int, shape: tuple[int, ...], seed: int
) -> tuple[int, Tensor]:
    """The evaluations of one small run, and its result."""
    check_instance("sampler", sampler, FunctionSampler, "function_sampler(f)")
    check_denoiser(denoiser)
    counted = _Counted(denoiser)
    x = torch.full((2, *wholes("shape", shape, 1)), 0.3, dtype=torch.float64, device="cpu")
    stand_in = Denoiser(counted, denoiser.path, predicts="x0")
    path = denoiser.path
    start = 0.0 if path.alpha(0.0) > 0.0 else path.time(-2.0 * math.log(grids.NOISIEST))
    with torch.no_grad():
        end = sampler(stand_in, x, grids.uniform(path, n, t0=start), BrownianTree(x, 0.0, 1.0, seed))
    return counted.evaluations, end
