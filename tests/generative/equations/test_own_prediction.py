"""What a network predicts reaches the solver unchanged; what it does not determine at an end is refused.

Every prediction on every path at both ends, with the exact network of a Gaussian on the line, whose limits at the ends
are in closed form: with r = (x − α m)/(α² s² + σ²),

    x₀ = m + α s² r,    ε = σ r,    score = −r,    v = α ε − σ x₀,    velocity = α' x₀ + σ σ' r,

where σ σ', half the slope of σ², is finite where σ' is not.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toy import LINE, MEAN, VARIANCE

from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, GaussianPath, flow, reverse_sde
from fokker.generative.denoiser import KINDS, coefficients
from fokker.generative.equations import HOLDS, Interpolant, constant, diffusion_sde, hold_of
from fokker.generative.paths import (
    GeometricVE,
    NoisyCondOT,
    Polynomial,
    Real,
    Shifted,
    SubVP,
    Table,
    linear_betas,
    scaled_linear_betas,
    zero_terminal_snr,
)
from fokker.generative.sampling import decode, encode
from fokker.generative.sampling.encode import two_way_plan
from fokker.solvers import ExponentialAdams, ExponentialRK, Heun, Solver, solve

FULL = Table(zero_terminal_snr(linear_betas(50)))
PATHS: list[GaussianPath] = [
    CondOT(), CondOT(0.1), Cosine(), Cosine(-math.inf, math.inf), VP(), VE(), SubVP(), Polynomial(1.0), Polynomial(2.0),
    Polynomial(3.0), GeometricVE(), NoisyCondOT(0.1), Table(scaled_linear_betas(100)), FULL, Shifted(CondOT(), -1.0),
    Shifted(VP(), 0.7), Shifted(Polynomial(2.0), 0.5), Shifted(FULL, -0.5),
]  # fmt: skip
X = torch.tensor([[-1.3], [-0.2], [0.4], [2.1]], dtype=torch.float64)

each_path = pytest.mark.parametrize("path", PATHS, ids=str)
each_source = pytest.mark.parametrize("source", KINDS)


@cache
def half_slope(path: GaussianPath, t: float) -> float:
    """σ σ'. Where σ' is infinite, by Richardson's extrapolation of (σ_t² − σ_{t−h}²)/2h: σ² is analytic there."""
    sigma, slope = path.sigma(t), path.d_sigma(t)
    if math.isfinite(slope):
        return sigma * slope
    row = [(sigma**2 - path.sigma(t - h) ** 2) / (2.0 * h) for h in (0.02 / 2.0**k for k in range(7))]
    for j in range(1, 7):
        row = [after + (after - before) / (2.0**j - 1.0) for before, after in pairwise(row)]
    return row[0]


def exact(kind: str, path: GaussianPath, t: float, x: Tensor) -> Tensor:
    """The prediction, or its limit at an end."""
    alpha, sigma = path.alpha(t), path.sigma(t)
    r = (x - alpha * MEAN) / (alpha**2 * VARIANCE + sigma**2)
    x0 = MEAN + alpha * VARIANCE * r
    match kind:
        case "x0":
            return x0
        case "eps":
            return sigma * r
        case "score":
            return -r
        case "v":
            return alpha * sigma * r - sigma * x0
    return path.d_alpha(t) * x0 + half_slope(path, t) * r


class Exact:
    """The exact network of a kind."""

    def __init__(self, kind: str, path: GaussianPath) -> None:
        self.kind, self.path = kind, path

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        times = time.tolist()
        if len(set(times)) == 1:
            return exact(self.kind, self.path, times[0], x)
        return torch.stack([exact(self.kind, self.path, t, row) for t, row in zip(times, x, strict=True)])


def network(source: str, path: GaussianPath) -> Denoiser:
    return Denoiser(Exact(source, path), path, predicts=source)


def states(path: GaussianPath, t: float) -> Tensor:
    """From the law of x_t."""
    return path.alpha(t) * MEAN + math.sqrt(path.alpha(t) ** 2 * VARIANCE + path.sigma(t) ** 2) * X


def finite(kind: str, path: GaussianPath, t: float) -> bool:
    """Whether the coefficients of a kind are."""
    return path.sigma(t) > 0.0 if kind == "score" else kind != "velocity" or math.isfinite(path.d_sigma(t))


def determined(source: tuple[float, float], wanted: tuple[float, float], path: GaussianPath, t: float) -> bool:
    """Whether x = α x₀ + σ ε and p x₀ + q ε together determine what is wanted: it lies in their span."""
    x, (p, q), (p_wanted, q_wanted) = (path.alpha(t), path.sigma(t)), source, wanted
    if x[0] * q != x[1] * p:
        return True
    return any(a * q_wanted == b * p_wanted and (a or b) for a, b in (x, (p, q)))


def check(found: Tensor, expected: Tensor) -> None:
    """To the rounding of numbers up to 80, divided by σ or α of the ends, 1/150 and more, and extrapolation's 1e-9."""
    assert (found - expected).abs().max() <= 1e-9 * (1.0 + expected.abs().max())


@each_path
@each_source
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_every_kind_at_an_end_is_its_limit_or_refused(path: GaussianPath, source: str, t: float) -> None:
    """At one time, at one a sample, and where only one sample is at the end."""
    denoiser, x = network(source, path), states(path, t)
    for kind in KINDS:
        exists = kind == source or (finite(source, path, t) and finite(kind, path, t))
        if exists and kind != source:
            exists = determined(*(coefficients(each, path, t) for each in (source, kind)), path, t)
        assert denoiser.gives(kind, t) == exists
        some = torch.tensor([0.5, 0.4, t, 0.6], dtype=torch.float64)
        times: list[Real] = [t, torch.full((4,), t, dtype=torch.float64), some]
        for at in times:
            if exists:
                found = denoiser.predict(kind, at, x)
                own = some.tolist() if at is some else [t] * 4
                check(found, torch.stack([exact(kind, path, each, row) for each, row in zip(own, x, strict=True)]))
            else:
                with pytest.raises(ValueError, match=rf"(?s)\A[^\n]*at t = {t:g}[ ,;][^\n]*\Z"):
                    denoiser.predict(kind, at, x)


@each_path
@each_source
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_every_field_of_an_equation_at_an_end(path: GaussianPath, source: str, t: float) -> None:
    """What each hold needs, the drift and the score."""
    denoiser, x = network(source, path), states(path, t)
    x0, eps = exact("x0", path, t, x), exact("eps", path, t, x)
    for name in HOLDS:
        p, q = hold_of(path, name).row(t)
        own = name == source and name in ("x0", "eps")
        equation = flow(denoiser, name)
        if type(equation.clock) is not HOLDS[name]:  # at rest at t = 0: dx/dt itself is held
            assert path.d_alpha(0.0) == path.d_sigma(0.0) == 0.0
            if denoiser.gives("velocity", t):
                check(equation.field(t, x), exact("velocity", path, t, x))
        elif own or (finite(source, path, t) and determined(coefficients(source, path, t), (p, q), path, t)):
            check(equation.field(t, x), p * x0 + q * eps)
        else:
            with pytest.raises(ValueError, match=f"t = {t:g}"):
                equation.field(t, x)
    for made in (flow(denoiser), flow(denoiser, "x0")):
        if denoiser.gives("velocity", t):
            check(made.drift(t, x), exact("velocity", path, t, x))
            check(made.drift(torch.full((4,), t, dtype=torch.float64), x), exact("velocity", path, t, x))
        else:
            with pytest.raises(ValueError, match=f"t = {t:g}"):
                made.drift(t, x)


@each_path
@each_source
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_the_stochastic_drift_at_an_end(path: GaussianPath, source: str, t: float) -> None:
    """velocity + η² σ² λ' score with σ² λ' = (α'/α) σ² − σ σ', or refused: where α = 0, or ε is not determined."""
    made, x, eta = reverse_sde(network(source, path), 0.7), states(path, t), 0.7
    row_exists = path.alpha(t) > 0.0 and finite("velocity", path, t) and finite(source, path, t)
    if row_exists:
        p, q = coefficients("velocity", path, t)
        q = q - eta**2 * (p * path.sigma(t) - path.alpha(t) * q) / path.alpha(t)
        row_exists = determined(coefficients(source, path, t), (p, q), path, t)
    if row_exists:
        level = path.d_alpha(t) / path.alpha(t) * path.sigma(t) ** 2 - half_slope(path, t)
        expected = exact("velocity", path, t, x) + eta**2 * level * exact("score", path, t, x)
        check(made.drift(t, x), expected)
        assert made.diffusion(t, x) == pytest.approx(math.sqrt(2.0 * eta**2 * level), rel=1e-9, abs=1e-12)
    else:
        with pytest.raises(ValueError, match=f"t = {t:g}"):
            made.drift(t, x)


def test_a_network_that_predicts_the_velocity_is_the_drift() -> None:
    """To the last bit, at every time, also of the equation without noise of any level, whatever it returns at rest."""
    ones = Denoiser(lambda x, time: torch.ones_like(x), Polynomial(2.0), predicts="velocity")
    assert torch.equal(flow(ones).field(0.0, X), torch.ones_like(X))
    assert torch.equal(flow(ones).drift(torch.zeros(4, dtype=torch.float64), X), torch.ones_like(X))
    for path in PATHS:
        denoiser = network("velocity", path)
        for t in (0.0, 0.3, 1.0):
            expected = exact("velocity", path, t, states(path, t))
            assert torch.equal(flow(denoiser).drift(t, states(path, t)), expected)
        plain = diffusion_sde(denoiser, constant(0.0), 0.1, 0.9)
        assert torch.equal(plain.drift(0.3, X), exact("velocity", path, 0.3, X))


@pytest.mark.parametrize("path", [CondOT(), Polynomial(2.0), Cosine(-math.inf, math.inf)], ids=str)
def test_the_velocity_of_an_interpolant_is_the_drift(path: GaussianPath) -> None:
    equation = Interpolant(path).flow(Exact("velocity", path))
    for t in (0.0, 0.3, 1.0):
        assert torch.equal(equation.drift(t, X), exact("velocity", path, t, X))
    errors = []
    for n in (32, 64):
        times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
        errors.append(solve(equation, X, times, Heun()).x - LINE.flow_map(X, 0.0, 1.0, path))
    assert math.log2(errors[0].norm() / errors[1].norm()) == pytest.approx(2.0, abs=0.15)


# From noise to data, and from data to noise.

SMOOTH = [path for path in PATHS if "Table" not in repr(path)]
"""A classical solver, whose clock is t, has its order where the path is smooth in t. A table of betas has kinks."""


def flow_map(path: GaussianPath, x: Tensor, s: float, t: float) -> Tensor:
    spread = [math.sqrt(path.alpha(at) ** 2 * VARIANCE + path.sigma(at) ** 2) for at in (s, t)]
    return path.alpha(t) * MEAN + spread[1] / spread[0] * (x - path.alpha(s) * MEAN)


@pytest.mark.parametrize(
    ("path", "solver"),
    [(path, ExponentialAdams(2)) for path in PATHS] + [(path, Heun()) for path in SMOOTH],
    ids=str,
)
@each_source
def test_every_decode_and_encode_has_the_order_of_its_solver(path: GaussianPath, solver: Solver, source: str) -> None:
    """Against the exact map between the ends of the plan, on n and 2 n steps. The next term bends the slope
    by a few n⁻¹, and on VE, where σ falls from 80 in equal steps, by 20 n⁻¹."""
    denoiser, errors = network(source, path), []
    for n in (256, 512) if isinstance(path, VE) else (48, 96):
        plan = two_way_plan(denoiser, solver, n * (2 if isinstance(solver, Heun) else 1))
        start, end = plan.times[0].item(), plan.times[-1].item()
        z, x = states(path, start), states(path, end)
        there = decode(denoiser, z, times=plan.times, sampler=solver)
        back = encode(denoiser, x, times=plan.times, sampler=solver)
        check_ends(denoiser, solver, start, end)
        errors.append([(there - x).norm().item(), (back - z).norm().item()])
    for coarse, fine in zip(*errors, strict=True):
        assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.25)


def check_ends(denoiser: Denoiser, solver: Solver, start: float, end: float) -> None:
    """A solve reaches every end at which the network gives the field."""
    held = flow(denoiser).field if solver.semilinear else flow(denoiser).slope
    for t, reached in ((0.0, start), (1.0, end)):
        try:
            held(t, states(denoiser.path, t))
        except ValueError:
            assert reached != t
        else:
            assert reached == t


@pytest.mark.parametrize("path", [Polynomial(2.0), Polynomial(3.0), Shifted(Polynomial(2.0), 0.5)], ids=str)
@pytest.mark.parametrize("source", ["velocity", "eps", "score"])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_path_that_starts_from_rest_starts_at_zero(path: GaussianPath, source: str, order: int) -> None:
    """x₀-hat − ε-hat is 0/0 there, and dx/dt is held in its place: the error falls with the order from t = 0 on."""
    denoiser, errors, end = network(source, path), [], 0.9
    solver = {2: ExponentialAdams(2), 3: ExponentialRK(3), 4: ExponentialAdams(3, corrector=True)}[order]
    for n in (64, 128):
        times = end * (1.0 - torch.linspace(1.0, 0.0, n + 1, dtype=torch.float64) ** 2)
        there = decode(denoiser, states(path, 0.0), times=times, sampler=solver)
        errors.append((there - flow_map(path, states(path, 0.0), 0.0, end)).norm().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)
