"""Engines by name."""

from __future__ import annotations

from ...solvers.common import choice
from .base import Engine
from .cluster import ray
from .processes import local

__all__ = ["ENGINES", "engine_named"]

ENGINES = ("local", "ray")


def engine_named(name: str | None, *, address: str | None = None) -> Engine:
    """An engine, as the command line names it.

    Args:
        name: "local", "ray", or None for the calling process.
        address: of the Ray cluster, as for `ray`.

    Raises:
        ValueError: an unknown name, an address without a cluster, or as `local` and `ray` raise.
        ImportError, OSError: as `ray` raises.

    Example:
        >>> with engine_named("local") as engine:
        ...     dict(engine.run(abs, [-2]))
        {-2: 2}
    """
    if name is not None and choice("engine", name, ENGINES) == "ray":
        return ray(address)
    if address is not None:
        raise ValueError(f'address is {address!r}, but belongs to a cluster; add the engine "ray".')
    return local(1) if name is None else local()
