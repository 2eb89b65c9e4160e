"""Which convention is this network? `probe` regresses its answers on what it might predict, and says what it is."""

from __future__ import annotations

from .audit import Audit as Audit, audit as audit
from .finding import Candidate as Candidate, Finding as Finding
from .probe import probe as probe
from .residuals import IDENTITIES as IDENTITIES
from .subjects import audit_checkpoint as audit_checkpoint, probe_checkpoint_or_module as probe_checkpoint_or_module
