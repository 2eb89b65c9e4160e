"""Which numbers of a stochastic table move, each by a factor 1 + p.

    noise    each draw, wherever it enters
    all      also every other number of the states and of the arguments, but an argument that is a state alone
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...solvers import Scheme
from ...solvers.common import Array
from ...solvers.scheme import Form
from .matched import Entry, entries

__all__ = ["FREEDOMS", "Amounts"]

FREEDOMS = ("all", "noise")


@dataclass(frozen=True)
class Amounts:
    """The tables by parameters p, with that of a sampler at p = 0.

    Attributes:
        start: the table of the sampler.
        noise_alone: whether nothing but the draws moves.
    """

    start: Scheme
    noise_alone: bool

    @cached_property
    def _entries(self) -> list[Entry]:
        return entries(self.start)

    @cached_property
    def _of_entries(self) -> Array:
        """1 where a parameter moves an entry, (parameters, entries)."""
        rows: dict[int, Array] = {}
        for place, each in enumerate(self._entries):
            kind, number = each.symbol
            if kind == "ξ":
                rows.setdefault(number, np.zeros(len(self._entries)))[place] = 1.0
            elif not self.noise_alone and not self._is_state(each):
                rows[len(self.start.draws) + place] = np.eye(len(self._entries))[place]
        return np.array([rows[key] for key in sorted(rows)])

    def _is_state(self, entry: Entry) -> bool:
        return entry.row == "X" and len(self.start.evaluations[entry.number].argument) == 1

    @property
    def size(self) -> int:
        """The number of parameters."""
        return len(self._of_entries)

    def numbers(self, p: Array) -> Array:
        """The entries of the tables at p, (B, size)."""
        start = np.array([each.value for each in self._entries])
        found: Array = start * (1.0 + p @ self._of_entries)
        return found

    def scheme(self, p: Array) -> Scheme:
        """The table at p, (size,)."""
        rows: dict[tuple[str, int], Form] = {}
        for each, value in zip(self._entries, self.numbers(p).tolist(), strict=True):
            key = each.row, each.number
            rows[key] = {**rows.get(key, {}), each.symbol: value}
        calls = tuple(replace(each, argument=rows["X", j]) for j, each in enumerate(self.start.evaluations))
        return replace(
            self.start, states=tuple(rows["x", i] for i in range(len(self.start.states))), evaluations=calls
        )
