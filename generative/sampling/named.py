"""Published samplers by name: an equation, a solver and a grid.

    equation, times, solver = named("dpm++2m")(denoiser, 20)
    solve(equation, x, times, solver)

Every sampler is a row of one table (see `Sampler`); `print(named("ddim"))` shows its update, and `print(unroll(...))`
the numbers of it on a grid. `relation` says in what it differs from the algorithm as printed, if it does: here all
interpolants are integrated exactly, and multistep methods start with steps of their own order.

In the formulas a step goes from s to t, λ = log(α/σ), h = λ_t − λ_s, r = σ/α, y = x/α; x̂₀ and ε̂ are the predictions at
x_s, those of a state u at time m are x̂₀(u, m) and ε̂(u, m), and ξ ~ N(0, I).
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
from ..equations import grids
from .sampler import Sampler

__all__ = ["PUBLISHED", "named"]

_ONE = ExponentialAdams(1)
_EXACT = "its interpolant is integrated exactly (the public code's solver_type 'taylor') and its first step corrected"
_OWN_START = "with a start of its own order"
_NOISE = "x_t = (α_t/α_d) x_d + √(σ_t² − (α_t σ_d/α_d)²) ξ,        r_d = r_t²/r_s"
_DDPM = "x_t = (σ_t/σ_s) e^(−h) x_s + α_t (1 − e^(−2h)) x̂₀ + σ_t √(1 − e^(−2h)) ξ"
_HEUN = "y' = y_s + (r_t − r_s) ε̂,        y_t = y_s + ½ (r_t − r_s) (ε̂ + ε̂(y', t)), without y' where r_t = 0"
_DPM_2 = "u = (α_m/α_s) x_s − σ_m (e^(h/2) − 1) ε̂, λ_m = (λ_s + λ_t)/2\nx_t = (α_t/α_s) x_s − σ_t (e^h − 1) ε̂(u, m)"

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
        formula=f"y_d = y_s + (r_d − r_s) ε̂\n{_NOISE}",
    ),
    Sampler(
        ExponentialRK(EDM_HEUN),
        "eps",
        grid=grids.karras,
        name="edm-heun",
        source="Karras et al. (2206.00364), algorithm 1",
        formula=_HEUN,
    ),
    Sampler(
        Churn(ExponentialRK(EDM_HEUN), churn=40.0, s_min=0.05, s_max=50.0, s_noise=1.003),
        "eps",
        grid=grids.karras,
        name="edm-stochastic",
        source="Karras et al. (2206.00364), algorithm 2, with the settings of its table 5 for ImageNet-64",
        formula=(
            f"y ← y_s + 1.003 √(r² − r_s²) ξ, r = (1 + min(40/n, √2 − 1)) r_s where 0.05 ≤ r_s ≤ 50\n"
            f"from there, with r for r_s: {_HEUN}"
        ),
    ),
    Sampler(
        ExponentialRK(DPM_SOLVER_2),
        "eps",
        grid=grids.log_snr,
        name="dpm-solver-2s",
        source="Lu et al. (2206.00927), algorithm 1",
        formula=_DPM_2,
    ),
    Sampler(
        ExponentialRK(3),
        "eps",
        grid=grids.log_snr,
        name="dpm-solver-3s",
        source="Lu et al. (2206.00927), algorithm 2",
        formula=(
            "u = (α_1/α_s) x_s − σ_1 (e^(h/3) − 1) ε̂,        λ_1 = λ_s + h/3, λ_2 = λ_s + 2h/3\n"
            "v = (α_2/α_s) x_s − σ_2 (e^(2h/3) − 1) ε̂ − 2 σ_2 ((e^(2h/3) − 1)/(2h/3) − 1) (ε̂(u, t_1) − ε̂)\n"
            "x_t = (α_t/α_s) x_s − σ_t (e^h − 1) ε̂ − (3/2) σ_t ((e^h − 1)/h − 1) (ε̂(v, t_2) − ε̂)"
        ),
    ),
    Sampler(
        Ancestral(ExponentialRK(DPM_SOLVER_2)),
        "eps",
        grid=grids.karras,
        name="dpm2-ancestral",
        source="Lu et al. (2206.00927), algorithm 1, with the noise of an ancestral step",
        formula=f"from s to d: {_DPM_2}\n{_NOISE}",
    ),
    Sampler(
        ExponentialRK(DPM_SOLVER_2),
        "x0",
        grid=grids.log_snr,
        name="dpm++2s",
        source="Lu et al. (2211.01095), algorithm 1",
        formula=(
            "u = (σ_m/σ_s) x_s + α_m (1 − e^(−h/2)) x̂₀, λ_m = (λ_s + λ_t)/2\n"
            "x_t = (σ_t/σ_s) x_s + α_t (1 − e^(−h)) x̂₀(u, m)"
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
            "x_t = (σ_t/σ_s) x_s + α_t (1 − e^(−h)) x̂₀ + α_t (h − 1 + e^(−h)) D\n"
            "D = (x̂₀ − x̂₀')/(λ_s − λ_s'), x̂₀' the prediction of the step before, at s'"
        ),
    ),
    Sampler(
        ExponentialAdams(3),
        "x0",
        grid=grids.log_snr,
        name="dpm++3m",
        source="Lu et al. (2211.01095), section 4",
        relation="on uneven steps with the weights of the quadratic through three values",
        formula="x_t = (σ_t/σ_s) x_s + α_t ∫₀ʰ e^(u − h) P(λ_s + u) du, P the quadratic through the last three x̂₀",
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
            f"{_DDPM}\n"
            "    + α_t (h − ½ (1 − e^(−2h))) D, D as of dpm++2m"
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
            "x̃ by dpm++2m, then\n"
            "x_t = (σ_t/σ_s) x_s + α_t ∫₀ʰ e^(u − h) P(λ_s + u) du, P the quadratic through x̂₀(x̃, t), x̂₀ and x̂₀'"
        ),
    ),
    Sampler(
        ExponentialRK(2),
        "x0",
        grid=grids.log_snr,
        name="res-2s",
        source="Zhang et al. (2308.02157), section 3.2",
        formula=(
            "u as of dpm++2s, φ₁ = (1 − e^(−h))/h, φ₂ = (h − 1 + e^(−h))/h²\n"
            "x_t = (σ_t/σ_s) x_s + α_t h ((φ₁ − 2 φ₂) x̂₀ + 2 φ₂ x̂₀(u, m))"
        ),
    ),
    Sampler(
        ExponentialRK(3),
        "x0",
        grid=grids.log_snr,
        name="res-3s",
        source="Zhang et al. (2308.02157), section 3.2",
        formula=(
            "stages at λ_s + h/3 and λ_s + 2h/3 as of dpm-solver-3s, with x̂₀ for ε̂\n"
            "x_t = (σ_t/σ_s) x_s + α_t (1 − e^(−h)) x̂₀ + (3/2) α_t (1 − (1 − e^(−h))/h) (x̂₀(v, t_2) − x̂₀)"
        ),
    ),
    Sampler(
        ExponentialAdams(3),
        "eps",
        grid=grids.log_snr,
        name="deis",
        source="Zhang and Chen (2204.13902), eq. 15",
        relation=f"with polynomials in log(σ/α), as the diffusers library has it, and {_OWN_START}",
        formula="x_t = (α_t/α_s) x_s − σ_t ∫₀ʰ e^(h − u) P(λ_s + u) du, P the quadratic through the last three ε̂",
    ),
    Sampler(
        ExponentialAdams(3),
        "eps",
        grid=grids.karras,
        logarithmic=False,
        name="deis-rho",
        source="Zhang and Chen (2204.13902), ρAB-DEIS",
        relation=_OWN_START,
        formula="y_t = y_s + ∫ P(r) dr from r_s to r_t, P the quadratic through the last three ε̂",
    ),
    Sampler(
        ExponentialAdams(4),
        "eps",
        grid=grids.karras,
        logarithmic=False,
        name="ipndm",
        source="Zhang and Chen (2204.13902), section 4, after Liu et al. (2202.09778)",
        relation=f"with weights for uneven steps in σ/α (55, −59, 37, −9 over 24 on even ones), and {_OWN_START}",
        formula="y_t = y_s + ∫ P(r) dr from r_s to r_t, P the cubic through the last four ε̂",
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
            f"x ← x_s + δ score(x_s, s) + √(2δ) ξ, δ = 0.05 σ_s²\n"
            f"from there: {_DDPM}"
        ),
    ),
    Sampler(
        Euler(),
        "velocity",
        grid=grids.uniform,
        name="flow-euler",
        source="Lipman et al. (2210.02747), section 2",
        formula="x_t = x_s + (t − s) u(x_s, s),        u = α' x̂₀ + σ' ε̂",
    ),
    Sampler(
        Heun(),
        "velocity",
        grid=grids.uniform,
        name="flow-heun",
        source="Lipman et al. (2210.02747), section 2",
        formula=(
            "x' = x_s + (t − s) u(x_s, s),        u = α' x̂₀ + σ' ε̂\n"
            "x_t = x_s + ½ (t − s) (u(x_s, s) + u(x', t))"
        ),
    ),
)

PUBLISHED = {row.name: row for row in _ROWS}
"""By name."""

ALIASES = {"lms": "ipndm", "dpm2": "dpm-solver-2s", "dpmpp-2m": "dpm++2m", "dpmpp-2s": "dpm++2s", "unipc-2": "unipc"}


def named(name: str) -> Sampler:
    """The published sampler of that name. Raises ValueError for an unknown one, with the list."""
    key = ALIASES.get(name.lower(), name.lower())
    if key not in PUBLISHED:
        raise ValueError(f"Unknown sampler {name!r}; choose one of {', '.join([*PUBLISHED, *ALIASES])}.")
    return PUBLISHED[key]
