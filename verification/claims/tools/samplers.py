"""The exact law of what a sampler makes of a normal law on the line, and noise that is given instead of drawn.

On a linear equation a sampler is affine in its start and in the normals that it draws,

    x₁ = b + a x₀ + Σ_k c_k ξ_k,        so that N(m, s²) becomes N(b + a m, a² s² + Σ_k c_k²).

`response` has b, a and c_k from `impulse_response`: run on unit impulses in place of the normals, the sampler gives its
coefficients. `path_response` has them for the normals of one Brownian path, so that two solvers on the same path are
compared row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ....solvers import Equation, Solver, solve
from ....solvers.noise import Interval
from ...laws import Run, impulse_response

__all__ = ["Given", "PathImpulses", "Response", "path_response", "response"]


class Response(NamedTuple):
    """b, a and the c_k."""

    offset: float
    gain: float
    kicks: Tensor

    def law(self, mean: float = 0.0, deviation: float = 1.0) -> tuple[float, float]:
        """Mean and deviation of what becomes of N(mean, deviation²)."""
        return self.offset + self.gain * mean, math.hypot(self.gain * deviation, self.kicks.norm().item())

    @property
    def kept_variance(self) -> float:
        """The variance that the step x → a x + c ξ keeps when it is repeated: c²/(1 − a²)."""
        return self.kicks.square().sum().item() / (1.0 - self.gain**2)


def response(
    sampler: Solver | Run, equation: Equation | None = None, times: Tensor | Sequence[float] | None = None
) -> Response:
    """The response of a solver on an equation at these times, or of any code as a function of (x, noise) -> x₁."""
    made = impulse_response(sampler, equation, times, dim=1)
    return Response(made.offset.item(), made.matrix.item(), made.noises.flatten())


class PathImpulses:
    """The Brownian path of `BrownianTree` on [t0, t1], with a unit impulse for each normal that it is made of.

    Two solvers on the same path answer to the same normals, row by row; so their distance is known without drawing.
    """

    replays = True

    def __init__(self, t0: float, t1: float) -> None:
        self._interval = Interval(t0, t1, 1, 2.0**-16)
        self._places: dict[int, int] = {}

    @property
    def drawn(self) -> int:
        return len(self._places)

    def weights(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor]) -> dict[int, float]:
        """The standardised increment as a combination of the path's normals."""
        numbers, weights = self._interval.weights(t0, t1, clock, 1)
        return dict(zip(numbers, weights[0].tolist(), strict=True))

    def normal(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
        impulse = torch.zeros_like(like)
        for number, weight in self.weights(t0, t1, clock).items():
            row = 2 + self._places.setdefault(number, len(self._places))
            impulse[row : row + 1] = weight
        return impulse

    def normal_and_area(
        self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Tensor
    ) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def extra(self, index: int, like: Tensor) -> Tensor:
        raise NotImplementedError


def path_response(solver: Solver, equation: Equation, times: Tensor | Sequence[float], path: PathImpulses) -> Response:
    """The response of a solver to the normals of one path, those that the path was asked for so far."""
    solve(equation, torch.zeros(2, 1, dtype=torch.float64, device="cpu"), times, solver, path)
    x = torch.zeros(2 + path.drawn, 1, dtype=torch.float64, device="cpu")
    x[1] = 1.0
    out = solve(equation, x, times, solver, path).x[:, 0]
    return Response(out[0].item(), (out[1] - out[0]).item(), out[2:] - out[0])


class Given:
    """Noise that is given: the same numbers, (B, 1), in place of every normal that is asked for."""

    replays = True

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def normal(self, t0: float, t1: float, clock: object, like: Tensor) -> Tensor:
        return self.values.expand_as(like)

    def normal_and_area(self, t0: float, t1: float, clock: object, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.values.expand_as(like), self.values.expand_as(like)

    def extra(self, index: int, like: Tensor) -> Tensor:
        return self.values.expand_as(like)
