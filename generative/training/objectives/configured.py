"""From the table [objective] of a configuration to the objective and its teacher."""

from __future__ import annotations

from typing import Any

from ....solvers.common import choice
from ....solvers.runge_kutta import METHODS
from ...denoiser import Denoiser
from ..checkpoint import build, load
from .consistency import ConsistencyDistillation, ConsistencyTraining
from .distances import Adaptive, PseudoHuber, Square
from .mean_flow import MeanFlow
from .objective import Objective
from .progressive import ProgressiveDistillation
from .teacher import Teacher

__all__ = ["OBJECTIVES", "build_objective", "build_teacher"]

OBJECTIVES = {
    kind.__name__: kind for kind in (ConsistencyDistillation, ConsistencyTraining, MeanFlow, ProgressiveDistillation)
}
DISTANCES = {kind.__name__: kind for kind in (Square, PseudoHuber, Adaptive)}
SOLVERS = {kind.__name__: kind for kind in METHODS}


def build_objective(table: dict[str, Any]) -> Objective:
    """The objective of {"class": "MeanFlow", …}. Raises ValueError for unknown classes and arguments."""
    arguments = {name: value for name, value in table.items() if name != "teacher"}
    if "distance" in arguments:
        arguments["distance"] = build(DISTANCES, "distance", arguments["distance"])
    made: Objective = build(OBJECTIVES, "objective", arguments)
    return made


def build_teacher(table: dict[str, Any]) -> Teacher | None:
    """The teacher of {…, "teacher": "digits-flow"}, or {"network": "digits-flow", "solver": "Heun", …}; None without.

    Raises:
        FileNotFoundError: there is no such network.
        ValueError: it is a flow map, or an argument does not fit.
    """
    given = table.get("teacher")
    if given is None:
        return None
    arguments = dict(given) if isinstance(given, dict) else {"network": given}
    network = arguments.pop("network", None)
    if not isinstance(network, str):
        raise ValueError(f"The network of the teacher is {network!r}; give the name of a shipped one, or a file.")
    denoiser = load(network)
    if not isinstance(denoiser, Denoiser):
        raise ValueError(f"{network} is a flow map; a teacher is a network of one time.")
    solver = SOLVERS[choice("solver of the teacher", arguments.pop("solver", "Heun"), SOLVERS)]()
    whole = {"class": "Teacher", "denoiser": denoiser, "solver": solver, **arguments}
    made: Teacher = build({"Teacher": Teacher}, "teacher", whole)
    return made
