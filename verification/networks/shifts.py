"""Shifts of the path of the best convention, λ(t) + shift (`Shifted`), for a plain network whose clock is t.

The best convention is moved in steps of 0.1 as long as it gets better, and then to the vertex of the parabola through
the errors of three shifts. The shifts that tie with the best form an interval, whose ends are found by steps of 0.1
outwards and then by bisection, to 0.02. If no convention explains the output, large shifts of all are tried first.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ...generative.paths import Shifted
from .conventions import Convention, path_name
from .search import REMOVABLE, SPARED, USUAL, Key, Search

__all__ = ["movable", "moved_by", "shift_of", "try_shifts", "unmoved"]

FAR = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
UNIT, COARSE, FARTHEST = 0.02, 5, 25
"""The smallest step; the large step and the longest way, in smallest steps."""
FAR_SHARE = 0.3
"""The share of the time for large shifts."""


def try_shifts(search: Search, first: int) -> None:
    """Tries shifts of the best convention; of all if no convention explains the output.

    Args:
        search: the search, with a best convention.
        first: the number of draws of its first step.
    """
    if max(share.value for share in search.shares(search.best)) >= REMOVABLE:
        _try_far(search, first)
    for known in (search.finals, search.scores):
        plain = [key for key in known if movable(search.names[key][0])]
        if plain:
            _Walk(search, search.names[min(plain, key=known.__getitem__)][0]).go()
            return


def _try_far(search: Search, first: int) -> None:
    """Large shifts of all conventions, or of the best for which there is time."""
    cost = len(FAR) * len(search.final.rho) * first
    most = min(FAR_SHARE * search.effort.left / cost, len(search.scores))
    ranked = sorted(search.scores, key=search.scores.__getitem__)
    plain = [name for key in ranked if movable(name := search.names[key][0])][: int(most)]
    moved = [shifted for each in plain for far in FAR if (shifted := moved_by(each, far)) is not None]
    search.screen(search.register(moved), first)
    search.promote()


class _Walk:
    """The way along the shifts k of one convention, in units of 0.02."""

    def __init__(self, search: Search, origin: Convention) -> None:
        self.search, self.origin = search, origin
        self._keys: dict[int, Key | None] = {}

    def go(self) -> None:
        """Finds the best shift, and the shifts that tie with it."""
        centre = 0
        for sign in (1, -1):
            while abs(centre) < FARTHEST and self._score(centre + sign * COARSE) < self._score(centre):
                centre += sign * COARSE
        vertex = centre + self._vertex(centre)
        if self._score(vertex) < self._score(centre):
            centre = vertex
        if self._ties(centre):
            for sign in (1, -1):
                self._bound(centre, sign)

    def _vertex(self, centre: int) -> int:
        """The least of the parabola through the leads over both neighbours, from the centre."""
        right, left = (self._lead(centre + step) for step in (COARSE, -COARSE))
        both = right + left
        return round(COARSE * (left - right) / (2.0 * both)) if 0.0 < both < math.inf else 0

    def _bound(self, centre: int, sign: int) -> None:
        """Tries shifts on one side until an end of the interval is known."""
        inside, outside = 0, COARSE
        while outside < FARTHEST and self._ties(centre + sign * outside):
            inside, outside = outside, outside + COARSE
        while outside - inside > 1:
            middle = (inside + outside + 1) // 2
            inside, outside = (middle, outside) if self._ties(centre + sign * middle) else (inside, middle)

    def _key(self, k: int) -> Key | None:
        """The view with this shift, tried on many draws; None if there is none, or no time for it."""
        if k not in self._keys:
            search = self.search
            convention = moved_by(self.origin, UNIT * k)
            key = None if convention is None else search.key(convention)
            if key is not None and key not in search.finals:
                cost = search.cost(search.final, [key], search.draws)
                key = key if cost <= search.effort.left else None
            if key is not None:
                ahead = USUAL * len(search.final.rho) * search.draws * max(0.1, 1.0 - len(self._keys) / SPARED)
                search.effort.expect(ahead, f"shifts of {path_name(self.origin.path)}")
                search.compete([key], search.margin(search.best))
            self._keys[k] = key
        return self._keys[k]

    def _score(self, k: int) -> float:
        """The score of a shift; infinite if it is behind."""
        key = self._key(k)
        return math.inf if key is None else self.search.finals.get(key, math.inf)

    def _lead(self, k: int) -> float:
        key = self._key(k)
        if key is None or not self.search.final.draws(self.search.views[key]):
            return math.inf
        return self.search.compared(key, self.search.best)[0].value

    def _ties(self, k: int) -> bool:
        key, search = self._key(k), self.search
        if key is None or key not in search.finals:
            return False
        return not search.compared(key, search.best)[0].beyond(search.margin(search.best))


def movable(convention: Convention) -> bool:
    """Whether shifts are tried: for a plain network whose clock is t."""
    return convention.clock.base == "t" and not convention.over_alpha and convention.precondition is None


def moved_by(convention: Convention, shift: float) -> Convention | None:
    """The convention with a further shift of its path; None if the path does not continue that far."""
    shift = round(shift_of(convention) + shift, 2)
    plain = unmoved(convention)
    try:
        return replace(plain, path=Shifted(plain.path, shift)) if shift else plain
    except ValueError:
        return None


def unmoved(convention: Convention) -> Convention:
    """The convention without the shift of its path."""
    path = convention.path
    return replace(convention, path=path.path) if isinstance(path, Shifted) else convention


def shift_of(convention: Convention) -> float:
    """The shift of its path."""
    return convention.path.shift if isinstance(convention.path, Shifted) else 0.0
