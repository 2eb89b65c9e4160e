"""The rows of weights of an exponential Runge-Kutta method, each a combination of φ-functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..common import check_instance, real, whole, wholes

__all__ = ["MOST_STAGES", "Entry", "Row", "checked_row", "interpolated"]

MOST_STAGES = 100
Entry = Mapping[tuple[int, int], float]
"""{(k, l): coefficient} stands for Σ coefficient · φ_k(−c_l z); l = −1 is the end of the step, c = 1."""
Row = Mapping[int, Entry]
"""{stage: entry}; a stage without an entry has no weight."""


def interpolated(at: int, c: float, nodes: Mapping[int, float]) -> Row:
    """The row of weights of a step to the node c, with N interpolated at the nodes of some stages.

    Args:
        at: l, the stage whose node is c; −1 for the end of the step.
        c: c_l.
        nodes: {stage j: c_j} for the one to four stages whose values are interpolated, at different nodes.

    Raises:
        TypeError: a number is none, or `nodes` is no mapping.
        ValueError: a number is out of range, or two nodes are equal.
    """
    at, c = whole("at", at, -1, MOST_STAGES), real("c", c, 0.0, 1.0)
    check_instance("nodes", nodes, Mapping, "{stage: node}, such as {0: 0.0, 1: 0.5}")
    nodes = {whole("stage", stage, 0, MOST_STAGES): real("node", node, 0.0, 1.0) for stage, node in nodes.items()}
    if not 1 <= len({*nodes.values()}) == len(nodes) <= 4:
        raise ValueError(f"Interpolation needs one to four different nodes, but got {[*nodes.values()]}.")
    inverse = np.linalg.inv(np.vander(list(nodes.values()), increasing=True))  # column j: L_j's coefficients
    return {
        stage: {(m + 1, at): coefficient * math.factorial(m) * c ** (m + 1) for m, coefficient in enumerate(column)}
        for stage, column in zip(nodes, inverse.T.tolist(), strict=True)
    }


def checked_row(name: str, row: Any, before: int, stages: int) -> Row:
    """A row of weights that uses the first `before` of the stages alone."""
    check_instance(name, row, Mapping, "{stage: {(k, l): coefficient}}")
    found = {}
    for stage, entry in row.items():
        check_instance(f"{name}[{stage}]", entry, Mapping, "{(k, l): coefficient}")
        terms = {}
        for key, coefficient in entry.items():
            k, at = wholes(f"a key of {name}[{stage}]", key)
            where = whole("k", k, 1, 4), whole("l", at, -1, stages - 1)
            terms[where] = real(f"{name}[{stage}][{key}]", coefficient)
        found[whole(f"a stage in {name}", stage, 0, before - 1)] = terms
    return found
