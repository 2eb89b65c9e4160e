"""Flow maps: how they compose, what they say of the flow, the average velocity, and guidance as an input.

X(x, s, t) is the state at time t of the trajectory that is at x at time s, v the velocity of the flow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ....generative import CondOT, FlowMap, GaussianPath
from ....generative.denoiser import CFG
from ...oracles import GaussianClasses
from ..claim import Check, claim
from ..sources import FOKKER, MEAN_FLOW, MENG, NOTES_2026, SLIDES, TRAJECTORY
from ..tools.distillation import EDM
from ..tools.errors import largest
from ..tools.examples import DEVIATION, MEAN
from ..tools.points import FIVE_PATHS, MIDDLE_TIMES, MIXTURE, WHOLE_PATHS, column, gaussian
from ..tools.quadrature import legendre

X = column([-1.3, -0.2, 0.5, 1.9])
ROUNDING = 1e-10
"""The relative error of a flow map on the line is 1e-13, of states up to 80; slopes of the flow are below 1e2."""


def slope(values: list[Tensor], h: float) -> Tensor:
    """The derivative at 0 of values at −2h, −h, h, 2h, with an error of h⁴ f⁗'/30."""
    return (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * h)


@claim(
    "A231",
    NOTES_2026["Section 7"],
    TRAJECTORY["section 3"],
    statement="A jump and a jump from its end make one jump, in any order of the times. A jump to its own time leaves "
    "the state as it is.",
    formula="X(X(x, s, u), u, t) = X(x, s, t);  X(x, s, s) = x",
)
def flow_maps_compose() -> list[Check]:
    """Exact maps of a mixture on the line, on five paths, for six orders of three times: rounding, 1e-10 of states up
    to 80."""
    composed, still = [], []
    for path in FIVE_PATHS:
        flow_map, a, b, c = MIXTURE.map(path), *MIDDLE_TIMES
        for s, u, t in ((a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)):
            composed.append(flow_map(flow_map(X, s, u), u, t) - flow_map(X, s, t))
        still += [flow_map(X, t, t) - X for t in MIDDLE_TIMES]
    return [
        Check(largest(*composed), 0.0, ROUNDING, "X(X(x, s, u), u, t) − X(x, s, t)"),
        Check(largest(*still), 0.0, ROUNDING, "X(x, s, s) − x"),
    ]


@claim(
    "A232",
    NOTES_2026["Section 7"],
    TRAJECTORY["section 3"],
    statement="A flow map moves with the flow at its target, and does not change as its start moves along the flow. "
    "Where both times agree its slope is the velocity.",
    formula="∂_t X(x, s, t) = v(X(x, s, t), t);  ∂_s X + (∂_x X) v(x, s) = 0;  ∂_t X(x, s, s) = v(x, s)",
)
def flow_maps_follow_the_flow() -> list[Check]:
    """Differences of fourth order with h = 1e-3 of the exact map of a mixture: h⁴/30 times a fifth derivative, below
    1e5 here, and the rounding 1e-13/h: 1e-8. The change of X along the flow is exact composition: 1e-10/h = 1e-7."""
    h, after, along, diagonal = 1e-3, [], [], []
    for path in WHOLE_PATHS:
        flow_map, (s, _, t) = MIXTURE.map(path), MIDDLE_TIMES
        shifts = (-2.0 * h, -h, h, 2.0 * h)
        moved = slope([flow_map(X, s, t + each) for each in shifts], h)
        after.append(moved - MIXTURE.velocity(flow_map(X, s, t), t, path))
        diagonal.append(slope([flow_map(X, s, s + each) for each in shifts], h) - MIXTURE.velocity(X, s, path))
        velocity = MIXTURE.velocity(X, s, path)
        in_s = slope([flow_map(X, s + each, t) for each in shifts], h)
        in_x = slope([flow_map(X + each, s, t) for each in shifts], h)
        along.append(in_s + in_x * velocity)
    return [
        Check(largest(*after), 0.0, 1e-8, "∂_t X − v(X, t)"),
        Check(largest(*diagonal), 0.0, 1e-8, "∂_t X − v at t = s"),
        Check(largest(*along), 0.0, 1e-7, "∂_s X + (∂_x X) v"),
    ]


@claim(
    "A233",
    SLIDES["Figure 2: Velocity fields in Flow Matching"],
    MEAN_FLOW["Eq. 3"],
    statement="On every Gaussian path a flow map is one step of DDIM with a pair of x₀ and ε that knows its target. "
    "The difference of the pair is the average of the instantaneous one along the trajectory, in r = α/(α + σ).",
    formula="x = α_s x̂₀ + σ_s ε̂, X = α_t x̂₀ + σ_t ε̂;  x̂₀ − ε̂ = (1/(r_t − r_s)) ∫ E[x₀ − ε | x_r] dr",
)
def average_velocity() -> list[Check]:
    """The pair is the solution of a 2×2 system with a determinant above 0.1: rounding, 1e-9. The integral over the
    exact trajectory with 24 nodes: the field is analytic, and 12 nodes err by 1e-7, so that 24 err by rounding."""
    made, averages = [], []
    for path in WHOLE_PATHS:
        s, _, t = MIDDLE_TIMES
        end = MIXTURE.flow_map(X, s, t, path)
        x0, eps = pair(path, s, t, X, end)
        student = FlowMap(Constant(x0), path, predicts="x0")
        made.append(student(X, s, t) - end)
        levels = [path.alpha(u) / (path.alpha(u) + path.sigma(u)) for u in (s, t)]
        nodes, weights = legendre(24, *levels)
        total = torch.zeros_like(X)
        for r, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            u = path.time(2.0 * math.log(r / (1.0 - r)))
            x = MIXTURE.flow_map(X, s, u, path)
            total += weight * (MIXTURE.x0(x, u, path) - MIXTURE.eps(x, u, path))
        averages.append(x0 - eps - total / (levels[1] - levels[0]))
    return [
        Check(largest(*made), 0.0, 1e-9, "one step of DDIM with the pair, less the flow, three paths"),
        Check(largest(*averages), 0.0, 1e-9, "x̂₀ − ε̂, less the average along the trajectory"),
    ]


@dataclass(frozen=True)
class Constant:
    """A network that gives the same prediction always."""

    value: Tensor

    def __call__(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.value


def pair(path: GaussianPath, s: float, t: float, x: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """x̂₀ and ε̂ with x = α_s x̂₀ + σ_s ε̂ and end = α_t x̂₀ + σ_t ε̂."""
    system = torch.tensor(
        [[path.alpha(s), path.sigma(s)], [path.alpha(t), path.sigma(t)]], dtype=torch.float64, device="cpu"
    )
    x0, eps = torch.linalg.solve(system, torch.stack([x[:, 0], end[:, 0]])).unbind()
    return x0[:, None], eps[:, None]


@claim(
    "A234",
    MEAN_FLOW["Eq. 6"],
    statement="The average velocity from s to t is the instantaneous one, less the way times its own change along the "
    "trajectory.",
    formula="u(x_s, s, t) = v(x_s, s) + (t − s) d/ds u(x_s, s, t)",
)
def mean_flow_identity() -> list[Check]:
    """On the straight path, u = (X(x, s, t) − x)/(t − s). d/ds is a difference of fourth order, h = 1e-3, along the
    exact trajectory: h⁴/30 times a fifth derivative, below 1e5 here, and the rounding 1e-12/h: 1e-8. The printed form
    has s and t exchanged in name: t is the time of the state there, and r the target."""
    path, h, gaps = CondOT(), 1e-3, []
    flow_map = MIXTURE.map(path)

    def average(x: Tensor, s: float, t: float) -> Tensor:
        return (flow_map(x, s, t) - x) / (t - s)

    for s, t in ((0.2, 0.8), (0.8, 0.2), (0.5, 0.8), (0.3, 0.95)):
        places = (s - 2.0 * h, s - h, s + h, s + 2.0 * h)
        change = slope([average(flow_map(X, s, at), at, t) for at in places], h)
        gaps.append(average(X, s, t) - MIXTURE.velocity(X, s, path) - (t - s) * change)
    return [Check(largest(*gaps), 0.0, 1e-8, "u − v − (t − s) du/ds, four pairs of times")]


@claim(
    "A235",
    SLIDES["Consistency models are designed for one-step generation"],
    statement="The consistency function is no denoiser: it keeps the spread of the data, and the denoiser shrinks it.",
    formula="N(m, s²): f has the slope s/√(s² + σ²), D has s²/(s² + σ²); f(x_σ) has the variance s², D(x_σ) has "
    "s⁴/(s² + σ²)",
)
def no_denoiser() -> list[Check]:
    """Two values of an affine function give its slope: rounding, 1e-12. In the frame of EDM the denoiser of centred
    data is c_skip x alone, F = 0, and f has F = (√(s² + σ²) − s)/σ · c_in x, which stays below 1."""
    data, checks, s = gaussian(MEAN, DEVIATION), [], DEVIATION
    ends = column([0.0, 1.0])
    for sigma in (0.2, 2.0, 80.0):
        t, total = EDM.time(-2.0 * math.log(sigma)), math.hypot(DEVIATION, sigma)
        f = float(data.map(EDM)(ends, t).diff(dim=0))
        mean = float(data.x0(ends, t, EDM).diff(dim=0))
        frame = (f - s**2 / total**2) / (sigma * s / total) * total
        checks += [
            Check(f, s / total, 1e-12, f"slope of f at σ = {sigma:g}"),
            Check(mean, s**2 / total**2, 1e-12, f"slope of the denoiser at σ = {sigma:g}"),
            Check((f * total) ** 2, s**2, 1e-12, f"variance of f(x_σ) at σ = {sigma:g}"),
            Check((mean * total) ** 2, s**4 / total**2, 1e-12, f"variance of D(x_σ) at σ = {sigma:g}"),
            Check(frame, (total - s) / sigma, 1e-10, f"slope of F in c_in x, of f, at σ = {sigma:g}"),
        ]
    return checks


@dataclass(frozen=True)
class GuidedMap:
    """The exact map of the flow that is guided by w from N(M, S²) to N(M, s²): z = x/α − M goes as Ψ(σ²/α²),

    Ψ(u) = (S² + u)^((1−w)/2) (s² + u)^(w/2).
    """

    path: GaussianPath
    mean: float
    population: float
    conditional: float

    def __call__(self, x: Tensor, s: Tensor, t: Tensor, weight: Tensor) -> Tensor:
        (alpha, start), (alpha_t, end) = ((self.path.alpha(u), self._psi(u, weight)) for u in (s, t))
        centred = x / alpha[:, None] - self.mean
        return alpha_t[:, None] * (self.mean + (end / start)[:, None] * centred)

    def _psi(self, t: Tensor, w: Tensor) -> Tensor:
        u = (self.path.sigma(t) / self.path.alpha(t)) ** 2
        return (self.population**2 + u) ** (0.5 * (1.0 - w)) * (self.conditional**2 + u) ** (0.5 * w)


@claim(
    "A236",
    MENG["section 3.1"],
    FOKKER,
    statement="One flow map with the weight of guidance as an input holds the guided flows of all weights: it moves "
    "with the guided velocity, and its jump makes noise the guided law.",
    formula="∂_t X(x, s, t; w) at t = s is (1 − w) v(x, ∅) + w v(x, y);  N(M, S²) → N(M, s²) by w: deviation "
    "S^(1−w) s^w",
)
def guidance_as_an_input() -> list[Check]:
    """The closed form of the guided flow between laws of one mean. Its slope by differences of fourth order: 1e-8.
    From noise 10⁷ times as wide as the data, the deviation is off by (S/10⁷)², and the rounding: 1e-8."""
    mean, population, conditional = 0.4, 2.0, 0.7
    classes = GaussianClasses([gaussian(mean, conditional)], population=gaussian(mean, population))
    weights = torch.tensor([0.0, 0.5, 1.0, 2.5], dtype=torch.float64, device="cpu")
    gaps, h = [], 1e-3
    for path in WHOLE_PATHS:
        flow_map = FlowMap(
            GuidedMap(path, mean, population, conditional), path, predicts="state", condition={"weight": weights}
        )
        guided = CFG(classes.denoiser(path).given(0), weights, null=classes.null_label)
        s = MIDDLE_TIMES[1]
        found = slope([flow_map(X, s, s + each) for each in (-2.0 * h, -h, h, 2.0 * h)], h)
        gaps.append(found - guided.predict("velocity", s, X))
    path = CondOT()
    flow_map = FlowMap(GuidedMap(path, mean, population, conditional), path, predicts="state",
                       condition={"weight": weights})  # fmt: skip
    start = path.time(-2.0 * math.log(1e7))
    one, zero = (flow_map(torch.full_like(X, each), start) for each in (path.sigma(start), 0.0))
    deviations = (one - zero).flatten()
    law = population ** (1.0 - weights) * conditional**weights
    return [
        Check(largest(*gaps), 0.0, 1e-8, "slope of the map less the guided velocity, w = 0, ½, 1, 2½, three paths"),
        Check(largest(deviations - law), 0.0, 1e-8, "deviation after one jump, less S^(1−w) s^w"),
    ]
