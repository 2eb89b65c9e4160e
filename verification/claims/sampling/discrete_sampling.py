"""What the ancestral samplers make of exact networks.

On Gaussian data every sampler is affine, and the mean and the deviation of its output are known without a sample.
"""

from __future__ import annotations

import math

import torch
from scipy.stats import chi2
from torch import Tensor

from ....generative import Cosine, Denoiser, Static, Table, ancestral, linear_betas
from ....generative.equations import grids
from ....solvers import WhiteNoise
from ...oracles import GaussianMixture
from ..claim import Bound, Check, Statistical, claim
from ..sources import SLIDES, TUTORIAL
from ..tools.errors import largest, order
from ..tools.examples import DEVIATION, MEAN, chain_law
from ..tools.points import column, gaussian
from ..tools.samplers import response


@claim(
    "A159",
    TUTORIAL["listing of generate_samples"],
    statement="The tutorial's sampler with a perfect network is of order 1 in the number of steps. With 100 steps its "
    "deviation is 3.5 % too small.",
    formula="z_s = α_s ((1 − c) z_t/α_t + c x̂) + σ_s √c ξ, λ from −15 to 15 (log α²/σ²) on equal steps of time",
)
def tutorial_sampler() -> list[Check]:
    """The deviation is smooth in 1/N, e = C/N + O(N⁻²); the order over 160 to 320 steps is off 1 by C'/(C N), which the
    halving of its distance from 1 with every doubling bounds: the distance over 80 to 160 is 0.1 at most.

    The six printed errors are rounded in their last digit: half a unit, 5e-4, below 0.02 half of 1e-4.
    """
    path, printed = Cosine(), {10: -0.111, 20: -0.0677, 40: -0.0389, 80: -0.0214, 160: -0.0114, 320: -0.0059}
    errors = {n: chain_law(path, grids.uniform(path, n), "small")[1] - DEVIATION for n in printed}
    hundred = chain_law(path, grids.uniform(path, 100), "small")[1]
    return [
        *(
            Check(errors[n], value, 5e-4 if n == 10 else 5e-5, f"error of the deviation, N = {n}")
            for n, value in printed.items()
        ),
        Check(order([160, 320], [errors[160], errors[320]]), 1.0, 0.1, "order"),
        Check(1.0 - hundred / DEVIATION, 0.035, 5e-4, "deficit at N = 100"),
    ]


@claim(
    "A160",
    SLIDES["Algorithm 2"],
    statement="DDPM on 1000 levels, β from 1e-4 to 0.02, ends with the deviation 0.4961 in place of 0.5 if the "
    "variance of a step is β̃, and with 0.5008 if it is β.",
    formula="x_{t−1} = (x_t − β/√(1 − ᾱ) ε̂)/√α + σ_t z, z = 0 in the last step",
)
def ddpm_on_1000_levels() -> list[Check]:
    """`ancestral` against the recursion of mean and variance that the algorithm prints, a thousand roundings, 1e-12;
    and the two numbers to half a unit of their last digit."""
    path, checks = Table(linear_betas()), []
    betas = torch.tensor(path.betas, dtype=torch.float64)
    bars = torch.cumprod(1.0 - betas, 0)
    for variance, number in (("small", 0.4961), ("large", 0.5008)):
        mean, squared = 0.0, 1.0
        for i in reversed(range(1000)):
            beta, bar, before = (float(value) for value in (betas[i], bars[i], bars[i - 1] if i else 1.0))
            marginal = bar * DEVIATION**2 + 1.0 - bar
            slope = (1.0 - beta / marginal) / math.sqrt(1.0 - beta)
            mean = slope * mean + beta * math.sqrt(bar) * MEAN / marginal / math.sqrt(1.0 - beta)
            noise = beta if variance == "large" else beta * (1.0 - before) / (1.0 - bar)
            squared = slope**2 * squared + (noise if i else 0.0)
        law = chain_law(path, None, variance)
        checks += [
            Check(law[0], mean, 1e-12, f"mean, {variance} variance, against the printed recursion"),
            Check(law[1], math.sqrt(squared), 1e-12, f"deviation, {variance} variance"),
            Check(law[1], number, 5e-5, f"deviation, {variance} variance, as printed"),
        ]
    return checks


@claim(
    "A161",
    TUTORIAL["listing of ancestral_sampling_step, clip_to"],
    statement="Clipping the predicted sample to [−1, 1] changes nothing for data inside this interval, and spoils "
    "data outside.",
    formula="x̂ ← min(max(x̂, −1), 1)",
)
def clipping_to_an_interval() -> list[Check | Bound | Statistical]:
    """Data at −½ and ½ (deviation 1e-3): predictions stay inside, and not a bit changes. Data N(0, 4), 100 steps: what
    is clipped to an interval of length 2 has at most the deviation 1 (Popoviciu); the last step leaves noise of 5e-4.
    The clipped prediction is the exact one, clipped, to the bit.

    Without clipping the deviation is the one that unit impulses tell, and (n − 1) s²/σ² of 20000 samples is χ². A
    deviation that is off by 3.1 % is found with probability 0.99 even if 100 tests share the level of 1 %.
    """
    path = Cosine()
    times = grids.uniform(path, 100)

    def drawn(oracle: GaussianMixture, n: int, threshold: Static | None) -> Tensor:
        exact = oracle.denoiser(path)
        denoiser = Denoiser(exact.net, path, predicts=exact.predicts, threshold=threshold)
        x = torch.randn(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        return ancestral(denoiser, x, WhiteNoise(2), times, variance="small").x

    halves = GaussianMixture(
        torch.tensor([0.5, 0.5], dtype=torch.float64), column([-0.5, 0.5]), torch.full((2, 1, 1), 1e-6).double()
    )
    wide, n = gaussian(0.0, 2.0), 20000
    plain, clipped = (drawn(wide, n, threshold) for threshold in (None, Static(1.0)))
    exact, x = wide.denoiser(path), torch.linspace(-4.0, 4.0, 41, dtype=torch.float64).unsqueeze(1)
    told = Denoiser(exact.net, path, predicts=exact.predicts, threshold=Static(1.0)).predict("x0", 0.6, x)
    expected = response(lambda x, noise: ancestral(exact, x, noise, times, variance="small").x).law()[1]
    found = float(plain.std())
    below = float(chi2.cdf((n - 1) * (found / expected) ** 2, n - 1))
    return [
        Check(largest(drawn(halves, 200, Static(1.0)) - drawn(halves, 200, None)), 0.0, 0.0, "difference, data inside"),
        Statistical(
            2.0 * min(below, 1.0 - below),
            n,
            "a deviation that is off by 3.1 %",
            found,
            expected,
            "deviation without clipping, of N(0, 4)",
        ),
        Bound(float(clipped.std()), 1.0 + 1e-3, "deviation with clipping, of N(0, 4)"),
        Check(largest(told - exact.predict("x0", 0.6, x).clamp(-1.0, 1.0)), 0.0, 0.0, "the clipped prediction"),
    ]
