"""The seven changes of CONTRIBUTING.md, applied to a copy of the checkout and run there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from source import ROOT

NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "tests", "bench-results")
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
HOW_TO_ADD = TEXT.partition("\n## How to add\n")[2].partition("\n## ")[0]
SECTIONS = dict(re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", HOW_TO_ADD, re.DOTALL | re.MULTILINE))
LINES, FILES = 20, 3

FAST = ("A path", "A Runge-Kutta method")
"""Sections whose change is applied in every run of the tests; `make slow` applies the others."""
sections = pytest.mark.parametrize("section", SECTIONS)
applied = pytest.mark.parametrize(
    "section", [pytest.param(each, marks=[] if each in FAST else pytest.mark.slow) for each in SECTIONS]
)


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path / "changed" / "fokker", ignore=NOT_SOURCE))


def run(command: list[str], cwd: Path, stdin: str = "", **env: str) -> None:
    env = os.environ | env
    done = subprocess.run(command, cwd=cwd, input=stdin, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sections_are_those_that_people_ask_for() -> None:
    assert list(SECTIONS) == [
        "A Runge-Kutta method",
        "An exponential sampler",
        "A path",
        "A guidance",
        "An oracle",
        "A benchmark problem",
        "A claim",
    ]


@sections
def test_a_change_is_small(section: str) -> None:
    (diff,) = blocks(section, "diff")
    added = [line for line in diff.splitlines() if line.startswith("+") and line[1:].strip()]
    files = [line for line in added if line.startswith("+++ ")]
    assert len(added) - len(files) <= LINES
    assert len(files) <= FILES


@applied
def test_a_change_applies_and_what_it_adds_works(section: str, copy: Path, tmp_path: Path) -> None:
    (diff,) = blocks(section, "diff")
    run(["git", "apply", "--recount", "-"], cwd=copy, stdin=diff)
    python, shell = blocks(section, "python"), blocks(section, "sh")
    assert python or shell
    for block in python:
        run([sys.executable, "-c", block], cwd=tmp_path, PYTHONPATH=str(copy.parent))
    for line in "".join(shell).splitlines():
        fokker, *arguments = shlex.split(line)
        assert fokker == "fokker"
        run([sys.executable, "-m", "fokker.cli", *arguments], cwd=tmp_path, PYTHONPATH=str(copy.parent))
