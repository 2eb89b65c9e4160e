"""Guided sampling with noise, along bridges and in discrete time, and the training with labels that it needs."""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor

from ....generative.denoiser import CFG
from ....generative.equations import Interpolant, constant, diffusion_sde
from ....generative.paths import CondOT
from ....generative.training import regression_loss, squared_error
from ....solvers import ODE, RK4, Euler, EulerMaruyama, Solver, solve
from ...oracles import GaussianClasses, GaussianMixture
from ..claim import Check, Statistical, claim
from ..sources import FOKKER, NOTES_2025, TUTORIAL
from ..tools.bridges import Bridge, quantile_error
from ..tools.errors import largest
from ..tools.examples import PAIR, classified_chain
from ..tools.points import BROAD_MIXTURE, STATES, gaussian, grid
from ..tools.quadrature import legendre, nodes
from ..tools.samplers import response


def best_lines(rate: float) -> list[tuple[float, float]]:
    """Slope and shift of the best linear net of each label, 0, 1 and none, under label dropout at this rate.

    The loss Σ_y P(y) E‖a_y x + b_y − target‖² is quadratic in (a, b): one Newton step from 0 is its minimum.
    """
    path, laws = CondOT(), (gaussian(-1.0, 0.6), gaussian(1.5, 0.8))
    classes = GaussianClasses(laws)
    start = torch.zeros(6, dtype=torch.float64)

    def loss(parameters: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for label, (law, share) in enumerate(zip((*laws, classes.population), (0.5, 0.5, 1.0), strict=True)):
            at = nodes(law, 3, 0.3)
            slope, shift = parameters[2 * label], parameters[2 * label + 1]
            line = slope * at.x(path) + shift
            square = squared_error(lambda *_, y=line: y, path, "velocity", at.t, at.x0, at.eps)
            total = total + share * (rate if label == classes.null_label else 1.0 - rate) * at.mean(square)
        return total

    gradient, curvature = torch.func.grad(loss)(start), torch.func.hessian(loss)(start)
    found = -torch.linalg.solve(curvature, gradient)
    return [(found[2 * label].item(), found[2 * label + 1].item()) for label in range(3)]


class _Watched:
    """A network that counts the labels that were dropped."""

    null_label = 2
    dropped = 0

    def __call__(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        self.dropped += int((label == self.null_label).sum())
        return 0.0 * x


@claim(
    "A147",
    NOTES_2025["Eq. 68-72"],
    statement="If labels are dropped at any rate in (0, 1), one network learns the field of every class and, at the "
    "empty label, that of the population.",
    formula="minimiser at (x, y): u(x|y);  at (x, ∅): u(x) — for every η in (0, 1)",
)
def label_dropout() -> list[Check | Statistical]:
    """Linear nets on two normal classes at t = 0.3 of CondOT, exact nodes. A class's line is its exact field, and the
    line of no label the regression over the population; at η = 0.1, 0.5 and 0.9, to rounding, 1e-12. The
    share of labels that the loss itself drops at η = 0.2: a binomial test on 20,000."""
    path, laws, found = CondOT(), (gaussian(-1.0, 0.6), gaussian(1.5, 0.8)), []
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    fields = [law.velocity(ends, 0.3, path).flatten().tolist() for law in laws]
    everyone = nodes(GaussianClasses(laws).population, 3, 0.3)
    x, aim = everyone.x(path), everyone.x0 - everyone.eps
    mean, level = everyone.mean(x).item(), everyone.mean(aim).item()
    slope = everyone.mean((x - mean) * aim).item() / everyone.mean((x - mean).square()).item()
    expected = [*((one - zero, zero) for zero, one in fields), (slope, level - slope * mean)]
    for rate in (0.1, 0.5, 0.9):
        pairs = zip(best_lines(rate), expected, strict=True)
        worst = largest(*(abs(a - b) for made, line in pairs for a, b in zip(made, line, strict=True)))
        found.append(Check(worst, 0.0, 1e-12, f"η = {rate:g}"))
    net, count = _Watched(), 20_000
    regression_loss(
        net, path, "velocity", torch.zeros(count, 1), torch.zeros(count, dtype=torch.int64),
        generator=torch.Generator().manual_seed(0), label_dropout=0.2,
    )  # fmt: skip
    p_value = float(stats.binomtest(net.dropped, count, 0.2).pvalue)
    fault = "a rate that is off by 0.02 (power 0.99)"
    return [*found, Statistical(p_value, count, fault, net.dropped / count, 0.2, "the share of dropped labels")]


@claim(
    "A148",
    NOTES_2025["Summary 28"],
    statement="The guided stochastic equation guides velocity and score by one weight. At w = 1 it keeps the "
    "marginals of the class.",
    formula="dX = [ũ + ½ g² s̃] dt + g dW",
)
def guided_sde() -> list[Check]:
    """The drift is the combination of the two drifts, rounding times w, 1e-12, and at w = 1 it is u + ½ g² s of the
    exact fields of the class. There Euler and Maruyama's law on N(1.5, 1) has the mean to rounding, because α' is
    constant; its deviation errs by C/n, and by O(1/n²) once extrapolated from 200 and 400 steps of rates up to 4:
    (4/200)² = 4e-4."""
    path, g = CondOT(), constant(0.8)
    base = PAIR.denoiser(path)

    def drift(weight: float) -> Tensor:
        return diffusion_sde(CFG(base.given(0), weight), g, 0.05, 0.95).drift(0.5, STATES)

    plain, told = (diffusion_sde(base.given(label), g, 0.05, 0.95).drift(0.5, STATES) for label in (1, 0))
    found = [
        Check(largest(drift(w) - (1.0 - w) * plain - w * told), 0.0, 1e-12, f"the drift, w = {w:g}")
        for w in (0.0, 1.0, 3.0)
    ]

    def ending(n: int) -> tuple[float, float]:
        times = grid(n, 0.05, 0.95)
        made = response(EulerMaruyama(), diffusion_sde(CFG(base.given(0), 1.0), g, 0.05, 0.95), times)
        return made.law(0.075, math.hypot(0.05, 0.95))

    law = PAIR.classes[0]
    exact = law.velocity(STATES, 0.5, path) + 0.5 * 0.8**2 * law.score(STATES, 0.5, path)
    (_, coarse), (mean, fine) = ending(200), ending(400)
    return [
        *found,
        Check(largest(drift(1.0) - exact), 0.0, 1e-12, "the drift of the class, w = 1"),
        Check(mean, 1.5 * 0.95, 1e-12, "the mean at the end, w = 1"),
        Check(2.0 * fine - coarse, math.hypot(0.95, 0.05), 4e-4, "the deviation at the end, w = 1"),
    ]


@claim(
    "A149",
    NOTES_2025["Remark 26"],
    FOKKER,
    statement="Guidance is defined on any path, whose source need not be N(0, I): at w = 1 it carries the source to "
    "the class, and at every w between normal laws it ends in the deviation S^(1−w) s^w, whatever the source.",
    formula="ũ = (1 − w) u(x) + w u(x|y);  points m, m_y: x₁ = (1 − w) m + w m_y",
)
def guided_bridge() -> list[Check]:
    """The fields of two bridges from one source, to a population N(0, S²), S = 3/2, and to a class N(1, s²), s = 1/2.

    At w = 1 the flow from a mixture keeps the quantiles. From N(−0.4, 0.7²) all is linear: between laws of variance v_t
    the velocity has the slope v'/2v, so that a guided deviation of 0.7 becomes 0.7 (S/0.7)^(1−w) (s/0.7)^w; the mean
    follows from the integral of what the slopes leave of the two fields, by 64 Gauss nodes. RK4 in 200 steps on rates
    up to 20 w, (0.1 w)⁴/120: 1e-6 at w = 1, 4e-5 at w = 2.5. To points the field is (m − x)/(1 − t) for every source,
    and guided (z − x)/(1 − t), with z = (1 − w) m + w m_y: Euler's steps end in z, to rounding."""
    bridge, normal = Interpolant(CondOT()), gaussian(-0.4, 0.7)

    def guided(source: GaussianMixture, weight: float, deviations: tuple[float, float] = (1.5, 0.5)) -> ODE:
        plain, told = (Bridge(bridge, source, m, s) for m, s in zip((0.0, 1.0), deviations, strict=True))

        def net(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
            return torch.where(label[:, None] == 1, told.velocity(x, t), plain.velocity(x, t))

        return bridge.flow(net, label=1, guidance=weight, null=0)

    def end(equation: ODE, solver: Solver) -> Tensor:
        return solve(equation, STATES, grid(200), solver).x

    quantiles = quantile_error(BROAD_MIXTURE, 1.0, 0.5, STATES, end(guided(BROAD_MIXTURE, 1.0), RK4()))
    found = [Check(quantiles, 0.0, 1e-6, "w = 1, from a mixture: quantiles of the source and of the samples")]
    for weight in (-0.5, 2.5):
        made = response(RK4(), guided(normal, weight), grid(200))
        mean, deviation = made.law(-0.4, 0.7)
        found += [
            Check(
                deviation, 1.5 ** (1.0 - weight) * 0.5**weight, 4e-5, f"w = {weight:g}, from N(−0.4, 0.7²): deviation"
            ),
            Check(mean, _guided_mean(weight), 4e-5, f"w = {weight:g}, from N(−0.4, 0.7²): mean"),
        ]
        ends = end(guided(BROAD_MIXTURE, weight, (0.0, 0.0)), Euler())
        found.append(Check(largest(ends - weight), 0.0, 1e-12, f"w = {weight:g}, from a mixture to points: less z"))
    return found


def _guided_mean(weight: float) -> float:
    """The mean at t = 1 of the guided bridge from N(−0.4, 0.7²), by its integrating factor."""
    t, over_t = legendre(64)
    gain, rest = torch.ones(65, dtype=torch.float64), torch.zeros(64, dtype=torch.float64)
    for share, mean, deviation in ((1.0 - weight, 0.0, 1.5), (weight, 1.0, 0.5)):
        times = torch.cat([torch.zeros(1, dtype=torch.float64), t])
        variance = (times * deviation) ** 2 + ((1.0 - times) * 0.7) ** 2
        gain = gain * (deviation / variance.sqrt()) ** share
        slope = (t * deviation**2 - (1.0 - t) * 0.49) / variance[1:]
        rest = rest + share * (mean + 0.4 - slope * (t * mean - 0.4 * (1.0 - t)))
    return (gain[0] * -0.4 + (over_t * gain[1:] * rest).sum()).item()


@claim(
    "A150",
    TUTORIAL["section 4.2, corrected"],
    statement="In the ancestral chain a classifier moves the mean by σ² times its gradient over α, both of the "
    "noisier time.",
    formula="μ = α_t [(1 − c) z/α_{t+1} + (c/α_{t+1})(z + σ²_{t+1}(s + ∇ log p(y|z)))]",
)
def classifier_in_the_chain() -> list[Check]:
    """The exact law of 100 and 200 steps of the cosine schedule: a chain of weak order 1, whose errors halve up to
    O(1/n), 0.2, on their way to N(1.2, 0.16). At 200 steps the law is N(1.200, 0.391²), to three digits."""
    (_, coarse), (mean, fine) = classified_chain(100), classified_chain(200)
    return [
        Check(mean, 1.2, 5e-4, "the mean of 200 steps"),
        Check(fine, 0.391, 5e-4, "the deviation of 200 steps"),
        Check((0.4 - coarse) / (0.4 - fine), 2.0, 0.2, "the error of 100 steps over that of 200"),
    ]
