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

x0 and eps are smooth in log r, an affine function of the log-SNR; velocity and v in r itself, which is bounded. With
D = α' σ − α σ' the rates are those of `_rates`.

Sources: Song et al. (2011.13456), eqs. 6 and 13; Zhang and Chen, DEIS (2204.13902); Lu et al., DPM-Solver++
(2211.01095), prop. 4.1; Karras et al. (2206.00364), eq. 6; Albergo et al. (2303.08797).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..solvers import Rates, Semilinear
from .denoiser import Denoiser
from .elementary import over
from .path import GaussianPath

__all__ = ["HOLDS", "flow", "reverse_sde"]

HOLDS = ("x0", "eps", "velocity", "v")


def flow(denoiser: Denoiser, hold: str = "velocity") -> Semilinear:
    """The probability flow of a denoiser, from noise (t = 0) to data (t = 1): dx/dt = α' x₀-hat + σ' ε-hat.

    The solution of the equation is the same for every `hold` ("x0", "eps", "velocity" or "v"); the exponential
    solvers' errors are not. Raises ValueError for an unknown `hold`.
    """
    return _semilinear(denoiser, hold, kappa=0.0)


def reverse_sde(denoiser: Denoiser, eta: float = 1.0, hold: str = "x0") -> Semilinear:
    """The stochastic equation of noise level `eta` with the marginals of the path; eta = 1 reverses the noising.

    Raises ValueError for an unknown `hold`, a negative eta, and for a `hold` that has no stochastic form.
    """
    if eta < 0.0:
        raise ValueError(f"reverse_sde needs eta >= 0, but got {eta:g}; eta = 0 is the probability flow.")
    if hold in ("velocity", "v") and eta > 0.0:
        raise ValueError(f"hold={hold!r} has no stochastic form; use hold='x0' or hold='eps', or flow(denoiser).")
    return _semilinear(denoiser, hold, kappa=eta**2)


Coefficient = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Form:
    """One row of the table above, and the inverse of its clock as a log-SNR."""

    scale: Coefficient
    gain: Coefficient
    power: Coefficient
    row: Callable[[float], tuple[float, float]]
    log_snr: Callable[[float], float]
    logarithmic: bool


def _form(path: GaussianPath, hold: str, kappa: float) -> _Form:
    alpha, sigma, log_snr = (cast(Coefficient, function) for function in (path.alpha, path.sigma, path.log_snr))
    match hold:
        case "x0":
            return _Form(
                scale=lambda t: sigma(t) * torch.exp(-kappa * log_snr(t)) if kappa else sigma(t),
                gain=alpha,
                power=lambda t: sigma(t) ** 2,
                row=lambda t: (1.0, 0.0),
                log_snr=lambda r: math.log(r) / (1.0 + kappa),
                logarithmic=True,
            )
        case "eps":
            return _Form(
                scale=alpha,
                gain=lambda t: (1.0 + kappa) * sigma(t),
                power=lambda t: -kappa * sigma(t) ** 2,
                row=lambda t: (0.0, 1.0),
                log_snr=lambda r: math.log((1.0 + kappa) / r),
                logarithmic=True,
            )
        case "velocity":
            return _Form(
                scale=lambda t: alpha(t) + sigma(t),
                gain=alpha,
                power=torch.zeros_like,
                row=lambda t: (1.0, -1.0),
                log_snr=lambda r: math.log(r / (1.0 - r)),
                logarithmic=False,
            )
        case "v":
            return _Form(
                scale=lambda t: torch.hypot(alpha(t), sigma(t)),
                gain=lambda t: torch.hypot(alpha(t), sigma(t)) * torch.atan2(alpha(t), sigma(t)),
                power=torch.zeros_like,
                row=lambda t: _unit(float(path.sigma(t)), -float(path.alpha(t))),
                log_snr=lambda r: math.log(math.tan(r)),
                logarithmic=False,
            )
    raise ValueError(f"Unknown hold {hold!r}; choose one of {', '.join(HOLDS)}.")


def _unit(p: float, q: float) -> tuple[float, float]:
    norm = math.hypot(p, q)
    return p / norm, q / norm


def _rates(path: GaussianPath, hold: str, kappa: float, t: float) -> Rates:
    """S'/S, S r' and S √|q'| in closed form, D = α' σ − α σ' over what the table divides by."""
    alpha, sigma, d_alpha, d_sigma = (float(f(t)) for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
    rotation = d_alpha * sigma - alpha * d_sigma
    intensity = math.sqrt(2.0 * kappa * over(sigma * rotation, alpha)) if kappa else 0.0
    match hold:
        case "x0":
            noise = kappa * over(rotation, alpha * sigma) if kappa else 0.0
            return Rates(over(d_sigma, sigma) - noise, (1.0 + kappa) * over(rotation, sigma), intensity)
        case "eps":
            return Rates(over(d_alpha, alpha), -(1.0 + kappa) * over(rotation, alpha), intensity)
        case "velocity":
            return Rates((d_alpha + d_sigma) / (alpha + sigma), rotation / (alpha + sigma))
        case _:
            norm = math.hypot(alpha, sigma)
            return Rates((alpha * d_alpha + sigma * d_sigma) / norm**2, rotation / norm)


def _semilinear(denoiser: Denoiser, hold: str, kappa: float) -> Semilinear:
    path = denoiser.path
    form = _form(path, hold, kappa)
    return Semilinear(
        field=lambda t, x: denoiser.combination(*form.row(t), t, x),
        scale=form.scale,
        gain=form.gain,
        power=form.power if kappa else None,
        logarithmic=form.logarithmic,
        rates=lambda t: _rates(path, hold, kappa, t),
        time=lambda r: float(path.time(form.log_snr(r))),
        cost=denoiser.cost,
    )
