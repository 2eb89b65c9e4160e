"""The catalogue: the theory of diffusion and flow matching, statement by statement, as functions that measure it.

One module a chapter, in rooms by subject: `paths`, `equations`, `training`, `sampling` and `errata`. Importing this
package registers every claim in `CATALOGUE`. A chapter imports `tools` and no other chapter.

Ids stay with their claims for good. A chapter may be added without asking anyone.
"""

from __future__ import annotations

from . import (
    equations as equations,
    errata as errata,
    paths as paths,
    sampling as sampling,
    training as training,
)
from .claim import (
    CATALOGUE as CATALOGUE,
    Bound as Bound,
    Check as Check,
    Claim as Claim,
    Statistical as Statistical,
    claim as claim,
    uncovered as uncovered,
)
from .judging import (
    Measurement as Measurement,
    Outcome as Outcome,
    judged as judged,
    measured as measured,
    run as run,
)
from .sources import BIBLIOGRAPHY as BIBLIOGRAPHY, Citation as Citation, Source as Source
