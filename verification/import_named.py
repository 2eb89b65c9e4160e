"""Import an object by its name, package.module:name, from the working folder or from an installed package."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

__all__ = ["import_named"]


def import_named(name: str) -> Any:
    """The object that a module has under this name.

    Raises ValueError for a module or a name that does not exist, and ImportError for a module that raises an error.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise ValueError(f"{name!r} is no name of an object; write package.module:name.")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # an installed script does not look where it is called
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses one that it needs
        raise ValueError(f"There is no module {error.name!r}, neither installed nor in {here}.") from None
    except ImportError:
        raise
    except Exception as error:  # the module's own
        raise ImportError(f"{module_name} cannot be imported, for it raises {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise ValueError(f"{module_name} has no {attribute!r}; write package.module:name.")
    return getattr(module, attribute)
