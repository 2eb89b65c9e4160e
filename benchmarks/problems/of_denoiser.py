"""The problem of anyone's denoiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...generative import CFG, Denoiser
from ...generative.denoiser import Condition, Label, check_denoiser
from ...solvers.common import MANY, check_instance, whole, wholes
from ...verification.named_networks import declared_classes
from .problem import Problem
from .trial import check_problem

__all__ = ["problem_of"]

SAMPLES = 64


def problem_of(
    denoiser: Denoiser,
    shape: Sequence[int],
    name: str = "network",
    label: Label | None = None,
    condition: Condition | None = None,
    guidance: float | None = None,
    classes: int | None = None,
    samples: int | None = None,
    *,
    negative: Condition | None = None,
) -> Problem:
    """The problem of solving the probability flow of a denoiser. The network is called a few times, as a check.

    Args:
        denoiser: the network; it may be guided.
        shape: of one sample.
        name: its name in reports.
        label: the class of all samples, or one a sample.
        condition: further arguments of the network, each with one row, or with one a sample.
        guidance: the weight of classifier-free guidance; None for none.
        classes: the labels 0 … classes − 1 are dealt out in turn; None for those that the network declares, if it has
            no label.
        samples: the number of initial noises; None for the rows of labels and conditions, or else 64.
        negative: what guidance leads away from, in place of some of the conditions.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: a number or a label is out of range; the rows of labels or conditions are neither one nor as many
            as the samples; guidance has nothing to lead to; or the network refuses the shape, returns another shape or
            what is not finite, or answers one question in two ways.

    Example:
        >>> denoiser = Denoiser(lambda x, time: -x, CondOT(), predicts="velocity")
        >>> problem_of(denoiser, (2,)).digest == problem_of(denoiser, (3,)).digest
        False
    """
    check_denoiser(denoiser)
    shape = wholes("shape", shape, 1)
    check_instance("name", name, str, "a name")
    samples = None if samples is None else whole("samples", samples, 1, MANY)
    known = declared_classes(denoiser) if classes is None else whole("classes", classes, 0, MANY)
    if label is not None and classes:
        raise ValueError(f"label says which class all samples have, and classes = {classes} deals them out; give one.")
    if label is not None:
        denoiser = denoiser.given(label)
    if condition is not None:
        check_instance("condition", condition, Mapping, "a mapping of names to values")
        denoiser = denoiser.given(condition)
    dealt = known if denoiser.label is None else 0
    if dealt:
        denoiser.given(dealt - 1)  # raises for more labels than the network knows
    if guidance is not None:
        if not (dealt or denoiser.label is not None or denoiser.condition):
            raise ValueError("guidance needs a class or a condition to lead to; give one, or leave guidance out.")
        denoiser = CFG(denoiser.given(0) if dealt else denoiser, guidance, negative=negative)
    found = Problem(name, _description(denoiser), denoiser, shape, samples or SAMPLES, dealt)
    rows = found.rows
    if rows is not None and rows != (samples or rows):
        raise ValueError(
            f"The labels, conditions or weights of {name} have {rows} rows, but there are {samples} initial noises; "
            "give one row for all, or one for each."
        )
    found = found if rows is None else Problem(name, found.description, denoiser, shape, rows, dealt)
    check_problem(found)
    return found


def _description(denoiser: Denoiser) -> str:
    net = getattr(denoiser.net, "__name__", type(denoiser.net).__name__)
    return f"{net} predicting {denoiser.predicts}, {denoiser.path!r}"
