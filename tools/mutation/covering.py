"""Which tests run which line, and how long each takes: measured once, by running the suite under coverage."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

from .copies import Copy

__all__ = ["Covering", "measured"]

CONFIGURATION = """
[run]
source =
    solvers
    generative
relative_files = true
"""


@dataclass(frozen=True)
class Covering:
    """lines: by file and line, the tests that run it. seconds: what each test takes."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def of(self, file: str, line: int) -> list[str]:
        """The tests that run the line, the fastest first; of a line that runs on import, those that run the file."""
        known = self.lines.get(file, {})
        found = known.get(line) or {test for each in known.values() for test in each}
        return sorted(found, key=lambda test: (self.seconds[test], test))


def measured(copy: Copy, folder: Path, workers: int) -> Covering:
    """Runs the suite in a copy of the checkout; what it finds is kept in the folder, and read from there next time.

    Raises CalledProcessError where the suite itself fails: then no mutant can be judged.
    """
    data, times = folder / "coverage", folder / "times.xml"
    if not times.exists():
        configuration, running = folder / "coveragerc", folder / "running.xml"
        configuration.write_text(CONFIGURATION)
        options = ["-n", str(workers), "--cov", f"--cov-config={configuration}", "--cov-context=test", "--cov-report="]
        options += [f"--junitxml={running}", "-o", "junit_duration_report=total"]
        command, environment = copy.pytest(options)
        subprocess.run(command, cwd=copy.root, env=environment | {"COVERAGE_FILE": str(data)}, check=True)
        running.rename(times)
    return _read(data, times)


def _read(data: Path, times: Path) -> Covering:
    seconds: dict[str, float] = {}
    for case in ElementTree.parse(times).iter("testcase"):
        file = case.attrib["classname"].replace(".", "/")
        seconds[f"{file}.py::{case.attrib['name']}"] = float(case.attrib["time"])
    found = CoverageData(str(data))
    found.read()
    lines: dict[str, dict[int, list[str]]] = {}
    for file in found.measured_files():
        by_line = found.contexts_by_lineno(file)
        lines[file] = {line: sorted(_tests(contexts) & seconds.keys()) for line, contexts in by_line.items()}
    return Covering(lines, seconds)


def _tests(contexts: list[str]) -> set[str]:
    """Without the phase, setup, run or teardown; what runs on import has no test."""
    return {context.rpartition("|")[0] for context in contexts if context}
