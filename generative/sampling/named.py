"""Published samplers by name: an equation, a solver and a grid.

    equation, times, solver = named("dpm++2m")(denoiser, 20)
    solve(equation, x, times, solver)

Every sampler is a row of one table (see `Sampler`). `print(named("ddim"))` shows its update and explains the symbols,
and `print(unroll(...))` shows the numbers of every step on a grid. `relation` says how a sampler differs from the
algorithm as printed, if it does. Two differences are common: all interpolants are integrated exactly, and the first
steps of multistep methods have the order of the others.

A prediction x̂₀ at λ = −∞ is no node of an interpolant. A multistep method that starts at α = 0 takes x̂₀ for constant
in its first step, x̃_t = (σ_t/σ_s) x_s + α_t x̂₀, repeats the step with x̂₀(x̃_t, t) for x̂₀, and then starts as it does
elsewhere.
"""

from __future__ import annotations

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
)
from ...solvers.common import check_instance, choice
from ..equations import grids
from .sampler import Sampler
from .shipped import TABLES, shipped

__all__ = ["PUBLISHED", "named"]

_ONE = ExponentialAdams(1)
_EXACT = "its interpolant is integrated exactly (the public code's solver_type 'taylor') and its first step corrected"
_OWN_START = "with a start of its own order"
_DDPM = "x_t = (σ_t/σ_s) e^(−h) x_s + α_t (1 − e^(−2h)) x̂₀ + σ_t √(1 − e^(−2h)) ξ"
_DDIM_AT_THE_ENDS = "x_t = (σ_t/σ_s) x_s + α_t x̂₀ where h = ∞"
_SLOPE = (
    "D = (x̂₀ − x̂₀')/(λ_s − λ_s'), where x̂₀' is the x̂₀ of the step before, which went from s' to s\n"
    "First step, unless it is the last: x̃_t with D = 0, then x_t with D = (x̂₀(x̃_t, t) − x̂₀)/h, and the next\n"
    "x̂₀ is x̂₀(x̃_t, t)"
)
_FIRST_STEPS = (
    "First two steps, unless one is the last: x̃_t with P through the {0} so far, then x_t with P through these and\n"
    "{0}(x̃_t, t), which is the next {0}"
)

_ROWS = (
    Sampler(
        _ONE,
        "x0",
        grid=grids.uniform,
        name="ddim",
        source="Song, Meng and Ermon (2010.02502), eq. 12 with η = 0",
        formula="x_t = (σ_t/σ_s) x_s + (α_t − α_s σ_t/σ_s) x̂₀ = α_t x̂₀ + σ_t ε̂",
    ),
    Sampler(
        _ONE,
        "x0",
        eta=1.0,
        grid=grids.uniform,
        name="ddpm",
        source="Ho, Jain and Abbeel (2006.11239), algorithm 2",
        formula=_DDPM,
    ),
    Sampler(
        _ONE,
        "eps",
        grid=grids.karras,
        name="euler",
        source="Karras et al. (2206.00364), algorithm 1 without its corrections",
        formula="y_t = y_s + (r_t − r_s) ε̂",
    ),
    Sampler(
        Ancestral(_ONE),
        "eps",
        grid=grids.karras,
        name="euler-ancestral",
        source="Song et al. (2011.13456), appendix F: DDPM",
        formula="y_d = y_s + (r_d − r_s) ε̂,        r_d = r_t²/r_s\ny_t = y_d + √(r_t² − r_d²) ξ",
    ),
    Sampler(
        ExponentialRK(EDM_HEUN),
        "eps",
        grid=grids.karras,
        name="edm-heun",
        source="Karras et al. (2206.00364), algorithm 1",
        formula=(
            "ỹ_t = y_s + (r_t − r_s) ε̂\n"
            "y_t = y_s + ½ (r_t − r_s) (ε̂ + ε̂(x̃_t, t)), but y_t = ỹ_t where r_t = 0"
        ),
    ),
    Sampler(
        Churn(ExponentialRK(EDM_HEUN), churn=40.0, s_min=0.05, s_max=50.0, s_noise=1.003),
        "eps",
        grid=grids.karras,
        name="edm-stochastic",
        source="Karras et al. (2206.00364), algorithm 2, with the settings of its table 5 for ImageNet-64",
        formula=(
            "y_m = y_s + 1.003 √(r_m² − r_s²) ξ,        r_m = (1 + γ) r_s\n"
            "γ = min(40/n, √2 − 1), for n steps in all, where 0.05 ≤ r_s ≤ 50, and γ = 0 elsewhere\n"
            "ỹ_t = y_m + (r_t − r_m) ε̂(x_m, m)\n"
            "y_t = y_m + ½ (r_t − r_m) (ε̂(x_m, m) + ε̂(x̃_t, t)), but y_t = ỹ_t where r_t = 0"
        ),
    ),
    Sampler(
        ExponentialRK(DPM_SOLVER_2),
        "eps",
        grid=grids.log_snr,
        name="dpm-solver-2s",
        source="Lu et al. (2206.00927), algorithm 1",
        formula=(
            "x_m = (α_m/α_s) x_s − σ_m (e^(h/2) − 1) ε̂,        λ_m = λ_s + h/2\n"
            "x_t = (α_t/α_s) x_s − σ_t (e^h − 1) ε̂(x_m, m), but x_t = α_t x̂₀ where σ_t = 0"
        ),
    ),
    Sampler(
        ExponentialRK(3),
        "eps",
        grid=grids.log_snr,
        name="dpm-solver-3s",
        source="Lu et al. (2206.00927), algorithm 2",
        formula=(
            "x_l = (α_l/α_s) x_s − σ_l (e^(h/3) − 1) ε̂,        λ_l = λ_s + h/3, λ_m = λ_s + 2h/3\n"
            "x_m = (α_m/α_s) x_s − σ_m (e^(2h/3) − 1) ε̂ − 2 σ_m ((e^(2h/3) − 1)/(2h/3) − 1) (ε̂(x_l, l) − ε̂)\n"
            "x_t = (α_t/α_s) x_s − σ_t (e^h − 1) ε̂ − (3/2) σ_t ((e^h − 1)/h − 1) (ε̂(x_m, m) − ε̂),\n"
            "but x_t = α_t x̂₀ where σ_t = 0"
        ),
    ),
    Sampler(
        Ancestral(ExponentialRK(DPM_SOLVER_2)),
        "eps",
        grid=grids.karras,
        name="dpm2-ancestral",
        source="Lu et al. (2206.00927), algorithm 1, with the noise of an ancestral step",
        formula=(
            "y_m = y_s + (r_m − r_s) ε̂,        r_m = √(r_s r_d), r_d = r_t²/r_s\n"
            "y_d = y_s + (r_d − r_s) ε̂(x_m, m), but y_d = y_s − r_s ε̂ where r_t = 0\n"
            "y_t = y_d + √(r_t² − r_d²) ξ"
        ),
    ),
    Sampler(
        ExponentialRK(DPM_SOLVER_2),
        "x0",
        grid=grids.log_snr,
        name="dpm++2s",
        source="Lu et al. (2211.01095), algorithm 1",
        formula=(
            "x_m = (σ_m/σ_s) x_s + α_m (1 − e^(−h/2)) x̂₀,        λ_m = λ_s + h/2\n"
            "x_t = (σ_t/σ_s) x_s + α_t (1 − e^(−h)) x̂₀(x_m, m),\n"
            f"but {_DDIM_AT_THE_ENDS}"
        ),
    ),
    Sampler(
        ExponentialAdams(2),
        "x0",
        grid=grids.log_snr,
        name="dpm++2m",
        source="Lu et al. (2211.01095), algorithm 2",
        relation=_EXACT,
        formula=(
            "x_t = (σ_t/σ_s) x_s + α_t (1 − e^(−h)) x̂₀ + α_t (h − 1 + e^(−h)) D,\n"
            f"but {_DDIM_AT_THE_ENDS}\n"
            f"{_SLOPE}"
        ),
    ),
    Sampler(
        ExponentialAdams(3),
        "x0",
        grid=grids.log_snr,
        name="dpm++3m",
        source="Lu et al. (2211.01095), section 4",
        relation=f"on uneven steps with the weights of the quadratic through three values, and {_OWN_START}",
        formula=(
            "x_t = (σ_t/σ_s) x_s + α_t ∫₀ʰ e^(u − h) P(λ_s + u) du,\n"
            f"but {_DDIM_AT_THE_ENDS}\n"
            "P(λ) is the quadratic through the last three x̂₀\n"
            f"{_FIRST_STEPS.format('x̂₀')}"
        ),
    ),
    Sampler(
        ExponentialAdams(2),
        "x0",
        eta=1.0,
        grid=grids.log_snr,
        name="sde-dpm++2m",
        source="Lu et al. (2211.01095), section 5",
        relation=_EXACT,
        formula=(
            f"{_DDPM} + α_t (h − ½ (1 − e^(−2h))) D,\n"
            "but x_t = (σ_t/σ_s) e^(−h) x_s + α_t x̂₀ + σ_t ξ where h = ∞\n"
            f"{_SLOPE}"
        ),
    ),
    Sampler(
        ExponentialAdams(2, corrector=True),
        "x0",
        grid=grids.log_snr,
        name="unipc",
        source="Zhao et al. (2302.04867), UniPC-2, algorithms 5 and 6",
        relation="with weights that are exact for quadratics, to which B(h) drops out",
        formula=(
            "x̃_t is the x_t of dpm++2m, and in the first step that of ddim\n"
            "x_t = (σ_t/σ_s) x_s + α_t ∫₀ʰ e^(u − h) P(λ_s + u) du, but x_t = x̃_t in the last step\n"
            "P(λ) is the quadratic through x̂₀', x̂₀ and x̂₀(x̃_t, t), which is the next x̂₀\n"
            "In the first step P is the line through x̂₀ and x̂₀(x̃_t, t)"
        ),
    ),
    Sampler(
        ExponentialRK(2),
        "x0",
        grid=grids.log_snr,
        name="res-2s",
        source="Zhang et al. (2308.02157), section 3.2",
        formula=(
            "x_m = (σ_m/σ_s) x_s + α_m (1 − e^(−h/2)) x̂₀,        λ_m = λ_s + h/2\n"
            "x_t = (σ_t/σ_s) x_s + α_t h ((φ₁ − 2 φ₂) x̂₀ + 2 φ₂ x̂₀(x_m, m)),\n"
            f"but {_DDIM_AT_THE_ENDS}\n"
            "φ₁ = (1 − e^(−h))/h, φ₂ = (h − 1 + e^(−h))/h²"
        ),
    ),
    Sampler(
        ExponentialRK(3),
        "x0",
        grid=grids.log_snr,
        name="res-3s",
        source="Zhang et al. (2308.02157), section 3.2",
        formula=(
            "x_l = (σ_l/σ_s) x_s + α_l (1 − e^(−h/3)) x̂₀,        λ_l = λ_s + h/3, λ_m = λ_s + 2h/3\n"
            "x_m = (σ_m/σ_s) x_s + α_m (1 − e^(−2h/3)) x̂₀ + 2 α_m (1 − (1 − e^(−2h/3))/(2h/3)) (x̂₀(x_l, l) − x̂₀)\n"
            "x_t = (σ_t/σ_s) x_s + α_t (1 − e^(−h)) x̂₀ + (3/2) α_t (1 − (1 − e^(−h))/h) (x̂₀(x_m, m) − x̂₀),\n"
            f"but {_DDIM_AT_THE_ENDS}"
        ),
    ),
    Sampler(
        ExponentialAdams(3),
        "eps",
        grid=grids.log_snr,
        name="deis",
        source="Zhang and Chen (2204.13902), eq. 15",
        relation=f"with polynomials in log(σ/α), as the diffusers library has it, and {_OWN_START}",
        formula=(
            "y_t = y_s − r_s ∫₀ʰ e^(−u) P(λ_s + u) du\n"
            "P(λ) is the quadratic through the last three ε̂\n"
            f"{_FIRST_STEPS.format('ε̂')}"
        ),
    ),
    Sampler(
        ExponentialAdams(3),
        "eps",
        grid=grids.karras,
        logarithmic=False,
        name="deis-rho",
        source="Zhang and Chen (2204.13902), ρAB-DEIS",
        relation=_OWN_START,
        formula=(
            "y_t = y_s + ∫ P(r) dr from r_s to r_t\n"
            "P(r) is the quadratic through the last three ε̂\n"
            f"{_FIRST_STEPS.format('ε̂')}"
        ),
    ),
    Sampler(
        ExponentialAdams(4),
        "eps",
        grid=grids.karras,
        logarithmic=False,
        name="ipndm",
        source="Zhang and Chen (2204.13902), section 4, after Liu et al. (2202.09778)",
        relation=f"with weights for uneven steps in σ/α (55, −59, 37, −9 over 24 on even ones), and {_OWN_START}",
        formula=(
            "y_t = y_s + ∫ P(r) dr from r_s to r_t\n"
            "P(r) is the cubic through the last four ε̂\n"
            "First step: Heun's method of third order for dy/dr = ε̂\n"
            "Second and third step, unless one is the last: x̃_t with P through the ε̂ so far, then x_t with P\n"
            "through these and ε̂(x̃_t, t), which is the next ε̂"
        ),
    ),
    Sampler(
        Langevin(_ONE, steps=1, size=0.05),
        "x0",
        eta=1.0,
        grid=grids.uniform,
        name="predictor-corrector",
        source="Song et al. (2011.13456), algorithms 2 to 5",
        relation="with steps of the corrector in proportion to σ², where the norms of a batch are printed",
        formula=(
            "x̃_s = x_s − (δ/σ_s) ε̂ + √(2δ) ξ',        δ = 0.05 σ_s²\n"
            "x_t = (σ_t/σ_s) e^(−h) x̃_s + α_t (1 − e^(−2h)) x̂₀(x̃_s, s) + σ_t √(1 − e^(−2h)) ξ"
        ),
    ),
    Sampler(
        Euler(),
        "velocity",
        grid=grids.uniform,
        name="flow-euler",
        source="Lipman et al. (2210.02747), section 2",
        formula="x_t = x_s + (t − s) u,        u = α_s' x̂₀ + σ_s' ε̂",
    ),
    Sampler(
        Heun(),
        "velocity",
        grid=grids.uniform,
        name="flow-heun",
        source="Lipman et al. (2210.02747), section 2",
        formula=(
            "x̃_t = x_s + (t − s) u,        u = α_s' x̂₀ + σ_s' ε̂\n"
            "x_t = x_s + ½ (t − s) (u + u(x̃_t, t))"
        ),
    ),
)

PUBLISHED = {row.name: row for row in _ROWS}
"""The published samplers by name."""

ALIASES = {"lms": "ipndm", "dpm2": "dpm-solver-2s", "dpmpp-2m": "dpm++2m", "dpmpp-2s": "dpm++2s", "unipc-2": "unipc"}


def named(name: str) -> Sampler:
    """The sampler of that name: a published one, or a table that was fitted to a network which comes with the package.

    Args:
        name: a name of `PUBLISHED`, in letters of any case, an alias of `ALIASES`, or a name of `TABLES`, a network and
            its number of evaluations, such as "digits-flow-5".

    Raises:
        TypeError: the name is no text.
        ValueError: the name is unknown; the message lists those that are known.

    Example:
        >>> named("euler").formula
        'y_t = y_s + (r_t − r_s) ε̂'
    """
    check_instance("name", name, str, "the name of a published sampler, such as 'dpm++2m'")
    key = choice("sampler", name.lower(), [*PUBLISHED, *ALIASES, *TABLES])
    return shipped(key) if key in TABLES else PUBLISHED[ALIASES.get(key, key)]
