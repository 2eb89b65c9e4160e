"""The diffusion g of dx = f dt + g dW: a function of time and state, whose values are checked at every call."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .field import when

__all__ = ["Diffusion", "NoiseType"]

NoiseType = Literal["diagonal", "additive", "scalar", "general"]


@dataclass(frozen=True)
class Diffusion:
    """g(t, x), which must fit the state.

    Attributes:
        function: g.
        noise: the kind of noise, which says what shape g has.
    """

    function: Callable[[float, Tensor], Tensor | float]
    noise: NoiseType

    def __call__(self, t: float, x: Any) -> Tensor | float:
        """The value at time t of the state x, (B, ...), of x's dtype if it is a tensor. `unroll` gives a symbol for x.

        Raises:
            TypeError: it is no number and no tensor.
            ValueError: it does not broadcast to x (or, for general noise, is no matrix of each sample), or would change
                its dtype or device; or it is a number that is not finite.
        """
        value = self.function(t, x)
        if isinstance(value, float) and math.isfinite(value) and self.noise != "general":
            return value
        if not isinstance(x, Tensor):
            return value
        if isinstance(value, Tensor):
            if not self._fits(value, x):
                raise self._error(f"{value.dtype} of shape {tuple(value.shape)} on {value.device}", t, x)
            return value.to(x)
        if not isinstance(value, float | int):
            raise TypeError(f"The equation's diffusion returned {type(value).__name__} at {when(t)}; return a tensor.")
        if self.noise == "general" or not math.isfinite(value):
            raise self._error(f"{value:g}", t, x)
        return value

    def _fits(self, value: Tensor, x: Tensor) -> bool:
        if self.noise == "general":
            batch, shape = value.shape[:-2], value.shape[-2:-1]
            fits = x.ndim == 2 and shape == x.shape[1:] and tuple(batch) in ((), (1,), (len(x),))
        else:
            sizes = zip(reversed(value.shape), reversed(x.shape), strict=False)
            fits = value.ndim <= x.ndim and all(size in (1, whole) for size, whole in sizes)
        if value.ndim == 0 or not fits:
            return fits
        promoted = value.dtype == x.dtype or torch.promote_types(value.dtype, x.dtype) == x.dtype
        return promoted and value.device == x.device

    def _error(self, found: str, t: float, x: Any) -> ValueError:
        shape = "shape (B, d, m) for a state (B, d)" if self.noise == "general" else "the state's shape"
        state = f" for a state of {x.dtype} and shape {tuple(x.shape)}" if isinstance(x, Tensor) else ""
        return ValueError(
            f"The equation's diffusion returned {found}{state}, at {when(t)}; with {self.noise} noise return {shape}, "
            "and the state's dtype and device."
        )
