"""Learned networks: `probe` finds the convention of a network, `audit` measures where it is a score of its data.

The fields of a `Finding` and an `Audit` are the interface. How conventions are searched may be changed freely.
"""

from __future__ import annotations

from .audit import audit as audit
from .audit_result import Audit as Audit
from .finding import Candidate as Candidate, Finding as Finding
from .probe import probe as probe
from .residuals import IDENTITIES as IDENTITIES
from .subjects import (
    audit_checkpoint as audit_checkpoint,
    probe_checkpoint_or_module as probe_checkpoint_or_module,
    read_samples as read_samples,
)
