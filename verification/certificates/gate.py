"""The gate of the public interface: a solver class without a certificate that passes cannot be exported."""

from __future__ import annotations

from collections.abc import Sequence

from ... import solvers
from ...solvers import Solver
from .certificate import Certificate

__all__ = ["EXPORTED", "uncertified"]

EXPORTED = {
    value
    for value in vars(solvers).values()
    if isinstance(value, type) and issubclass(value, Solver) and not value.__subclasses__()
} - {solvers.Replay}
"""The concrete solvers of the public interface. A table, which `Replay` takes, has one grid, and no order."""


def uncertified(certificates: Sequence[Certificate], exported: set[type[Solver]] = EXPORTED) -> dict[str, str]:
    """The exported classes whose order nothing certifies, by name, each with a sentence that says what is missing."""
    verdicts: dict[str, list[Certificate]] = {}
    for certificate in certificates:
        verdicts.setdefault(certificate.method.partition("(")[0], []).append(certificate)
    found = {}
    for name in sorted(each.__name__ for each in exported):
        own = verdicts.get(name, [])
        if not own:
            reason = "nothing measures its order; add it to `FIXED_STEP` in verification/certificates/table.py."
        elif failed := [each for each in own if each.verdict in ("fail", "undecided")]:
            reason = f"its certificate on {failed[0].problem} says {failed[0].verdict}: {failed[0].reason}"
        elif not any(each.passed for each in own):
            reason = f"no certificate shows the order that it declares: {own[0].reason}"
        else:
            continue
        found[name] = f"{name} is exported, but {reason}"
    return found
