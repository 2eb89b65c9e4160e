"""From what a user gives to an entrant: a name, a file, a module and a function, or an object."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ...generative.adapters import FORMS, FunctionSampler, function_sampler
from ...generative.equations import HOLDS
from ...generative.sampling import PUBLISHED, Sampler, named
from ...solvers import Scheme, Solver
from ...solvers.common import check_instance, choice
from ...verification.certificates import method
from ...verification.import_named import import_named
from .entrant import Entrant
from .ours import Ours
from .samplers import SAMPLERS
from .theirs import Saved, Theirs

__all__ = ["AnyEntrant", "DEFAULT", "distinct", "entrant", "function_named"]

DEFAULT = "default"
AnyEntrant = str | Sampler | Solver | Scheme | FunctionSampler | Entrant | Callable[..., Any]
"""A name, an object of ours, or a function or class of the user's."""


def distinct(samplers: Sequence[AnyEntrant], form: str | None = None) -> list[Entrant]:
    """The entrants of a list, each once.

    Args:
        samplers: as `entrant` takes them, at least one.
        form: as for `entrant`.

    Raises:
        TypeError, ValueError: as `entrant`, and for no list or an empty one.
    """
    check_instance("samplers", samplers, (list, tuple), "a list of samplers")
    if form is not None:
        choice("form", form, FORMS)
    if not samplers:
        raise ValueError("samplers is empty; give at least one.")
    found = {each.name: each for each in (entrant(sampler, form) for sampler in samplers)}
    return list(found.values())


def entrant(sampler: AnyEntrant, form: str | None = None) -> Entrant:
    """The entrant that an argument stands for.

    Args:
        sampler: "default"; the name of a sampler of the benchmark or of `named`; a solver with its
            arguments as text, such as "ExponentialAdams(3)"; "package.module:function"; the file of a `Scheme`,
            FILE.json, or FILE.json@HOLD for a flow that holds another quantity than the file says; or an object: a
            `Sampler`, a solver, a `Scheme`, a function or a class of the user's.
        form: the form of a function (see `function_sampler`), if it does not tell.

    Raises:
        ValueError: the text names nothing.
        FileNotFoundError: there is no such file.
        TypeError: an object of another kind.
    """
    if isinstance(sampler, Entrant):
        return sampler
    if isinstance(sampler, str):
        return _of_text(sampler, form)
    if isinstance(sampler, Sampler | Solver):
        found = sampler if isinstance(sampler, Sampler) else Sampler(sampler)
        return Ours(found.name, found)
    if isinstance(sampler, Scheme):
        return Saved(_versioned(sampler.name, repr(sampler)), sampler, _hold_of(sampler))
    function = sampler if isinstance(sampler, FunctionSampler) else function_sampler(sampler, form)
    return Theirs(_versioned(function.name, _source(function.function)), function)


def function_named(text: str, form: str | None = None) -> FunctionSampler:
    """The sampler that "package.module:name" stands for. Raises as `import_named` and `function_sampler`."""
    return function_sampler(import_named(text), form, name=text)


def _of_text(text: str, form: str | None) -> Entrant:
    file, _, hold = text.partition(".json")
    if text == DEFAULT:
        return Ours(text, None)
    if text.lower() in {*SAMPLERS, *PUBLISHED}:
        return Ours(text, SAMPLERS.get(text) or named(text))
    if file != text:
        scheme = Scheme.load(f"{file}.json")
        return Saved(_versioned(text, repr(scheme)), scheme, _hold_of(scheme, hold.removeprefix("@")))
    if ":" in text:
        function = function_named(text, form)
        return Theirs(_versioned(text, _source(function.function)), function)
    if "(" not in text:
        choice("sampler", text, [DEFAULT, *SAMPLERS, *PUBLISHED])
    return entrant(method(text))


def _hold_of(scheme: Scheme, stated: str = "") -> str:
    """What the equation of a table holds: what is stated, else what the table says, else the velocity."""
    return choice("hold", stated or str(scheme.about.get("hold", "velocity")), HOLDS)


def _versioned(name: str, content: str) -> str:
    """A name with a digest of what it stands for: rows of another version are not taken for those of this one."""
    return f"{name}@{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _source(function: Any) -> str:
    """The text of a function or a class, or its name where there is none."""
    kind = function if inspect.isclass(function) or inspect.isfunction(function) else type(function)
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return f"{kind.__module__}.{kind.__qualname__}"
