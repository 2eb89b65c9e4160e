"""The default sampler against published ones on their own grids, on problems apart from those that it was chosen on.

The sets of cases are the interface of the README's tables. How they are run and printed may be changed freely.
"""

from __future__ import annotations

from .cases import Case as Case, development as development, held_out as held_out
from .study import NFE as NFE, RIVALS as RIVALS, Study as Study, study as study
