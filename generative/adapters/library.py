"""Import of an optional library when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["library"]


def library(name: str) -> Any:
    """The module of this name. Raises ImportError, with the command that installs it, if it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ImportError(f'{name} is not installed; install it with pip install "fokker[adapters]".') from None
