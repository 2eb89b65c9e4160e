"""Likelihoods by the change of variables: the flow, the trace, the quadrature, and an error budget.

An exact trace must stay exact. Nodes, probes and their division may be changed by whoever measures the error estimate.
"""

from __future__ import annotations

from .dequantisation import Dequantisation as Dequantisation
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
from .timing import LikelihoodTime as LikelihoodTime, time_likelihood as time_likelihood
from .trace import Exact as Exact, Hutchinson as Hutchinson, probes as probes
from .transforms import Logit as Logit, Scaled as Scaled, Transform as Transform
