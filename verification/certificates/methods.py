"""Methods by name: what `fokker certify` measures.

    dpm++2m                                  a published sampler (`generative.named`)
    Heun, ExponentialAdams(3, corrector=True)    a solver of the public interface, with its arguments
    Picard(RK4(), 16)                        solvers inside solvers
    package.module:function                  anyone's code, (equation, x, times, noise) -> the last state

An expression is read, not evaluated: names of solvers and of their tables, and literal arguments, nothing else.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import Any

from ... import solvers
from ...generative.sampling import PUBLISHED, Sampler
from ...solvers import ButcherTableau, ExponentialTableau, Solver
from ...solvers.common import check_instance
from ..expressions import Reader
from ..import_named import import_named
from .stochastic_problems import Run

__all__ = ["method"]

WRITE = 'write a published sampler, a solver such as "ExponentialAdams(3)", or "package.module:function"'
ARGUMENTS = "(equation, x, times, noise)"


def method(text: str) -> Solver | Sampler | Run:
    """The method that the text names.

    Raises TypeError for what is no text, and ValueError for an unknown name, for an argument that is not literal, and
    for one that the solver does not take.
    """
    check_instance("text", text, str, 'a name such as "dpm++2m"')
    if text in PUBLISHED:
        return PUBLISHED[text]
    if ":" in text:
        return _function(text)
    found = Reader(_known, WRITE).read(text)
    if not isinstance(found, Solver):
        raise ValueError(f"{text!r} is no method; {WRITE}.")
    return found


def _function(text: str) -> Run:
    function: Run = import_named(text)
    if not callable(function):
        raise ValueError(f"{text} is of type {type(function).__name__}; give a function {ARGUMENTS}.")
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a function in C
        return function
    try:
        signature.bind(*ARGUMENTS.split(","))
    except TypeError:
        raise ValueError(f"{text} takes {signature}; it must take {ARGUMENTS}.") from None
    return function


def _known(name: str) -> Any:
    """A solver class or a tableau of the public interface."""
    found = getattr(solvers, name, None)
    classes = [each for each in vars(solvers).values() if isinstance(each, type) and issubclass(each, Solver)]
    if found in classes or isinstance(found, ButcherTableau | ExponentialTableau):
        return found
    known = [*PUBLISHED, *sorted(each.__name__ for each in classes)]
    near = " or ".join(get_close_matches(name, known, 2))
    raise ValueError(f"There is no method {name!r}{near and f' ({near}?)'}; there are {', '.join(known)}.")
