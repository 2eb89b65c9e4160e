"""Expressions in text, such as "ExponentialAdams(3, corrector=True)": calls of names that are known, with arguments.

An expression is read, not evaluated: names, calls of names, and literal arguments, nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Reader", "parsed"]

LONGEST = 100_000
"""Characters of an expression; a table of a thousand betas has 20,000."""


@dataclass(frozen=True)
class Reader:
    """Reads expressions.

    Args:
        known: what a name stands for. It raises ValueError for a name that is not known.
        write: what to write instead of an expression that cannot be read, for the messages of errors.
    """

    known: Callable[[str], Any]
    write: str

    def read(self, text: str) -> Any:
        """What the expression makes; a name alone is called without arguments.

        Raises:
            ValueError: it cannot be read, it has a name that is not known or an argument that is no literal, or what
                it calls does not take the arguments.
        """
        return self._value(parsed(text, self.write)) if "(" in text else self._made(text.strip(), [], {})

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self.known(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = {each.arg or "": self._value(each.value) for each in node.keywords}
            return self._made(node.func.id, [self._value(each) for each in node.args], named)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand)
            if isinstance(value, int | float):
                return -value
        try:
            return ast.literal_eval(node)
        except (RecursionError, TypeError, ValueError):
            text = ast.unparse(node)[:80]
            raise ValueError(f"{text!r} is neither a known name nor a literal; {self.write}.") from None

    def _made(self, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
        kind = self.known(name)
        try:
            return kind(*arguments, **named)
        except TypeError as error:
            raise ValueError(f"{name} cannot be made: {str(error).removesuffix('.')}.") from None


def parsed(text: str, write: str) -> ast.expr:
    """The syntax of an expression. Raises ValueError, with what to `write` instead, for what is none."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        return ast.parse(text.strip(), mode="eval").body
    except (MemoryError, RecursionError, SyntaxError, ValueError):  # all of Python's parser
        raise ValueError(f"{text[:80]!r} cannot be read; {write}.") from None
