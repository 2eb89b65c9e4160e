"""The samplers that are compared, by name. The benchmark runs each of them on grids of its own.

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

from itertools import product

from ..generative.sampling import PUBLISHED as BY_NAME, Sampler
from ..solvers import ExponentialAdams, ExponentialRK, TorchDiffEq, runge_kutta
from ..solvers.common import check_instance, choice

__all__ = ["DEFAULT_SAMPLERS", "SAMPLERS", "canonical", "family"]

SAMPLERS: dict[str, Sampler] = {
    **{method.__name__.lower(): Sampler(method()) for method in runge_kutta.METHODS},
    "ddim": Sampler(ExponentialAdams(1), "x0"),
    **{
        f"exp-adams-{order}{'c' * corrector}-{hold}": Sampler(ExponentialAdams(order, corrector=corrector), hold)
        for hold, order, corrector in product(("x0", "eps", "velocity"), (2, 3, 4), (False, True))
    },
    **{
        f"exp-rk-{order}-{hold}": Sampler(ExponentialRK(order), hold)
        for hold, order in product(("x0", "eps", "velocity"), (2, 3, 4))
    },
    "torchdiffeq-rk4": Sampler(TorchDiffEq("rk4")),
}


def _method(sampler: Sampler) -> tuple[str, str, bool | None]:
    """Solver and equation: samplers that share these are one method on any common grid."""
    return repr(sampler.solver), sampler.hold, sampler.logarithmic


_OWN = {_method(sampler): name for name, sampler in SAMPLERS.items()}
_NEW = {name: row for name, row in BY_NAME.items() if not row.stochastic and name not in SAMPLERS}
PUBLISHED = {name: _OWN[_method(row)] for name, row in _NEW.items() if _method(row) in _OWN}
"""The own names of published samplers that are one of the above."""

SAMPLERS |= {name: row for name, row in _NEW.items() if name not in PUBLISHED}

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
    """The own name of a sampler.

    Args:
        name: that name, or a published one.

    Raises:
        ValueError: for an unknown name, with the list of those known.
    """
    choice("solver", name, [*SAMPLERS, *PUBLISHED])
    return PUBLISHED.get(name, name)


def family(sampler: Sampler) -> str:
    """The kind of method, for the colours of the plot: "Runge-Kutta", "torchdiffeq" or the hold, as in "hold x0"."""
    check_instance("sampler", sampler, Sampler, "a Sampler")
    if isinstance(sampler.solver, TorchDiffEq):
        return "torchdiffeq"
    return f"hold {sampler.hold}" if sampler.solver.semilinear else "Runge-Kutta"
