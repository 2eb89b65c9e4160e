"""Methods by name: what `fokker certify` measures.

    dpm++2m                                  a published sampler (`generative.named`)
    Heun, ExponentialAdams(3, corrector=True)    a solver of the public interface, with its arguments
    Picard(RK4(), 16)                        solvers inside solvers
    package.module:function                  anyone's code, (equation, x, times, noise) -> the last state

An expression is read, not evaluated: names of solvers and of their tables, and literal arguments, nothing else.
"""

from __future__ import annotations

import ast
import inspect
from difflib import get_close_matches
from typing import Any

from ... import solvers
from ...generative.sampling import PUBLISHED, Sampler
from ...solvers import ButcherTableau, ExponentialTableau, Solver
from ...solvers.common import check_instance
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
    found = _value(_parsed(text)) if "(" in text else _made(text)
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


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (MemoryError, RecursionError, SyntaxError, ValueError):  # all of Python's parser
        raise ValueError(f"{text[:80]!r} cannot be read; {WRITE}.") from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _known(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = [_value(each) for each in node.args]
        return _made(node.func.id, *arguments, **{each.arg or "": _value(each.value) for each in node.keywords})
    try:
        return ast.literal_eval(node)
    except (RecursionError, TypeError, ValueError):
        raise ValueError(f"{ast.unparse(node)!r} is neither a solver nor a literal; {WRITE}.") from None


def _made(name: str, *arguments: Any, **named: Any) -> Any:
    kind = _known(name)
    try:
        return kind(*arguments, **named)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made: {error}.") from None


def _known(name: str) -> Any:
    """A solver class or a tableau of the public interface."""
    found = getattr(solvers, name, None)
    classes = [each for each in vars(solvers).values() if isinstance(each, type) and issubclass(each, Solver)]
    if found in classes or isinstance(found, ButcherTableau | ExponentialTableau):
        return found
    known = [*PUBLISHED, *sorted(each.__name__ for each in classes)]
    near = " or ".join(get_close_matches(name, known, 2))
    raise ValueError(f"There is no method {name!r}{near and f' ({near}?)'}; there are {', '.join(known)}.")
