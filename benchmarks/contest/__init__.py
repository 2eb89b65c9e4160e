"""Tuning beside the published ways of tuning, the default sampler and the best published one, on the same noises.

The names of the ways and the files of what was measured are the interface. How tables are printed may be changed
freely.
"""

from __future__ import annotations

from .contest import Contest as Contest, contest as contest
from .laws import PROBLEMS as PROBLEMS
from .row import NFE as NFE, WAYS as WAYS, Row as Row
