"""The slips that people make in formulas, as edits of a source file.

    sign       a + b → a − b,  −a → a
    factor 2   a b → 2 (a b),  c → 2 c for a number c
    index      x[i] → x[i + 1],  x[1:] → x[2:],  range(n) → range(n − 1)
    exchange   a name for its sibling: t0 and t1, s and t, alpha and sigma, x0 and eps
    dropped    a + b → a,  a + b → b,  a b → a,  a b → b,  a / b → a

An edit replaces the bytes of one expression. What is no formula is left alone: messages of errors, annotations,
decorators, texts and how things print.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["KINDS", "Mutant", "mutants"]

KINDS = ("sign", "factor 2", "index", "exchange", "dropped")

PAIRS = [
    ("alpha", "sigma"),
    ("d_alpha", "d_sigma"),
    ("x0", "eps"),
    ("score", "eps"),
    ("mean", "std"),
    ("drift", "diffusion"),
    ("first", "last"),
    ("start", "end"),
    ("lower", "upper"),
    ("low", "high"),
    ("rtol", "atol"),
    ("real", "imag"),
    ("sin", "cos"),
    ("min", "max"),
    ("jvp", "vjp"),
]
SIBLINGS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
LETTERS = ("st", "ab", "xy", "mn", "ij")
"""Single letters that stand for things of one sort."""
PRINTING = ("__repr__", "__str__")


@dataclass(frozen=True)
class Mutant:
    """One edit: the bytes from start to end of `file` become `after`. function: the dotted name of where it is."""

    file: str
    line: int
    function: str
    kind: str
    start: int
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What it changes and where, but for line numbers: these move when the file does."""
        return f"{self.file} {self.function}: {self.before} -> {self.after}"

    def applied(self, source: bytes) -> bytes:
        """The mutated source."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutants(file: str, source: bytes) -> list[Mutant]:
    """All slips that can be made in this source, in its order; each leaves it a program."""
    return [mutant for mutant in _Walk(file, source).found if _parses(mutant.applied(source))]


def _parses(source: bytes) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Walk(ast.NodeVisitor):
    """Collects the mutants of one module."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file, self.source = file, source
        self.starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
        self.names: list[set[str]] = [set()]
        self.scope: list[str] = []
        self.found: list[Mutant] = []
        self.visit(ast.parse(source))

    # Where no formula is.

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.scope.append(node.name)
        for part in node.body:
            self.visit(part)
        self.scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in PRINTING:
            return
        self.scope.append(node.name)
        inside = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        self.names.append(inside | {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)})
        for part in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]:
            self.visit(part)
        self.names.pop()
        self.scope.pop()

    # What may be slipped in.

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.generic_visit(node)
        left, right = self._text(node.left), self._text(node.right)
        if _is_sequence(node.left) or _is_sequence(node.right):
            return
        match node.op:
            case ast.Add() | ast.Sub():
                other = "-" if isinstance(node.op, ast.Add) else "+"
                self._add(node, "sign", f"({left} {other} ({right}))")
                self._add(node, "dropped", f"({left})")
                self._add(node, "dropped", f"({right})" if isinstance(node.op, ast.Add) else f"(-({right}))")
            case ast.Mult() | ast.Div():
                self._add(node, "factor 2", f"(2 * ({self._text(node)}))")
                self._add(node, "dropped", f"({left})")
                if isinstance(node.op, ast.Mult):
                    self._add(node, "dropped", f"({right})")

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.generic_visit(node)
        if isinstance(node.op, ast.USub):
            self._add(node, "sign", f"({self._text(node.operand)})")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float) and node.value not in (0.0, float("inf")):
            self._add(node, "factor 2", repr(2.0 * node.value))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for part in parts:
            for index in (part.lower, part.upper) if isinstance(part, ast.Slice) else (part,):
                if index is not None and _is_integer(index):
                    self._add(index, "index", f"({self._text(index)} + 1)")

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "range":
            end = node.args[min(1, len(node.args) - 1)]
            self._add(end, "index", f"({self._text(end)} - 1)")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            for name in sorted(self.names[-1]):
                if _siblings(node.id, name):
                    self._add(node, "exchange", name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and node.attr in SIBLINGS:
            self._add(node, "exchange", f"{self._text(node.value)}.{SIBLINGS[node.attr]}")

    def _add(self, node: ast.expr, kind: str, after: str) -> None:
        start, end = self._span(node)
        where = ".".join(self.scope) or "the module"
        self.found.append(Mutant(self.file, node.lineno, where, kind, start, end, self._text(node), after))

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset


def _is_sequence(node: ast.expr) -> bool:
    written = isinstance(node, ast.List | ast.Tuple | ast.JoinedStr)
    return written or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _is_integer(node: ast.expr) -> bool:
    value = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(value, ast.Constant) and type(value.value) is int


def _siblings(one: str, other: str) -> bool:
    """Names that differ in one character, t0 and t1, or are a known pair."""
    if SIBLINGS.get(one) == other:
        return True
    if len(one) != len(other) or sum(a != b for a, b in zip(one.lower(), other.lower(), strict=True)) != 1:
        return False
    return len(one) > 1 or any(one in letters and other in letters for letters in LETTERS)
