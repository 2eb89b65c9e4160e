"""Which published samplers are the same method under two names.

Every row of `named` is unrolled to its table (`Scheme`), and every two tables are compared term by term (`same`). They
are compared on one common grid, where only the methods count, and each on the grid with which it was published, where
one method under two names may differ. Where two samplers differ, the comparison names the step and the term.

Two samplers are the same if they give the same output for every model: the tables are written in the values of the
model, whatever quantity the samplers hold (`Semilinear.basis`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.equations import grids
from ...generative.paths import GaussianPath
from ...generative.sampling import PUBLISHED, Sampler, regular_interval
from ...solvers import Scheme, same, unroll
from ...solvers.common import check_instance, real, whole

__all__ = ["Equivalence", "Equivalences", "equivalences"]

MOST = 100
"""The largest number of steps: the terms of a table grow with its square."""


@dataclass(frozen=True)
class Equivalence:
    """Two samplers: whether they are the same on a common grid and each on its own, and where they part if not.

    common, own: "" if they are the same; the difference in a sentence otherwise.
    """

    first: str
    second: str
    common: str
    own: str

    @property
    def same(self) -> bool:
        """On a common grid."""
        return not self.common

    @property
    def same_as_published(self) -> bool:
        """Each on its own grid."""
        return not self.own


@dataclass(frozen=True)
class Equivalences:
    """The comparison of every two samplers on one path.

    classes: the samplers that are one method on the common grid, in groups, those alone left out. groups: likewise
    those that are one on their own grids. excluded: the samplers that have no table there, and why.
    """

    path: str
    steps: int
    pairs: tuple[Equivalence, ...]
    excluded: Mapping[str, str]

    @property
    def classes(self) -> list[list[str]]:
        return self._groups(lambda pair: pair.same)

    @property
    def groups(self) -> list[list[str]]:
        return self._groups(lambda pair: pair.same_as_published)

    def between(self, first: str, second: str) -> Equivalence:
        """The comparison of these two, in either order. Raises ValueError for a name that was not compared."""
        for pair in self.pairs:
            if (pair.first, pair.second) in ((first, second), (second, first)):
                return pair
        raise ValueError(f"{first!r} and {second!r} were not compared; they were {', '.join(self._names())}.")

    def as_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "steps": self.steps,
            "classes": self.classes,
            "groups": self.groups,
            "pairs": [asdict(pair) for pair in self.pairs],
            "excluded": dict(self.excluded),
        }

    def __str__(self) -> str:
        lines = [f"On {self.path}, {self.steps} steps:"]
        lines += [f"  the same on every grid    {' = '.join(group)}" for group in self.classes]
        lines += [f"  the same as published     {' = '.join(group)}" for group in self.groups]
        lines += [f"  has no table here         {name}: {why}" for name, why in self.excluded.items()]
        return "\n".join(lines)

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for pair in self.pairs for name in (pair.first, pair.second)))

    def _groups(self, equal: Callable[[Equivalence], bool]) -> list[list[str]]:
        found: dict[str, list[str]] = {name: [name] for name in self._names()}
        for pair in self.pairs:
            if equal(pair) and found[pair.first] is not found[pair.second]:
                found[pair.first].extend(found[pair.second])
                for name in found[pair.second]:
                    found[name] = found[pair.first]
        unique = {id(group): group for group in found.values()}
        return [group for group in unique.values() if len(group) > 1]


def equivalences(
    path: GaussianPath,
    steps: int = 8,
    samplers: Mapping[str, Sampler] = PUBLISHED,
    *,
    t0: float = 0.1,
    t1: float = 0.9,
) -> Equivalences:
    """Compare every two of these samplers on a path.

    The samplers' own grids run between the ends at which each can start, as in `sample`.

    Args:
        path: the path on which they sample.
        steps: the number of steps of every grid.
        samplers: the samplers by name.
        t0: the start of the common grid, whose steps are uneven.
        t1: its end; between t0 and t1 the equations of all samplers are regular.

    Raises:
        TypeError: arguments of another kind.
        ValueError: for fewer than two steps, on which all multistep methods are the same, for more than a hundred, and
            unless 0 < t0 < t1 < 1.
    """
    check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
    steps, t0, t1 = whole("steps", steps), real("t0", t0, above=0.0), real("t1", t1, below=1.0)
    if steps < 2:
        raise ValueError(f"{steps} steps tell no multistep method from another; compare on at least 2, better on 8.")
    whole("steps", steps, 2, MOST)
    if not t0 < t1:
        raise ValueError(f"t0 is {t0:g} and t1 is {t1:g}, but the grid must rise.")
    check_instance("samplers", samplers, Mapping, "samplers by name, such as fokker.generative.PUBLISHED")
    for name, row in samplers.items():
        check_instance(f"samplers[{name!r}]", row, Sampler, "a Sampler")
    common = grids.quadratic(path, steps, t0=t0, t1=t1)
    denoiser = Denoiser(_identity, path, predicts="v")
    shared: dict[str, Scheme] = {}
    published: dict[str, Scheme] = {}
    excluded: dict[str, str] = {}
    for name, row in samplers.items():
        try:
            shared[name] = _table(row, denoiser, common)
            published[name] = _table(row, denoiser, _own(row, denoiser, steps))
        except (TypeError, ValueError) as error:
            shared.pop(name, None)
            excluded[name] = str(error)
    pairs = (
        Equivalence(one, two, *(same(tables[one], tables[two]).difference for tables in (shared, published)))
        for one, two in combinations(shared, 2)
    )
    return Equivalences(str(path), steps, tuple(pairs), excluded)


def _identity(x: Tensor, time: Tensor) -> Tensor:
    return x


def _table(row: Sampler, denoiser: Denoiser, times: Tensor) -> Scheme:
    return unroll(row.equation(denoiser), times, row.solver)


def _own(row: Sampler, denoiser: Denoiser, steps: int) -> Tensor:
    """The grid of `sample`."""
    start, end = regular_interval(denoiser, row, both_ways=False)
    return row.grid(denoiser.path, steps, t0=start, t1=end)
