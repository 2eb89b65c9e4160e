"""The variational bound of a chain in discrete time, term by term and as a whole.

    E[L] = H(q(x₀)) + KL(q(x_T) ‖ N(0, 1)) + Σ KL(true reverse kernel ‖ the model's)

Every term is quadratic in x₀ and in ε, so that its expectation over Gaussian data and noise is the mean over
x₀ = m ± s and ε = ±1: on four rows `variational_bound` gives it without sampling.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import Denoiser, Table, linear_betas, posterior, variational_bound
from ....generative.training import SNR
from ..claim import Bound, Check, claim
from ..sources import NOTES_2025, SLIDES
from ..tools.bounds import EULER_GAMMA, exact_shares, excess
from ..tools.errors import largest, order
from ..tools.examples import EXAMPLE, EXAMPLE_TIMES
from ..tools.points import column
from ..tools.samplers import Given


@claim(
    "A157",
    SLIDES["VLB"],
    NOTES_2025["section 4.3"],
    statement="The bound is tight where the reverse kernels are exact. With the step variance β its excess falls like "
    "1/T; with β̃ it tends to γ/2 nats a dimension.",
    formula="E[L] = H + KL_T ⟺ exact kernels;  σ² = β: excess O(1/T);  σ² = β̃: excess → γ/2 = 0.2886",
)
def excess_of_the_bound() -> list[Check | Bound]:
    """Exact kernels: sums of 5000 terms of order one, 1e-10. Variance β: T times the excess tends to a constant, with a
    relative error of order 1/T, so that the order over 500 to 5000 is 1 to 0.01.

    Variance β̃ (the decoder's is β): on N(0, 1) and β = 2/T the excess is Σ_{k≥2} ½ (r_k − 1 − log r_k) with
    r_k = σ_k²/σ_{k−1}² = k/(k − 1) (1 + O(kβ)), which is γ/2 − (β/4) log(1/β) + O(β). At T = 20000 the second term is
    added back; what is left is of order β = 1e-4.
    """
    linear = {n: Table(linear_betas(n, 0.1 / n, 20.0 / n)) for n in (50, 500, 5000)}
    shares = exact_shares(linear[500], 0.5)
    tight = {n: excess(path, 0.7, 0.5, exact_shares(path, 0.5)) for n, path in linear.items()}
    large = {n: excess(path, 0.7, 0.5, torch.ones(n, dtype=torch.float64)) for n, path in linear.items()}
    steps, beta = 20000, 1e-4
    small = torch.zeros(steps, dtype=torch.float64)
    small[0] = 1.0
    limit = excess(Table((beta,) * steps), 0.0, 1.0, small)
    return [
        *(Check(value, 0.0, 1e-10, f"excess, exact kernels, T = {n}") for n, value in tight.items()),
        Bound(excess(linear[500], 0.7, 0.5, 0.99 * shares), 1e-6, "excess with 0.99 of their shares v", above=True),
        Check(order([500, 5000], [large[500], large[5000]]), 1.0, 0.01, "order of the excess, σ² = β"),
        Check(limit + 0.25 * beta * math.log(1.0 / beta), 0.5 * EULER_GAMMA, beta, "excess, σ² = β̃, T = 20000"),
    ]


@claim(
    "A158",
    SLIDES["Training Objective"],
    statement="Each term of the bound is a weighted squared error of the noise. The simple loss drops the weight.",
    formula="L_{t−1} = β²/(2 σ² α (1 − ᾱ)) ‖ε − ε̂‖²; L_T = ½(ᾱ x₀² − ᾱ − log(1 − ᾱ)); L_0 = −log p(x₀ | x₁)",
)
def terms_of_the_bound() -> list[Check]:
    """The example of A156, x₀ = 1.3, with an error of ½ in every ε and σ² = β̃: 0.01/(2 · (1/11) · 0.9 · 0.55)/4 = 1/36.

    The decoder is N(x₀-hat, β̃' of the step before) at x₀-hat − x₀ = −½ σ/α. Numbers of order one: 1e-12.
    """
    x0, error = 1.3, 0.5

    def net(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (torch.as_tensor(of(t)).unsqueeze(1) for of in (EXAMPLE.alpha, EXAMPLE.sigma))
        return (x - alpha * x0) / sigma + error

    denoiser = Denoiser(net, EXAMPLE, predicts="eps")
    bound = variational_bound(denoiser, column([x0]), Given(column([-0.4])), variance="small")
    before = posterior(EXAMPLE, EXAMPLE.at(1), EXAMPLE.at(0))
    first = 0.5 / 0.93  # ᾱ of the cleanest level
    miss, spread = error**2 * (1.0 - first) / first, float(before.variance)
    simple = SNR().of("eps", EXAMPLE, torch.tensor(EXAMPLE_TIMES, dtype=torch.float64))
    return [
        Check(bound.steps[0, 0].item(), 1.0 / 36.0, 1e-12, "L_{t−1}"),
        Check(bound.prior.item(), 0.5 * (0.45 * x0**2 - 0.45 - math.log(0.55)), 1e-12, "L_T"),
        Check(bound.decoder.item(), 0.5 * (miss / spread + math.log(2.0 * math.pi * spread)), 1e-12, "L_0"),
        Check(largest(simple - 1.0), 0.0, 1e-15, "weight of the simple loss, less 1"),
    ]
