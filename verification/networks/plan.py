"""How much a probe tries, from the time of an evaluation of the network and the time that there is.

A search on L levels takes about

    L (2 K n + 8 N)

evaluations: K ways to ask the network, at first on n draws, and eight of them on N draws. If these fit, nothing is
limited, and the result does not depend on the speed of the machine. Else n is such that the first term is a third of
what fits, and the search ends the doubling of draws when the time ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .effort import duration
from .search import FEWEST, FIRST, SPARED, Key, Search

__all__ = ["plan"]

MANY = 8
"""The usual number of calls on many draws."""
SAFETY = 0.9
"""The share of the time that is planned with."""


def plan(search: Search, keys: Sequence[Key], first: int, seconds: float, *, extend: bool) -> int:
    """Measures the time of an evaluation, and limits the effort if all that there is to try would take too long.

    Args:
        search: the search.
        keys: the views of the network to try.
        first: the number of draws of the first step without a limit.
        seconds: the time.
        extend: whether the least effort is made even if it takes longer.

    Returns:
        The number of draws of the first step.

    Raises:
        ValueError: the time is too short for the least effort.
    """
    calls = {search.views[key].call: key for key in keys}
    levels, ways = len(search.final.rho), len(calls)
    search.effort.expect(0, "timing the network")
    finite: list[Key] = []
    for key in calls.values():
        finite += [key] if math.isfinite(search.screening.score(search.views[key], FIRST)) else []
        if len(finite) == 2 or (finite and seconds == math.inf):
            break
    if not finite:
        return first

    most = levels * (2 * ways * first + MANY * len(search.final))

    def fits() -> bool:
        """Whether there is time for everything."""
        return most * search.effort.seconds <= SAFETY * seconds

    if not fits():  # it may on a batch of the usual size
        search.screening.score(search.views[finite[-1]], FEWEST)
    if fits():
        _tell(search, ways, most * search.effort.seconds)
        return first
    each = search.effort.seconds
    affordable = SAFETY * seconds / each
    least = levels * (2 * ways * FIRST + (1 + SPARED) * FEWEST)
    if least > affordable and not extend:
        needed = least * each / SAFETY / 60.0
        raise ValueError(
            f"minutes is {seconds / 60.0:g}, but an evaluation of the network takes {1e3 * each:.2g} ms; "
            f"give at least {math.ceil(10.0 * needed) / 10.0:g} minutes."
        )
    seconds = max(seconds, least * each / SAFETY)
    search.effort.limit(SAFETY * seconds)
    _tell(search, ways, seconds)
    return max(FIRST, min(first, int(affordable / (6 * levels * ways))))


def _tell(search: Search, ways: int, seconds: float) -> None:
    each = 1e3 * search.effort.seconds
    what = f"{ways} ways to ask a network that takes {each:.2g} ms: at most about {duration(seconds)}"
    search.effort.expect(search.effort.left if search.effort.limited else seconds / search.effort.seconds, what)
