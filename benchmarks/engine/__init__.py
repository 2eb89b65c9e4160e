"""Engines: many jobs on the processors of this machine, or on a cluster, behind one interface.

A worker may be killed at any moment without a result being lost or given twice. How jobs are bundled, and how they
travel, may be changed by whoever measures what a task costs.
"""

from __future__ import annotations

from .base import Engine as Engine, Shared as Shared
from .cluster import ray as ray
from .named import ENGINES as ENGINES, engine_named as engine_named
from .processes import local as local
