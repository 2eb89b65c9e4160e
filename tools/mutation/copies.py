"""A private copy of the checkout, in which a source can be mutated and tests run."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

from .operators import Mutant

__all__ = ["Copy", "copied"]


@dataclass(frozen=True)
class Copy:
    """root: the folder of the package, named as it is imported, so that its parent can go into PYTHONPATH."""

    root: Path

    def pytest(self, options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """A command and its environment: the tests of the copy, on the copy."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        return command, os.environ | {"PYTHONPATH": str(self.root.parent), "OMP_NUM_THREADS": "1"}

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """With the mutant in place of the source."""
        file = self.root / mutant.file
        source = file.read_bytes()
        file.write_bytes(mutant.applied(source))
        try:
            yield
        finally:
            file.write_bytes(source)


def copied(checkout: Path, folder: Path) -> Copy:
    """All files of the checkout that git knows or would add, without their history."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=checkout, check=True, capture_output=True, text=True).stdout.split("\0")
    root = folder / "fokker"
    for name in filter(None, names):
        if (checkout / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, root / name)
    # Compiled files that are recognised by the source's content: two mutants may be written within one second.
    compileall.compile_dir(root, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return Copy(root)
