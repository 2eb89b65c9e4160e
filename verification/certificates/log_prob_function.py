"""A function that computes log p(x), called so that its random numbers follow from a seed, and checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...solvers.common import blamed
from .exact_fields import ExactField

__all__ = ["LogProbFunction"]

NEEDED = "log p of each sample, or a pair of log p and its standard error"


class LogProbFunction:
    """The function with its name.

    Args:
        function: (velocity, x, seed) -> log p, or (log p, standard error); it may have a parameter `probes`.
        form: "velocity" or "denoiser".
        name: of the function.

    Raises:
        ValueError: the function does not take these arguments.
    """

    def __init__(self, function: Callable[..., Any], form: str, name: str) -> None:
        self.function, self.form, self.name = function, form, name
        self.takes_probes = False
        try:
            signature = inspect.signature(function)
        except ValueError:  # of a function in C
            return
        try:
            signature.bind(form, "x", "seed")
        except TypeError:
            raise ValueError(
                f"{name} takes {signature}; it must take ({form}, x, seed), and may have a keyword probes."
            ) from None
        self.takes_probes = "probes" in signature.parameters

    def __call__(
        self, field: ExactField, x: Tensor, seed: int, probes: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """log p and its standard error, float64 (B,), of samples (B, ...)."""
        more = {} if probes is None else {"probes": probes}
        with torch.random.fork_rng(devices=()), blamed(self.name, ()):
            torch.manual_seed(seed)
            found = self.function(field.field(self.form), x.clone(), seed, **more)
        pair = found if isinstance(found, tuple | list) and len(found) == 2 else (found, None)
        return self._checked(pair[0], x), None if pair[1] is None else self._checked(pair[1], x)

    def _checked(self, value: Any, x: Tensor) -> Tensor:
        if not isinstance(value, Tensor) or value.shape != (len(x),) or not value.is_floating_point():
            given = (
                f"{value.dtype} of the shape {tuple(value.shape)}"
                if isinstance(value, Tensor)
                else f"a {type(value).__name__}"
            )
            raise ValueError(
                f"{self.name} returned {given} for {len(x)} samples; it must return {NEEDED}, tensors ({len(x)},)."
            )
        return value.detach().double()
