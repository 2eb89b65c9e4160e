"""The samplers that take part in a comparison, whatever they are made of.

    Ours          a `Sampler`, or what `sample` does if no sampler is named, which depends on the budget
    Theirs        a function or a class of the user's (`FunctionSampler`)
    Saved         a table from a file (`Scheme`)

Their names are those of stored rows, and so part of the interface. A new kind of entrant may be added freely.
"""

from __future__ import annotations

from .entrant import GRIDS as GRIDS, OWN as OWN, Code as Code, Entrant as Entrant
from .ours import Ours as Ours
from .reading import (
    DEFAULT as DEFAULT,
    AnyEntrant as AnyEntrant,
    distinct as distinct,
    entrant as entrant,
    function_named as function_named,
)
from .samplers import DEFAULT_SAMPLERS as DEFAULT_SAMPLERS, SAMPLERS as SAMPLERS
from .theirs import Saved as Saved, Theirs as Theirs
