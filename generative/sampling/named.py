"""Published samplers by name: an equation, a solver and a grid.

    equation, times, solver = named("dpm++2m")(denoiser, 20)
    solve(equation, x, times, solver)

Every sampler is a row of one table: the quantity that is held, the noise level η, the variable in which it is
interpolated, the solver, and the grid on which it was published. `relation` says in what it differs from the
algorithm as printed, if it does: here all interpolants are integrated exactly, and multistep methods start with steps
of their own order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ...solvers import (
    DPM_SOLVER_2,
    EDM_HEUN,
    Ancestral,
    Churn,
    Euler,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Langevin,
    Semilinear,
    Solver,
)
from ..denoiser import Denoiser
from ..equations import flow, grids, reverse_sde

__all__ = ["PUBLISHED", "Published", "named"]

SAME = "as printed"


@dataclass(frozen=True)
class Published:
    """A sampler as a paper gives it.

    hold, eta, logarithmic: of the equation (see `flow` and `reverse_sde`). stochastic: whether it draws noise.
    source: paper and equation or algorithm. relation: to what is printed there.
    """

    name: str
    solver: Solver
    hold: str
    grid: Callable[..., Tensor] = field(repr=False)
    source: str
    relation: str = SAME
    eta: float = 0.0
    logarithmic: bool | None = None

    @property
    def stochastic(self) -> bool:
        return self.eta > 0.0 or self.solver.draws

    def equation(self, denoiser: Denoiser) -> Semilinear:
        if self.eta:
            return reverse_sde(denoiser, self.eta, self.hold, logarithmic=self.logarithmic)
        return flow(denoiser, self.hold, logarithmic=self.logarithmic)

    def __call__(
        self, denoiser: Denoiser, steps: int, *, t0: float = 0.0, t1: float = 1.0
    ) -> tuple[Semilinear, Tensor, Solver]:
        """The equation that samples from `denoiser`, the times of that many steps, and the solver.

        What holds eps cannot start where α = 0: give a t0 > 0 there.
        """
        return self.equation(denoiser), self.grid(denoiser.path, steps, t0=t0, t1=t1), self.solver


_ONE = ExponentialAdams(1)
_EXACT = "its interpolant is integrated exactly (the public code's solver_type 'taylor') and its first step corrected"
_ROWS = (
    Published("ddim", _ONE, "x0", grids.uniform, "Song, Meng and Ermon (2010.02502), eq. 12 with η = 0"),
    Published("ddpm", _ONE, "x0", grids.uniform, "Ho, Jain and Abbeel (2006.11239), algorithm 2", eta=1.0),
    Published("euler", _ONE, "eps", grids.karras, "Karras et al. (2206.00364), algorithm 1 without its corrections"),
    Published("euler-ancestral", Ancestral(_ONE), "eps", grids.karras, "Song et al. (2011.13456), appendix F: DDPM"),
    Published("edm-heun", ExponentialRK(EDM_HEUN), "eps", grids.karras, "Karras et al. (2206.00364), algorithm 1"),
    Published(
        "edm-stochastic",
        Churn(ExponentialRK(EDM_HEUN), churn=40.0, s_min=0.05, s_max=50.0, s_noise=1.003),
        "eps",
        grids.karras,
        "Karras et al. (2206.00364), algorithm 2, with the settings of its table 5 for ImageNet-64",
    ),
    Published(
        "dpm-solver-2s", ExponentialRK(DPM_SOLVER_2), "eps", grids.log_snr, "Lu et al. (2206.00927), algorithm 1"
    ),
    Published("dpm-solver-3s", ExponentialRK(3), "eps", grids.log_snr, "Lu et al. (2206.00927), algorithm 2"),
    Published("dpm2-ancestral", Ancestral(ExponentialRK(DPM_SOLVER_2)), "eps", grids.karras, "the same, with noise"),
    Published("dpm++2s", ExponentialRK(DPM_SOLVER_2), "x0", grids.log_snr, "Lu et al. (2211.01095), algorithm 1"),
    Published("dpm++2m", ExponentialAdams(2), "x0", grids.log_snr, "Lu et al. (2211.01095), algorithm 2", _EXACT),
    Published(
        "dpm++3m",
        ExponentialAdams(3),
        "x0",
        grids.log_snr,
        "Lu et al. (2211.01095), section 4",
        "on uneven steps with the weights of the quadratic through three values",
    ),
    Published(
        "sde-dpm++2m", ExponentialAdams(2), "x0", grids.log_snr, "Lu et al. (2211.01095), section 5", _EXACT, eta=1.0
    ),
    Published(
        "unipc",
        ExponentialAdams(2, corrector=True),
        "x0",
        grids.log_snr,
        "Zhao et al. (2302.04867), UniPC-2, algorithms 5 and 6",
        "with weights that are exact for quadratics, to which B(h) drops out",
    ),
    Published("res-2s", ExponentialRK(2), "x0", grids.log_snr, "Zhang et al. (2308.02157), section 3.2"),
    Published("res-3s", ExponentialRK(3), "x0", grids.log_snr, "Zhang et al. (2308.02157), section 3.2"),
    Published(
        "deis",
        ExponentialAdams(3),
        "eps",
        grids.log_snr,
        "Zhang and Chen (2204.13902), eq. 15",
        "with polynomials in log(σ/α), as the diffusers library has it, and with a start of its own order",
    ),
    Published(
        "deis-rho",
        ExponentialAdams(3),
        "eps",
        grids.karras,
        "Zhang and Chen (2204.13902), ρAB-DEIS",
        "with a start of its own order",
        logarithmic=False,
    ),
    Published(
        "ipndm",
        ExponentialAdams(4),
        "eps",
        grids.karras,
        "Zhang and Chen (2204.13902), section 4, after Liu et al. (2202.09778)",
        "with weights for uneven steps in σ/α (55, −59, 37, −9 over 24 on even ones), and a start of its own order",
        logarithmic=False,
    ),
    Published(
        "predictor-corrector",
        Langevin(_ONE, steps=1, size=0.05),
        "x0",
        grids.uniform,
        "Song et al. (2011.13456), algorithms 2 to 5",
        "with steps of the corrector in proportion to σ², where the norms of a batch are printed",
        eta=1.0,
    ),
    Published("flow-euler", Euler(), "velocity", grids.uniform, "Lipman et al. (2210.02747), section 2"),
    Published("flow-heun", Heun(), "velocity", grids.uniform, "Lipman et al. (2210.02747), section 2"),
)

PUBLISHED = {row.name: row for row in _ROWS}
"""By name."""

ALIASES = {"lms": "ipndm", "dpm2": "dpm-solver-2s", "dpmpp-2m": "dpm++2m", "dpmpp-2s": "dpm++2s", "unipc-2": "unipc"}


def named(name: str) -> Published:
    """The published sampler of that name. Raises ValueError for an unknown one, with the list."""
    key = ALIASES.get(name.lower(), name.lower())
    if key not in PUBLISHED:
        raise ValueError(f"Unknown sampler {name!r}; choose one of {', '.join([*PUBLISHED, *ALIASES])}.")
    return PUBLISHED[key]
