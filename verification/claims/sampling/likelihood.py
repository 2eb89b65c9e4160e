"""The transport equation, and what it does to a density along the probability flow of a mixture."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from ....generative import VP, CondOT, Cosine, GaussianPath, flow, log_likelihood
from ....solvers import RK4, Dopri5, solve
from ...statistics import rms
from ..claim import Check, claim
from ..sources import TUTORIAL
from ..tools.errors import largest, order
from ..tools.examples import DEVIATION, MEAN
from ..tools.points import MIXTURE, MIXTURE_2D, column, gaussian, grid, name_of
from ..tools.quadrature import hermite, legendre, trapezoid
from ..tools.samplers import response

PATHS: tuple[GaussianPath, ...] = (CondOT(), Cosine(), VP())


def density_and_slopes(path: GaussianPath, t: float, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p_t(x), ∂p/∂t and ∂p/∂x of the mixture on the line, each (B,), the slopes by automatic differentiation."""
    at = torch.full((len(x),), t, dtype=torch.float64, requires_grad=True)
    place = x.clone().requires_grad_()
    density = MIXTURE.log_prob(place, at, path).exp()
    in_time, in_space = torch.autograd.grad(density.sum(), (at, place))
    return density.detach(), in_time, in_space[:, 0]


def along_the_flow(path: GaussianPath, x: Tensor, nodes: list[float]) -> Tensor:
    """The states of the flow that starts in x at nodes[0], at all of the nodes: (n, B, 1)."""
    grid = [a + (b - a) * k / 4 for a, b in pairwise(nodes) for k in range(4)] + nodes[-1:]
    states = solve(flow(MIXTURE.denoiser(path)), x, grid, Dopri5(), save=True).xs
    return x.unsqueeze(0) if states is None else states[::4]


@claim(
    "A211",
    TUTORIAL["Eq. 62-71"],
    statement="The characteristic function changes at the rate that the mean velocity gives at every frequency; "
    "therefore density and velocity obey the transport equation.",
    formula="∂_t E e^{ikz} = ik E[v(z, t) e^{ikz}] for all k ⟹ ∂_t p + ∇·(v p) = 0",
)
def characteristic_functions() -> list[Check]:
    """The left side is Σ w_k exp(ik α m − ½ k² (α² c + σ²)), differentiated automatically; the right the trapezoidal
    rule, which for a Gaussian tail of 8 deviations and a spacing of a hundredth is exact to rounding, 1e-11 of numbers
    of order k α'. The transport equation holds pointwise to the rounding of its terms, up to about 10: 1e-11.
    """
    k, gaps, residuals = 1.3, [], []
    x, weight = trapezoid(-9.0, 9.0, 1801)
    for path in PATHS:
        for t in (0.3, 0.5, 0.8):
            at = torch.tensor(t, dtype=torch.float64, requires_grad=True)
            alpha, sigma = path.alpha(at), path.sigma(at)
            phase = k * alpha * MIXTURE.means[:, 0]
            decay = torch.exp(-0.5 * k**2 * (alpha**2 * MIXTURE.covs[:, 0, 0] + sigma**2))
            parts = (MIXTURE.weights * decay * phase.cos()).sum(), (MIXTURE.weights * decay * phase.sin()).sum()
            rates = [torch.autograd.grad(part, at, retain_graph=True)[0].item() for part in parts]
            density, in_time, in_space = density_and_slopes(path, t, x)
            velocity = MIXTURE.velocity(x, t, path)[:, 0]
            flux = (density * velocity * weight).to(torch.complex128) @ torch.exp(1j * k * x[:, 0])
            gaps.append(abs(complex(*rates) - 1j * k * complex(flux)))
            transported = velocity * in_space + density * MIXTURE.divergence(x, t, path)
            residuals.append(largest(in_time + transported))
    return [
        Check(largest(*gaps), 0.0, 1e-11, "rate of the characteristic function at k = 1.3, three paths, three times"),
        Check(largest(*residuals), 0.0, 1e-11, "largest residual of the transport equation"),
    ]


@claim(
    "A212",
    TUTORIAL["appendix B, parts A to C"],
    statement="Along a trajectory the log-density changes at the rate of minus the divergence of the velocity.",
    formula="d/dt p_t(z(t)) = −p_t(z(t)) ∇·v",
)
def along_characteristics() -> list[Check]:
    """Central differences of log p over ±h along the solved path: order 2, off by a relative h² times derivatives of
    the field at σ = 0.5: 0.05 from h = 0.02 to 0.01. Extrapolated, (4 D(h) − D(2h))/3, they leave h⁴ = 1e-8 times
    derivatives up to 1e3: 1e-5.
    """
    path, x = CondOT(), column([-1.6, -0.3, 0.8, 1.7])
    nodes = [0.46, 0.48, 0.49, 0.5, 0.51, 0.52, 0.54]
    states = along_the_flow(path, x, nodes)
    logs = torch.stack([MIXTURE.log_prob(y, t, path) for t, y in zip(nodes, states, strict=True)])
    exact = -MIXTURE.divergence(states[3], 0.5, path)
    steps = ((0.04, 0), (0.02, 1), (0.01, 2))
    slopes = [(logs[6 - i] - logs[i]) / (2.0 * h) for h, i in steps]
    extrapolated = (4.0 * slopes[2] - slopes[1]) / 3.0
    return [
        Check(order([25, 50, 100], [rms(slope - exact) for slope in slopes]), 2.0, 0.05, "order of the differences"),
        Check(largest(extrapolated - exact), 0.0, 1e-5, "rate of log p plus divergence, four points"),
    ]


@claim(
    "A213",
    TUTORIAL["appendix B, part D"],
    statement="The density at the end of a trajectory is the density at its start times the exponential of minus the "
    "integral of the divergence.",
    formula="p_t(z(t)) = p_{t₀}(z(t₀)) exp(−∫ ∇·v ds)",
)
def transported_density() -> list[Check]:
    """From t = 0.1 to 0.95: the integral by 40 Gauss nodes, the flow by Dopri5 with four steps between two of them, at
    most 0.01 long; fields vary on the scale of σ = 0.05 at the end, which leaves (0.01/0.05)⁵/120 times small
    constants: 1e-6.
    """
    checks = []
    for path in PATHS:
        x, (nodes, weights) = column([-2.0, -0.4, 0.5, 1.8]), legendre(40, 0.1, 0.95)
        ends = [0.1, *nodes.tolist(), 0.95]
        states = along_the_flow(path, x, ends)
        rates = torch.stack([MIXTURE.divergence(y, t, path) for t, y in zip(ends[1:-1], states[1:-1], strict=True)])
        made = MIXTURE.log_prob(x, 0.1, path) - weights @ rates
        gap = largest(made - MIXTURE.log_prob(states[-1], 0.95, path))
        checks.append(Check(gap, 0.0, 1e-6, f"error of log p, {name_of(path)}"))
    return checks


@claim(
    "A214",
    TUTORIAL["appendix B, part E"],
    statement="The flow divides the density by the determinant of its map, and the logarithm of the determinant grows "
    "at the rate of the divergence.",
    formula="p_t(z) = p_{t₀}(z₀) |det ∂z/∂z₀|^{−1},  d/dt log|det| = ∇·v",
)
def determinant_of_the_flow_map() -> list[Check]:
    """In the plane, by RK4 differentiated automatically: both sides to the error of the solver, of order 4; 40 to 80
    steps from 0.2 to 0.8, off by relative terms of order h = 1/67 times ten: 0.3. N(m, s²): det = √(v_t/v_s), rounding
    of the mean and of the slope, 1e-12.
    """
    path, x, errors = CondOT(), column([-0.6, 0.9]).reshape(1, 2), []
    equation = flow(MIXTURE_2D.denoiser(path))
    for n in (20, 40, 80):
        times = grid(n, 0.2, 0.8)

        def end(y: Tensor, times: Tensor = times) -> Tensor:
            return solve(equation, y.reshape(1, 2), times, RK4()).x[0]

        jacobian = torch.autograd.functional.jacobian(end, x[0])  # type: ignore[no-untyped-call]  # torch's
        moved = end(x[0]).unsqueeze(0)
        before, after = MIXTURE_2D.log_prob(x, 0.2, path), MIXTURE_2D.log_prob(moved, 0.8, path)
        errors.append(float(after - before + torch.linalg.det(jacobian).abs().log()))
    data = gaussian(MEAN, DEVIATION)
    slope = data.flow_map(column([0.0, 1.0]), 0.2, 0.8, path)[:, 0].diff().item()
    start, stop = ((t * DEVIATION) ** 2 + (1.0 - t) ** 2 for t in (0.2, 0.8))
    nodes, weights = legendre(30, 0.2, 0.8)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    rates = torch.cat([data.divergence(zero, t, path) for t in nodes.tolist()])
    return [
        Check(order([20, 40, 80], errors), 4.0, 0.3, "order of log p + log det, RK4"),
        Check(errors[-1], 0.0, 1e-6, "log p + log det, 80 steps"),
        Check(slope, math.sqrt(stop / start), 1e-12, "det of N(m, s²)"),
        Check(float(weights @ rates), math.log(slope), 1e-12, "its logarithm, as the integral of the divergence"),
    ]


@claim(
    "A215",
    TUTORIAL["appendix B, part F"],
    statement="The flow that is solved back from N(0, I) differs from the data by as much as the noised data differ "
    "from N(0, I).",
    formula="KL(p_0 ‖ model) = KL(p_T ‖ N(0, 1)) = ½ (P − 1 − log P) + ½ ᾱ m², P = ᾱ s² + 1 − ᾱ",
)
def what_the_prior_costs() -> list[Check]:
    """N(0.7, 0.25) with ᾱ = 1/(1 + e²) left at the noise end; all laws are Gaussian. By 100 steps of RK4 from N(0, 1),
    the law of whose output is exact: h⁴ = 1e-8 times derivatives of order ten, 1e-6.

    `log_likelihood` has the prior N(0, σ²) of the path, σ² = 1 − ᾱ, in place of N(0, 1). Both log-densities are
    quadratic, so that three nodes give the expectation; steps within 2e-6: 1e-5.
    """
    path, (z, w) = Cosine(-2.0, math.inf), hermite(3)
    data, x = gaussian(MEAN, DEVIATION), column(MEAN + DEVIATION * z)
    left = 1.0 / (1.0 + math.exp(2.0))
    kept = left * DEVIATION**2 + 1.0 - left
    mean, deviation = response(RK4(), flow(data.denoiser(path)), grid(100)).law()
    model = log_likelihood(data.denoiser(path), x, error=1e-6).value
    return [
        Check(
            _divergence(MEAN, DEVIATION**2, mean, deviation**2),
            0.5 * (kept - 1.0 - math.log(kept)) + 0.5 * left * MEAN**2,
            1e-6,
            "KL(p_0 ‖ model), prior N(0, 1)",
        ),
        Check(
            float((data.log_prob(x) - model) @ w),
            _divergence(math.sqrt(left) * MEAN, kept, 0.0, 1.0 - left),
            1e-5,
            "KL(p_0 ‖ model), the prior of `log_likelihood`",
        ),
    ]


def _divergence(mean: float, variance: float, other: float, its: float) -> float:
    """KL(N(mean, variance) ‖ N(other, its))."""
    return 0.5 * (variance / its - 1.0 - math.log(variance / its) + (mean - other) ** 2 / its)
