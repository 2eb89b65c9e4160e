"""Chapter A.8: guided samplers with noise, along bridges and in discrete time, and the training that makes them."""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor

from ....generative.denoiser import CFG, ClassifierGuidance
from ....generative.discrete import ancestral
from ....generative.equations import Interpolant, constant, diffusion_sde
from ....generative.paths import CondOT, Cosine
from ....generative.training import regression_loss, squared_error
from ....solvers import RK4, EulerMaruyama, solve
from ...oracles import GaussianClasses
from ..claim import Check, Statistical, claim
from ..tools.bridges import Bridge, quantile_error
from ..tools.measuring import most
from ..tools.points import MIXTURE, STATES
from ..tools.quadrature import nodes, normal
from ..tools.responses import respond, response
from .guidance import PAIR

__all__ = ["best_lines", "classified_chain"]


def best_lines(rate: float) -> list[tuple[float, float]]:
    """Slope and shift of the best linear net of each label, 0, 1 and none, under label dropout at this rate.

    The loss Σ_y P(y) E‖a_y x + b_y − target‖² is quadratic in (a, b): one Newton step from 0 is its minimum.
    """
    path, laws = CondOT(), (normal(-1.0, 0.6), normal(1.5, 0.8))
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
    "Lecture notes 000, Eq. 68-72",
    "With labels dropped at any rate in (0, 1), one network learns every class, and at no label the population.",
    formula="minimiser at (x, y): u(x|y);  at (x, ∅): u(x) — for every η in (0, 1)",
)
def label_dropout() -> list[Check | Statistical]:
    """Linear nets on two normal classes at t = 0.3 of CondOT, exact nodes. A class's line is its exact field, and the
    line of no label the regression over the population; at η = 0.1, 0.5 and 0.9, to rounding, 1e-12. The
    share of labels that the loss itself drops at η = 0.2: a binomial test on 20,000."""
    path, laws, found = CondOT(), (normal(-1.0, 0.6), normal(1.5, 0.8)), []
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    fields = [law.velocity(ends, 0.3, path).flatten().tolist() for law in laws]
    everyone = nodes(GaussianClasses(laws).population, 3, 0.3)
    x, aim = everyone.x(path), everyone.x0 - everyone.eps
    mean, level = everyone.mean(x).item(), everyone.mean(aim).item()
    slope = everyone.mean((x - mean) * aim).item() / everyone.mean((x - mean).square()).item()
    expected = [*((one - zero, zero) for zero, one in fields), (slope, level - slope * mean)]
    for rate in (0.1, 0.5, 0.9):
        pairs = zip(best_lines(rate), expected, strict=True)
        worst = most(*(abs(a - b) for made, line in pairs for a, b in zip(made, line, strict=True)))
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
    "Lecture notes 000, Summary 28",
    "The guided stochastic equation guides velocity and score by one weight; at w = 1 it keeps the class's marginals.",
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
        Check((drift(w) - (1.0 - w) * plain - w * told).abs().max().item(), 0.0, 1e-12, f"the drift, w = {w:g}")
        for w in (0.0, 1.0, 3.0)
    ]

    def ending(n: int) -> tuple[float, float]:
        times = torch.linspace(0.05, 0.95, n + 1, dtype=torch.float64)
        made = response(diffusion_sde(CFG(base.given(0), 1.0), g, 0.05, 0.95), times, EulerMaruyama())
        return made.law(0.075, 0.05**2 + 0.95**2)

    law = PAIR.classes[0]
    exact = law.velocity(STATES, 0.5, path) + 0.5 * 0.8**2 * law.score(STATES, 0.5, path)
    (_, coarse), (mean, fine) = ending(200), ending(400)
    return [
        *found,
        Check((drift(1.0) - exact).abs().max().item(), 0.0, 1e-12, "the drift of the class, w = 1"),
        Check(mean, 1.5 * 0.95, 1e-12, "the mean at the end, w = 1"),
        Check(2.0 * fine - coarse, math.hypot(0.95, 0.05), 4e-4, "the deviation at the end, w = 1"),
    ]


@claim(
    "A149",
    "Lecture notes 000, Remark 26",
    "Guidance is defined for any path, whose source need not be Gaussian; at w = 1 it carries the source to the class.",
    formula="ũ = (1 − w) u(x) + w u(x|y)",
)
def guided_bridge() -> list[Check]:
    """From a mixture of two to the class N(1, 0.25), away from N(0, 2.25): at w = 1 the flow keeps the quantiles; RK4
    in 200 steps on rates up to 20, (0.1)⁴/120 = 1e-6."""
    bridge = Interpolant(CondOT())
    told, plain = Bridge(bridge, MIXTURE, 1.0, 0.5), Bridge(bridge, MIXTURE, 0.0, 1.5)

    def guided(x: Tensor, t: Tensor) -> Tensor:
        return torch.lerp(plain.velocity(x, t), told.velocity(x, t), 1.0)

    end = solve(bridge.flow(guided), STATES, torch.linspace(0.0, 1.0, 201, dtype=torch.float64), RK4()).x
    return [
        Check(quantile_error(MIXTURE, 1.0, 0.5, STATES, end), 0.0, 1e-6, "quantiles of the source and of the samples"),
    ]


def classified_chain(n: int) -> tuple[float, float]:
    """Mean and deviation of the ancestral chain of n steps, guided by a classifier towards N(1.2, 0.16)."""
    classes, path = GaussianClasses([normal(1.2, 0.4)], population=normal(0.3, 1.0)), Cosine()
    guided = ClassifierGuidance(classes.denoiser(path), classes.classifier(path), 1.0, 0)
    times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
    return respond(lambda x, noise: ancestral(guided, x, noise, times, variance="small").x).law()


@claim(
    "A150",
    "Tutorial 002, section 4.2, corrected",
    "In the ancestral chain a classifier moves the mean by σ² times its gradient, of the noisier time, over α.",
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
