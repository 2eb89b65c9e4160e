"""Distillation (chapter A.11, the end): what students of a sampler are trained on, with exact teachers.

    progressive      x̃ = (z'' − (σ''/σ) z)/(α'' − (σ''/σ) α)      one step to x̃ is the teacher's two
    consistency      f(x_σ, σ) = x_0                              the flow map to the data
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import VE, CondOT, Cosine, Denoiser, flow
from ....solvers import Adaptive, Dopri5, Euler, ExponentialAdams, solve
from ..claim import Check, claim, uncovered
from ..tools.examples import DEVIATION, MEAN
from ..tools.instruments import column, hermite, largest, order
from ..tools.measuring import MIXTURE, gaussian, most, rms

__all__ = ["progressive_target"]

EDM = VE(80.0)


def progressive_target(path: CondOT | Cosine, s: float, t: float, x: Tensor, end: Tensor) -> Tensor:
    """x̃ with which one step of DDIM from x at s ends at `end` at t."""
    (alpha, sigma), (alpha_t, sigma_t) = ((float(path.alpha(u)), float(path.sigma(u))) for u in (s, t))
    return (end - sigma_t / sigma * x) / (alpha_t - sigma_t / sigma * alpha)


@claim(
    "A197",
    "Lecture slides 003, progressive distillation, algorithm 2",
    "A student who predicts the target makes in one step of DDIM what the teacher makes in two.",
    formula="x̃ = (z'' − (σ''/σ) z)/(α'' − (σ''/σ) α); at σ'' = 0, x̃ = z''/α''",
)
def progressive_distillation() -> list[Check]:
    """A few roundings, divided by α'' − (σ''/σ) α, at least 0.1 here: 1e-13. The last step ends in the target."""
    gaps, x, ends = [], column([-1.2, 0.4, 1.9]), []
    for path in (CondOT(), Cosine(-math.inf, math.inf)):
        teacher = flow(MIXTURE.denoiser(path), "x0")
        for s, t in ((0.2, 0.4), (0.5, 0.75), (0.75, 1.0)):
            two = solve(teacher, x, [s, 0.5 * (s + t), t], ExponentialAdams(1)).x
            target = progressive_target(path, s, t, x, two)
            student = Denoiser(lambda x, time, target=target: target, path, predicts="x0")
            one = solve(flow(student, "x0"), x, [s, t], ExponentialAdams(1)).x
            gaps.append(largest(one - two))
            if t == 1.0:
                ends.append(largest(target - two / float(path.alpha(t))))
    return [
        Check(most(*gaps), 0.0, 1e-13, "one step of the student less two of the teacher, two paths, three steps"),
        Check(most(*ends), 0.0, 1e-13, "target of the last step, less z''/α''"),
    ]


@claim(
    "A198",
    "Lecture slides 003, consistency models",
    "The map of every state to the end of its trajectory is the identity at the data, constant along trajectories, and "
    "samples in one step.",
    formula="f(x, σ) = m + (x − m) s/√(s² + σ²) for N(m, s²)",
)
def consistency() -> list[Check]:
    """Boundary: rounding, 1e-13 of states up to 2. Along the flow, solved within 1e-10: f has slopes up to 1, 1e-8.

    From N(0, 80²): deviation 80 s/√(s² + 80²), mean m (1 − s/√(s² + 80²)), by linearity: 1e-12.
    """
    data, x = gaussian(MEAN, DEVIATION), column([-40.0, 3.0, 95.0])
    solution = solve(flow(data.denoiser(EDM)), x, Adaptive(0.0, 0.999, rtol=1e-11, atol=1e-11), Dopri5(), save=True)
    states = x.unsqueeze(0) if solution.xs is None else solution.xs
    mapped = torch.stack([data.flow_map(y, t, 1.0, EDM) for t, y in zip(solution.ts.tolist(), states, strict=True)])
    clean = column([-0.3, 0.7, 2.0])
    zero, one = data.flow_map(column([0.0, 1.0]), 0.0, 1.0, EDM)[:, 0].tolist()
    shrinks = DEVIATION / math.hypot(DEVIATION, 80.0)
    printed = MEAN + (x - MEAN) * shrinks
    return [
        Check(largest(data.flow_map(clean, 1.0, 1.0, EDM) - clean), 0.0, 1e-13, "f(x, 0) − x"),
        Check(largest(mapped - mapped[:1]), 0.0, 1e-8, "change of f along three trajectories"),
        Check(largest(data.flow_map(x, 0.0, 1.0, EDM) - printed), 0.0, 1e-12, "f, less the printed one"),
        Check(80.0 * (one - zero), 80.0 * shrinks, 1e-12, "deviation of one step from N(0, 80²)"),
        Check(zero, MEAN * (1.0 - shrinks), 1e-12, "its mean, 0.6956"),
    ]


@claim(
    "A199",
    "Lecture slides 003, consistency distillation and training",
    "The exact consistency function misses its distillation target by the square of the step; training without a "
    "teacher takes a noisy score of the right mean.",
    formula="f(x_{n+1}, t_{n+1}) − f(x̂_n, t_n) = O(Δt²);  E[(x − x_t)/t² | x_t] = ∇log p_t(x_t)",
)
def distillation_and_training() -> list[Check]:
    """One step of Euler in the noise, from 2 to 2 − Δ, then f: order 2 as Δ is halved from 0.1, off by a relative Δ
    times derivatives of order one: at the last pair 0.05.

    The conditional mean over a mixture, with 40 nodes for the noise of each component: rounding, 1e-12.
    """
    data, x = gaussian(MEAN, DEVIATION), column([-3.0, 0.2, 1.0, 2.5])
    start, deltas, errors = float(EDM.time(-2.0 * math.log(2.0))), (0.1, 0.05, 0.025), []
    for delta in deltas:
        end = float(EDM.time(-2.0 * math.log(2.0 - delta)))
        stepped = solve(flow(data.denoiser(EDM)), x, [start, end], Euler()).x
        errors.append(rms(data.flow_map(stepped, end, 1.0, EDM) - data.flow_map(x, start, 1.0, EDM)))
    noise, points, (z, w) = 0.8, column([-1.7, 0.1, 1.4]), hermite(40)
    t = float(EDM.time(-2.0 * math.log(noise)))
    # x | x_t is a mixture again: of N(m_k + c_k (x_t − m_k)/(c_k + t²), c_k t²/(c_k + t²)), by Bayes' rule.
    means, spreads = MIXTURE.means[:, 0], MIXTURE.covs[:, 0, 0]
    total = spreads + noise**2
    shares = torch.softmax(MIXTURE.weights.log() - 0.5 * total.log() - 0.5 * (points - means) ** 2 / total, 1)
    centres = means + spreads * (points - means) / total
    clean = centres.unsqueeze(2) + (spreads * noise**2 / total).sqrt().unsqueeze(1) * z
    average = (shares * (((clean - points.unsqueeze(2)) / noise**2) @ w)).sum(1, keepdim=True)
    return [
        Check(order([10, 20, 40], errors), 2.0, 0.05, "order of the residual in Δt"),
        Check(largest(average - MIXTURE.score(points, t, EDM)), 0.0, 1e-12, "mean of the noisy score, less the score"),
    ]


uncovered(
    "A200",
    "Lecture slides 003, tables of DDIM, DDPM and consistency models",
    "Fréchet distances and inception scores as reported for CIFAR-10, CelebA and two sets of consistency models.",
    "they need the trained networks, the data sets and the inception network that they were measured with.",
)
