"""Results on disk: one SQLite file, one transaction a row.

A row is one sampler at one budget on one problem. It is written when it is finished: a run that stops, even by
SIGKILL, loses only the work in flight, and the next run goes on from there. Several runs may write to one file at
once. Each row keeps the error of every initial noise, so that two samplers can later be compared in pairs, without
running them again.

A problem is known by the digest of its identity: a network that was trained anew is another problem under the same
name, and the rows of both stand side by side. So do the rows of one problem by two versions of this package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .database import Database
from .provenance import Provenance

__all__ = ["Key", "Ledger", "Row"]

RUN = "(problem, digest, seed, samples) = (?, ?, ?, ?)"


class Key(NamedTuple):
    """A problem and its initial noises, the same for all samplers that are compared.

    Attributes:
        problem: its name.
        digest: 16 hex digits of its identity.
        seed: of the initial noises.
        samples: the number of initial noises.
    """

    problem: str
    digest: str
    seed: int
    samples: int


@dataclass(frozen=True)
class Row:
    """One sampler at one budget.

    Attributes:
        solver: the name of the sampler.
        grid: the name of the grid.
        budget: the evaluations allowed.
        steps: the number of steps.
        nfe: the evaluations used, counted by `solve`.
        seconds: processor time.
        failure: why the sampler failed; empty if it did not.
        errors: the rms error of the end point of each initial noise, (samples,); empty for a sampler that failed.
        start: the time of the initial noise.
        floor: the error of the reference that the errors were measured against.
        provenance: the versions, the machine and the time.
    """

    solver: str
    grid: str
    budget: int
    steps: int
    nfe: int
    seconds: float
    failure: str
    errors: NDArray[np.float64] = field(repr=False)
    start: float = 0.0
    floor: float = 0.0
    provenance: Provenance = field(default_factory=Provenance.here)

    @property
    def cell(self) -> tuple[str, str, int]:
        """Solver, grid and budget: the row's name within its run."""
        return self.solver, self.grid, self.budget

    @property
    def error(self) -> float:
        """The root mean square of the errors; NaN for a sampler that failed."""
        return math.hypot(*self.errors) / math.sqrt(self.errors.size) if self.errors.size else math.nan


class Ledger(Database):
    """The file of results at `path`. A file that does not exist is made, with its folder.

    Its methods raise ValueError if the file is no ledger, has another format or is damaged, and OSError if it cannot be
    read or written, as one that another program has locked, or on a full disk.
    """

    def begin(self, key: Key, identity: Mapping[str, Any]) -> None:
        """Enter the identity of a problem. Raises ValueError if another identity has its digest."""
        text = json.dumps(identity, sort_keys=True)
        self.insert("problems", key.digest, text)
        if json.dumps(self.identity(key.digest), sort_keys=True) != text:
            raise self.damaged(f"the digest {key.digest} stands for another problem than {key.problem!r}")

    def identity(self, digest: str) -> dict[str, Any]:
        """What determines the solutions of a problem. Raises ValueError for a digest that is not there."""
        found = self.find("SELECT identity FROM problems WHERE digest = ?", (digest,))
        if not found:
            raise ValueError(f"{self.path} knows no problem of digest {digest!r}.")
        return self._content(found[0][0], f"the identity of {digest}")

    def runs(self) -> list[Key]:
        """The runs that have rows, the one with the last row last."""
        columns = "problem, digest, seed, samples"
        return [Key(*each) for each in self.find(f"SELECT {columns} FROM rows GROUP BY {columns} ORDER BY max(rowid)")]

    def add(self, key: Key, row: Row) -> None:
        """Write a row in one transaction; a row that is there stays, unless its floor is more than twice this one's."""
        cell = (row.solver, row.grid, row.budget, row.provenance.fokker)
        work = (row.start, row.floor, row.steps, row.nfe, row.seconds)
        outcome = (row.failure, None if row.failure else row.error, row.errors.astype("<f8").tobytes())
        worse = f"DELETE FROM rows WHERE {RUN} AND (solver, grid, budget, fokker) = (?, ?, ?, ?) AND floor > 2 * ?"
        with self.transaction():
            self.find(worse, (*key, *cell, row.floor))
            self.insert("rows", *key, *cell, *work, *outcome, json.dumps(asdict(row.provenance)))

    def rows(self, key: Key, fokker: str | None = None) -> list[Row]:
        """The rows of a run, in the order of their names and budgets.

        The error of a row is kept beside the errors of its samples, and tells when they have changed.

        Args:
            key: the run.
            fokker: the version of this package that measured them; this one if None.
        """
        query = f"""SELECT solver, grid, budget, steps, nfe, seconds, failure, start, floor, errors, provenance, error
                    FROM rows WHERE {RUN} AND fokker = ? ORDER BY solver, grid, budget"""
        rows = []
        for solver, grid, budget, steps, nfe, seconds, failure, start, floor, errors, provenance, error in self.find(
            query, (*key, fokker or version("fokker"))
        ):
            try:
                found, origin = np.frombuffer(errors, "<f8"), Provenance(**json.loads(provenance))
                row = Row(solver, grid, budget, steps, nfe, seconds, failure, found, start, floor, origin)
                same = not errors if failure else len(found) == key.samples and math.isclose(row.error, error)
            except (TypeError, ValueError):
                same = False
            if not same:
                raise self.damaged(f"the row of {solver} on {grid} at {budget} evaluations")
            rows.append(row)
        return rows

    def versions(self, key: Key) -> list[str]:
        """The versions of this package that measured rows of a run, the last one first."""
        query = f"SELECT fokker FROM rows WHERE {RUN} GROUP BY fokker ORDER BY max(rowid) DESC"
        return [fokker for (fokker,) in self.find(query, key)]

    def add_law(self, key: Key, sampler: str, budget: int, content: Mapping[str, Any]) -> None:
        """Write what was measured of the law of a sampler's results; what is already there stays.

        Args:
            key: the problem and its initial noises.
            sampler: the name of the sampler.
            budget: the evaluations allowed.
            content: what was measured: numbers, texts, lists and dicts of them.
        """
        self.insert("laws", *key, sampler, budget, version("fokker"), json.dumps(content))

    def laws(self, key: Key) -> dict[tuple[str, int], dict[str, Any]]:
        """What this version of the package measured of the laws of a run, by sampler and budget."""
        query = f"SELECT sampler, budget, content FROM laws WHERE {RUN} AND fokker = ? ORDER BY sampler, budget"
        return {
            (name, budget): self._content(text, f"the law of {name} at {budget} evaluations")
            for name, budget, text in self.find(query, (*key, version("fokker")))
        }

    def _content(self, text: str, what: str) -> dict[str, Any]:
        try:
            content = json.loads(text)
        except (TypeError, ValueError):
            content = None
        if not isinstance(content, dict):
            raise self.damaged(f"{what} is no JSON")
        return content

    def __enter__(self) -> Ledger:
        return self
