"""The samplers that are compared, by name. Each is a solver, with the quantity that an exponential solver holds.

    euler, heun, rk4, dopri5 ...                    every method of `runge_kutta`, on the probability flow dx/dt
    exp-adams-ORDER-HOLD                            ExponentialAdams; ORDER 2, 3, 4, or corrected 2c, 3c, 4c;
                                                    HOLD x0, eps or velocity
    exp-rk-ORDER-HOLD                               ExponentialRK; ORDER 2, 3, 4
    ddim                                            ExponentialAdams of order 1, the same in every hold
    torchdiffeq-rk4                                 the wrapped backend, for comparison

The deterministic samplers of `generative.named` are here too, under their published names. A published sampler that is
one of the above has both names: exp-adams-2-x0 is DPM-Solver++(2M), and dpm++2m means the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

from ..generative.sampling import PUBLISHED as BY_NAME
from ..solvers import ExponentialAdams, ExponentialRK, Solver, TorchDiffEq, runge_kutta

__all__ = ["DEFAULT_SAMPLERS", "SAMPLERS", "Sampler", "canonical"]


@dataclass(frozen=True)
class Sampler:
    """A named solver, and how its equation is held (see `flow`). family: what it is drawn as."""

    solver: Callable[[], Solver]
    family: str
    hold: str = "velocity"
    logarithmic: bool | None = None


SAMPLERS: dict[str, Sampler] = {
    **{method.__name__.lower(): Sampler(method, "Runge-Kutta") for method in runge_kutta.METHODS},
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
"""Published names of the samplers above, which run on every grid here."""

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
    """The own name of a sampler, from that or a published name. Raises ValueError for an unknown one, with the list."""
    if name not in SAMPLERS and name not in PUBLISHED:
        raise ValueError(f"Unknown solver {name!r}; choose one of {', '.join([*SAMPLERS, *PUBLISHED])}.")
    return PUBLISHED.get(name, name)
