"""What a sampler is: a solver, the quantity that its equation holds, the noise, and the grid of times.

A published sampler is such a row (`named`), and so is a solver of your own: `Sampler(Heun())` holds the velocity on
`grids.quadratic`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ...solvers import Replay, Semilinear, Solver
from ...solvers.common import check_callable, check_fields, check_instance, choice, flag, real
from ..denoiser import Denoiser
from ..equations import HOLDS, LARGEST_ETA, flow, grids, reverse_sde

__all__ = ["AS_PRINTED", "Sampler"]

AS_PRINTED = "as printed"
SYMBOLS = (
    "Here a step goes from s to t; λ = log(α/σ), h = λ_t − λ_s, r = σ/α, y = x/α, ξ ~ N(0, I). x̂₀ and ε̂ are the\n"
    "predictions at x_s, and x̂₀(x_m, m) and ε̂(x_m, m) those at another state and time."
)
"""The notation of the formulas."""


@dataclass(frozen=True)
class Sampler:
    """A solver with the equation and the grid on which it samples.

    Args:
        solver: takes the steps.
        hold: "x0", "eps", "velocity" or "v", what the equation holds over a step (see `flow`). A classical solver takes
            the drift of the flow, which is the same for all of them.
        eta: η of `reverse_sde`, from 0 to 12; 0 is the probability flow.
        grid: grid(path, n, t0=..., t1=...) gives the n + 1 times of n steps, such as `grids.karras`.
        logarithmic: whether the held quantity is interpolated in log r; None takes what suits the hold.
        name: for people; by default the solver's.
        source: paper and equation or algorithm, of a published sampler.
        relation: in what it differs from what is printed there.
        formula: its update from time s to time t, in the notation that `print` explains.

    Raises:
        TypeError: a field is of another kind.
        ValueError: the hold is unknown, or eta is out of range.

    Example:
        >>> print(Sampler(Heun()))
        Heun(), holds velocity
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
        check_instance("solver", self.solver, Solver, "a solver, such as Heun()")
        check_fields(self, choice, "hold", choices=HOLDS)
        check_fields(self, real, "eta", low=0.0, high=LARGEST_ETA)
        check_callable("grid", self.grid, "a grid, such as grids.karras")
        if self.logarithmic is not None:
            check_fields(self, flag, "logarithmic")
        for name in ("name", "source", "relation", "formula"):
            check_instance(name, getattr(self, name), str, "text")
        if not self.name:
            object.__setattr__(self, "name", repr(self.solver))

    @property
    def stochastic(self) -> bool:
        """Whether it draws noise on the way."""
        return self.eta > 0.0 or self.solver.draws

    def equation(self, denoiser: Denoiser) -> Semilinear:
        """The equation that the sampler solves to sample from `denoiser`.

        Raises:
            ValueError: as `flow` and `reverse_sde` raise.
        """
        if self.eta:
            return reverse_sde(denoiser, self.eta, self.hold, logarithmic=self.logarithmic)
        held = self.solver.semilinear or isinstance(self.solver, Replay)
        hold = self.hold if held else "velocity"  # whose table exists wherever the drift does
        return flow(denoiser, hold, logarithmic=self.logarithmic)

    def __call__(
        self, denoiser: Denoiser, steps: int, *, t0: float = 0.0, t1: float = 1.0
    ) -> tuple[Semilinear, Tensor, Solver]:
        """What `solve` takes.

        Args:
            denoiser: the network, with its labels and guidance.
            steps: the number of steps.
            t0: the first time; a sampler that holds eps needs α > 0 there.
            t1: the last time.

        Returns:
            The equation, the times of the steps, float64 (steps + 1,), and the solver.
        """
        return self.equation(denoiser), self.grid(denoiser.path, steps, t0=t0, t1=t1), self.solver

    def __str__(self) -> str:
        solver = repr(self.solver)
        head = solver if self.name == solver else f"{self.name}: {solver}"
        lines = [f"{head}, holds {self.hold}" + (f", eta = {self.eta:g}" if self.eta else "")]
        if self.formula:
            lines += [f"    {line}" for line in self.formula.splitlines()]
            lines += SYMBOLS.splitlines()
        lines += [f"Source: {self.source}; {self.relation}."] if self.source else []
        return "\n".join(lines)
