"""A claim of the theory that runs: a statement, and a function that measures it.

A claim is a function of no arguments. It returns one check or several:

    Check         |measured − expected| ≤ tolerance        the tolerance is derived in the function's docstring
    Bound         measured ≤ limit, or measured ≥ limit    an inequality, or an error that must be seen to be large
    Statistical   the p-value of the claim as null hypothesis, with what it could have detected

and it holds if all of them do (`judging`).

A claim is found by the name of its function, or by its id, an alias that never changes. One that nothing here can
measure is registered by `uncovered`, with the reason: it is listed, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any, TypeAlias, TypeVar

from ...solvers.common import check_callable, check_fields, check_instance, flag, real, whole
from .sources import Citation, Source

__all__ = ["CATALOGUE", "AnyCheck", "Bound", "Check", "Claim", "Statistical", "claim", "uncovered"]


@dataclass(frozen=True)
class Check:
    """Passes if |measured − expected| ≤ tolerance. `what` names the case where a claim has several.

    Raises TypeError for what is no number, and ValueError for a tolerance that is negative or nan.
    """

    measured: float
    expected: float
    tolerance: float
    what: str = ""

    def __post_init__(self) -> None:
        check_fields(self, _measured, "measured", "expected")
        check_fields(self, real, "tolerance", low=0.0, infinite=True)
        check_instance("what", self.what, str, "a few words")

    @property
    def passed(self) -> bool:
        return abs(self.measured - self.expected) <= self.tolerance


@dataclass(frozen=True)
class Bound:
    """Passes if measured ≤ limit; with `above`, if measured ≥ limit. Raises TypeError for what is no number."""

    measured: float
    limit: float
    what: str = ""
    above: bool = False

    def __post_init__(self) -> None:
        check_fields(self, _measured, "measured")
        check_fields(self, real, "limit", infinite=True)
        check_fields(self, flag, "above")
        check_instance("what", self.what, str, "a few words")

    @property
    def passed(self) -> bool:
        return self.measured >= self.limit if self.above else self.measured <= self.limit


@dataclass(frozen=True)
class Statistical:
    """A test of the claim on n samples: passes unless Holm's procedure rejects p_value among all those of the run.

    p_value: of the claim as null hypothesis, in [0, 1].  n: the sample size.
    smallest_fault: a sentence, the smallest departure that the test detects and how surely.
    measured, expected: the statistic and its value under the claim, for the reader.

    Raises TypeError for what is no number, and ValueError for a p-value outside [0, 1].
    """

    p_value: float
    n: int
    smallest_fault: str
    measured: float
    expected: float
    what: str = ""

    def __post_init__(self) -> None:
        check_fields(self, real, "p_value", low=0.0, high=1.0)
        check_fields(self, whole, "n", low=1)
        check_fields(self, _measured, "measured", "expected")
        check_instance("smallest_fault", self.smallest_fault, str, "a sentence")
        check_instance("what", self.what, str, "a few words")


def _measured(name: str, value: Any) -> float:
    """The value as a float. What was measured may be nan, which passes no check."""
    return value if isinstance(value, float) and value != value else real(name, value, infinite=True)


AnyCheck: TypeAlias = Check | Bound | Statistical
Function: TypeAlias = Callable[[], AnyCheck | Sequence[AnyCheck]]
F = TypeVar("F", bound=Function)


@dataclass(frozen=True)
class Claim:
    """One statement. `function` is None, and `reason` says why, where it is not covered.

    id: a number that stands for the claim for good, as A077 or E04. name: the name of its function.
    sources: what it cites. chapter: the last part of the name of the module that states it.
    erratum: our copy of the source prints it wrong; the printed form is shown to fail and the corrected one to hold.
    damage: of an erratum, the glyphs whose loss from our copy would explain it; "" where none would.
    slow: takes more than a few seconds.
    """

    id: str
    name: str
    sources: tuple[Citation, ...]
    statement: str
    formula: str
    erratum: bool
    slow: bool
    chapter: str
    function: Function | None = field(repr=False)
    reason: str = ""
    damage: str = ""

    @property
    def source(self) -> str:
        """The citations in one line."""
        return "; ".join(map(str, self.sources))

    @property
    def note(self) -> str:
        """What is said beside an erratum: whose copy it was found in, and whether its extraction explains it."""
        if not self.erratum:
            return ""
        damage = f" It may be damage of the extraction: {self.damage}" if self.damage else ""
        return f"Found in our copy of the text.{damage}"

    @property
    def order(self) -> tuple[str, int, str]:
        """The key that sorts claims: A001, A002, …, C6a, …, E01, …"""
        return _parts(self.id)


CATALOGUE: dict[str, Claim] = {}
"""Every claim by its id, in the order in which they were stated."""


def claim(
    id: str,
    *sources: Source | Citation,
    statement: str,
    formula: str = "",
    erratum: bool = False,
    damage: str = "",
    slow: bool = False,
) -> Callable[[F], F]:
    """Register the decorated function, which takes no arguments and returns a check or a sequence of checks.

    Args:
        id: capital letters, digits and perhaps a small letter, as A077; it is never given twice.
        sources: a source, as a whole or at a place: NOTES_2025["Eq. 12"].
        statement: what holds, in a sentence.
        formula: the same as a formula, in plain unicode.
        erratum: whether the source prints it wrong.
        damage: of an erratum, a sentence on the glyphs whose loss from our copy would explain it.
        slow: whether it takes more than a few seconds.

    Raises:
        TypeError: for arguments of another kind.
        ValueError: if the id or the function's name is taken, the id is not of this form, nothing is cited, or the
            function has no docstring: that is where its tolerance is derived.
    """
    for key, text in (("statement", statement), ("formula", formula), ("damage", damage)):
        check_instance(key, text, str, "a text")
    erratum, slow = flag("erratum", erratum), flag("slow", slow)

    def register(function: F) -> F:
        check_callable("What is registered", function, "a function without arguments")
        if not function.__doc__:
            raise ValueError(f"the claim {id} needs a docstring that derives its tolerance.")
        name, chapter = function.__name__, _chapter(function)
        _add(Claim(id, name, _cited(sources), statement, formula, erratum, slow, chapter, function, damage=damage))
        return function

    return register


def uncovered(
    id: str, *sources: Source | Citation, statement: str, erratum: bool = False
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """List a claim that is not covered. The decorated function has its name, and says the reason in its docstring.

    Args, Raises: as those of `claim`.
    """

    check_instance("statement", statement, str, "a sentence")
    erratum = flag("erratum", erratum)

    def register(function: Callable[[], None]) -> Callable[[], None]:
        check_callable("What is registered", function, "a function without arguments")
        reason, name, chapter = cleandoc(function.__doc__ or ""), function.__name__, _chapter(function)
        if not reason:
            raise ValueError(f"the claim {id} is not covered; say why in its docstring.")
        _add(Claim(id, name, _cited(sources), statement, "", erratum, False, chapter, None, " ".join(reason.split())))
        return function

    return register


def _add(new: Claim) -> None:
    _parts(new.id)
    if not new.sources:
        raise ValueError(f"the claim {new.id} cites no source; name one of `sources`, at a place.")
    for taken in CATALOGUE.values():
        if new.id == taken.id:
            raise ValueError(
                f"the claim {new.id} of {new.chapter} is already stated in {taken.chapter}; give it another id."
            )
        if new.name == taken.name:
            raise ValueError(
                f"the claim {new.id} has the name {new.name} of {taken.id} in {taken.chapter}; name its function apart."
            )
    CATALOGUE[new.id] = new


def _cited(sources: Sequence[Source | Citation]) -> tuple[Citation, ...]:
    for i, each in enumerate(sources):
        check_instance(f"sources[{i}]", each, (Source, Citation), 'a source at a place, such as SLIDES["a title"]')
    return tuple(each if isinstance(each, Citation) else Citation(each) for each in sources)


def _parts(id: str) -> tuple[str, int, str]:
    check_instance("id", id, str, "a text such as A001")
    match = re.fullmatch(r"([A-Z]+)(\d+)([a-z]*)", id)
    if match is None:
        raise ValueError(f"a claim's id is capital letters and digits, as A001 or E04, not {id!r}.")
    return match[1], int(match[2]), match[3]


def _chapter(function: Callable[..., object]) -> str:
    return function.__module__.rpartition(".")[2]
