"""Peak memory of a piece of work: the largest resident set of a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["peak_mebibytes"]

CODE = """
import importlib, resource, sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {folder!r})
with torch.no_grad():
    getattr(importlib.import_module({module!r}), {function!r})(*{arguments!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_mebibytes(module: str, function: str, *arguments: str | int) -> float:
    """That of `module.function(*arguments)`, a module of this folder, and of what it needs to start."""
    code = CODE.format(folder=str(Path(__file__).parent), module=module, function=function, arguments=arguments)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
