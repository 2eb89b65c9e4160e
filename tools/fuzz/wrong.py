"""The wrong values of every kind of parameter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["NetworkFailed", "Wrong", "kinds", "wrong_values"]


class Wrong(NamedTuple):
    """A wrong value.

    Attributes:
        label: the value in a few characters.
        value: the value.
        certain: whether no entry could take it, so that a call that returns has been silent.
        nonsense: whether it is of another kind than the parameter, where Python's own TypeError is clear enough.
    """

    label: str
    value: Any
    certain: bool = False
    nonsense: bool = False


class NetworkFailed(Exception):
    """What a network of the user's raises."""


ALIASES = {
    "AnyProblem": "object",
    "AnySampler": "str | Sampler",
    "Calculus": "name",
    "Clock": "object",
    "Condition": "Mapping",
    "Control": "name",
    "Field": "Callable",
    "Function": "Callable",
    "Label": "int | Tensor",
    "Noise": "object",
    "NoiseLevel": "Callable",
    "NoiseType": "name",
    "Order": "name",
    "Output": "name",
    "Path": "file",
    "Real": "float | Tensor",
    "Run": "Callable",
    "Seed": "int | Sequence[int]",
    "Told": "Callable",
    "Times": "Tensor | Sequence[float]",
}
NAMES = frozenset(
    {"hold", "predicts", "law", "trace", "interval_in", "method", "variance", "time", "device", "kind", "test", "data"}
)
"""Parameters whose strings are names out of a list, so that an unknown one is certainly wrong."""


def kinds(name: str, annotation: str) -> set[str]:
    """The kinds of value that a parameter takes, from its name and its annotation."""
    found: set[str] = set()
    for part in _parts(annotation):
        head = part.split("[")[0].split(".")[-1]
        if head in ALIASES:
            found |= kinds(name, ALIASES[head])
        elif part in ("Sequence[float]", "Iterable[float]", "tuple[float, ...]", "tuple[float, float]"):
            found.add("floats")
        elif part in ("Sequence[int]", "tuple[int, ...]"):
            found.add("ints")
        elif head == "str":
            found.add("name" if name in NAMES else "str")
        elif head in ("float", "int", "bool", "Tensor", "Callable", "None", "name", "file", "Mapping", "Any"):
            found.add(head)
        else:
            found.add("object")
    return found


def _parts(annotation: str) -> Iterator[str]:
    """The alternatives of an annotation: "int | Sequence[int | str]" has two."""
    depth, start = 0, 0
    for i, letter in enumerate(annotation):
        depth += letter in "[("
        depth -= letter in "])"
        if letter == "|" and depth == 0:
            yield annotation[start:i].strip()
            start = i + 1
    yield annotation[start:].strip()


def wrong_values(name: str, annotation: str, example: Any) -> list[Wrong]:
    """Wrong values of the parameter, those of the right kind first."""
    taken = kinds(name, annotation)
    if "Any" in taken:
        return [*_OBJECTS]
    values: list[Wrong] = []
    numbers = taken & {"int", "float", "bool"}
    if "float" in numbers:
        values += _FLOATS
    elif "int" in numbers:
        values += _INTEGERS
    elif numbers:
        values += [Wrong("2", 2), Wrong("'yes'", "yes", True, True), Wrong("nan", math.nan, True, True)]
    if numbers and "Tensor" not in taken and numbers != {"bool"}:
        values += _NO_NUMBERS
        if not taken & {"ints", "floats"}:
            values += [Wrong("[1, 2]", [1, 2], True, True), Wrong("tensor([1, 2])", torch.tensor([1.0, 2.0]), True)]
    if "Tensor" in taken:
        like = example if isinstance(example, Tensor) else torch.ones(4, dtype=torch.float64)
        values += _tensors(like, name != "like")
    if taken & {"floats", "ints"}:
        values += _SEQUENCES
    if taken & {"str", "name"}:
        values += [Wrong(repr(text)[:12], text, "name" in taken) for text in _TEXTS]
    if "file" in taken:
        values += _FILES
    if "Callable" in taken:
        values += _FUNCTIONS
    if "Mapping" in taken:
        values += _MAPPINGS
    if taken & {"object", "Tensor", "Callable"}:
        values += _OBJECTS
        if not isinstance(example, str | int | float | Tensor | None) and not callable(example):
            values.append(Wrong("its class", type(example), True, True))
    if "None" not in taken and example is not None:
        values.append(Wrong("None", None, False, True))
    return values


def _needs_gradient(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


_EDGES = [0, -1, 1]
_FLOATS = [
    Wrong("nan", math.nan, True),
    Wrong("np.nan", np.float32(math.nan), True),
    Wrong("tensor(nan)", torch.tensor(math.nan), True),
    *(
        Wrong(f"{value:g}", float(value))
        for value in (*_EDGES, math.inf, -math.inf, 0.5, 2.0, 1e300, -1e300, 1e-300, 5e-324)
    ),
    Wrong("10**400", 10**400),
    Wrong("np.float64(-0.5)", np.float64(-0.5)),
    Wrong("tensor(0.5)", torch.tensor(0.5)),
]
_INTEGERS = [
    *(Wrong(f"{value:g}", value, True) for value in (2.5, math.nan, math.inf)),
    *(Wrong(f"{value}", value) for value in (*_EDGES, 2, 10**9, 2**31, 2**63, -(2**63), 10**30)),
    Wrong("np.int64(-1)", np.int64(-1)),
    Wrong("np.int32(3)", np.int32(3)),
    Wrong("tensor(3)", torch.tensor(3)),
    Wrong("tensor(2.5)", torch.tensor(2.5), True),
]
_NO_NUMBERS = [
    Wrong("requires_grad", _needs_gradient(0.5), True),
    Wrong("'0.5'", "0.5", True, True),
    Wrong("1j", 1j, True, True),
]
_TEXTS = ("nonsense", "", "\0", "ü" * 300, "../..")
_SEQUENCES = [
    Wrong("[]", []),
    *(
        Wrong(str(values), values, True)
        for values in ([math.nan], ["a", "b"], [[0.0, 1.0], [0.0]], "01")
    ),
    Wrong("[0, inf]", [0.0, math.inf]),
    Wrong("[1, 0]", [1.0, 0.0]),
    Wrong("[1, 1]", [1.0, 1.0]),
    Wrong("[-1, 2]", [-1.0, 2.0]),
    Wrong("[0.5, 2.5]", [0.5, 2.5]),
    Wrong("array", np.array([0.1, 0.9])),
    Wrong("[1e300, 2e300]", [1e300, 2e300]),
    Wrong("[10**9, 10**9]", [10**9, 10**9]),
    Wrong("[tensor]", [torch.tensor(0.5, requires_grad=True)], True),
    Wrong("{}", {}, True, True),
]
_FILES = [Wrong(repr(name), name) for name in ("", "/", "/proc/nowhere/file", "/dev/full", "\0")]
_MAPPINGS = [Wrong("{}", {}), Wrong("{1: 2}", {1: 2}), Wrong("{'x': nan}", {"x": torch.tensor([math.nan])})]
_OBJECTS = [
    Wrong("'nonsense'", "nonsense", False, True),
    Wrong("3.5", 3.5, False, True),
    Wrong("object()", object(), False, True),
    Wrong("int", int, False, True),
]


def _tensors(like: Tensor, matter: bool) -> list[Wrong]:
    """Tensors that are wrong in place of this one; `matter` says whether their values do, or their shape alone."""
    like = like.detach().clone().reshape(like.shape or (1,))
    floating = like.is_floating_point()
    values = [
        Wrong("empty", like[:0]),
        Wrong("one", like[:1]),
        Wrong("empty samples", like.new_empty(len(like), 0)),
        Wrong("0-d", like.new_ones(())),
        Wrong("flat", like.flatten()),
        Wrong("wider", torch.cat([like, like], -1)),
        Wrong("deeper", like[None]),
        Wrong("zeros", torch.zeros_like(like)),
        Wrong("float32", like.float()),
        Wrong("bfloat16", like.bfloat16()),
        Wrong("int64", like.to(torch.int64)),
        Wrong("bool", like.to(torch.bool)),
        Wrong("complex", like.to(torch.complex128)),
        Wrong("meta", like.to("meta")),
        Wrong("sparse", like.to_sparse()),
        Wrong("expanded", like.new_ones(1).expand(like.shape)),
        Wrong("list", like.tolist(), False, True),
        Wrong("numpy", like.numpy(), False, True),
        Wrong("tuple of tensors", (like, like), True, True),
    ]
    if floating:
        with_nan = like.clone()
        with_nan.view(-1)[0] = math.nan
        values += [
            Wrong("with nan", with_nan, matter),
            Wrong("all inf", torch.full_like(like, math.inf), matter),
            Wrong("negative", -like.abs()),
            Wrong("1e300", torch.full_like(like, 1e300 if like.dtype == torch.float64 else 1e30)),
        ]
    return values


def _failing(*arguments: Any, **named: Any) -> Any:
    raise NetworkFailed("a network of the user's failed")


def _nothing(*arguments: Any, **named: Any) -> None:
    return None


def _number(*arguments: Any, **named: Any) -> float:
    return 1.0


def _no_numbers(*arguments: Any, **named: Any) -> Any:
    tensors = [value for value in arguments if isinstance(value, Tensor)]
    return torch.full_like(tensors[0], math.nan) if tensors else math.nan


def _single(*arguments: Any, **named: Any) -> Any:
    tensors = [value for value in arguments if isinstance(value, Tensor)]
    return max(tensors, key=Tensor.dim)[:1] if tensors and max(map(Tensor.dim, tensors)) else 1.0


def _float32(*arguments: Any, **named: Any) -> Any:
    tensors = [value for value in arguments if isinstance(value, Tensor)]
    return max(tensors, key=Tensor.dim).float() if tensors else 1.0


def _bare() -> int:
    return 0


_FUNCTIONS = [
    *(
        Wrong(label, function)
        for label, function in {
            "fails": _failing, "returns None": _nothing, "returns 1.0": _number, "returns nan": _no_numbers,
            "returns one sample": _single, "returns float32": _float32,
        }.items()
    ),
    Wrong("takes nothing", _bare, False, True),
]
