"""Samplers that are fitted to a network: tables of coefficients with the least error at a number of evaluations.

    tune                   the least error that a table of n evaluations reaches on a network
    tuned                  the table, with what was measured of it
    parts                  the same for the noises of each label and each weight
    job                    one fit from the reference to what is measured
    starts                 the samplers that a fit may start at
    course                 the stages of a fit, and which step is kept
    coefficients           every explicit method of n evaluations as times and a triangular matrix
    trajectories           initial noises with the ends of their flows
    sensitivity            how the end moves with the coefficients, by differences
    least_squares          Levenberg and Marquardt's steps with robust weights
    freedoms               which of the numbers move
    schedule               a sampler on another path, whose curves move
    curves                 that path
    baselines              published ways to fit one, for comparison

How the fit is found may be changed by whoever measures it on held-out noises of trained networks.
"""

from __future__ import annotations

from .baselines import BASELINES as BASELINES
from .coefficients import Coefficients as Coefficients
from .starts import starts_of as starts_of
from .trajectories import Trajectories as Trajectories
from .tune import tune as tune
from .tuned import Tuned as Tuned
