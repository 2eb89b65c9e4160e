"""Fokker: solvers for diffusion and flow-matching models whose accuracy is measured, in PyTorch.

    dx = b(t, x) dt + g(t, x) dW,    from noise (t = 0) to data (t = 1)

A denoiser makes an equation, a solver takes steps along a grid of times, and the result is compared with something
exact:

    import fokker

    path = fokker.CondOT()
    oracle = fokker.GaussianMixture(weights, means, covs)
    equation = fokker.flow(oracle.denoiser(path))
    times = fokker.grids.uniform(path, 20)
    solution = fokker.solve(equation, x, times, fokker.Heun())
    solution.x, solution.nfe

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so that `import fokker` loads
neither torch nor anything else that is heavy.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"

_HOMES = {
    alias.name: node.module
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
"""The module of each public name; None for a name that is itself a module."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'fokker' has no attribute {name!r}")
    # Absolute: a tool that reads this file by its place names the package after the checkout's folder.
    home = _HOMES[name]
    return import_module(f"fokker.{name}") if home is None else getattr(import_module(f"fokker.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
