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

from ...generative.sampling import PUBLISHED, Sampler
from ...solvers import ExponentialAdams, ExponentialRK, TorchDiffEq, runge_kutta

__all__ = ["DEFAULT_SAMPLERS", "SAMPLERS"]

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
SAMPLERS |= {name: row for name, row in PUBLISHED.items() if not row.stochastic and name not in SAMPLERS}

DEFAULT_SAMPLERS = (
    "default",
    "euler",
    "heun",
    "rk4",
    "ddim",
    "dpm++2m",
    "dpm++3m",
    "unipc",
    "deis",
    "ipndm",
    "exp-adams-2c-velocity",
    "exp-adams-3-velocity",
    "exp-adams-3c-velocity",
)
"""What a newcomer asks for, and the best of ours."""
