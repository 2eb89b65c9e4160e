"""Methods by name: what `fokker certify` measures.

    dpm++2m                                  a published sampler (`generative.named`)
    Heun, ExponentialAdams(3, corrector=True)    a solver of the public interface, with its arguments
    Picard(RK4(), 16)                        solvers inside solvers
    package.module:function                  anyone's code, (equation, x, times, noise) -> the last state
    k_diffusion.sampling:sample_euler        a sampler, in a form that `function_sampler` takes
    diffusers:DDIMScheduler                  a scheduler, with options

An expression is read, not evaluated: names of solvers and of their tables, and literal arguments, nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ... import solvers
from ...generative.adapters import FORMS, FunctionSampler, form_of, function_sampler
from ...generative.sampling import PUBLISHED, Sampler
from ...solvers import ButcherTableau, ExponentialTableau, Solver
from ...solvers.common import check_instance, choice
from ..expressions import Reader
from ..import_named import import_named
from .stochastic_problems import Run

__all__ = ["method"]

WRITE = 'write a published sampler, a solver such as "ExponentialAdams(3)", or "package.module:function"'
ARGUMENTS = "(equation, x, times, noise)"
EQUATION = "equation"
"""The form of a function of an equation."""


def method(
    text: str, form: str | None = None, options: Mapping[str, Any] | None = None
) -> Solver | Sampler | FunctionSampler | Run:
    """The method that the text names.

    Args:
        text: a name or an expression, as above.
        form: of a function: "equation", or one of `FORMS`; None reads it off its parameters.
        options: further arguments of a sampler, or fields of a scheduler's configuration.

    Raises:
        TypeError: it is no text.
        ValueError: an unknown name or form, an argument that is not literal, or one that the method does not take.
    """
    check_instance("text", text, str, 'a name such as "dpm++2m"')
    if form is not None:
        choice("form", form, (EQUATION, *FORMS))
    if ":" in text:
        return _named(text, form, dict(options or {}))
    if form is not None or options:
        raise ValueError(f"{text} takes no form and no options; they are for package.module:function.")
    if text in PUBLISHED:
        return PUBLISHED[text]
    found = Reader(_known, WRITE).read(text)
    if not isinstance(found, Solver):
        raise ValueError(f"{text!r} is no method; {WRITE}.")
    return found


def _named(text: str, form: str | None, options: dict[str, Any]) -> FunctionSampler | Run:
    """A sampler, in the form that its parameters tell, or a function of an equation."""
    function = import_named(text)
    if not callable(function) and not hasattr(function, "set_timesteps"):
        raise ValueError(f"{text} is of type {type(function).__name__}; give a function {ARGUMENTS}.")
    if form is None:
        try:
            form = form_of(function)
        except (TypeError, ValueError):
            form = EQUATION
    if form != EQUATION:
        return function_sampler(function, form, **options)
    if options:
        raise ValueError(f"{text} is a function {ARGUMENTS}, which takes no options; leave them out, or give its form.")
    return _of_equation(text, function)


def _of_equation(text: str, function: Run) -> Run:
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a function in C
        return function
    try:
        signature.bind(*ARGUMENTS.split(","))
    except TypeError:
        raise ValueError(
            f"{text} takes {signature}; it must take {ARGUMENTS}, (denoiser, x, times, noise) or (model, x, sigmas)."
        ) from None
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
