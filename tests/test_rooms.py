"""tools/rooms.py counts what it says, on a small package and on this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from source import ROOT

FILES = {
    "solvers/__init__.py": "from .loop import step",
    "solvers/equation.py": "",
    "solvers/loop/__init__.py": "from .base import step",
    "solvers/loop/base.py": "from ..equation import ODE\nfrom ..noise import draw\nimport math",
    "solvers/noise.py": "from . import equation",
    "solvers/around/__init__.py": "",
    "solvers/around/halving.py": "def f():\n    from ..loop.base import step\n    from ..loop import base",
}


def counted(root: Path) -> dict[str, list[int]]:
    """Rooms, levels, arrows, pairs and circles of each floor."""
    out = subprocess.check_output([sys.executable, ROOT / "tools" / "rooms.py", root], text=True)
    return {floor: list(map(int, rest)) for floor, *rest in map(str.split, out.splitlines()[1:])}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [4, 4, 4, 0, 0]),
        ({"solvers/noise.py": "from .loop import step"}, [4, 3, 4, 1, 1]),
        ({"solvers/equation.py": "from .around.halving import f"}, [4, 1, 5, 0, 1]),
    ],
    ids=["layers", "a pair", "a ring"],
)
def test_rooms_arrows_and_circles_are_counted(more: dict[str, str], expected: list[int], tmp_path: Path) -> None:
    """equation < noise < loop < around; then noise and loop import each other; then equation imports around."""
    write(tmp_path, FILES | more)
    assert counted(tmp_path) == {"solvers": expected}


def test_no_two_rooms_of_this_package_import_each_other() -> None:
    found = counted(ROOT)
    assert list(found) == ["solvers", "generative", "verification", "verification/claims", "benchmarks"]
    assert all(pairs == circles == 0 for *_, pairs, circles in found.values())
    assert all(rooms >= levels > 1 for rooms, levels, *_ in found.values())
