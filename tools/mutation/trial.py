"""One mutant's trial: the tests that run its line, the fastest first, until one fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .copies import Copy
from .covering import Covering
from .operators import Mutant

__all__ = ["Trial", "tried"]

FIRST = 10.0
"""Seconds of tests to begin with: most mutants need no more."""
PATIENCE = 4.0
"""A run that takes so many times as long, and a minute, hangs: the mutant is caught."""
NO_SUCH_TEST = 4


@dataclass(frozen=True)
class Trial:
    """killer: the test that failed, "time" or "import"; None if the mutant survived. tests: how many run its line."""

    mutant: Mutant
    killer: str | None
    tests: int
    seconds: float


def tried(mutant: Mutant, copy: Copy, covering: Covering) -> Trial:
    """First the fast ones of the tests that run the line, from all files in turn; then all tests of these files.

    The second time by file, because the first test of a file may have left in a cache what the line computes.
    """
    start = time.perf_counter()
    tests = covering.of(mutant.file, mutant.line)
    killer = None
    with copy.mutated(mutant):
        if tests:
            killer = _run(copy, _first(tests, covering), covering)
        if tests and killer is None:
            files = sorted({test.partition("::")[0] for test in tests})
            killer = _run(copy, [test for test in covering.seconds if test.partition("::")[0] in files], covering)
    return Trial(mutant, killer, len(tests), time.perf_counter() - start)


def _first(tests: Sequence[str], covering: Covering) -> list[str]:
    """A test of every file, then a second one of every file, …, as long as it is short."""
    by_file: dict[str, list[str]] = {}
    for test in tests:
        by_file.setdefault(test.partition("::")[0], []).append(test)
    chosen: list[str] = []
    spent = 0.0
    for rank in zip_longest(*by_file.values()):
        for test in filter(None, rank):
            spent += covering.seconds[test]
            if chosen and spent > FIRST:
                return chosen
            chosen.append(test)
    return chosen


def _run(copy: Copy, tests: Sequence[str], covering: Covering) -> str | None:
    """Which of the tests fails first."""
    listed = copy.root.parent / "tests.txt"
    listed.write_text("\n".join(tests))
    command, environment = copy.pytest(["-x", "--no-header", "--tb=no", f"@{listed}"])
    limit = 60.0 + PATIENCE * sum(covering.seconds[test] for test in tests)
    with subprocess.Popen(
        command, cwd=copy.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "time"
    if process.returncode == 0:
        return None
    if failed := re.search(r"^(?:FAILED|ERROR) (\S+.*?)(?: - .*)?$", output, re.MULTILINE):
        return failed[1]
    if process.returncode == NO_SUCH_TEST and "not found" in output:
        return "import"  # a table of tests is read from the sources, and the mutant changes it
    if "ImportError" in output or "INTERNALERROR" in output or "conftest" in output:
        return "import"
    raise RuntimeError(f"pytest ended with {process.returncode} and named no test:\n{output}")

