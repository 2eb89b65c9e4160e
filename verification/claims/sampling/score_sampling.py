"""Samplers and likelihoods of score-based models: predictor and corrector, the flow, its density."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from ....generative import VE, CondOT, Table, linear_betas, log_likelihood, plan_likelihood, posterior, round_trip
from ....solvers import RK4, Euler, Heun, Noise, Solver
from ...statistics import rms
from ..claim import Bound, Check, Statistical, claim
from ..sources import HUTCHINSON, SLIDES
from ..tools.errors import largest, order
from ..tools.examples import DEVIATION, MEAN, printed_log_density, reverse_diffusion
from ..tools.points import MIXTURE, MIXTURE_2D, column, gaussian
from ..tools.samplers import response
from ..tools.tests import mean_test


def predictor_corrector(path: Table, size: float | None, *, printed: bool = True) -> tuple[float, float]:
    """Mean and deviation of what algorithm 3 makes of N(0, 1), for data N(0.7, 0.25), with the exact score.

    size: one corrector step of ε = size · Var(x_t) after each predictor's; None for none. printed: the predictor of the
    slides, or else the ancestral one.
    """
    data = gaussian(MEAN, DEVIATION)

    def run(x: Tensor, noise: Noise) -> Tensor:
        for i in reversed(range(path.steps)):
            beta, t, after = path.betas[i], path.at(i), path.at(i - 1) if i else 1.0
            score = data.score(x, t, path)
            mean = reverse_diffusion(x, score, beta) if printed else (x + beta * score) / math.sqrt(1.0 - beta)
            x = mean + math.sqrt(beta) * noise.extra(2 * i, x)
            if size is not None:
                step = size * float(path.alpha(after) ** 2 * DEVIATION**2 + path.sigma(after) ** 2)
                x = x + step * data.score(x, after, path) + math.sqrt(2.0 * step) * noise.extra(2 * i + 1, x)
        return x

    return response(run).law()


@claim(
    "A174",
    SLIDES["Algorithm 3"],
    statement="The predictor is the reversed chain of the noising step x + (√(1 − β) − 1) x + √β z. It agrees with "
    "the step of DDPM up to β².",
    formula="(2 − √(1 − β)) x + β s = (x + β s)/√(1 − β) − β² (x/4 + s/2) + O(β³)",
)
def predictor_and_corrector() -> list[Check]:
    """Third order of the remainder: its next term is of relative size β, at most 0.01 for the last two of the β, so
    that the order is 3 to 0.05. DDPM's form against `posterior` with ε = −σ s: rounding, over α/σ, 1e-11.

    T = 1000: half a unit of the digits printed. The corrector alone would end at 0.5/√(1 − 0.025), 0.50637.
    """
    x, score = column([0.7, -1.1]), column([-0.4, 2.0])
    remainders = []
    for beta in (0.02, 0.01, 0.005):
        ancestral_mean = (x + beta * score) / math.sqrt(1.0 - beta)
        difference = reverse_diffusion(x, score, beta) - ancestral_mean
        remainders.append(rms(difference + beta**2 * (0.25 * x + 0.5 * score)))
    path = Table(linear_betas())
    s, t = path.at(700), path.at(699)
    beta, made = path.betas[700], posterior(path, s, t)
    ours = made.mean_from_eps(x, -path.sigma(s) * score)
    mean, deviation = predictor_corrector(path, None)
    other_mean, other_deviation = predictor_corrector(path, None, printed=False)
    return [
        Check(order([50, 100, 200], remainders), 3.0, 0.05, "order of what is left of the difference"),
        Check(largest(ours - (x + beta * score) / math.sqrt(1.0 - beta)), 0.0, 1e-11, "DDPM's form"),
        Check(mean, 0.69962, 5e-6, "mean, predictor alone"),
        Check(deviation, 0.50148, 5e-6, "deviation, predictor alone"),
        Check(other_mean, 0.69999, 5e-6, "mean, ancestral"),
        Check(other_deviation, 0.50085, 5e-6, "deviation, ancestral"),
        Check(predictor_corrector(path, 0.05)[1], 0.50631, 5e-6, "deviation with one corrector step of 0.05 Var"),
    ]


@claim(
    "A175",
    SLIDES["Converting the SDE to an ODE"],
    statement="The probability flow is invertible: encoding to noise and decoding returns the data, up to the error "
    "of the solver.",
    formula="decode(encode(x)) − x → 0",
)
def invertible_flow() -> list[Check | Bound]:
    """A step forth and the same back leave C h^{p+1} (1 + (−1)^{p+1}): the order of the way back is that of the solver
    if it is odd, and one more if it is even. From 160 to 320 evaluations it is off by the next term, of relative size h
    at most 1/80 times derivatives of order one: 0.05. RK4 with steps of 1/80: 5th order, 1e-8 at most.
    """
    x, path = MIXTURE.sample(64, seed=0), CondOT()
    checks: list[Check | Bound] = []
    solvers: tuple[tuple[Solver, float], ...] = ((Euler(), 1.0), (Heun(), 3.0), (RK4(), 5.0))
    for solver, expected in solvers:
        found = round_trip(MIXTURE.denoiser(path), x, [160, 320], sampler=solver)
        checks.append(Check(order(found.steps, found.errors), expected, 0.05, f"order of the way back, {solver!r}"))
    return [*checks, Bound(found.errors[-1], 1e-8, "rms of decode(encode(x)) − x, RK4, 80 steps")]


@claim(
    "A180",
    SLIDES["Evaluating the probabilities with ODEs"],
    statement="The log-density of the data is the log-density of the noise less half the integral of σ² times the "
    "divergence of the score. The other sign is wrong by more than a nat.",
    formula="log p_0(x_0) = log π(x_T) − ½ ∫ σ(t)² tr ∇s dt,  dx = −½ σ(t)² s dt",
)
def likelihood_by_the_flow() -> list[Check | Bound]:
    """A mixture with noise r, ½ σ(t)² dt = r dr. The integral over log r by 120 Gauss nodes, an eighth of a unit apart,
    where the fields vary on the scale of 1; the flow between them by two steps of Dopri5 each, of at most 0.1: both
    below 1e-8, and so is the noise of 1e-5, at which the integral starts.

    `log_likelihood` on VE(200) with the prior N(0, 200²): its correction for that prior is of second order in
    s/200, the next, of fourth order with a variable of order one, is 1e-8; tolerance 1e-6 with adaptive steps of 1e-7.
    """
    x0 = column([-1.4, -0.2, 0.6, 1.9])
    truth = MIXTURE.log_prob(x0)
    wide = log_likelihood(MIXTURE.denoiser(VE(200.0)), x0, error=1e-7)
    other = (printed_log_density(x0, 1.0) - truth).abs()
    return [
        Check(largest(printed_log_density(x0, -1.0) - truth), 0.0, 1e-8, "error of log p_0, largest of 4 points"),
        Bound(float(other.min()), 1.0, "error with the other sign, smallest", above=True),
        Check(largest(wide.value + wide.prior_mismatch - truth), 0.0, 1e-6, "error of `log_likelihood` on VE"),
    ]


@claim(
    "A181",
    SLIDES["Evaluating the probabilities with ODEs"],
    HUTCHINSON,
    statement="Random probes estimate the divergence, and with it the log-density, without bias.",
    formula="E zᵀ J z = tr J for E z zᵀ = I",
)
def divergence_by_random_probes() -> list[Check | Statistical]:
    """The expectation over Rademacher probes is a mean over 2^d sign vectors, so that it is exact: rounding, 1e-12.

    Along the flow: the mean error of 16 samples with 4 probes each, 128 times in one batch, in which every copy of a
    sample has probes of its own; their spread gives the standard error; the exact values are off by 4e-5 at most, a
    thousandth of it. The standard errors that the samples tell are those of the spread: the mean of 128 squares over
    their expected value, with the deviation √(2/128) = ⅛ of a normal law."""
    path, t = CondOT(), 0.6
    x = MIXTURE_2D.sample(16, seed=3)
    denoiser = MIXTURE_2D.denoiser(path)
    probes = torch.tensor(list(product((-1.0, 1.0), repeat=2)), dtype=torch.float64)
    quadratic = torch.zeros(16, dtype=torch.float64)
    for z in probes:
        pushed = torch.func.jvp(lambda y: denoiser.predict("velocity", t, y), (x,), (z.expand_as(x),))[1]
        quadratic += (pushed * z).sum(1) / len(probes)
    exact = log_likelihood(denoiser, x, error=1e-5, trace="exact").value
    plan = plan_likelihood(denoiser, x, error=1e-3, trace="hutchinson", probes=4)
    random = log_likelihood(denoiser, x.repeat(128, 1), plan, seed=0)
    errors = (random.value.view(128, -1) - exact).mean(1)
    told = random.probe_stderr.square().view(128, -1).sum(1).mean() / len(x) ** 2
    return [
        Check(largest(quadratic - MIXTURE_2D.divergence(x, t, path)), 0.0, 1e-12, "mean over probes, less the trace"),
        mean_test(errors, 0.0, "error of log p(x)"),
        mean_test(errors.square() / told, 1.0, "its square, over the square of the standard error"),
    ]
