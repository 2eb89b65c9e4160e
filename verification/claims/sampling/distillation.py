"""Distillation: what students of a sampler are trained on, with exact teachers.

progressive      x̃ = (z'' − (σ''/σ) z)/(α'' − (σ''/σ) α)      one step to x̃ is the teacher's two
consistency      f(x_σ, σ) = x_0                              the flow map to the data
"""

from __future__ import annotations

import math

import torch

from ....generative import flow
from ....solvers import Adaptive, Dopri5, solve
from ..claim import Check, claim, uncovered
from ..sources import SLIDES
from ..tools.distillation import EDM, consistency_pairs, progressive_steps
from ..tools.errors import largest
from ..tools.examples import DEVIATION, MEAN
from ..tools.points import column, gaussian


@claim(
    "A197",
    SLIDES["Distillation, Algorithm 2"],
    statement="A student who predicts the target of progressive distillation makes in one step of DDIM what its "
    "teacher makes in two.",
    formula="x̃ = (z'' − (σ''/σ) z)/(α'' − (σ''/σ) α); at σ'' = 0, x̃ = z''/α''",
)
def progressive_distillation() -> list[Check]:
    """A few roundings, divided by α'' − (σ''/σ) α, at least 0.1 here: 1e-13. The last step ends in the target."""
    return progressive_steps()


@claim(
    "A198",
    SLIDES["Consistency Model"],
    statement="The consistency function maps every state to the end of its trajectory. It is the identity on the "
    "data, it is constant along trajectories, and one evaluation samples.",
    formula="f(x, σ) = m + (x − m) s/√(s² + σ²) for N(m, s²)",
)
def consistency_function() -> list[Check]:
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
    SLIDES["Training consistency models via distillation, and without it"],
    statement="The exact consistency function misses its distillation target by the square of the step. Training "
    "without a teacher takes a noisy score whose mean is right.",
    formula="f(x_{n+1}, t_{n+1}) − f(x̂_n, t_n) = O(Δt²);  E[(x − x_t)/t² | x_t] = ∇log p_t(x_t)",
)
def distillation_and_training() -> list[Check]:
    """One step of Euler in the noise, from 2 to 2 − Δ, then f: order 2 as Δ is halved from 0.1, off by a relative Δ
    times derivatives of order one: at the last pair 0.05.

    The conditional mean over a mixture, with 40 nodes for the noise of each component: rounding, 1e-12.
    """
    return consistency_pairs()


@uncovered(
    "A200",
    SLIDES["tables of DDIM, DDPM and consistency models"],
    statement="The slides report Fréchet distances and inception scores on CIFAR-10 and CelebA, and those of two sets "
    "of consistency models.",
)
def published_scores_of_images() -> None:
    """They need the trained networks, the data sets and the inception network that they were measured with."""
