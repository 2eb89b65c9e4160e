"""Anyone's sampler: a function in one of three forms, or a scheduler of diffusers.

    fokker        (denoiser, x, times, noise) -> the state at the last time
    k-diffusion   (model, x, sigmas) -> the state at the last σ, with model(x, σ) = x₀-hat for x = x₀ + σ ε
    diffusers     a scheduler, or its class, which takes its own steps

    sampler = function_sampler(sample_dpmpp_2m)
    sampler(denoiser, x, times)

Any of them runs on any denoiser, and all of them take the same noise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...solvers import BrownianTree, Noise, SolveError
from ...solvers.common import blamed, check_callable, check_instance, check_samples, choice, host, reals
from ..denoiser import Denoiser, check_denoiser
from .conventions import Conventions, conventions
from .draws import Draws
from .levels import run_on_levels
from .stepping import Stepping, configured

__all__ = ["FORMS", "FunctionSampler", "NotFinite", "form_of", "function_sampler"]

FORMS = ("fokker", "k-diffusion", "diffusers")
ARGUMENTS = {"fokker": ("denoiser", "x", "times", "noise"), "k-diffusion": ("model", "x", "sigmas")}


class NotFinite(ValueError):
    """A sampler returned numbers that are not finite."""


@dataclass(frozen=True)
class FunctionSampler:
    """A sampler that is anyone's code.

    Attributes:
        name: for people, and in errors.
        form: "fokker", "k-diffusion" or "diffusers".
        function: the function; or the scheduler, or its class.
        options: its further keyword arguments; of a scheduler, fields of its configuration and arguments of its step.

    Raises:
        TypeError: a field is of another kind.
        ValueError: the form is unknown, or the function does not take the arguments of its form or an option.
    """

    name: str
    form: str
    function: Any
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_instance("name", self.name, str, "a name")
        choice("form", self.form, FORMS)
        check_instance("options", self.options, Mapping, "a mapping of names to values")
        if self.form == "diffusers":
            if not _is_scheduler(self.function):
                raise TypeError(f"{self.name} is no scheduler; give a class of diffusers with set_timesteps and step.")
            configured(self.function, self.options)
        else:
            check_callable("function", self.function, f"a function ({', '.join(ARGUMENTS[self.form])})")
            _check_taken(self)

    def __call__(self, denoiser: Denoiser, x: Tensor, times: Tensor, noise: Noise | None = None) -> Tensor:
        """The state at the last time, of the shape and dtype of x.

        Args:
            denoiser: the network, on any path.
            x: the state at times[0], (B, ...).
            times: rising times, from noise to data, (n + 1,). A scheduler takes n steps of its own.
            noise: the source of every normal that the sampler draws; None for `BrownianTree` of seed 0.

        Raises:
            TypeError: arguments of another kind.
            NotFinite: the sampler returned numbers that are not finite.
            ValueError: times that do not rise; and for a sampler that raises an error, or returns another shape. The
                error of the sampler is the cause.
        """
        check_denoiser(denoiser)
        check_samples("x", x)
        steps = host(reals("times", times))
        if len(steps) < 2 or not bool((steps.diff() > 0.0).all()):
            raise ValueError("times must be two or more that rise, from noise to data.")
        drawn = BrownianTree(x, steps[0].item(), steps[-1].item()) if noise is None else noise
        with blamed(self.name, (SolveError,)), Draws(drawn, x):
            found = self._run(denoiser, x.clone(), steps, noise, drawn)
        if not isinstance(found, Tensor) or found.shape != x.shape or not found.is_floating_point():
            tensor = isinstance(found, Tensor)
            given = f"{found.dtype} of shape {tuple(found.shape)}" if tensor else f"a {type(found).__name__}"
            raise ValueError(f"{self.name} returned {given}; it must return states of shape {tuple(x.shape)}.")
        if not bool(found.isfinite().all()):
            raise NotFinite(f"{self.name} returned states that are not finite, in {len(steps) - 1} steps.")
        return found.to(x.dtype).to(x.device)

    def _run(self, denoiser: Denoiser, x: Tensor, times: Tensor, noise: Noise | None, drawn: Noise) -> Any:
        if self.form == "diffusers":
            stepping = Stepping.of(self.function, self.options, len(times) - 1, x.device)
            return stepping.run(denoiser, x, times, drawn)
        if self.form == "k-diffusion":
            return run_on_levels(self.function, self.options, denoiser, x, times, drawn)
        return self.function(denoiser, x, times, noise, **self.options)

    def convention(self) -> Conventions | None:
        """The path, the threshold and the prediction of a scheduler; None for a function."""
        if self.form != "diffusers":
            return None
        return conventions(configured(self.function, self.options)[0])

    def first_log_snr(self, n: int) -> float | None:
        """The log-SNR at which n steps of a scheduler start; None for a function, which starts where it is told."""
        if self.form != "diffusers":
            return None
        with blamed(self.name, ()):
            return Stepping.of(self.function, self.options, n).first

    def __str__(self) -> str:
        return self.name


def function_sampler(
    function: Callable[..., Any] | type | Any, form: str | None = None, name: str = "", **options: Any
) -> FunctionSampler:
    """A sampler of a function, of a scheduler, or of a scheduler's class.

    Args:
        function: the function, the scheduler, or the class.
        form: "fokker", "k-diffusion" or "diffusers"; None reads it off the names of the parameters.
        name: for people; by default that of the function, with the options.
        options: its further keyword arguments; of a scheduler, fields of its configuration and arguments of its step.

    Raises:
        TypeError: arguments of another kind.
        ValueError: the parameters do not tell the form, or an option is not taken.

    Example:
        >>> function_sampler(lambda denoiser, x, times, noise: x, name="nothing").form
        'fokker'
    """
    check_instance("name", name, str, "a name")
    own = getattr(function, "__name__", type(function).__name__)
    listed = ", ".join(f"{option}={value!r}" for option, value in options.items())
    name = name or (f"{own}({listed})" if options else own)
    return FunctionSampler(name, form_of(function) if form is None else form, function, options)


def form_of(function: Any) -> str:
    """The form of a function, by the names and the annotations of its parameters; or that of a scheduler.

    Raises:
        TypeError: it cannot be called.
        ValueError: the parameters do not tell.
    """
    if _is_scheduler(function):
        return "diffusers"
    check_callable("function", function, "a function (model, x, sigmas), or a scheduler of diffusers")
    parameters = _positional(function)
    names = [each.name.lower() for each in parameters]
    if names[2:3] in (["sigmas"], ["sigma"]):
        return "k-diffusion"
    if names[:1] == ["denoiser"] or _annotated(parameters[:1]):
        return "fokker"
    raise ValueError(
        f"({', '.join(names)}) does not tell the form of {getattr(function, '__name__', 'the function')}; give form "
        "(--form on the command line): 'fokker' for (denoiser, x, times, noise), or 'k-diffusion' for (model, x, "
        "sigmas)."
    )


def _is_scheduler(value: Any) -> bool:
    return callable(getattr(value, "set_timesteps", None)) and callable(getattr(value, "step", None))


def _annotated(parameters: list[inspect.Parameter]) -> bool:
    return any("Denoiser" in str(getattr(each.annotation, "__name__", each.annotation)) for each in parameters)


def _positional(function: Any) -> list[inspect.Parameter]:
    """The parameters that a call by position fills; none if they cannot be read, as of a function in C."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [each for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]


def _check_taken(sampler: FunctionSampler) -> None:
    """Raise ValueError unless the function takes the arguments of its form, and the options."""
    arguments = ARGUMENTS[sampler.form]
    try:
        signature = inspect.signature(sampler.function)
    except (TypeError, ValueError):  # of a function in C
        return
    try:
        signature.bind(*arguments, **sampler.options)
    except TypeError as error:
        raise ValueError(
            f"{sampler.name} takes {signature}, and not ({', '.join((*arguments, *sampler.options))}) ({error}); give "
            "other options, or another form."
        ) from None
