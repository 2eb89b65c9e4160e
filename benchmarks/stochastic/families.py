"""Samplers that differ by one number, the amount of noise: ddim(eta=0.5), edm-stochastic(churn=40), sde-sine(level=1).

A name without a number means the usual amount of noise. To add a family, add a row to `_FAMILIES`, and to
`_made` what it makes.

    ddim                               `Ancestral` around one step of DDIM: η of Song, Meng and Ermon, from 0 to 1
    ddpm, sde-dpm++2m                  exponential solvers of `reverse_sde`; η = 1 reverses the noising
    euler-maruyama, sra1               classical solvers of `reverse_sde`, on equal steps of log-SNR
    euler-ancestral, dpm2-ancestral    `Ancestral` around solvers that hold ε
    edm-stochastic                     `Churn`, with EDM's S_churn
    restart                            `Restart`, with the number of repeats
    predictor-corrector                `Langevin` around ddpm, with the size of the corrector's steps
    annealed-langevin                  `annealed_langevin`, with the size of its steps
    sde-sine, sde-sigma, sde-constant  Euler-Maruyama on `diffusion_sde` with g = c sin πt, c √σ and c
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...generative.adapters import FunctionSampler
from ...generative.equations import LARGEST_ETA, grids, noise_level
from ...generative.paths import GaussianPath
from ...generative.sampling import AnySampler, Sampler, as_sampler
from ...solvers import (
    DPM_SOLVER_2,
    EDM_HEUN,
    SRA1,
    Ancestral,
    Churn,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Langevin,
    Solver,
)
from ...solvers.common import choice, real
from .entrants import Annealed, Default, Diffusion, Entrant, Foreign, Planned, Restarted

__all__ = ["FAMILIES", "STOCHASTIC", "Family", "entrant"]

_ETAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_MORE = (*_ETAS, 1.2, 1.4)
_MANY = 1e6


@dataclass(frozen=True)
class Family:
    """Samplers that differ by one number, the amount of noise.

    Attributes:
        name: of the family, and of its sampler with the usual amount of noise.
        parameter: what the number is called.
        usual: the usual amount.
        most: the largest amount.
        levels: the amounts that a scan compares.
    """

    name: str
    parameter: str
    usual: float
    most: float
    levels: tuple[float, ...]

    def text(self, level: float) -> str:
        """The name of the sampler with this amount of noise."""
        return f"{self.name}({self.parameter}={level:g})"

    def __call__(self, level: float | None = None) -> Entrant:
        """The sampler with this amount of noise, the usual one if None. Raises ValueError for one out of range."""
        if level is None:
            return _made(self.name, self.name, self.usual)
        amount = real(self.parameter, level, 0.0, self.most)
        return _made(self.name, self.text(amount), amount)


_FAMILIES = (
    Family("ddim", "eta", 0.0, 1.0, _ETAS),
    Family("ddpm", "eta", 1.0, LARGEST_ETA, _MORE),
    Family("sde-dpm++2m", "eta", 1.0, LARGEST_ETA, _MORE),
    Family("euler-maruyama", "eta", 1.0, LARGEST_ETA, _MORE),
    Family("sra1", "eta", 1.0, LARGEST_ETA, _MORE),
    Family("euler-ancestral", "eta", 1.0, 1.0, _ETAS),
    Family("dpm2-ancestral", "eta", 1.0, 1.0, _ETAS),
    Family("edm-stochastic", "churn", 40.0, _MANY, (0.0, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)),
    Family("restart", "repeats", 1.0, _MANY, (0.0, 1.0, 2.0, 4.0)),
    Family("predictor-corrector", "size", 0.05, 2.0, (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)),
    Family("annealed-langevin", "size", 0.2, 1.9, (0.05, 0.1, 0.2, 0.5, 1.0)),
    Family("sde-sine", "level", 1.0, _MANY, (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)),
    Family("sde-sigma", "level", 1.0, _MANY, (0.0, 0.25, 0.5, 1.0, 1.4)),
    Family("sde-constant", "level", 0.5, _MANY, (0.0, 0.25, 0.5, 1.0)),
)
FAMILIES = {family.name: family for family in _FAMILIES}
"""The families by name."""


@dataclass(frozen=True)
class _Level:
    """g(t) on a path: c sin πt, c √σ or c."""

    family: str
    amount: float

    def __call__(self, path: GaussianPath) -> Callable[[float], float]:
        match self.family:
            case "sde-sine":
                return noise_level.sine(self.amount)
            case "sde-sigma":
                return noise_level.power_of_sigma(path, self.amount, 0.5)
        return noise_level.constant(self.amount)


def _made(family: str, name: str, level: float) -> Entrant:
    """The sampler of a family with an amount of noise."""

    def planned(solver: Solver, hold: str, grid: Callable[..., object], eta: float = 0.0) -> Entrant:
        return Planned(name, Sampler(solver, hold, eta, grid, name=name))  # type: ignore[arg-type]

    one, edm = ExponentialAdams(1), ExponentialRK(EDM_HEUN)
    match family:
        case "ddim":
            return planned(Ancestral(one, level) if level else one, "x0", grids.uniform)
        case "ddpm":
            return planned(one, "x0", grids.uniform, level)
        case "sde-dpm++2m":
            return planned(ExponentialAdams(2), "x0", grids.log_snr, level)
        case "euler-maruyama":
            return planned(EulerMaruyama(), "x0", grids.log_snr, level)
        case "sra1":
            return planned(SRA1(), "x0", grids.log_snr, level)
        case "euler-ancestral":
            return planned(Ancestral(one, level), "eps", grids.karras)
        case "dpm2-ancestral":
            return planned(Ancestral(ExponentialRK(DPM_SOLVER_2), level), "eps", grids.karras)
        case "edm-stochastic":
            return planned(Churn(edm, level, 0.05, 50.0, 1.003), "eps", grids.karras)
        case "predictor-corrector":
            return planned(Langevin(one, 1, level) if level else one, "x0", grids.uniform, 1.0)
        case "restart":
            return Restarted(name, level)
        case "annealed-langevin":
            return Annealed(name, level)
    return Diffusion(name, _Level(family, level))


STOCHASTIC = {name: family() for name, family in FAMILIES.items() if name != "ddim"}
"""The stochastic samplers with their usual amounts of noise, by name."""


_NUMBER = re.compile(r"\s*([^()\s]+)\s*\(\s*(\w+)\s*=\s*([^()\s]+)\s*\)\s*")


def entrant(sampler: AnySampler | FunctionSampler | Entrant) -> Entrant:
    """What takes part, for any way to say it.

    Args:
        sampler: a name such as "ddpm", "ddim(eta=0.5)" or "unipc"; the file of a `Scheme`; "default" or None for what
            `sample` takes; a `Sampler`, a `Scheme`, a solver, a `FunctionSampler`, or an entrant.

    Raises:
        TypeError: it is none of these.
        ValueError: a name is unknown, or an amount of noise is out of range.

    Example:
        >>> entrant("ddim(eta=0.5)").name
        'ddim(eta=0.5)'
    """
    if isinstance(sampler, Entrant):
        return sampler
    if isinstance(sampler, FunctionSampler):
        return Foreign(sampler)
    if sampler is None or sampler == "default":
        return Default()
    if not isinstance(sampler, str):
        row = as_sampler(sampler)
        return Planned(row.name, row)
    if (found := _NUMBER.fullmatch(sampler)) is None:
        name = sampler.strip().lower()
        if name in FAMILIES:
            return FAMILIES[name]()
        row = as_sampler(sampler.strip())
        return Planned(row.name, row)
    name, parameter, number = found.groups()
    family = FAMILIES[choice("family of samplers", name.lower(), FAMILIES)]
    choice(f"parameter of {family.name}", parameter, [family.parameter])
    try:
        return family(float(number))
    except ValueError as error:
        raise ValueError(f"{sampler}: {error}") from None
