"""Likelihoods by the change of variables: the flow, the trace, the quadrature, and an error budget.

    likelihood                   log_likelihood
    plan, pilot, allocation      nodes, probes and tolerance for an accuracy, from a few samples
    change_of_variables, clock   what a flow does to a density, in a clock in which it is smooth
    along_flow, refined          states and traces at nodes, and more of them where a sample needs them
    flow_error, measured_flow    how far the solution of the flow moves log p, and what it costs
    trace                        what estimates a trace at nodes, and the exact trace
    hutchinson                   independent probes, alone or beside a sketch
    orthogonal, coloured         probes that leave out pairs of components
    quadrature                   nodes and weights
    dequantisation               from grey levels to a density, and back to bits

An exact trace must stay exact. Nodes, probes and their division may be changed by whoever measures the error estimate.
"""

from __future__ import annotations

from .change_of_variables import ChangeOfVariables as ChangeOfVariables
from .coloured import colouring as colouring
from .dequantisation import Dequantisation as Dequantisation
from .flow_likelihood import flow_log_likelihood as flow_log_likelihood
from .hutchinson import draws as draws
from .importance import (
    ImportanceWeightedBound as ImportanceWeightedBound,
    importance_weighted_bound as importance_weighted_bound,
)
from .likelihood import (
    LogLikelihood as LogLikelihood,
    block_size as block_size,
    joined as joined,
    log_likelihood as log_likelihood,
)
from .orthogonal import hadamard as hadamard
from .plan import LikelihoodPlan as LikelihoodPlan, plan_likelihood as plan_likelihood
from .trace import exact_trace as exact_trace, quadratic as quadratic
from .transforms import Logit as Logit, Scaled as Scaled, Transform as Transform
