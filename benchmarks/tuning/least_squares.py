"""Levenberg and Marquardt's steps with robust weights: many residuals, few parameters.

Of N noises, noise b ends e_b away, the root mean square over its components. The objective is

    Huber    mean ρ(e_b),    ρ(e) = e² up to δ, and 2 δ e − δ² beyond,    δ = 3 median e;
    log      mean log e_b,   the geometric mean;
    rms      mean e_b².

A noise near a separatrix can carry most of Σ e², and its derivatives are not those of the others. Robust objectives
bound its weight. A step solves (A + μ diag A) δp = −g with A = Σ w_b J_bᵀ J_b, g = Σ w_b J_bᵀ (miss of b) and the
weights w = ρ'(e)/e. It is taken if it lowers the objective; then μ falls, and otherwise it grows.

Source: Marquardt (1963), J. SIAM 11, 431; Huber (1964), Ann. Math. Statist. 35, 73.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ...solvers.common import Array, array
from .freedoms import Freedom
from .sensitivity import derivatives
from .trajectories import Trajectories

__all__ = ["Fit", "Objective", "steps_of"]

Objective = Literal["huber", "log", "rms"]

HUBER = 3.0
"""δ over the median error."""
FIRST, FALL, GROWTH, LEAST = 1e-3, 0.2, 6.0, 1e-9
"""μ at the start, its factors after a step that is taken and one that is not, and its least value."""
TRIALS = 8
"""The steps that are tried from one point."""
SMALL = 1e-12
"""Errors count as this large at least."""


@dataclass(frozen=True)
class Fit:
    """Where the fit is.

    Attributes:
        p: the parameters.
        damping: μ of the next step.
        objective: its value at p.
    """

    p: Array
    damping: float = FIRST
    objective: float = math.inf


def steps_of(
    fit: Fit, freedom: Freedom, trajectories: Trajectories, objective: Objective, dtype: torch.dtype
) -> Iterator[Fit]:
    """The fits after each step that lowers the objective, until none does.

    Args:
        fit: where to start.
        freedom: from parameters to the numbers of a table.
        trajectories: the noises to fit to.
        objective: "huber", "log" or "rms".
        dtype: of the network's arithmetic.
    """
    while True:
        method = freedom.at(fit.p)
        values, moves = derivatives(method, trajectories, freedom.directions(fit.p), dtype)
        miss = trajectories.misses(method, values).flatten(1)
        errors = array(miss.square().mean(1).sqrt())
        border = HUBER * float(np.median(errors))
        before, weights = _of(errors, objective, border)
        w = torch.from_numpy(weights).to(miss)
        flat = moves.flatten(2)
        scaled = (flat * w[:, None]).flatten(1)
        products, gradient = array(scaled @ flat.flatten(1).T), array(scaled @ miss.flatten())
        if not np.isfinite(products).all():  # next to where a network is not defined
            return
        diagonal = np.diag(products).clip(SMALL**2)
        damping = fit.damping
        for _ in range(TRIALS):
            p = fit.p - np.linalg.lstsq(products + damping * np.diag(diagonal), gradient)[0]
            after = _value(freedom, p, trajectories, objective, border)
            if after < before:
                fit = Fit(p, max(FALL * damping, LEAST), after)
                break
            damping *= GROWTH
        else:
            return
        yield fit


def _value(freedom: Freedom, p: Array, trajectories: Trajectories, objective: Objective, border: float) -> float:
    """The objective at p; infinite where there is no table, or an end is not finite."""
    try:
        method = freedom.at(p)
        miss = trajectories.misses(method, trajectories.values(method)).flatten(1)
    except (ValueError, ArithmeticError):  # times that have met, states that a network refuses
        return math.inf
    errors = array(miss.square().mean(1).sqrt())
    return _of(errors, objective, border)[0] if np.isfinite(errors).all() else math.inf


def _of(errors: Array, objective: Objective, border: float) -> tuple[float, Array]:
    """The objective, and the weight of each noise, with the mean of the weights 1."""
    e = errors.clip(SMALL)
    match objective:
        case "rms":
            value, weights = e**2, np.ones_like(e)
        case "log":
            value, weights = np.log(e), e**-2.0
        case _:
            value, weights = np.where(e <= border, e**2, 2.0 * border * e - border**2), np.minimum(border / e, 1.0)
    return float(value.mean()), weights / weights.mean()
