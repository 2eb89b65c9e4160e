"""Exactness: laws that are known, what solvers and samplers make of them, and the theory as a catalogue that runs.

    oracles        Gaussian, GaussianMixture, GaussianClasses, Empirical, PointMass, Uniform, Laplace, Student,
                   OrnsteinUhlenbeck; `perturbed` by an error of known size: Bias, White, Smooth, Lag, Rounding
    certify        the order of a solver, of a published sampler, of anyone's code
    certify_log_prob
                   anyone's log p(x) of a flow, where it is known
    certify_flow_map
                   anyone's few-step model, against the flow of its teacher or of a law
    impulse_response, error_budget, equivalences
                   the exact law of a sampler's output; where its error comes from; which samplers are one
    audit, probe   a learned network: where it is a score of its data; what convention it follows
    verify         all that the theory says, claim by claim (`claims`), and every certificate

Tests and distances of samples are in `marginals`, `discrepancies`, `distances` and `power`.

The names below are the interface of this floor. Each room says what may be changed behind them.
"""

from __future__ import annotations

from .certificates import (
    Certificate as Certificate,
    FlowMapCertificate as FlowMapCertificate,
    LogProbCertificate as LogProbCertificate,
    certify as certify,
    certify_flow_map as certify_flow_map,
    certify_log_prob as certify_log_prob,
)
from .laws import (
    ErrorBudget as ErrorBudget,
    ImpulseResponse as ImpulseResponse,
    equivalences as equivalences,
    error_budget as error_budget,
    impulse_response as impulse_response,
)
from .networks import Audit as Audit, Finding as Finding, audit as audit, probe as probe
from .oracles import (
    Bias as Bias,
    Empirical as Empirical,
    Gaussian as Gaussian,
    GaussianClasses as GaussianClasses,
    GaussianMixture as GaussianMixture,
    Lag as Lag,
    Laplace as Laplace,
    Oracle as Oracle,
    OrnsteinUhlenbeck as OrnsteinUhlenbeck,
    PointMass as PointMass,
    Rounding as Rounding,
    Smooth as Smooth,
    Student as Student,
    Uniform as Uniform,
    White as White,
    guided_law as guided_law,
    perturbed as perturbed,
)
from .report import Report as Report, verify as verify
from .statistics import discrepancies as discrepancies, distances as distances, marginals as marginals, power as power
