"""Exactness: laws that are known, what solvers and samplers make of them, and the theory as a catalogue that runs.

    oracles        Gaussian, GaussianMixture, GaussianClasses, Empirical, PointMass, Uniform, Laplace, Student,
                   OrnsteinUhlenbeck; perturbed by an error of known size: Bias, White, Smooth, Lag, Rounding
    certify        the order of a solver, of a published sampler, of anyone's code
    impulse_response, error_budget, equivalences
                   the exact law of a sampler's output; where its error comes from; which samplers are one
    audit, probe   a learned network: where it is a score of its data; what convention it follows
    verify         all that the theory says, claim by claim (`claims`), and every certificate

Tests and distances of samples are in `marginals`, `discrepancies`, `distances` and `power`.
"""

from __future__ import annotations

from .audit import Audit as Audit, audit as audit
from .base import Oracle as Oracle
from .certificate import Certificate as Certificate
from .convergence import certify as certify
from .empirical import Empirical as Empirical, PointMass as PointMass
from .equivalences import equivalences as equivalences
from .error_budget import ErrorBudget as ErrorBudget, error_budget as error_budget
from .guided import GaussianClasses as GaussianClasses, guided_law as guided_law
from .impulse import ImpulseResponse as ImpulseResponse, impulse_response as impulse_response
from .one_dimensional import Laplace as Laplace, Uniform as Uniform
from .oracles import Gaussian as Gaussian, GaussianMixture as GaussianMixture
from .ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from .perturbed import (
    Bias as Bias,
    Lag as Lag,
    Rounding as Rounding,
    Smooth as Smooth,
    White as White,
)
from .probing import Finding as Finding, probe as probe
from .report import Report as Report
from .student import Student as Student
from .suite import verify as verify
