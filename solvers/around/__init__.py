"""A solver around a solver: fresh noise, Langevin corrections, restarts, error estimates, steps in parallel.

A wrapper sees the inner solver through `Solver` alone. Add one without asking anyone.
"""

from __future__ import annotations

from .halving import Halving as Halving
from .langevin import Langevin as Langevin
from .parallel import Picard as Picard
from .renoising import Ancestral as Ancestral, Churn as Churn
from .restart import Restart as Restart
