"""A few calls of a network before any work: whether it gives what a problem needs, and how long a call takes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ...generative import Denoiser
from ...solvers import standard_normal
from ...solvers.common import MANY, check_instance, whole
from .problem import Problem

__all__ = ["check_calls", "check_problem", "seconds_of_a_call"]

NOISES = 2
SAME = 1e-2
"""The largest relative difference of two answers to one question: half precision on a device adds in any order."""
MOST_CALLS, ENOUGH = 5, 0.5
"""The most calls that are timed, and the seconds after which no other is."""


@torch.no_grad()
def check_calls(name: str, denoiser: Denoiser, noises: Tensor, times: Sequence[float]) -> None:
    """Call a network with states that are as large as those of data of unit deviation.

    Args:
        name: its name.
        denoiser: the network, with a row for each of the noises, or with one for all.
        noises: standard normal, (B, ...).
        times: when; it is called twice at the middle one.

    Raises:
        ValueError: it refuses them, returns another shape or what is not finite, or answers in two ways.
    """
    for i, t in enumerate(times):
        first = _velocity(name, denoiser, noises, t)
        where = f"{name} at t = {t:g}, for samples of shape {tuple(noises.shape[1:])},"
        if not first.isfinite().all():
            raise ValueError(f"{where} returns what is not finite; look at its weights, its dtype and its conventions.")
        if i == len(times) // 2 and (first - _velocity(name, denoiser, noises, t)).norm() > SAME * first.norm():
            raise ValueError(f"{where} answers one question in two ways; put it in evaluation mode, net.eval().")


def check_problem(problem: Problem) -> None:
    """`check_calls` with two noises at the start, in the middle and at the end."""
    like = torch.empty(NOISES, *problem.shape, dtype=torch.float64, device="cpu")
    times = problem.start, 0.5 * (problem.start + problem.end), problem.end
    check_calls(problem.name, problem.labelled(NOISES), standard_normal(like, 0).to(problem.device), times)


def _velocity(name: str, denoiser: Denoiser, noises: Tensor, t: float) -> Tensor:
    """dx/dt."""
    try:
        return denoiser.predict("velocity", t, math.hypot(denoiser.path.alpha(t), denoiser.path.sigma(t)) * noises)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        said = (str(error).splitlines() or ["no message"])[0].rstrip(".")
        raise ValueError(
            f"{name} fails at t = {t:g} for samples of shape {tuple(noises.shape[1:])}, with {type(error).__name__}: "
            f"{said}; give the shape, the label and the condition that it takes."
        ) from error


@torch.no_grad()
def seconds_of_a_call(problem: Problem, samples: int) -> float:
    """The time of one call of the denoiser, which is `denoiser.cost` evaluations of the network: the median of a few.

    Args:
        problem: the problem.
        samples: the number of states in a call.

    Raises:
        TypeError: arguments of another kind.
        ValueError: a number out of range, or another number than that of the conditions.
    """
    check_instance("problem", problem, Problem, "a problem, such as problem('ring')")
    samples = whole("samples", samples, 1, MANY)
    denoiser, x, t = problem.labelled(samples), problem.noise(samples, 0), 0.5 * (problem.start + problem.end)
    spent: list[float] = []
    denoiser.predict("velocity", t, x)  # the first call may compile, and fills caches
    while len(spent) < MOST_CALLS and sum(spent) < ENOUGH:
        _synchronise(x)
        started = time.perf_counter()
        denoiser.predict("velocity", t, x)
        _synchronise(x)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def _synchronise(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
