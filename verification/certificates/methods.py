"""Methods by name: what `fokker certify` measures.

    dpm++2m                                  a published sampler (`generative.named`)
    Heun, ExponentialAdams(3, corrector=True)    a solver of the public interface, with its arguments
    Picard(RK4(), 16)                        solvers inside solvers
    package.module:function                  anyone's code, (equation, x, times, noise) -> the last state

An expression is read, not evaluated: names of solvers and of their tables, and literal arguments, nothing else.
"""

from __future__ import annotations

import ast
from importlib import import_module
from typing import Any

from ... import solvers
from ...generative.named import PUBLISHED, Published
from ...solvers import ButcherTableau, ExponentialTableau, Solver
from .stochastic_problems import Run

__all__ = ["method"]

WRITE = 'write a published sampler, a solver such as "ExponentialAdams(3)", or "package.module:function"'


def method(text: str) -> Solver | Published | Run:
    """What the text names.

    Raises ValueError for a name that is not known or an argument that is not literal, ImportError for a module that is
    not there, and what the solver raises of its arguments.
    """
    if text in PUBLISHED:
        return PUBLISHED[text]
    if ":" in text:
        return _function(text)
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise ValueError(f"{text!r} cannot be read; {WRITE}.") from None
    found = _value(tree)
    found = found() if isinstance(found, type) else found
    if not isinstance(found, Solver):
        raise ValueError(f"{text!r} is no method; {WRITE}.")
    return found


def _function(text: str) -> Run:
    module, _, name = text.partition(":")
    found = getattr(import_module(module), name, None)
    if not callable(found):
        raise ValueError(f"{module} has no function {name!r}; write package.module:function.")
    function: Run = found
    return function


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _known(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = [_value(each) for each in node.args]
        return _known(node.func.id)(*arguments, **{each.arg or "": _value(each.value) for each in node.keywords})
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)!r} is neither a solver nor a literal; {WRITE}.") from None


def _known(name: str) -> Any:
    """A solver class or a tableau of the public interface."""
    found = getattr(solvers, name, None)
    classes = [each for each in vars(solvers).values() if isinstance(each, type) and issubclass(each, Solver)]
    if found in classes or isinstance(found, ButcherTableau | ExponentialTableau):
        return found
    known = ", ".join([*PUBLISHED, *sorted(each.__name__ for each in classes)])
    raise ValueError(f"There is no method {name!r}; there are {known}.")
