"""What a sampler is: a solver, the quantity that its equation holds, the noise, and the grid of times.

A published sampler is such a row (`named`), and so is a solver of your own: `Sampler(Heun())` holds the velocity on the
default grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ...solvers import Semilinear, Solver
from ..denoiser import Denoiser
from ..equations import flow, grids, reverse_sde

__all__ = ["AS_PRINTED", "Sampler"]

AS_PRINTED = "as printed"


@dataclass(frozen=True)
class Sampler:
    """A solver with the equation and the grid on which it samples.

    Args:
        solver: takes the steps.
        hold: "x0", "eps", "velocity" or "v", what the equation holds over a step (see `flow`).
        eta: η of `reverse_sde`; 0 is the probability flow.
        grid: grid(path, n, t0=..., t1=...) gives the n + 1 times of n steps, such as `grids.karras`.
        logarithmic: whether the held quantity is interpolated in log r; None takes what suits the hold.
        name: for people; by default the solver's.
        source: paper and equation or algorithm, of a published sampler.
        relation: in what it differs from what is printed there.
        formula: its update from time s to time t.
    """

    solver: Solver
    hold: str = "velocity"
    eta: float = 0.0
    grid: Callable[..., Tensor] = field(default=grids.quadratic, repr=False)
    logarithmic: bool | None = None
    name: str = ""
    source: str = field(default="", repr=False)
    relation: str = field(default=AS_PRINTED, repr=False)
    formula: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", repr(self.solver))

    @property
    def stochastic(self) -> bool:
        """Whether it draws noise on the way."""
        return self.eta > 0.0 or self.solver.draws

    def equation(self, denoiser: Denoiser) -> Semilinear:
        """The equation that it solves to sample from `denoiser`."""
        if self.eta:
            return reverse_sde(denoiser, self.eta, self.hold, logarithmic=self.logarithmic)
        return flow(denoiser, self.hold, logarithmic=self.logarithmic)

    def __call__(
        self, denoiser: Denoiser, steps: int, *, t0: float = 0.0, t1: float = 1.0
    ) -> tuple[Semilinear, Tensor, Solver]:
        """What `solve` takes: the equation, the times of that many steps from t0 to t1, float64, and the solver.

        What holds eps cannot start where α = 0: give a t0 > 0 there.
        """
        return self.equation(denoiser), self.grid(denoiser.path, steps, t0=t0, t1=t1), self.solver

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.solver!r}, holds {self.hold}" + (f", eta = {self.eta:g}" if self.eta else "")]
        lines += [f"    {line}" for line in self.formula.splitlines()]
        lines += [f"Source: {self.source}; {self.relation}."] if self.source else []
        return "\n".join(lines)
