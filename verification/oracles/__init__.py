"""Laws that are known exactly, under every path.

    gaussian            Gaussian, GaussianMixture; guided: GaussianClasses, a label's law, and guided_law
    empirical           Empirical: the data set's own denoiser; PointMass
    one_dimensional     Uniform, Laplace; student: Student, a scale mixture
    ornstein_uhlenbeck  OrnsteinUhlenbeck, as an equation with exact transitions
    gaussian_laws       the law of a sampler's exact output: marginals and reversed transitions
    perturbed           a network with an error of known size: Bias, White, Smooth, Lag, Rounding

`base` defines what an oracle is, `monotone` the flow map of any law on the line.

What an oracle returns is exact, or says how far it is off; a test holds every oracle to that. Add one without asking
anyone: a class, found by itself.
"""

from __future__ import annotations

from .base import ExactNetwork as ExactNetwork, Oracle as Oracle
from .empirical import Empirical as Empirical, PointMass as PointMass
from .gaussian import Gaussian as Gaussian, GaussianMixture as GaussianMixture
from .gaussian_laws import (
    Law as Law,
    law_of as law_of,
    marginal as marginal,
    reversed_transition as reversed_transition,
)
from .guided import GaussianClasses as GaussianClasses, guided_law as guided_law
from .monotone import LogCDF as LogCDF, monotone_map as monotone_map
from .one_dimensional import Laplace as Laplace, Uniform as Uniform
from .ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from .perturbed import (
    Bias as Bias,
    Lag as Lag,
    Rounding as Rounding,
    Smooth as Smooth,
    White as White,
    perturbed as perturbed,
    relative_error as relative_error,
)
from .student import Student as Student
