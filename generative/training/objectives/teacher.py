"""Who teaches: a denoiser, the solver that steps along its flow, and perhaps a range of weights of guidance.

On every Gaussian path the flow is dz/dr = x₀-hat − ε-hat in z = x/(α + σ) and the share of the data r = α/(α + σ). The
solver steps in r, so that one step of Euler's method is one step of DDIM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ....solvers import ODE, Heun, RungeKutta, solve
from ....solvers.common import check_fields, check_instance, real, whole
from ...denoiser import CFG, Denoiser, Label, per_sample
from ...paths import GaussianPath, Scalar

__all__ = ["Teacher", "share"]

LARGEST_WEIGHT = 100.0


def share(path: GaussianPath, t: Tensor) -> Tensor:
    """r = α/(α + σ) at times of any shape."""
    alpha: Tensor = path.alpha(t)
    return alpha / (alpha + path.sigma(t))


@dataclass(frozen=True)
class Teacher:
    """A trained network, and how a student learns from it.

    Args:
        denoiser: the network, without guidance.
        solver: a Runge-Kutta method; `Euler()` steps as DDIM.
        substeps: the number of its steps for one of a student.
        guidance: (low, high), between which the weights of classifier-free guidance are drawn uniformly; None teaches
            the network as it is.

    Raises:
        TypeError: for arguments of another kind.
        ValueError: for numbers out of range, or guidance by a network without labels.
    """

    denoiser: Denoiser
    solver: RungeKutta = Heun()  # noqa: RUF009 (it has no state)
    substeps: int = 1
    guidance: Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_instance("denoiser", self.denoiser, Denoiser, 'a denoiser, such as load("digits-flow")')
        check_instance("solver", self.solver, RungeKutta, "a Runge-Kutta method, such as Heun()")
        check_fields(self, whole, "substeps", low=1, high=1000)
        if self.guidance is None:
            return
        if not isinstance(self.guidance, list | tuple) or len(self.guidance) != 2:
            raise ValueError(f"guidance is {self.guidance!r}; give the least and the largest weight, [1.0, 3.0].")
        low, high = (real(f"guidance[{i}]", self.guidance[i], 0.0, LARGEST_WEIGHT) for i in (0, 1))
        if not low <= high:
            raise ValueError(f"guidance runs from {low:g} to {high:g}; give the smaller weight first.")
        if not getattr(self.denoiser.net, "null_label", 0):
            raise ValueError("guidance needs a teacher that knows labels; leave guidance out, or give another teacher.")
        object.__setattr__(self, "guidance", (low, high))

    def given(self, label: Label | None, weight: Tensor | None = None) -> Self:
        """The same teacher for these labels, under guidance of these weights, (B,), if there are any."""
        denoiser = self.denoiser.given(label)
        return replace(self, denoiser=denoiser if weight is None else CFG(denoiser, weight), guidance=None)

    @torch.no_grad()
    def slope(self, x: Tensor, t: Scalar) -> Tensor:
        """x₀-hat − ε-hat, dz/dr of the flow.

        Args:
            x: states, (B, ...).
            t: their times, a float or (B,).
        """
        return self.denoiser.combination(1.0, -1.0, t, x)

    @torch.no_grad()
    def step(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """The states at t on the flow through x at s, as the solver finds them.

        Args:
            x: states, (B, ...).
            s: their times, (B,).
            t: the later times, (B,).

        Returns:
            A tensor like x.
        """
        path = self.denoiser.path
        start, end = share(path, s), share(path, t)

        def slope(part: float, z: Tensor) -> Tensor:
            middle = torch.lerp(start, end, part)
            time = s if part == 0.0 else t if part == 1.0 else path.time(2.0 * torch.logit(middle))
            return per_sample(end - start, z) * self.slope(_scale(path, time, z) * z, time)

        grid = torch.linspace(0.0, 1.0, self.substeps + 1, dtype=torch.float64, device="cpu")
        z = solve(ODE(slope), x / _scale(path, s, x), grid, self.solver).x
        return _scale(path, t, z) * z


def _scale(path: GaussianPath, t: Tensor, x: Tensor) -> Tensor:
    """α + σ in the shape that multiplies x."""
    scale: Tensor = path.alpha(t) + path.sigma(t)
    return scale.to(x).reshape(-1, *(1,) * (x.ndim - 1))
