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
}
"""The concrete solvers of the public interface."""


def uncertified(certificates: Sequence[Certificate], exported: set[type[Solver]] = EXPORTED) -> dict[str, str]:
    """The exported classes without a certificate that passes, each with a sentence that says what to do."""
    verdicts: dict[str, list[Certificate]] = {}
    for certificate in certificates:
        verdicts.setdefault(certificate.method.partition("(")[0], []).append(certificate)
    found = {}
    for name in sorted(each.__name__ for each in exported):
        own = verdicts.get(name, [])
        if not own:
            found[name] = f"{name} is exported, but nothing measures its order; add it to `certificate_table`."
        elif failed := [each for each in own if each.verdict in ("fail", "undecided")]:
            found[name] = f"{name} is exported, but {failed[0].verdict}s on {failed[0].problem}: {failed[0].reason}"
        elif not any(each.passed for each in own):
            found[name] = f"{name} is exported, but nowhere of the order it declares: {own[0].reason}"
    return found
