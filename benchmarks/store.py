"""Results on disk: one SQLite file, one transaction a row.

A row is one sampler at one budget on one problem. It is written when it is finished: a run that stops, even by
SIGKILL, loses only the work in flight, and the next run goes on from there. Each row keeps the error of every
initial noise, so that two samplers can later be compared in pairs, without running them again.

`runs` holds the configuration of the problem for each (problem, seed, samples). `Store.begin` refuses to add rows
of a different problem under the same name (a network trained anew, a path changed).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EIO
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Key", "Row", "Store"]

APPLICATION = 0x466F6B6B
"""The application id in the head of the SQLite file, "Fokk"."""

PATIENCE = 60.0
"""The seconds for which another program may lock the file."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    problem TEXT, seed INTEGER, samples INTEGER, configuration TEXT NOT NULL,
    PRIMARY KEY (problem, seed, samples)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    problem TEXT, seed INTEGER, samples INTEGER, solver TEXT, grid TEXT, budget INTEGER,
    steps INTEGER NOT NULL, nfe INTEGER NOT NULL, seconds REAL NOT NULL,
    failure TEXT NOT NULL, error REAL, errors BLOB NOT NULL,
    PRIMARY KEY (problem, seed, samples, solver, grid, budget)
);
"""


class Key(NamedTuple):
    """A problem and its initial noises, the same for all samplers that are compared."""

    problem: str
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
    """

    solver: str
    grid: str
    budget: int
    steps: int
    nfe: int
    seconds: float
    failure: str
    errors: NDArray[np.float64] = field(repr=False)

    @property
    def cell(self) -> tuple[str, str, int]:
        """Solver, grid and budget: the row's name within its run."""
        return self.solver, self.grid, self.budget

    @property
    def error(self) -> float:
        """The root mean square of the errors; NaN for a sampler that failed."""
        return float(np.sqrt(np.mean(self.errors**2))) if self.errors.size else float("nan")


class Store:
    """The file of results at `path`. A file that does not exist is made, with its folder.

    Its methods raise ValueError if the file is no store of results or is damaged, and OSError if it cannot be read or
    written, as one that another program has locked, or on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self._connection = sqlite3.connect(path, timeout=PATIENCE)
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database name its file."""
        try:
            yield
        except sqlite3.OperationalError as error:  # of the surroundings: the file may be sound
            raise OSError(EIO, f"{error}; see who uses it, and whether the disk is full", str(self.path)) from error
        except sqlite3.DatabaseError as error:
            told = f"{self.path} is no file of benchmark results ({error}); choose another folder."
            raise ValueError(told) from error

    def _open(self) -> None:
        """Mark an empty file. Raises DatabaseError for a file that is neither empty nor marked, or is damaged."""
        (mark,) = self._connection.execute("PRAGMA application_id").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and mark != APPLICATION:
            raise sqlite3.DatabaseError("a database of another application")
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))
        self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def begin(self, key: Key, configuration: Mapping[str, Any]) -> None:
        """Enter a run, or continue the one that is there. Raises ValueError if that one has another configuration."""
        text = json.dumps(configuration, sort_keys=True)
        with self._told(), self._connection:
            self._connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)", (*key, text))
        if self.configuration(key) != json.loads(text):
            raise ValueError(
                f"{self.path} holds results of another version of {key.problem!r} for seed {key.seed} and "
                f"{key.samples} samples; choose another folder, or delete this one."
            )

    def configuration(self, key: Key) -> dict[str, Any]:
        """The configuration of the problem that the rows of a run were measured on."""
        query = "SELECT configuration FROM runs WHERE (problem, seed, samples) = (?, ?, ?)"
        with self._told():
            (text,) = self._connection.execute(query, key).fetchone()
        try:
            configuration: dict[str, Any] = json.loads(text)
        except (TypeError, ValueError):
            raise self._damaged(f"the configuration of {key.problem!r} is no JSON") from None
        return configuration

    def add(self, key: Key, row: Row) -> None:
        """Write a row in one transaction; a row that is already there stays."""
        failed = bool(row.failure)
        values = (row.solver, row.grid, row.budget, row.steps, row.nfe, row.seconds)
        outcome = (row.failure, None if failed else row.error, row.errors.astype("<f8").tobytes())
        with self._told(), self._connection:
            self._connection.execute(
                f"INSERT OR IGNORE INTO rows VALUES ({', '.join('?' * 12)})", (*key, *values, *outcome)
            )

    def rows(self, key: Key) -> list[Row]:
        """The rows of a run, in the order of their names and budgets.

        The error of a row is kept beside the errors of its samples, and tells when they have changed.
        """
        query = """SELECT solver, grid, budget, steps, nfe, seconds, failure, error, errors FROM rows
                   WHERE (problem, seed, samples) = (?, ?, ?) ORDER BY solver, grid, budget"""
        with self._told():
            found = self._connection.execute(query, key).fetchall()
        rows = []
        for solver, grid, budget, steps, nfe, seconds, failure, error, errors in found:
            try:
                row = Row(solver, grid, budget, steps, nfe, seconds, failure, np.frombuffer(errors, "<f8"))
                same = not errors if failure else len(row.errors) == key.samples and math.isclose(row.error, error)
            except (TypeError, ValueError):
                same = False
            if not same:
                raise self._damaged(f"the row of {solver} on {grid} at {budget} evaluations")
            rows.append(row)
        return rows

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"{self.path} is damaged: {what}; choose another folder, or delete this one.")

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
