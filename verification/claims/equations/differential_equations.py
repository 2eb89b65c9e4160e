"""Ordinary differential equations and their solvers.

Orders are measured on the nonlinear problem, which depends on time,

    dx/dt = −2 (t + ½) x²,        x_t = x₀ / (1 + x₀ (t² + t)),

from eight starting points between 0.5 and 2, so that no error vanishes by chance. Errors C n^(−p) (1 + O(1/n)) at n, 2n
and 4n steps show the orders p + c/n and p + c/2n; twice the second less the first is p + O(1/n²). With n = 20 and
second corrections of up to twenty this is right to 0.05. The tolerance is 0.05 p.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import CondOT, GaussianPath, flow
from ....solvers import ODE, RK4, SDE, Euler, EulerMaruyama, Heun, RungeKutta, WhiteNoise, solve
from ...statistics import rms
from ..claim import Bound, Check, claim
from ..sources import BLOG, NOTES_2025, NOTES_2026, SLIDES, TUTORIAL
from ..tools.errors import largest, limiting_order, order
from ..tools.points import MIXTURE, MIXTURE_2D, WHOLE_PATHS, cdf, gaussian, grid, point
from ..tools.quadrature import trapezoid

STARTS = torch.linspace(0.5, 2.0, 8, dtype=torch.float64, device="cpu").unsqueeze(1)
PROBLEM = ODE(lambda t, x: -2.0 * (t + 0.5) * x**2)
STEPS = (20, 40, 80)


def _exact(x: Tensor, t: float) -> Tensor:
    return x / (1.0 + x * (t**2 + t))


def _frozen(t0: float) -> ODE:
    return ODE(lambda t, x: PROBLEM.drift(t0, x))


def _order_of(solver: RungeKutta) -> float:
    """The order that the nonlinear problem shows."""
    end = _exact(STARTS, 1.0)
    return limiting_order([rms(solve(PROBLEM, STARTS, grid(n), solver).x - end) for n in STEPS])


def _to_data(path: GaussianPath, x: Tensor, n: int, solver: RungeKutta) -> Tensor:
    return solve(flow(MIXTURE.denoiser(path)), x, grid(n), solver).x


@claim(
    "A011",
    NOTES_2025["Eq. 1-2"],
    NOTES_2026["Eq. 1-2"],
    BLOG["section 1"],
    statement="A flow starts as the identity, and its time derivative is the field at the point that it has reached.",
    formula="ψ₀(x) = x,  dψ_t(x)/dt = u_t(ψ_t(x))",
)
def flow_of_a_field() -> list[Check]:
    """The central difference of a flow in t misses its derivative by e² ψ'''/6 + O(e⁴), of order 2; from e = 0.02 to
    0.01 the slope is right to O(e²), 0.01. RK4 with steps of 1/400 adds less than 10⁻⁹, 10⁻⁵ of the residual."""
    path = CondOT()
    equation, x = flow(MIXTURE.denoiser(path)), trapezoid(-2.0, 2.0, 9)[0]

    def psi(t: float) -> Tensor:
        return solve(equation, x, grid(200, 0.0, t), RK4()).x

    there = MIXTURE.velocity(psi(0.5), 0.5, path)
    residuals = [rms((psi(0.5 + e) - psi(0.5 - e)) / (2.0 * e) - there) for e in (0.02, 0.01)]
    start = solve(equation, x, grid(200), RK4(), save=[0.0, 1.0]).xs
    moved = math.nan if start is None else rms(start[0] - x)
    return [
        Check(moved, 0.0, 0.0, "ψ₀ less the identity"),
        Check(order((1, 2), residuals), 2.0, 0.01, f"the order of the residual, {residuals[1]:.2g} at e = 0.01"),
    ]


@claim(
    "A012",
    NOTES_2025["Theorem 3"],
    NOTES_2026["Theorem 3"],
    BLOG["section 1"],
    SLIDES,
    statement="A field with a bounded derivative has one flow, and the flow is a diffeomorphism: solved backwards, it "
    "returns to its start.",
    formula="ψ_t⁻¹ ∘ ψ_t = id,  det ∂ψ_t/∂x > 0",
)
def diffeomorphism() -> list[Check | Bound]:
    """A step h and a step −h of a method of even order p leave their leading errors C hᵖ⁺¹ + C (−h)ᵖ⁺¹ = 0: there and
    back is of order p + 1, with p odd of order p. Orders as in the module."""
    checks: list[Check | Bound] = []
    for solver, expected in ((Euler(), 1.0), (Heun(), 3.0), (RK4(), 5.0)):
        errors = []
        for n in (40, 80, 160):
            there = solve(PROBLEM, STARTS, grid(n), solver).x
            errors.append(rms(solve(PROBLEM, there, grid(n).flip(0), solver).x - STARTS))
        checks.append(
            Check(limiting_order(errors), expected, 0.05 * expected, f"the order of there and back, {solver!r}")
        )
    ends = _to_data(CondOT(), trapezoid(-3.0, 3.0, 61)[0], 100, RK4())
    checks.append(Bound(float(ends.diff(dim=0).min()), 0.0, "the least distance of neighbours on the line", above=True))
    equation = flow(MIXTURE_2D.denoiser(CondOT()))
    x = torch.cartesian_prod(*[torch.linspace(-2.0, 2.0, 5, dtype=torch.float64)] * 2).requires_grad_()
    image = solve(equation, x, grid(50), RK4()).x
    jacobian = torch.stack([torch.autograd.grad(image[:, i].sum(), x, retain_graph=True)[0] for i in (0, 1)], dim=1)
    determinant = float(torch.linalg.det(jacobian).min())
    return [*checks, Bound(determinant, 0.0, "the least Jacobian determinant in the plane", above=True)]


@claim(
    "A013",
    NOTES_2025["Example 4, Eq. 3"],
    NOTES_2026["Example 4, Eq. 3"],
    statement="The flow of the linear field is an exponential, and a Runge-Kutta step multiplies by the Taylor "
    "polynomial of it.",
    formula="u = −θx,  ψ_t(x) = e^(−θt) x",
)
def linear_field() -> list[Check]:
    """A hundred steps of some ten roundings of 1.1·10⁻¹⁶, on numbers that fall from 1 to 0.135 and take their errors
    along: less than 1000 · 1.1·10⁻¹⁶ · 0.135 = 1.5·10⁻¹⁴. The errors of the source are given to three digits."""
    theta, n = 2.0, 100
    z = -theta / n
    printed = ((Euler(), 1, -2.72e-3, 5e-6), (Heun(), 2, 1.83e-5, 5e-8), (RK4(), 4, 3.67e-10, 5e-13))
    one, checks = torch.ones(1, 1, dtype=torch.float64), []
    for solver, degree, error, digit in printed:
        factor = sum(z**k / math.factorial(k) for k in range(degree + 1))
        end = float(solve(ODE(lambda t, x: -theta * x), one, grid(n), solver).x)
        checks.append(Check(end, factor**n, 1.5e-14, f"{solver!r}, and (Σ (−θh)ᵏ/k!)ⁿ"))
        checks.append(Check(end - math.exp(-theta), error, digit, f"the error of {solver!r} at θ = 2, n = 100"))
    return checks


@claim(
    "A014",
    NOTES_2025["Eq. 4"],
    NOTES_2026["Eq. 4"],
    BLOG["section 1"],
    statement="Euler's method is of order one.",
    formula="x_{t+h} = x_t + h u_t(x_t)",
)
def order_of_euler() -> Check:
    """Order 1 within 0.05 (see the module)."""
    return Check(_order_of(Euler()), 1.0, 0.05, "the order on the nonlinear problem")


@claim(
    "A015",
    NOTES_2025["section 2.1"],
    NOTES_2026["section 2.1"],
    BLOG["section 1"],
    statement="Heun's method is of order two. If its second slope were taken at the old time, it would be of order "
    "one.",
    formula="x' = x + h u_t(x),  x_{t+h} = x + ½h (u_t(x) + u_{t+h}(x'))",
)
def order_of_heun() -> list[Check]:
    """Order 2 within 0.1 and order 1 within 0.05 (see the module). The faulty method is the right one on a field whose
    clock stands still during each step."""
    end, errors = _exact(STARTS, 1.0), []
    for n in STEPS:
        x = STARTS
        for i in range(n):
            x = solve(_frozen(i / n), x, [i / n, (i + 1) / n], Heun()).x
        errors.append(rms(x - end))
    return [
        Check(_order_of(Heun()), 2.0, 0.1, "the order on the nonlinear problem"),
        Check(limiting_order(errors), 1.0, 0.05, "with the second slope at the old time"),
    ]


@claim(
    "A016",
    TUTORIAL["listing of runge_kutta_4_step"],
    statement="Kutta's classical method is of order four.",
    formula="x_{t+h} = x_t + h (k₁ + 2k₂ + 2k₃ + k₄)/6",
)
def order_of_classical_runge_kutta() -> Check:
    """Order 4 within 0.2 (see the module). The last error, of 10⁻⁸, is far above the rounding of 80 steps, 10⁻¹⁴."""
    return Check(_order_of(RK4()), 4.0, 0.2, "the order on the nonlinear problem")


@claim(
    "A017",
    SLIDES,
    BLOG["section 3.3"],
    statement="On the straight path of one data point Euler's method is exact, whatever the number of steps.",
    formula="u_t(x) = (z − x)/(1 − t):  x_i = x₀ + (i/n)(z − x₀)",
)
def euler_on_a_straight_line() -> list[Check]:
    """Rounding alone: n steps of a few roundings, each 10⁻¹⁶ of (z − x)/(1 − t) = 3, are below 10⁻¹² for n = 50."""
    z, x = 2.0, torch.full((1, 1), -1.0, dtype=torch.float64)
    equation = flow(point(z, CondOT()))
    checks = []
    for n in (1, 4, 10, 50):
        states = solve(equation, x, grid(n), Euler(), save=True).xs
        if states is not None:
            before, end = (float(states[i]) for i in (-2, -1))
            checks += [Check(end, z, 1e-12, f"after n = {n} steps"), Check(z - before, 3.0 / n, 1e-12, f"n − 1 of {n}")]
    return checks


@claim(
    "A018",
    NOTES_2025["section 2.1"],
    NOTES_2026["section 2.1"],
    BLOG["section 2.1"],
    statement="The end of the flow has the law of the data. On the line the flow is the increasing map between the "
    "two laws, on any path.",
    formula="ψ₁ = F_data⁻¹ ∘ Φ;  N(m, s²): ψ₁(x) = m + s x",
)
def flow_model() -> list[Check]:
    """RK4 with n steps errs by C/n⁴: 2.6·10⁻¹⁰ C with 250, and fields that vary on a scale of ½, near t = 1, have a C
    of 2⁵: 10⁻⁸. The map of N(m, s²) is linear with known ends; orders within 5 % (see the module)."""
    x = trapezoid(-2.5, 2.5, 21)[0]
    checks = []
    for path in WHOLE_PATHS:
        end = _to_data(path, x, 250, RK4())
        distance = (cdf(MIXTURE, end) - torch.special.ndtr(x[:, 0])) / MIXTURE.log_prob(end).exp()
        checks.append(Check(largest(distance), 0.0, 1e-8, f"ψ₁ less F⁻¹ ∘ Φ on {path}"))
    data, exact = gaussian(0.7, 0.5), 0.7 + 0.5 * x
    for path in WHOLE_PATHS[:2]:
        equation = flow(data.denoiser(path))
        for solver in (Euler(), Heun(), RK4()):
            errors = [rms(solve(equation, x, grid(n), solver).x - exact) for n in STEPS]
            p = solver.order
            checks.append(Check(limiting_order(errors), p, 0.05 * p, f"{solver!r} for N(m, s²) on {path}"))
    return checks


@claim(
    "A019",
    NOTES_2025["Algorithm 1"],
    NOTES_2026["Algorithm 1"],
    statement="n steps of length 1/n reach t = 1. A loop that counts to n − 1 stops at 1 − 1/n.",
    formula="t_i = i/n, i = 0 … n",
)
def number_of_steps() -> list[Check]:
    """Counts, and times that are given exactly: no tolerance. 1 − 1/n is rounded once."""
    checks = []
    for n in (7, 64, 100):
        solution = solve(PROBLEM, STARTS, grid(n), Euler())
        checks.append(Check(float(solution.ts[-1]), 1.0, 0.0, f"the last time of {n} steps"))
        checks.append(Check(solution.accepted, n, 0.0, f"the steps of {n}"))
        checks.append(Check(float(grid(n)[-2]), 1.0 - 1.0 / n, 2.3e-16, f"the last time of {n} − 1 steps"))
    return checks


@claim(
    "A020",
    NOTES_2025["section 2.2"],
    NOTES_2026["section 2.2"],
    statement="An ordinary equation is a stochastic equation without noise: on it Euler and Maruyama's method is "
    "Euler's, to the last bit.",
    formula="σ = 0:  dX = u dt",
)
def stochastic_equation_without_noise() -> Check:
    """The same operations in the same order: no tolerance (adding 0 ξ changes no bit of a number that is not zero)."""
    stochastic = SDE(PROBLEM.drift, lambda t, x: 0.0, noise="additive")
    noisy = solve(stochastic, STARTS, grid(50), EulerMaruyama(), WhiteNoise(0)).x
    return Check(largest(noisy - solve(PROBLEM, STARTS, grid(50), Euler()).x), 0.0, 0.0)
