"""The floors, from the top: face, benchmarks, verification, generative, solvers. Nothing imports upwards."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from source import PYPROJECT, imports, module_files

FLOORS = ["solvers", "generative", "verification", "benchmarks"]
MODULES = sorted(module_files().items())
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # import name -> what pip calls it, where they differ

modules = pytest.mark.parametrize(("module", "file"), MODULES, ids=[module for module, _ in MODULES])


def floor(module: str) -> int:
    """The floor's number from the ground; the face (`fokker`, `fokker.cli`) is the roof."""
    folder = module.split(".")[1] if "." in module else ""
    return FLOORS.index(folder) if folder in FLOORS else len(FLOORS)


@modules
def test_nothing_imports_upwards(module: str, file: Path) -> None:
    upwards = [target for level, target in imports(module, file) if level and floor(target) > floor(module)]
    assert upwards == []


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
    requirements = [*project["dependencies"], *optional["train"], *optional["adapters"]]
    declared = {re.split("[<>=]", requirement)[0] for requirement in requirements}
    names = {target.split(".")[0] for level, target in imports(module, file) if not level}
    assert {DISTRIBUTIONS.get(name, name) for name in names - sys.stdlib_module_names} <= declared


@pytest.mark.parametrize("module", ["fokker", "fokker.cli"])
def test_the_face_loads_nothing_heavy(module: str, tmp_path: Path) -> None:
    heavy = ["torch", "numpy", "scipy", "matplotlib"]
    code = f"import sys, {module}; print(*sorted(set({heavy}) & sys.modules.keys()))"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert found.split() == []
