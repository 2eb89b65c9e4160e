"""Errata of the lecture notes on training, guidance and networks, and those of the edition of 2026.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds. Where only a name
or an index is wrong there is nothing to compute.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative.denoiser import CFG
from ....generative.equations import flow
from ....generative.paths import CondOT, Table, linear_betas
from ....generative.training import regression_loss
from ....solvers import Euler, solve
from ...oracles import GaussianClasses
from ..claim import Bound, Check, claim, uncovered
from ..sources import NOTES_2025, NOTES_2026
from ..tools.bounds import EULER_GAMMA, exact_shares, excess
from ..tools.errors import largest, order
from ..tools.points import MIXTURE, MIXTURE_2D, STATES, gaussian, grid


@claim(
    "E13",
    NOTES_2025["Eq. 23"],
    statement="The divergence is a number, the sum of the derivatives of each component along its own axis. As "
    "printed it is a vector.",
    formula="printed Σ_i ∂_i v;  div v = Σ_i ∂_i vⁱ",
    erratum=True,
)
def divergence_is_a_number() -> list[Bound | Check]:
    """The velocity of a mixture in the plane, its Jacobian by automatic differentiation: the trace is the divergence in
    closed form, rounding of numbers of order ten, 1e-12. The sum of the columns has two components, and one is off
    by a quarter."""
    path, x = CondOT(), torch.tensor([0.3, -0.8], dtype=torch.float64)
    jacobian: Tensor = torch.func.jacrev(lambda x: MIXTURE_2D.velocity(x[None], 0.6, path)[0])(x)
    exact = MIXTURE_2D.divergence(x[None], 0.6, path)
    return [
        Bound(largest(jacobian.sum(1) - exact), 0.2, "printed: the error of the worse component", above=True),
        Check((jacobian.trace() - exact).item(), 0.0, 1e-12, "corrected: less the exact divergence"),
    ]


@claim(
    "E14",
    NOTES_2025["footnote 2"],
    statement="In reversed time the conditional path starts in its point, and not in the law of the data.",
    formula="printed p̄₀(·|z) = p_data;  p̄₀(·|z) = δ_z",
    erratum=True,
)
def start_of_the_reversed_path() -> list[Bound | Check]:
    """CondOT at t = 1, where the reversed time is 0: α = 1 and σ = 0 exactly; the data have the variance 1.32."""
    path = CondOT()
    variance = path.sigma(1.0) ** 2
    return [
        Bound(MIXTURE.moments()[1].item() - variance, 1.0, "printed: the error of the variance", above=True),
        Check(variance + abs(path.alpha(1.0) - 1.0), 0.0, 0.0, "corrected: the variance, and α less 1"),
    ]


@uncovered(
    "E15",
    NOTES_2025["Example 11"],
    statement="The variance of the conditional path is β_t², and not β².",
    erratum=True,
)
def index_of_the_variance() -> None:
    """Nothing to compute: an index."""


class _Listener:
    """A network that keeps the labels that it is shown."""

    null_label = 2

    def __init__(self) -> None:
        self.labels = torch.empty(0, dtype=torch.int64)

    def __call__(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        self.labels = label
        return torch.zeros_like(x)


@claim(
    "E16",
    NOTES_2025["Eq. 78"],
    statement="A label is replaced by the empty one with probability η. It is not mixed with it.",
    formula="printed s(x | (1 − η) y + η ∅);  s(x | y) with y ← ∅ at probability η",
    erratum=True,
)
def label_that_is_left_out() -> list[Bound | Check]:
    """η = 0.2, y = 1, ∅ = 2. The mixture, 1.2, is no label, 0.2 away from the nearest one. In a batch of 1000 the loss
    shows the network nothing but 1 and 2; the chance that one of them does not occur is 0.8^1000."""
    net, generator = _Listener(), torch.Generator().manual_seed(0)
    labels = torch.ones(1000, dtype=torch.int64)
    regression_loss(net, CondOT(), "velocity", MIXTURE.sample(1000, 0), labels, generator=generator, label_dropout=0.2)
    mixed = 0.8 * 1.0 + 0.2 * net.null_label
    return [
        Bound(abs(mixed - round(mixed)), 0.1, "printed: how far its label is from any", above=True),
        Check(float(len(set(net.labels.tolist()) ^ {1, 2})), 0.0, 0.0, "corrected: labels besides 1 and 2, or missing"),
    ]


@uncovered(
    "E17",
    NOTES_2025["Eq. 75, Summary 28 and others"],
    statement="Some losses and symbols have each other's names: L_CSM and L_DSM, u^flow and u^target, p_t(x|z, y) and "
    "p_t(x|z).",
    erratum=True,
)
def names_of_losses() -> None:
    """Nothing to compute: names."""


@claim(
    "E18",
    NOTES_2025["Remark 29"],
    statement="An image of 1000 × 10000 pixels has 30 million dimensions, and not one million.",
    formula="printed 10⁶;  1000 · 10000 · 3 = 3·10⁷",
    erratum=True,
)
def dimensions_of_an_image() -> list[Bound | Check]:
    """A count."""
    dimensions = torch.empty(3, 1000, 10000, device="meta").numel()
    return [
        Bound(dimensions / 1e6, 10.0, "printed: how many times too few", above=True),
        Check(float(dimensions), 3e7, 0.0, "corrected"),
    ]


@uncovered(
    "E19",
    NOTES_2025["section 5 and Figure 11"],
    statement="The text says context-free guidance, and a figure says classifier guidance, where classifier-free "
    "guidance is meant.",
    erratum=True,
)
def name_of_the_guidance() -> None:
    """Nothing to compute: a heading and a caption."""


@claim(
    "E20",
    NOTES_2025["section 4.3"],
    statement="The negative ELBO bounds the loss from above, not from below. In continuous time it becomes tight only "
    "with the step variance β.",
    formula="E[L] ≥ NLL ≥ H(q(x₀));  excess → 0 for σ² = β, → γ/2 = 0.2886 for β̃",
    erratum=True,
)
def bound_from_above() -> list[Bound | Check]:
    """The excess over what exact kernels reach, as in A157. Variance β: positive, and of order 1/T between T = 500 and
    5000, to 0.01. Variance β̃ with β = 2/T on N(0, 1): γ/2 − (β/4) log(1/β) + O(β), at T = 2000 to β = 1e-3."""
    tables = [Table(linear_betas(n, 0.1 / n, 20.0 / n)) for n in (500, 5000)]
    large = [excess(path, 0.7, 0.5, torch.ones(path.steps, dtype=torch.float64)) for path in tables]
    beta, steps = 1e-3, 2000
    small = torch.zeros(steps, dtype=torch.float64)
    small[0] = 1.0
    left = excess(Table((beta,) * steps), 0.0, 1.0, small)
    tight = excess(tables[0], 0.7, 0.5, exact_shares(tables[0], 0.5))
    return [
        Bound(left, 0.28, "printed, σ² = β̃: an excess that should vanish", above=True),
        Bound(min(large) - tight, 0.0, "corrected, σ² = β: the least excess over exact kernels", above=True),
        Check(order([500, 5000], large), 1.0, 0.01, "corrected, σ² = β: the order of the excess"),
        Check(left + 0.25 * beta * math.log(1.0 / beta), 0.5 * EULER_GAMMA, beta, "corrected, σ² = β̃: the excess"),
    ]


@claim(
    "E21",
    NOTES_2025["section 5.3, Stable Diffusion 3"],
    statement="50 guided steps take 100 evaluations of the network, and not 50.",
    formula="printed 50;  2 · 50",
    erratum=True,
)
def evaluations_of_guidance() -> list[Bound | Check]:
    """Euler's method in 50 steps with classifier-free guidance, counted where they happen: an integer."""
    classes = GaussianClasses([gaussian(-1.0, 0.6), MIXTURE])
    guided = CFG(classes.denoiser(CondOT()).given(0), 3.5, null=classes.null_label)
    spent = float(solve(flow(guided), STATES, grid(50), Euler()).nfe)
    return [
        Bound(spent - 50.0, 49.0, "printed: how many are missing", above=True),
        Check(spent, 100.0, 0.0, "corrected"),
    ]


@uncovered(
    "E30",
    NOTES_2026["Summary 2 and references"],
    statement="The pairs (z_1, y) … (z_N, y) should read (z_i, y_i), and two references are one paper.",
    erratum=True,
)
def index_of_the_pairs() -> None:
    """Nothing to compute: an index and a reference; E10 and E11 are claims of their own."""
