"""The one loop of steps: which times it visits, when it accepts a step, what it records, how it explains a failure.

`Solver` and `Stepper` are the contract that every method implements; changing it changes all of them. The controllers,
the record and the wording of failures may be changed without asking anyone, as long as an accepted step stays a pure
function of its arguments.
"""

from __future__ import annotations

from .adaptive import Adaptive as Adaptive
from .base import (
    Abilities as Abilities,
    EquationT as EquationT,
    Solver as Solver,
    Stepper as Stepper,
    Task as Task,
)
from .diagnosis import (
    FiniteWatch as FiniteWatch,
    first_nonfinite as first_nonfinite,
    nonfinite as nonfinite,
    place as place,
    spent as spent,
    tell as tell,
)
from .grid import Grid as Grid, columns as columns
from .per_sample import integrate_per_sample as integrate_per_sample
from .record import Record as Record, Save as Save
from .step import Step as Step, combined as combined
from .tolerances import sizes as sizes
