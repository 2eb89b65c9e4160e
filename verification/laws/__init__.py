"""The exact law of a sampler's output: impulse responses, error budgets, and samplers that are the same method.

Nothing is sampled here. Any computation that gives the same numbers will do.
"""

from __future__ import annotations

from .equivalences import Equivalences as Equivalences, equivalences as equivalences
from .error_budget import ErrorBudget as ErrorBudget, error_budget as error_budget
from .impulse import (
    AFFINE as AFFINE,
    ImpulseResponse as ImpulseResponse,
    Impulses as Impulses,
    Run as Run,
    impulse_response as impulse_response,
)
