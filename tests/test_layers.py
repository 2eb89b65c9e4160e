"""The floors, from the top: face, benchmarks, verification, generative, solvers; on each floor, rooms.

Nothing imports upwards, and no two rooms import each other. A room is a folder, entered by what its `__init__.py`
exports, or a module that lies on its floor by itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from source import PYPROJECT, imports, module_files

FLOORS = ["solvers", "generative", "verification", "benchmarks"]
MODULES = sorted(module_files().items())
PACKAGES_OF_ROOMS = {"fokker", "fokker.verification.claims", *(f"fokker.{floor}" for floor in FLOORS)}
CHAPTERS = {f"fokker.verification.claims.{room}" for room in ("paths", "equations", "training", "sampling", "errata")}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # import name -> what pip calls it, where they differ

modules = pytest.mark.parametrize(("module", "file"), MODULES, ids=[module for module, _ in MODULES])


def floor(module: str) -> int:
    """The floor's number from the ground; the face (`fokker`, `fokker.cli`) is the roof."""
    folder = module.split(".")[1] if "." in module else ""
    return FLOORS.index(folder) if folder in FLOORS else len(FLOORS)


def room(module: str) -> str:
    """The folder that a module lies in, below its floor (or below the claims), or the module itself."""
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in PACKAGES_OF_ROOMS:
            return ".".join(parts[: n + 1])
    raise ValueError(module)


def arrows(rooms: str) -> dict[str, set[str]]:
    """What each room of this floor imports of the others; the floor's own face, which exports them, left out."""
    found: dict[str, set[str]] = {}
    for module, file in MODULES:
        if module != rooms and module.startswith(f"{rooms}.") and room(module).rpartition(".")[0] == rooms:
            targets = {room(target) for level, target in imports(module, file) if level and target != rooms}
            found.setdefault(room(module), set()).update(
                target for target in targets - {room(module)} if target.rpartition(".")[0] == rooms
            )
    return found


@modules
def test_nothing_imports_upwards(module: str, file: Path) -> None:
    upwards = [target for level, target in imports(module, file) if level and floor(target) > floor(module)]
    assert upwards == []


@pytest.mark.parametrize("rooms", sorted(PACKAGES_OF_ROOMS - {"fokker"}))
def test_no_two_rooms_import_each_other(rooms: str) -> None:
    try:
        TopologicalSorter(arrows(rooms)).prepare()
    except CycleError as error:
        pytest.fail(f"These rooms import each other: {' -> '.join(error.args[1])}.")


@modules
def test_a_room_is_entered_by_its_face(module: str, file: Path) -> None:
    targets = {target for level, target in imports(module, file, written=True) if level and target != "fokker"}
    inner = {target for target in targets if room(target) not in (target, room(module))}
    drawers = (
        "fokker.verification.claims.tools",
        "fokker.benchmarks.commands",
        "fokker.benchmarks.results.plot",
        "fokker.generative.training.sheets",  # these two import matplotlib, which only those who draw should load
    )
    assert {target for target in inner if target not in PACKAGES_OF_ROOMS and not target.startswith(drawers)} == set()


@modules
def test_chapters_of_claims_import_their_tools_alone(module: str, file: Path) -> None:
    if room(module) in CHAPTERS:
        targets = {room(target) for level, target in imports(module, file) if level}
        assert targets & CHAPTERS <= {room(module)}
        if module not in CHAPTERS:
            inside = {target for level, target in imports(module, file) if level and room(target) == room(module)}
            assert inside == set()


@modules
def test_imports_inside_the_package_are_relative(module: str, file: Path) -> None:
    absolute = [target for level, target in imports(module, file) if not level]
    assert [target for target in absolute if target.split(".")[0] == "fokker"] == []


@modules
def test_relative_imports_point_at_modules_that_are_installed(module: str, file: Path) -> None:
    missing = [target for level, target in imports(module, file) if level and target not in module_files()]
    assert missing == []


@modules
def test_every_other_import_is_a_declared_dependency(module: str, file: Path) -> None:
    project = PYPROJECT["project"]
    optional = project["optional-dependencies"]
    requirements = [*project["dependencies"], *optional["train"], *optional["adapters"], *optional["cluster"]]
    declared = {re.split("[<>=]", requirement)[0] for requirement in requirements}
    names = {target.split(".")[0] for level, target in imports(module, file) if not level}
    assert {DISTRIBUTIONS.get(name, name) for name in names - sys.stdlib_module_names} <= declared


@pytest.mark.parametrize("module", ["fokker", "fokker.cli"])
def test_the_face_loads_nothing_heavy(module: str, tmp_path: Path) -> None:
    heavy = ["torch", "numpy", "scipy", "matplotlib"]
    code = f"import sys, {module}; print(*sorted(set({heavy}) & sys.modules.keys()))"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert found.split() == []
