"""Several runs write to one ledger at once, and are killed meanwhile: no row is lost, none is doubled."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fokker.benchmarks.ledger import Key, Ledger

KEY = Key("ring", "0123456789abcdef", 0, 64)
WRITER = """
import sys
from pathlib import Path
import numpy as np
from fokker.benchmarks.ledger import Key, Ledger, Row
path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
key = Key("ring", "0123456789abcdef", 0, 64)
print("ready", flush=True)
sys.stdin.readline()
with Ledger(path) as ledger:
    ledger.begin(key, {"path": "VP"})
    for budget in range(first, first + count):
        ledger.add(key, Row("heun", "karras", budget, 1, 1, 0.1, "", np.full(64, float(budget + 1))))
        print(budget, flush=True)
"""


def writer(file: Path, first: int, count: int) -> subprocess.Popen[str]:
    """A process that writes so many rows, from this budget on, when it reads a line, and prints what is written."""
    command = [sys.executable, "-c", WRITER, str(file), str(first), str(count)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def start(*processes: subprocess.Popen[str]) -> None:
    """Let them go at the same moment."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def check(file: Path, budgets: set[int]) -> None:
    """The ledger holds these rows, each as it was written."""
    with Ledger(file) as ledger:
        rows = ledger.rows(KEY)
        assert ledger.identity(KEY.digest) == {"path": "VP"}
    assert [row.budget for row in rows] == sorted(budgets)
    assert all(np.array_equal(row.errors, np.full(64, row.budget + 1.0)) for row in rows)


@pytest.mark.slow
def test_three_runs_make_and_fill_one_ledger(tmp_path: Path) -> None:
    """Two of them also write the same 200 rows. None waits in vain for the others."""
    file = tmp_path / "results.sqlite"
    processes = [writer(file, 0, 300), writer(file, 100, 300), writer(file, 400, 300)]
    start(*processes)
    ends = [process.communicate(timeout=120.0) for process in processes]
    assert [stderr for _, stderr in ends] == ["", "", ""]
    check(file, set(range(700)))


def test_a_run_that_is_killed_leaves_a_sound_ledger(tmp_path: Path) -> None:
    """Every row whose writing had ended is there; at most one more may be."""
    file, done = tmp_path / "results.sqlite", 0
    for kill in range(2):
        process = writer(file, done, 10**6)
        start(process)
        assert process.stdout is not None
        for _ in range(37 * (kill + 1)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        with process:  # communicate() would leave out what readline() has read ahead
            rest = process.stdout.read()
        told = done + 37 * (kill + 1) + len(rest.splitlines())
        with Ledger(file) as ledger:
            done = len(ledger.rows(KEY))
        assert done in (told, told + 1)
        check(file, set(range(done)))
