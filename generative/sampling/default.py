"""The default sampler: a rule for the kind of a network's prediction and the number of evaluations.

The probability flow is the same curve on every Gaussian path, up to its scale and its clock. So one sampler does for
all of them: it holds the velocity x₀-hat − ε-hat, which is regular at both ends, on a grid in the share of the data
r = α/(α + σ) (`grids.power`), and corrects every step. With an exact network it ends in the same states on all paths
that start and end at the same levels.

    solver                   ExponentialAdams(2, corrector=True), and from 25 evaluations on ExponentialAdams(3, ...)
    grid                     p = 1.5
    if x₀-hat is unsure      ahead=True below 60 evaluations; early = nfe/75, and 0.2 at most

Two values are rarely far off at few evaluations, and the start-up with three takes two of them. Larger p are better for
narrow laws (2 at a spread of 0.02 to 0.2), and worse for images at 4 and 5 evaluations.

An error of the prediction y = p x₀ + q ε of a size relative to y's own is σ √(p² + q²)/|α q − σ p| times as large in
x₀-hat. At the noise this factor is 1 for networks that predict x₀ or v, 1.4 for the velocity of the straight path, and
σ/α for ε and the score, and for the velocity of a path with a constant α, which is ε times σ'. There x₀-hat is unsure.
The first step of a usual method takes x₀-hat there and multiplies it by the step in r, a tenth and more, although α is
0.007 on VP. With `ahead` it is taken at the end of the first step. On the way from α_s to α_t the error δ of ε-hat
moves the flow by δ log(α_t/α_s), which a grid that is uniform in r does not see: `early` puts steps there, more of them
as the budget grows. From 60 evaluations on they resolve the start, and an ordinary one is more accurate.
"""

from __future__ import annotations

import math
from functools import partial

from ...solvers import ExponentialAdams
from ..denoiser import Denoiser, coefficients
from ..equations import grids
from .sampler import Sampler

__all__ = ["default_for"]

THREE_VALUES_FROM = 25
"""The number of evaluations from which a third value pays."""
AHEAD_BELOW = 60
"""The number of evaluations that resolves the start of a network that does not know x₀ there."""
P = 1.5
"""Of the grid."""
PER_EVALUATION, MOST = 1.0 / 75.0, 0.2
"""The weight of early steps per evaluation, and the largest one."""
UNSURE = 10.0
"""The factor of an error from which x₀-hat is unsure."""


def default_for(denoiser: Denoiser, nfe: int, *, both_ways: bool = False) -> Sampler:
    """The default sampler.

    Args:
        denoiser: the network.
        nfe: the number of evaluations of the field.
        both_ways: the flow is also followed from data to noise, where no step can take x₀-hat ahead.

    Example:
        >>> default_for(load("digits-eps"), 8).solver
        ExponentialAdams(2, corrector=True, ahead=True)
    """
    unsure, values = _factor(denoiser) > UNSURE, 3 if nfe >= THREE_VALUES_FROM else 2
    solver = ExponentialAdams(values, corrector=True, ahead=unsure and nfe < AHEAD_BELOW and not both_ways)
    early = min(PER_EVALUATION * nfe, MOST) if unsure else 0.0
    return Sampler(solver, grid=partial(grids.power, p=P, early=early))


def _factor(denoiser: Denoiser) -> float:
    """How much larger an error is in x₀-hat than in the prediction, at σ/α = 80 or where the path starts."""
    path = denoiser.path
    t = max(0.0, path.time(-2.0 * math.log(grids.NOISIEST)))
    (p, q), alpha, sigma = map(float, coefficients(denoiser.predicts, path, t)), path.alpha(t), path.sigma(t)
    determinant = abs(alpha * q - sigma * p)
    return sigma * math.hypot(p, q) / determinant if determinant else math.inf
