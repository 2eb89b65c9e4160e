"""Distillation with exact teachers: the measurements that a claim and the entry of its suspected erratum share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import VE, CondOT, Cosine, Denoiser, flow
from ....solvers import Euler, ExponentialAdams, solve
from ...statistics import rms
from ..claim import Check
from .errors import largest, order
from .examples import DEVIATION, MEAN
from .points import MIXTURE, column, gaussian
from .quadrature import hermite

__all__ = ["EDM", "consistency_pairs", "progressive_steps"]

EDM = VE(80.0)


def _progressive_target(path: CondOT | Cosine, s: float, t: float, x: Tensor, end: Tensor) -> Tensor:
    """x̃ with which one step of DDIM from x at s ends at `end` at t."""
    (alpha, sigma), (alpha_t, sigma_t) = ((path.alpha(u), path.sigma(u)) for u in (s, t))
    return (end - sigma_t / sigma * x) / (alpha_t - sigma_t / sigma * alpha)


def progressive_steps() -> list[Check]:
    """One step of a student who predicts the target, against two of its teacher, on two paths."""
    gaps, x, ends = [], column([-1.2, 0.4, 1.9]), []
    for path in (CondOT(), Cosine(-math.inf, math.inf)):
        teacher = flow(MIXTURE.denoiser(path), "x0")
        for s, t in ((0.2, 0.4), (0.5, 0.75), (0.75, 1.0)):
            two = solve(teacher, x, [s, 0.5 * (s + t), t], ExponentialAdams(1)).x
            target = _progressive_target(path, s, t, x, two)
            student = Denoiser(lambda x, time, target=target: target, path, predicts="x0")
            one = solve(flow(student, "x0"), x, [s, t], ExponentialAdams(1)).x
            gaps.append(largest(one - two))
            if t == 1.0:
                ends.append(largest(target - two / path.alpha(t)))
    return [
        Check(largest(*gaps), 0.0, 1e-13, "one step of the student less two of the teacher, two paths, three steps"),
        Check(largest(*ends), 0.0, 1e-13, "target of the last step, less z''/α''"),
    ]


def consistency_pairs() -> list[Check]:
    """The residual of consistency distillation, and the noisy score of consistency training."""
    data, x = gaussian(MEAN, DEVIATION), column([-3.0, 0.2, 1.0, 2.5])
    start, deltas, errors = EDM.time(-2.0 * math.log(2.0)), (0.1, 0.05, 0.025), []
    for delta in deltas:
        end = EDM.time(-2.0 * math.log(2.0 - delta))
        stepped = solve(flow(data.denoiser(EDM)), x, [start, end], Euler()).x
        errors.append(rms(data.flow_map(stepped, end, 1.0, EDM) - data.flow_map(x, start, 1.0, EDM)))
    noise, points, (z, w) = 0.8, column([-1.7, 0.1, 1.4]), hermite(40)
    t = EDM.time(-2.0 * math.log(noise))
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
