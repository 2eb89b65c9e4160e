"""Errata of the lecture notes: hypotheses that are missing, and limits that fail.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from ....generative.denoiser import Denoiser
from ....generative.equations import constant, diffusion_sde, flow
from ....generative.paths import VE, VP, CondOT, GaussianPath, Real, Uniform
from ....generative.training import Unweighted, check_finite_loss, squared_error
from ....solvers import RK4, SDE, Euler, EulerMaruyama, solve
from ..claim import Bound, Check, claim
from ..sources import NOTES_2025, NOTES_2026, SLIDES
from ..tools.errors import largest
from ..tools.points import STATES, exact, gaussian, grid, point
from ..tools.quadrature import legendre, nodes
from ..tools.samplers import response


def _refuses(path: GaussianPath) -> bool:
    """Whether the loss of the score is refused on all of [0, 1], and taken on [0, 0.999]."""
    check_finite_loss(path, "score", times=Uniform(0.0, 0.999))
    try:
        check_finite_loss(path, "score")
    except ValueError:
        return True
    return False


@claim(
    "E09",
    NOTES_2025["Theorem 20, Eq. 61 and Algorithm 4"],
    statement="If times run up to 1, the loss of the conditional score is infinite. It needs t ≤ 1 − δ, or the weight "
    "σ².",
    formula="printed t ~ U[0, 1]; ∫ E‖s(x|x₀)‖² dt = 1/δ − 1 on [0, 1 − δ]",
    erratum=True,
)
def infinite_loss() -> list[Bound | Check]:
    """N(0, 1) on CondOT. The constant L_CSM − L_SM on [0, 1 − δ] is 1/δ − 1 − arctan(1 − 2δ) − π/4: 7.54, 97.4, 997 and
    9997; exact nodes in x₀ and ε and 100 in log(1 − t), relative 1e-12. It grows without end, and the loss refuses such
    times; weighted by σ² it is the loss of ε, and finite."""
    path, data, last = CondOT(), gaussian(0.0, 1.0), 0.0
    found: list[Bound | Check] = []
    for delta in (1e-1, 1e-2, 1e-3, 1e-4):
        y, weight = legendre(100, math.log(delta), 0.0)
        at = nodes(data, 3, (1.0 - y.exp(), weight * y.exp()))
        target = at.eps / (1.0 - at.t)[:, None]
        last = at.mean(target.square() - exact(data, "score", path)(at.x(path), at.t).square()).item()
        closed = 1.0 / delta - 1.0 - math.atan(1.0 - 2.0 * delta) - 0.25 * math.pi
        found.append(Check(last / closed, 1.0, 1e-12, f"the constant at δ = {delta:g}, {closed:.4g}, over its formula"))
    at = nodes(data, 3, legendre(64))
    net, weighting = exact(data, "score", path), Unweighted("eps")
    weighted = squared_error(net, path, "score", at.t, at.x0, at.eps, weighting=weighting)
    return [
        Bound(last, 9000.0, "printed: the constant as δ falls", above=True),
        Check(float(_refuses(path)), 1.0, 0.0, "printed: refused by the loss"),
        *found,
        Check(at.mean(weighted).item(), 0.5, 1e-12, "corrected: the least loss, weighted by σ²"),
    ]


@claim(
    "E10",
    NOTES_2025["Eq. 6 and Theorem 5"],
    NOTES_2026["Eq. 6 and Theorem 5"],
    statement="Continuity of σ_t does not make the remainder of a step small. A Hölder exponent above 1/2 does.",
    formula="rms R(h)² = h⁻² ∫₀ʰ (σ_t − σ₀)² dt: 1/√2 for σ = √t, (2/3)^½ h^(−1/4) for t^(1/4), (h/3)^½ for t",
    erratum=True,
)
def remainder_of_a_step() -> list[Bound | Check]:
    """dX = σ_t dW from t = 0: the step of Euler and Maruyama, σ₀ ΔW, against 1024 of them within it on the same
    normals, exactly. The fine steps take the integral by the left rule, whose relative error is below 1/512."""
    found: list[Bound | Check] = []
    for name, power, coefficient in (("√t", 0.5, 0.5), ("t^(1/4)", 0.25, 2.0 / 3.0), ("t", 1.0, 1.0 / 3.0)):
        for h in (1e-1, 1e-4):
            equation = SDE(lambda t, x: torch.zeros_like(x), partial(_power, power), noise="additive")
            kicks = response(EulerMaruyama(), equation, grid(1024, 0.0, h)).kicks
            rms = kicks.square().sum().sqrt().item() / h
            expected = math.sqrt(coefficient * h ** (2.0 * power - 1.0))
            found.append(Check(rms / expected, 1.0, 1.0 / 512.0, f"σ = {name}, h = {h:g}: the rms over {expected:.4g}"))
            if h == 1e-4 and power < 1.0:
                found.append(Bound(rms, 0.7, f"printed, σ = {name}: the rms that should vanish", above=True))
            elif h == 1e-4:
                found.append(Bound(rms, 0.01, f"corrected, σ = {name}: the rms that vanishes"))
    return found


def _power(power: float, t: Real, x: Tensor) -> Real:
    g: Real = t**power
    return g


def _two_points(path: GaussianPath) -> Denoiser:
    """Data at −1 and 1: x₀-hat = tanh(α x/σ²)."""

    def net(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (torch.as_tensor(f(t))[:, None] for f in (path.alpha, path.sigma))
        found: Tensor = (alpha * x / sigma**2).tanh()
        return found

    return Denoiser(net, path, predicts="x0")


@claim(
    "E11",
    NOTES_2025["Theorem 3 and the remark below it"],
    NOTES_2026["Theorem 3 and the remark below it"],
    statement="If the data are points, their fields have unbounded derivatives at t = 1, and the flow is no longer "
    "invertible there.",
    formula="|∂u/∂x| = 1/(1 − t) at one point, (α/σ² − 1)/(1 − t) between two; |2t − 1|/(t² + (1 − t)²) for N(0, 1)",
    erratum=True,
)
def unbounded_derivative() -> list[Bound | Check]:
    """Slopes at x = 0 by automatic differentiation on CondOT: closed forms to rounding of 1 − t, 1e-10 relative. The
    conditional flow carries all starts to one point, by Euler's steps exactly. A smooth law has bounded slopes: for
    N(0, 1) the largest is 1, at the ends."""
    path, zero = CondOT(), torch.zeros(1, 1, dtype=torch.float64)

    def slope(denoiser: Denoiser, t: float) -> float:
        one = torch.ones_like(zero)
        value: Tensor = torch.func.jvp(lambda x: denoiser.predict("velocity", t, x), (zero,), (one,))[1]
        return value.item()

    found: list[Bound | Check] = []
    for t in (0.9, 0.99, 0.999):
        scaled = -slope(point(1.0, path), t) * (1.0 - t)
        found.append(Check(scaled, 1.0, 1e-10, f"one point, t = {t:g}: (1 − t) |∂u/∂x|"))
    for t in (0.5, 0.9, 0.99):
        closed = (t / (1.0 - t) ** 2 - 1.0) / (1.0 - t)
        ratio = slope(_two_points(path), t) / closed
        found.append(Check(ratio, 1.0, 1e-10, f"two points, t = {t:g}: over {closed:.6g}"))
    ends = solve(flow(point(1.0, path)), STATES, grid(10), Euler()).x
    data = gaussian(0.0, 1.0).denoiser(path)
    steepest = largest(*(abs(slope(data, t)) for t in grid(50).tolist()))
    return [
        Bound(slope(_two_points(path), 0.99), 9e5, "printed: a slope that should be bounded", above=True),
        Check(float(ends.max() - ends.min()), 0.0, 1e-14, "printed: how far apart the flow leaves two starts"),
        *found,
        Check(steepest, 1.0, 1e-12, "corrected: the largest slope for N(0, 1)"),
    ]


@claim(
    "E12",
    NOTES_2025["Theorem 12"],
    SLIDES["Continuity Equation"],
    statement="The continuity equation determines the law of a flow only together with the law of its start.",
    formula="X_t ~ p_t  ⇔  ∂_t p = −∇·(p u) and X₀ ~ p₀",
    erratum=True,
)
def start_of_a_flow() -> list[Bound | Check]:
    """The field of N(3, 0.25) satisfies the equation with its own p_t. Started from N(1, 1) in place of N(0, 1) it ends
    in 3 + 1/2: its map is 3 + x/2, RK4 in 100 steps to 1e-5; from p₀ it ends in the data."""
    data, path = gaussian(3.0, 0.5), CondOT()
    made = response(RK4(), flow(data.denoiser(path)), grid(100))
    return [
        Bound(abs(made.law(1.0, 1.0)[0] - 3.0), 0.49, "printed: the error of the mean from another start", above=True),
        Check(made.law(0.0, 1.0)[0], 3.0, 1e-5, "corrected: the mean"),
        Check(made.law(0.0, 1.0)[1], 0.5, 1e-5, "corrected: the deviation"),
    ]


@claim(
    "E22",
    NOTES_2025["section 4 and Algorithm 2"],
    statement="If the data are points, a constant σ_t does not end in the data: the steps explode near t = 1, and "
    "finer steps explode more.",
    formula="h [σ_t²/(2 (1 − t)²) + 1/(1 − t)] ≤ 2 for stable steps; "
    "σ_t² = 1 − t: Var X₁ = v₀/n², v_{k−1} = v_k (1 − 3/2k)² + k",
    erratum=True,
)
def noise_that_explodes() -> list[Bound | Check]:
    """One point on CondOT, the exact law of n steps of Euler and Maruyama. With σ = 1 the deviation is 59, 1e5 and 1e12
    at n = 50, 200 and 800, and the equation is refused. With σ² = 1 − t the steps that are left, k = n … 1, give the
    recursion of the formula, from v_n = n² on: an identity, to a rounding of 1e-12; v₀ tends to 1.6. A step of the
    largest stable length, from 1 − t of 0.2 and 0.02 with σ = 0.3, has the slope −1: rounding, 1e-12."""
    path = CondOT()
    denoiser, solver = point(2.0, path), EulerMaruyama()

    def constant_noise(level: float) -> SDE:
        def drift(t: Real, x: Tensor) -> Tensor:
            return denoiser.predict("velocity", t, x) + 0.5 * level**2 * denoiser.predict("score", t, x)

        return SDE(drift, lambda t, x: level, noise="additive")

    found: list[Bound | Check] = []
    for n, least in ((50, 50.0), (200, 1e5), (800, 1e12)):
        wrong = response(solver, constant_noise(1.0), grid(n)).law()[1]
        right = response(solver, diffusion_sde(denoiser, lambda t: math.sqrt(1.0 - t)), grid(n)).law()[1]
        v = float(n) ** 2
        for k in range(n, 0, -1):
            v = v * (1.0 - 1.5 / k) ** 2 + k
        found += [
            Bound(wrong, least, f"printed, n = {n}: the deviation, which should be 0", above=True),
            Check(right * n / math.sqrt(v), 1.0, 1e-12, f"corrected, n = {n}: over {math.sqrt(v) / n:.3g}"),
        ]
    for left in (0.2, 0.02):
        h = 2.0 / (0.045 / left**2 + 1.0 / left)
        step = torch.tensor([1.0 - left, 1.0 - left + h], dtype=torch.float64)
        slope = response(solver, constant_noise(0.3), step).gain
        found.append(Check(slope, -1.0, 1e-12, f"slope of a step from 1 − t = {left:g}"))
    refused = 0.0
    try:
        diffusion_sde(denoiser, constant(1.0))
    except ValueError:
        refused = 1.0
    return [*found, Check(refused, 1.0, 0.0, "printed: refused by the sampler's equation")]


@claim(
    "E23",
    NOTES_2025["section 4.3"],
    statement="Noising tends to N(0, I) only where the variance is preserved; where the variance explodes it does not.",
    formula="VE: Var x_T = s² + σ²;  VP: 1 + (s² − 1) e^(−T)",
    erratum=True,
)
def where_noising_leads() -> list[Bound | Check]:
    """s = 1/2. After a time 10 of unit diffusion the variance is 10.25, a mixture of one normal in closed form: 1e-14.
    VP, T = ∫β = 10.05, keeps 1 − 0.75 e^(−T). The text's next sentence, that no finite time is enough, is right for
    the continuous a_t that it assumes: α_T = exp ∫ a is then positive, e^(−T/2) on VP."""
    data = gaussian(0.0, 0.5)

    def variance(path: GaussianPath) -> float:
        return data.moments(0.0, path)[1].item()

    elapsed = -2.0 * math.log(VP().alpha(0.0))
    return [
        Bound(variance(VE(math.sqrt(10.0))) - 1.0, 9.0, "printed, VE: the variance less 1", above=True),
        Check(variance(VE(math.sqrt(10.0))), 10.25, 1e-14, "corrected, VE: the variance"),
        Check(variance(VP()), 1.0 - 0.75 * math.exp(-elapsed), 1e-14, "corrected, VP: the variance"),
        Bound(1.0 - variance(VP()), 1e-5, "VP: what is missing of the variance 1 at T = 10.05", above=True),
    ]
