"""The package as text: its modules and what they import, read without importing anything."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["PACKAGES", "PYPROJECT", "ROOT", "imports", "module_files"]

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PYPROJECT["tool"]["setuptools"]["packages"]


@cache
def module_files() -> dict[str, Path]:
    """Every module that is installed, by its dotted name; a package is named by its `__init__.py`."""
    files = {}
    for package in PACKAGES:
        for file in sorted(ROOT.joinpath(*package.split(".")[1:]).glob("*.py")):
            files[package if file.stem == "__init__" else f"{package}.{file.stem}"] = file
    return files


@cache
def imports(module: str, file: Path, *, written: bool = False) -> tuple[tuple[int, str], ...]:
    """(level, target) of each import: the dots written before it, and what it names in full.

    `from ..equations import grids` names the module `fokker.generative.equations.grids`, or, `written`, the package
    that it is taken from.
    """
    return tuple(_imports(module, file, written))


def _imports(module: str, file: Path, written: bool) -> Iterator[tuple[int, str]]:
    known = module_files()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield node.level, full if full in known and not written else source
