"""Clocks in text: a name, such as "1-t", or an expression in the names, such as "1000*t" or "-0.25*half_log_snr"."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...generative.denoiser import make_clock
from ...generative.paths import GaussianPath, Scalar, Table, exp, log, sqrt
from ...solvers.common import check_instance, real
from ..expressions import parsed

__all__ = ["ClockExpression", "read_clock"]

NAMES = ("t", "1-t", "sigma", "log_snr", "half_log_snr", "index")
LEVELS = ("alpha", "sigma", "log_snr", "half_log_snr")
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"log": log, "exp": exp, "sqrt": sqrt}
OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
WRITE = f"write {', '.join(NAMES)}, or an expression in these names, such as 1000*t"
LONGEST = 200


@dataclass(frozen=True)
class ClockExpression:
    """A clock: numbers, t, and the levels of a path at t, with + − * / and log, exp, sqrt.

    The text is read, not evaluated by Python.

    Args:
        path: the path whose σ, log-SNR and index it reads.
        text: the expression.

    Raises:
        ValueError: it cannot be read, has another name, or has no value at t = 1/2.

    Example:
        >>> ClockExpression(CondOT(), "999*(1 - t)")(0.25)
        749.25
    """

    path: GaussianPath
    text: str

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST:
            raise ValueError(f"The clock has {len(self.text)} characters; {WRITE}.")
        try:
            real(f"The clock {self.text!r} at t = 0.5", self(0.5))
        except ArithmeticError as error:
            raise ValueError(f"The clock {self.text!r} has no value at t = 0.5 ({error}); {WRITE}.") from None

    @cached_property
    def _node(self) -> ast.expr:
        return parsed(self.text, WRITE)

    def __call__(self, t: Scalar) -> Scalar:
        """The value at t, a float or (B,)."""
        value: Scalar = self._value(self._node, t)
        return value

    def _value(self, node: ast.AST, t: Scalar) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.Name(id="t"):
                return t
            case ast.Name(id=name) if name in LEVELS:
                return getattr(self.path, name)(t)
            case ast.Name(id="index"):
                if not isinstance(self.path, Table):
                    raise ValueError(f"Only a Table of betas has an index, but the path is {self.path}; {WRITE}.")
                return self.path.index(t)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
                return OPERATIONS[type(op)](self._value(left, t), self._value(right, t))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATIONS:
                return OPERATIONS[type(op)](self._value(operand, t))
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](self._value(argument, t))
        raise ValueError(f"{ast.unparse(node)!r} in the clock {self.text!r} is not known; {WRITE}.")


def read_clock(text: str, path: GaussianPath) -> str | ClockExpression:
    """The clock of a text, as `Denoiser` takes it: one of its names, or an expression.

    Args:
        text: the name or the expression.
        path: the path of the network.

    Raises:
        TypeError: arguments of another kind.
        ValueError: it cannot be read, has another name, or has no value at t = 1/2.
    """
    check_instance("time", text, str, 'a text such as "1-t"')
    check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
    name = text.replace(" ", "")
    if name not in NAMES:
        return ClockExpression(path, text.strip())
    make_clock(path, name)
    return name
