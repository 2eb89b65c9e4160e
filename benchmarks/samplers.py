"""The samplers that are compared, by name: a solver, and the quantity that an exponential one holds.

    euler, midpoint, heun, ralston, bosh3, rk4,     Runge-Kutta on the probability flow dx/dt
    dopri5, tsit5
    exp-adams-ORDER-HOLD                            ExponentialAdams; ORDER 2, 3, 4, or corrected 2c, 3c, 4c;
                                                    HOLD x0, eps or velocity
    exp-rk-ORDER-HOLD                               ExponentialRK; ORDER 2, 3, 4
    ddim                                            ExponentialAdams of order 1, the same in every hold
    torchdiffeq-rk4                                 the wrapped backend, for comparison

The deterministic samplers of `generative.named` are here too, under the names under which they were published: order 2
in hold x0 is DPM-Solver++(2M) and answers to dpm++2m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

from ..generative.sampling import PUBLISHED as BY_NAME
from ..solvers import (
    RK4,
    Bosh3,
    Dopri5,
    Euler,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Midpoint,
    Ralston,
    Solver,
    TorchDiffEq,
    Tsit5,
)

__all__ = ["DEFAULT_SAMPLERS", "SAMPLERS", "Sampler", "canonical"]


@dataclass(frozen=True)
class Sampler:
    """A named solver, and how its equation is held (see `flow`). family: what it is drawn as."""

    solver: Callable[[], Solver]
    family: str
    hold: str = "velocity"
    logarithmic: bool | None = None


SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler(Euler, "Runge-Kutta"),
    "midpoint": Sampler(Midpoint, "Runge-Kutta"),
    "heun": Sampler(Heun, "Runge-Kutta"),
    "ralston": Sampler(Ralston, "Runge-Kutta"),
    "bosh3": Sampler(Bosh3, "Runge-Kutta"),
    "rk4": Sampler(RK4, "Runge-Kutta"),
    "dopri5": Sampler(Dopri5, "Runge-Kutta"),
    "tsit5": Sampler(Tsit5, "Runge-Kutta"),
    "ddim": Sampler(partial(ExponentialAdams, 1), "hold x0", "x0"),
    **{
        f"exp-adams-{order}{'c' * corrector}-{hold}": Sampler(
            partial(ExponentialAdams, order, corrector=corrector), f"hold {hold}", hold
        )
        for hold, order, corrector in product(("x0", "eps", "velocity"), (2, 3, 4), (False, True))
    },
    **{
        f"exp-rk-{order}-{hold}": Sampler(partial(ExponentialRK, order), f"hold {hold}", hold)
        for hold, order in product(("x0", "eps", "velocity"), (2, 3, 4))
    },
    "torchdiffeq-rk4": Sampler(partial(TorchDiffEq, "rk4"), "torchdiffeq"),
}

_OWN = {(repr(entry.solver()), entry.hold, None): name for name, entry in SAMPLERS.items()}
_NEW = {name: row for name, row in BY_NAME.items() if not row.stochastic and name not in SAMPLERS}
PUBLISHED = {
    name: _OWN[method]
    for name, row in _NEW.items()
    if (method := (repr(row.solver), row.hold, row.logarithmic)) in _OWN
}
"""The published names of these methods, here on every grid."""

SAMPLERS |= {
    name: Sampler(partial(getattr, row, "solver"), f"hold {row.hold}", row.hold, row.logarithmic)
    for name, row in _NEW.items()
    if name not in PUBLISHED
}

DEFAULT_SAMPLERS = (
    "euler",
    "heun",
    "rk4",
    "ddim",
    "exp-adams-2-x0",
    "exp-adams-3-x0",
    "exp-adams-3c-x0",
    "exp-adams-2-velocity",
    "exp-adams-2c-velocity",
    "exp-adams-3-velocity",
    "exp-adams-3c-velocity",
)


def canonical(name: str) -> str:
    """A sampler's own name, from that or a published one; ValueError with the list for an unknown one."""
    if name not in SAMPLERS and name not in PUBLISHED:
        raise ValueError(f"Unknown solver {name!r}; choose one of {', '.join([*SAMPLERS, *PUBLISHED])}.")
    return PUBLISHED.get(name, name)
