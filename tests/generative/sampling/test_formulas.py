"""Every published sampler against its printed formula, written out in the formula's own notation, on a mixture.

A step goes from s to t, with λ = log(α/σ), h = λ_t − λ_s, r = σ/α and y = x/α. Both sides compute the same numbers from
the same predictions, and differ by rounding. Differences such as h − 1 + e^(−h) lose the most, 2/h² units of 2⁻⁵³. That
is 600 units in the shortest step here, h = 0.059, and less than 5000 in eight steps. The tolerance 1e-12 is 9000 units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS, Draws, states

from fokker.generative import VP, CondOT, GaussianPath, named
from fokker.generative.sampling import PUBLISHED
from fokker.solvers import solve

UNEVEN = [0.05, 0.11, 0.3, 0.34, 0.6, 0.81, 0.9, 0.97]
Xi = Callable[[], Tensor]


@dataclass(frozen=True)
class Model:
    """The coefficients of a path, and the predictions of the mixture."""

    path: GaussianPath
    steps: int

    def lam(self, t: float) -> float:
        return self.path.half_log_snr(t)

    def h(self, s: float, t: float) -> float:
        return self.lam(t) - self.lam(s)

    def r(self, t: float) -> float:
        return math.exp(-self.lam(t))

    def at(self, lam: float) -> float:
        return self.path.time(2.0 * lam)

    def x0(self, x: Tensor, t: float) -> Tensor:
        return MIXTURE.x0(x, t, self.path)

    def eps(self, x: Tensor, t: float) -> Tensor:
        return MIXTURE.eps(x, t, self.path)

    def eps_of_y(self, y: Tensor, t: float) -> Tensor:
        return self.eps(self.path.alpha(t) * y, t)

    def alpha(self, t: float) -> float:
        return self.path.alpha(t)

    def sigma(self, t: float) -> float:
        return self.path.sigma(t)


Step = Callable[[Model, float, float, Tensor, Xi], Tensor]
"""From x_s to x_t."""


def in_y(step: Step) -> Step:
    """A step that is written in y = x/α."""
    return lambda m, s, t, x, xi: m.alpha(t) * step(m, s, t, x / m.alpha(s), xi)


def noise(deviation: float, xi: Xi) -> Tensor | float:
    return deviation * xi() if deviation > 0.0 else 0.0


def ddim(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    x0 = m.x0(x, s)
    eps = (x - m.alpha(s) * x0) / m.sigma(s)
    torch.testing.assert_close(m.alpha(t) * x0 + m.sigma(t) * eps, _ddim(m, s, t, x), rtol=1e-12, atol=1e-12)
    return _ddim(m, s, t, x)


def _ddim(m: Model, s: float, t: float, x: Tensor) -> Tensor:
    return m.sigma(t) / m.sigma(s) * x + (m.alpha(t) - m.alpha(s) * m.sigma(t) / m.sigma(s)) * m.x0(x, s)


def ddpm(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    h = m.h(s, t)
    kept = m.sigma(t) / m.sigma(s) * math.exp(-h) * x + m.alpha(t) * (1.0 - math.exp(-2.0 * h)) * m.x0(x, s)
    return kept + noise(m.sigma(t) * math.sqrt(1.0 - math.exp(-2.0 * h)), xi)


def predictor_corrector(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    delta = 0.05 * m.sigma(s) ** 2
    return ddpm(m, s, t, x - delta / m.sigma(s) * m.eps(x, s) + math.sqrt(2.0 * delta) * xi(), xi)


def euler(m: Model, s: float, t: float, y: Tensor, xi: Xi) -> Tensor:
    return y + (m.r(t) - m.r(s)) * m.eps_of_y(y, s)


def euler_ancestral(m: Model, s: float, t: float, y: Tensor, xi: Xi) -> Tensor:
    r_d = m.r(t) ** 2 / m.r(s)
    y_d = y + (r_d - m.r(s)) * m.eps_of_y(y, s)
    return y_d + noise(math.sqrt(m.r(t) ** 2 - r_d**2), xi)


def edm_heun(m: Model, s: float, t: float, y: Tensor, xi: Xi) -> Tensor:
    slope = m.eps_of_y(y, s)
    there = y + (m.r(t) - m.r(s)) * slope
    if m.r(t) == 0.0:
        return there
    return y + 0.5 * (m.r(t) - m.r(s)) * (slope + m.eps_of_y(there, t))


def edm_stochastic(m: Model, s: float, t: float, y: Tensor, xi: Xi) -> Tensor:
    gamma = min(40.0 / m.steps, math.sqrt(2.0) - 1.0) if 0.05 <= m.r(s) <= 50.0 else 0.0
    noisier = (1.0 + gamma) * m.r(s)
    return edm_heun(m, m.at(-math.log(noisier)), t, y + noise(1.003 * math.sqrt(noisier**2 - m.r(s) ** 2), xi), xi)


def dpm2_ancestral(m: Model, s: float, t: float, y: Tensor, xi: Xi) -> Tensor:
    """As Crowson's implementation writes it: σ_up, σ_down, and a midpoint in log σ; here r_d is σ_down."""
    r_d = m.r(t) ** 2 / m.r(s)
    r_m, slope = math.sqrt(m.r(s) * r_d), m.eps_of_y(y, s)
    if r_d > 0.0:
        slope = m.eps_of_y(y + (r_m - m.r(s)) * slope, m.at(-math.log(r_m)))
    return y + (r_d - m.r(s)) * slope + noise(math.sqrt(m.r(t) ** 2 - r_d**2), xi)


def dpm_solver_2s(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    """Lu et al. (2206.00927), algorithm 1 with r₁ = 1/2."""
    h, eps = m.h(s, t), m.eps(x, s)
    if m.sigma(t) == 0.0:
        return _to_the_data(m, s, t, x, eps)
    mid = m.at(0.5 * (m.lam(s) + m.lam(t)))
    u = m.alpha(mid) / m.alpha(s) * x - m.sigma(mid) * math.expm1(0.5 * h) * eps
    return m.alpha(t) / m.alpha(s) * x - m.sigma(t) * math.expm1(h) * m.eps(u, mid)


def _to_the_data(m: Model, s: float, t: float, x: Tensor, eps: Tensor) -> Tensor:
    return m.alpha(t) / m.alpha(s) * (x - m.sigma(s) * eps)


def dpm_solver_3s(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    """Lu et al. (2206.00927), algorithm 2 with r₁ = 1/3 and r₂ = 2/3."""
    h, eps = m.h(s, t), m.eps(x, s)
    if m.sigma(t) == 0.0:
        return _to_the_data(m, s, t, x, eps)
    one, two = m.at(m.lam(s) + h / 3.0), m.at(m.lam(s) + 2.0 * h / 3.0)
    third, both = math.expm1(h / 3.0), math.expm1(2.0 * h / 3.0)
    u = m.alpha(one) / m.alpha(s) * x - m.sigma(one) * third * eps
    v = m.alpha(two) / m.alpha(s) * x - m.sigma(two) * both * eps
    v = v - 2.0 * m.sigma(two) * (both / (2.0 * h / 3.0) - 1.0) * (m.eps(u, one) - eps)
    x_t = m.alpha(t) / m.alpha(s) * x - m.sigma(t) * math.expm1(h) * eps
    return x_t - 1.5 * m.sigma(t) * (math.expm1(h) / h - 1.0) * (m.eps(v, two) - eps)


def dpmpp_2s(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    """Lu et al. (2211.01095), algorithm 1 with r = 1/2."""
    h = m.h(s, t)
    if h == math.inf:
        return _ddim(m, s, t, x)
    mid = m.at(0.5 * (m.lam(s) + m.lam(t)))
    u = m.sigma(mid) / m.sigma(s) * x - m.alpha(mid) * math.expm1(-0.5 * h) * m.x0(x, s)
    return m.sigma(t) / m.sigma(s) * x - m.alpha(t) * math.expm1(-h) * m.x0(u, mid)


def res_2s(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    """Zhang et al. (2308.02157), section 3.2 with c₂ = 1/2, b₂ = φ₂/c₂ and b₁ = φ₁ − b₂."""
    h = m.h(s, t)
    if h == math.inf:
        return _ddim(m, s, t, x)
    mid, x0 = m.at(0.5 * (m.lam(s) + m.lam(t))), m.x0(x, s)
    u = m.sigma(mid) / m.sigma(s) * x - m.alpha(mid) * math.expm1(-0.5 * h) * x0
    phi1, phi2 = -math.expm1(-h) / h, (h + math.expm1(-h)) / h**2
    return m.sigma(t) / m.sigma(s) * x + m.alpha(t) * h * ((phi1 - 2.0 * phi2) * x0 + 2.0 * phi2 * m.x0(u, mid))


def res_3s(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    """Zhang et al. (2308.02157), section 3.2 with c₂ = 1/3 and c₃ = 2/3: the last value so far gives the slope in λ."""
    h = m.h(s, t)
    if h == math.inf:
        return _ddim(m, s, t, x)
    one, two, x0 = m.at(m.lam(s) + h / 3.0), m.at(m.lam(s) + 2.0 * h / 3.0), m.x0(x, s)
    third, both, whole = (-math.expm1(-c * h) for c in (1.0 / 3.0, 2.0 / 3.0, 1.0))
    u = m.sigma(one) / m.sigma(s) * x + m.alpha(one) * third * x0
    v = m.sigma(two) / m.sigma(s) * x + m.alpha(two) * both * x0
    v = v + 2.0 * m.alpha(two) * (1.0 - both / (2.0 * h / 3.0)) * (m.x0(u, one) - x0)
    x_t = m.sigma(t) / m.sigma(s) * x + m.alpha(t) * whole * x0
    return x_t + 1.5 * m.alpha(t) * (1.0 - whole / h) * (m.x0(v, two) - x0)


def flow_euler(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    return x + (t - s) * _velocity(m, x, s)


def flow_heun(m: Model, s: float, t: float, x: Tensor, xi: Xi) -> Tensor:
    u = _velocity(m, x, s)
    return x + 0.5 * (t - s) * (u + _velocity(m, x + (t - s) * u, t))


def _velocity(m: Model, x: Tensor, t: float) -> Tensor:
    return m.path.d_alpha(t) * m.x0(x, t) + m.path.d_sigma(t) * m.eps(x, t)


ONE_STEP: dict[str, Step] = {
    "ddim": ddim,
    "ddpm": ddpm,
    "euler": in_y(euler),
    "euler-ancestral": in_y(euler_ancestral),
    "edm-heun": in_y(edm_heun),
    "edm-stochastic": in_y(edm_stochastic),
    "dpm-solver-2s": dpm_solver_2s,
    "dpm-solver-3s": dpm_solver_3s,
    "dpm2-ancestral": in_y(dpm2_ancestral),
    "dpm++2s": dpmpp_2s,
    "res-2s": res_2s,
    "res-3s": res_3s,
    "predictor-corrector": predictor_corrector,
    "flow-euler": flow_euler,
    "flow-heun": flow_heun,
}


Values = Sequence[tuple[float, Tensor]]
"""Times and the predictions there that P goes through; that at s is always among them."""
Advance = Callable[[Model, float, float, Tensor, Values, Tensor | float], Tensor]
"""From x_s to x_t with P through these values, and the noise of the step."""

POINTS, WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(24))
"""Exact to rounding for e^u times a cubic on the steps here, of which none is longer than 2.5."""


def integral(
    weight: Callable[[Tensor], Tensor], low: float, high: float, nodes: Sequence[float], values: Values
) -> Tensor:
    """∫ weight(u) P(u) du from low to high, P through the values at the nodes."""
    u = 0.5 * (low + high) + 0.5 * (high - low) * POINTS
    total = torch.zeros_like(values[0][1])
    for j, (_, value) in enumerate(values):
        others = [(u - node) / (nodes[j] - node) for k, node in enumerate(nodes) if k != j]
        lagrange = torch.stack([torch.ones_like(u), *others]).prod(0)
        total = total + (WEIGHTS * weight(u) * lagrange).sum() * 0.5 * (high - low) * value
    return total


def second_order(m: Model, s: float, t: float, x: Tensor, values: Values, added: Tensor | float) -> Tensor:
    """DPM-Solver++(2M): Lu et al. (2211.01095), algorithm 2."""
    h = m.h(s, t)
    kept = m.sigma(t) / m.sigma(s) * x - m.alpha(t) * math.expm1(-h) * _value(s, values)
    return kept if len(values) < 2 else kept + m.alpha(t) * (h + math.expm1(-h)) * _slope(m, values)


def second_order_with_noise(
    m: Model, s: float, t: float, x: Tensor, values: Values, added: Tensor | float
) -> Tensor:
    """SDE-DPM-Solver++(2M): Lu et al. (2211.01095), section 5."""
    h = m.h(s, t)
    kept = m.sigma(t) / m.sigma(s) * math.exp(-h) * x - m.alpha(t) * math.expm1(-2.0 * h) * _value(s, values) + added
    return kept if len(values) < 2 else kept + m.alpha(t) * (h + 0.5 * math.expm1(-2.0 * h)) * _slope(m, values)


def _value(s: float, values: Values) -> Tensor:
    """x̂₀ at s, or that at t where the one at s has λ = −∞."""
    return dict(values).get(s, values[0][1])


def _slope(m: Model, values: Values) -> Tensor:
    (newer, value), (older, before) = values
    return (value - before) / (m.lam(newer) - m.lam(older))


def of_x0(m: Model, s: float, t: float, x: Tensor, values: Values, added: Tensor | float) -> Tensor:
    """(σ_t/σ_s) x_s + α_t ∫₀ʰ e^(u − h) P(λ_s + u) du."""
    h = m.h(s, t)
    if h == math.inf:
        return m.sigma(t) / m.sigma(s) * x + m.alpha(t) * values[0][1]
    nodes = [m.lam(time) - m.lam(s) for time, _ in values]
    return m.sigma(t) / m.sigma(s) * x + m.alpha(t) * integral(lambda u: (u - h).exp(), 0.0, h, nodes, values)


def of_eps(m: Model, s: float, t: float, x: Tensor, values: Values, added: Tensor | float) -> Tensor:
    """y_s − r_s ∫₀ʰ e^(−u) P(λ_s + u) du, in y; in pieces, of which the last ends where nothing is left."""
    nodes, ends = [m.lam(time) - m.lam(s) for time, _ in values], [0.0, *np.arange(2.0, 60.0, 2.0)]
    ends = [0.0, m.h(s, t)] if m.h(s, t) < 60.0 else ends
    total = sum(integral(lambda u: (-u).exp(), low, high, nodes, values) for low, high in pairwise(ends))
    return m.alpha(t) * (x / m.alpha(s) - m.r(s) * total)


def of_eps_in_r(m: Model, s: float, t: float, x: Tensor, values: Values, added: Tensor | float) -> Tensor:
    """y_s + ∫ P(r) dr from r_s to r_t, in y."""
    nodes = [m.r(time) for time, _ in values]
    return m.alpha(t) * (x / m.alpha(s) + integral(torch.ones_like, m.r(s), m.r(t), nodes, values))


def heun_of_third_order(m: Model, s: float, t: float, x: Tensor, eps: Tensor) -> Tensor:
    """The first step of iPNDM, in y and r."""
    y, h = x / m.alpha(s), m.r(t) - m.r(s)
    one, two = (m.at(-math.log(m.r(s) + c * h)) for c in (1.0 / 3.0, 2.0 / 3.0))
    second = m.eps_of_y(y + h / 3.0 * eps, one)
    third = m.eps_of_y(y + 2.0 * h / 3.0 * second, two)
    return m.alpha(t) * (y + 0.25 * h * (eps + 3.0 * third))


@dataclass(frozen=True)
class Multistep:
    """P goes through the last `values` predictions, and with a corrector also through the one ahead."""

    advance: Advance
    values: int
    kind: str = "x0"
    corrector: bool = False
    first: Callable[[Model, float, float, Tensor, Tensor], Tensor] | None = None

    def run(self, m: Model, times: Sequence[float], x: Tensor, xi: Xi) -> Tensor:
        predict = m.x0 if self.kind == "x0" else m.eps
        known: list[tuple[float, Tensor]] = []
        ahead = None
        for i, (s, t) in enumerate(pairwise(times)):
            newest = predict(x, s) if ahead is None else ahead
            known, ahead, h = [(s, newest), *known][: self.values], None, m.h(s, t)
            if self.first is not None and i == 0:
                x = self.first(m, s, t, x, newest)
                continue
            constant = h == math.inf and self.kind == "x0"
            added = 0.0
            if self.advance is second_order_with_noise:
                added = noise(m.sigma(t) * math.sqrt(-math.expm1(-2.0 * h)), xi)
            reached = self.advance(m, s, t, x, known[:1] if constant else known, added)
            known = [value for value in known if m.lam(value[0]) > -math.inf]
            if (self.corrector or len(known) < self.values) and i < len(times) - 2:
                ahead = predict(reached, t)
                reached = self.advance(m, s, t, x, [(t, ahead), *known], added)
            x = reached
        return x


MULTISTEP = {
    "dpm++2m": Multistep(second_order, 2),
    "dpm++3m": Multistep(of_x0, 3),
    "sde-dpm++2m": Multistep(second_order_with_noise, 2),
    "unipc": Multistep(of_x0, 2, corrector=True),
    "deis": Multistep(of_eps, 3, "eps"),
    "deis-rho": Multistep(of_eps_in_r, 3, "eps"),
    "ipndm": Multistep(of_eps_in_r, 4, "eps", first=heun_of_third_order),
}


def written(name: str, path: GaussianPath, times: Sequence[float], x: Tensor, draws: Iterator[Tensor]) -> Tensor:
    m = Model(path, len(times) - 1)
    if name in MULTISTEP:
        return MULTISTEP[name].run(m, times, x, draws.__next__)
    for s, t in pairwise(times):
        x = ONE_STEP[name](m, s, t, x, draws.__next__)
    return x


EVERY = [*ONE_STEP, *MULTISTEP]
each_path = pytest.mark.parametrize("path", PATHS, ids=str)


def compare(name: str, path: GaussianPath, times: Sequence[float]) -> None:
    sampler, x = named(name), states(path, times[0])
    draws = list(torch.randn(20, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    solved = solve(sampler.equation(MIXTURE.denoiser(path)), x, times, sampler.solver, Draws(draws)).x
    expected = written(name, path, times, x, iter(draws))
    assert (solved - expected).abs().max() < 1e-12 * expected.abs().max()


@each_path
@pytest.mark.parametrize("name", EVERY)
def test_the_printed_formula(path: GaussianPath, name: str) -> None:
    compare(name, path, UNEVEN)


@pytest.mark.parametrize("name", EVERY)
def test_the_printed_formula_in_a_single_step(name: str) -> None:
    compare(name, VP(), UNEVEN[2:4])


@each_path
@pytest.mark.parametrize("name", [name for name in EVERY if named(name).hold != "velocity"])
def test_the_printed_formula_in_a_step_to_the_data(path: GaussianPath, name: str) -> None:
    """σ = 0 at the end of CondOT, VP and VE, so that λ = ∞ there."""
    compare(name, path, [*UNEVEN, 1.0])


@pytest.mark.parametrize("name", [name for name in EVERY if named(name).hold != "eps"])
def test_the_printed_formula_in_a_step_from_pure_noise(name: str) -> None:
    """α = 0 at the start, so that λ = −∞ there."""
    compare(name, CondOT(), [0.0, *UNEVEN, 1.0])


def test_every_formula_is_checked() -> None:
    assert {name for name, row in PUBLISHED.items() if row.formula} == set(EVERY)


def test_printing_explains_the_symbols() -> None:
    first, formula, *symbols, source = str(named("ddim")).splitlines()
    assert first == "ddim: ExponentialAdams(1), holds x0"
    assert formula == "    x_t = (σ_t/σ_s) x_s + (α_t − α_s σ_t/σ_s) x̂₀ = α_t x̂₀ + σ_t ε̂"
    assert "λ = log(α/σ)" in symbols[0]
    assert source == "Source: Song, Meng and Ermon (2010.02502), eq. 12 with η = 0; as printed."
