"""The SQLite file under a ledger: its format, its locks, and its errors in words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Database"]

APPLICATION = 0x466F6B6B
"""The application id in the head of the SQLite file, "Fokk"."""

FORMAT = 2
"""The version of the tables, in the head of the file. Format 1 knew a problem by its name alone."""

PATIENCE = 60.0
"""The seconds for which another program may lock the file."""

SCHEMA = (
    "CREATE TABLE problems (digest TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE rows (
        problem TEXT, digest TEXT, seed INTEGER, samples INTEGER,
        solver TEXT, grid TEXT, budget INTEGER, fokker TEXT,
        start REAL NOT NULL, floor REAL NOT NULL, steps INTEGER NOT NULL, nfe INTEGER NOT NULL, seconds REAL NOT NULL,
        failure TEXT NOT NULL, error REAL, errors BLOB NOT NULL, provenance TEXT NOT NULL,
        PRIMARY KEY (problem, digest, seed, samples, solver, grid, budget, fokker)
    )""",
    """CREATE TABLE laws (
        problem TEXT, digest TEXT, seed INTEGER, samples INTEGER, sampler TEXT, budget INTEGER, fokker TEXT,
        content TEXT NOT NULL,
        PRIMARY KEY (problem, digest, seed, samples, sampler, budget, fokker)
    )""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)


class Database:
    """The file at `path`. A file that does not exist is made, with its folder. A statement alone is a transaction.

    Raises ValueError if the file is of another application or format, or damaged, and OSError if it cannot be read or
    written, as one that another program has locked, or on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self.connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self.connection.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. It waits for other writers at its beginning."""
        with self._told():
            self.connection.execute("BEGIN IMMEDIATE")
            with self.connection:
                yield

    def find(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        """Run a statement: the lines that it finds."""
        with self._told():
            return self.connection.execute(query, values).fetchall()

    def insert(self, table: str, *values: object) -> None:
        """Write a line; a line that is there under this key stays."""
        with self._told():
            places = ", ".join("?" * len(values))
            self.connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", values)

    def damaged(self, what: str) -> ValueError:
        """The error of a file that is not as it was written."""
        return ValueError(f"{self.path} is damaged: {what}; choose another folder, or delete this one.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors name the file."""
        try:
            yield
        except sqlite3.OperationalError as error:  # of the surroundings: the file may be sound
            if "decode" in str(error):
                raise self.damaged("a text is no UTF-8") from error
            raise OSError(EIO, f"{error}; see who uses it, and whether the disk is full", str(self.path)) from error
        except sqlite3.DatabaseError as error:
            told = f"{self.path} is no file of benchmark results ({error}); choose another folder."
            raise ValueError(told) from error

    def _open(self) -> None:
        """Check the file, and make the tables of an empty one."""
        empty = self._empty()
        (found,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))
        if empty:
            self._write_ahead()
            with self.transaction():
                if self._empty():  # no other run was faster
                    for statement in SCHEMA:
                        self.connection.execute(statement)
        self.connection.execute("PRAGMA synchronous = NORMAL")

    def _empty(self) -> bool:
        """Whether the file has no tables. Raises an error for those of another application or format."""
        mark, form, tables = self.connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if not tables:
            return True
        if mark != APPLICATION:
            raise sqlite3.DatabaseError("a database of another application")
        if form < FORMAT:
            raise ValueError(
                f"{self.path} was written by an older version of fokker (format {form or 1}, now {FORMAT}), "
                f"and its rows do not say which network they are of; choose another folder, or delete it."
            )
        if form > FORMAT:
            raise ValueError(
                f"{self.path} was written by a newer version of fokker (format {form}, here {FORMAT}); "
                f"update fokker, or choose another folder."
            )
        return False

    def _write_ahead(self) -> None:
        """Readers and a writer do not hinder each other. SQLite does not wait for others here."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
