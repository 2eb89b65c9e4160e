"""From a denoiser to the equation that samples from it.

Along x_t = α x₀ + σ ε, with λ = log(α/σ) and κ = η², one family of equations shares its marginals for every η,

    dx = [velocity + κ σ² λ' score] dt + σ √(2 κ λ') dW,

the probability flow (η = 0) and the time reversal of the noising process (η = 1) among them. Each of them is
semilinear, d(x / S) = N dr + dW_q, in several ways: `hold` names the quantity N that solvers interpolate.

    hold        S                  gain S r        power S² q     N
    x0          σ e^{−κλ}          α               σ²             x₀-hat
    eps         α                  (1 + κ) σ       −κ σ²          ε-hat
    velocity    α + σ              α               (η = 0)        x₀-hat − ε-hat
    v           √(α² + σ²)         S atan2(α, σ)   (η = 0)        (σ x₀-hat − α ε-hat) / S

x0 and eps are smooth in log r, an affine function of λ; velocity and v in r itself, which is bounded. With
D = α' σ − α σ' the rates are those of `_rates`.

Sources: Song et al. (2011.13456), eqs. 6 and 13; Zhang and Chen, DEIS (2204.13902); Lu et al., DPM-Solver++
(2211.01095), prop. 4.1; Karras et al. (2206.00364), eq. 6; Albergo et al. (2303.08797).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ...solvers import Rates, Semilinear, Time
from ..denoiser import Denoiser
from ..paths import GaussianPath, Real, hypot, ratio, sqrt

__all__ = ["HOLDS", "flow", "reverse_sde"]

HOLDS = ("x0", "eps", "velocity", "v")


def flow(denoiser: Denoiser, hold: str = "velocity", *, logarithmic: bool | None = None) -> Semilinear:
    """The probability flow of a denoiser, from noise (t = 0) to data (t = 1): dx/dt = α' x₀-hat + σ' ε-hat.

    The solution of the equation is the same for every `hold` ("x0", "eps", "velocity" or "v"); the exponential
    solvers' errors are not. logarithmic: interpolate N in log r (True) or in r (False) instead of what is said above.
    Raises ValueError for an unknown `hold`.
    """
    return _semilinear(denoiser, hold, 0.0, logarithmic)


def reverse_sde(
    denoiser: Denoiser, eta: float = 1.0, hold: str = "x0", *, logarithmic: bool | None = None
) -> Semilinear:
    """The stochastic equation of noise level `eta` with the marginals of the path; eta = 1 reverses the noising.

    Raises ValueError for an unknown `hold`, a negative eta, and for a `hold` that has no stochastic form.
    """
    if eta < 0.0:
        raise ValueError(f"reverse_sde needs eta >= 0, but got {eta:g}; eta = 0 is the probability flow.")
    if hold in ("velocity", "v") and eta > 0.0:
        raise ValueError(f"hold={hold!r} has no stochastic form; use hold='x0' or hold='eps', or flow(denoiser).")
    return _semilinear(denoiser, hold, eta**2, logarithmic)


Coefficient = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Form:
    """One row of the table above, and the inverse of its clock as λ."""

    scale: Coefficient
    gain: Coefficient
    power: Coefficient
    row: Callable[[Real], tuple[Real, Real]]
    half_log_snr: Coefficient
    logarithmic: bool


def _form(path: GaussianPath, hold: str, kappa: float) -> _Form:
    functions = path.alpha, path.sigma, path.half_log_snr
    alpha, sigma, half_log_snr = (cast(Coefficient, function) for function in functions)
    match hold:
        case "x0":
            return _Form(
                scale=lambda t: sigma(t) * torch.exp(-kappa * half_log_snr(t)) if kappa else sigma(t),
                gain=alpha,
                power=lambda t: sigma(t) ** 2,
                row=lambda t: (1.0, 0.0),
                half_log_snr=lambda r: r.log() / (1.0 + kappa),
                logarithmic=True,
            )
        case "eps":
            return _Form(
                scale=alpha,
                gain=lambda t: (1.0 + kappa) * sigma(t),
                power=lambda t: -kappa * sigma(t) ** 2,
                row=lambda t: (0.0, 1.0),
                half_log_snr=lambda r: ((1.0 + kappa) / r).log(),
                logarithmic=True,
            )
        case "velocity":
            return _Form(
                scale=lambda t: alpha(t) + sigma(t),
                gain=alpha,
                power=torch.zeros_like,
                row=lambda t: (1.0, -1.0),
                half_log_snr=lambda r: (r / (1.0 - r)).log(),
                logarithmic=False,
            )
        case "v":
            return _Form(
                scale=lambda t: torch.hypot(alpha(t), sigma(t)),
                gain=lambda t: torch.hypot(alpha(t), sigma(t)) * torch.atan2(alpha(t), sigma(t)),
                power=torch.zeros_like,
                row=lambda t: _unit(path.sigma(t), -path.alpha(t)),
                half_log_snr=lambda r: r.tan().log(),
                logarithmic=False,
            )
    raise ValueError(f"Unknown hold {hold!r}; choose one of {', '.join(HOLDS)}.")


def _unit(p: Real, q: Real) -> tuple[Real, Real]:
    norm = hypot(p, q)
    return p / norm, q / norm


def _rates(path: GaussianPath, hold: str, kappa: float, t: Real) -> Rates:
    """S'/S, S r' and S √|q'| in closed form, D = α' σ − α σ' over what the table divides by."""
    alpha, sigma, d_alpha, d_sigma = path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)
    rotation = d_alpha * sigma - alpha * d_sigma
    intensity = sqrt(2.0 * kappa * ratio(sigma * rotation, alpha)) if kappa else 0.0
    match hold:
        case "x0":
            noise = kappa * ratio(rotation, alpha * sigma) if kappa else 0.0
            return Rates(ratio(d_sigma, sigma) - noise, (1.0 + kappa) * ratio(rotation, sigma), intensity)
        case "eps":
            return Rates(ratio(d_alpha, alpha), -(1.0 + kappa) * ratio(rotation, alpha), intensity)
        case "velocity":
            return Rates((d_alpha + d_sigma) / (alpha + sigma), rotation / (alpha + sigma))
        case _:
            norm = hypot(alpha, sigma)
            return Rates((alpha * d_alpha + sigma * d_sigma) / norm**2, rotation / norm)


def _basis(path: GaussianPath, row: tuple[Real, Real], t: float) -> tuple[float, float]:
    """(a, b) with p x₀ + q ε = a x + b M, M = (σ x₀ − α ε)/(α² + σ²): the system that is regular at every time."""
    (p, q), alpha, sigma = row, path.alpha(t), path.sigma(t)
    return float((p * alpha + q * sigma) / (alpha**2 + sigma**2)), float(p * sigma - q * alpha)


def _semilinear(denoiser: Denoiser, hold: str, kappa: float, logarithmic: bool | None) -> Semilinear:
    path = denoiser.path
    form = _form(path, hold, kappa)

    def at(t: Time) -> Real:
        return t.flatten() if isinstance(t, Tensor) else t

    def field(t: Time, x: Tensor) -> Tensor:
        return denoiser.combination(*form.row(at(t)), at(t), x)

    def score(t: Time, x: Tensor) -> Tensor:
        return denoiser.predict("score", at(t), x)

    return Semilinear(
        field,
        scale=form.scale,
        gain=form.gain,
        power=form.power if kappa else None,
        logarithmic=form.logarithmic if logarithmic is None else logarithmic,
        rates=lambda t: _rates(path, hold, kappa, t),
        time=lambda r: cast(Tensor, path.time(2.0 * form.half_log_snr(r))),
        cost=denoiser.cost,
        rows=lambda index: _semilinear(denoiser.of_rows(index), hold, kappa, logarithmic),
        noising=path,
        score=score,
        basis=lambda t: _basis(path, form.row(t), t),
        spends=lambda t: denoiser.spends(at(t)),
    )
