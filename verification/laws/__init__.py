"""What a sampler makes of a law, exactly: impulse responses, error budgets, samplers that are one method.

Nothing is sampled here. Any computation that gives the same numbers will do.
"""

from __future__ import annotations

from .equivalences import Equivalences as Equivalences, equivalences as equivalences
from .error_budget import ErrorBudget as ErrorBudget, error_budget as error_budget
from .impulse import (
    ImpulseResponse as ImpulseResponse,
    Impulses as Impulses,
    Run as Run,
    impulse_response as impulse_response,
)
