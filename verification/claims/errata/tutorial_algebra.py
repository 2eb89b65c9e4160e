"""Errata of the tutorial (document 002), E49, E53 and E55 to E59: how its listings fit together.

Each claim measures two things: by how much the printed code fails, and that the corrected form, which is Fokker's own
where there is one, holds. Of a listing no more is repeated than the expression that is wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ....generative.denoiser import Denoiser, per_sample
from ....generative.equations import flow
from ....generative.paths import CondOT, Cosine
from ....generative.sampling import decode
from ....generative.training import regression_loss
from ....solvers import Euler, solve
from ...oracles import GaussianClasses
from ..claim import Bound, Check, claim, uncovered
from ..tools.instruments import column, largest, raises
from ..tools.measuring import MIXTURE, grid
from ..tools.points import STATES
from ..tools.quadrature import normal
from .tutorial import TUTORIAL


@claim(
    "E49",
    f"{TUTORIAL}, FM.loss, diffusion_loss, integrate, decode and encode",
    "The condition is passed by position here and by keyword there, and not at all to the solvers.",
    formula="printed net(x, t, condition=None);  net(x, t, label) everywhere",
    erratum=True,
)
def plumbing_of_the_condition() -> list[Bound | Check]:
    """A network net(x, t, c) that is called with the keyword `condition` raises TypeError. Fokker's loss, and its way
    from noise to data, pass a label on: ten
    steps on a class of deviation 1e-6 end in it, to that times the last step's σ² of the order of 1e-4: 1e-9."""
    path, seen = CondOT(), []

    def net(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        seen.append(c)
        return torch.zeros_like(x)

    printed = raises(TypeError, lambda: net(STATES, STATES[:, 0], condition=None))  # type: ignore[call-arg]
    labels = torch.arange(len(STATES))
    regression_loss(net, path, "velocity", STATES, labels)
    classes = GaussianClasses([normal(-1.0, 1e-6), normal(2.0, 1e-6)])
    end = decode(classes.denoiser(path), column([0.3, -0.2]), 10, label=torch.tensor([0, 1]))
    return [
        Bound(printed, 1.0, "printed: TypeError raised", above=True),
        Check(float((seen[0] - labels).abs().sum()), 0.0, 0.0, "corrected: labels that the loss did not pass on"),
        Check(largest(end - column([-1.0, 2.0])), 0.0, 1e-9, "corrected: from noise to each one's class"),
    ]


@claim(
    "E53",
    f"{TUTORIAL}, train_flow_matching_model",
    "The batch is never moved to the device of the network.",
    formula="printed loss(net, batch);  loss(net, batch.to(device))",
    erratum=True,
)
def device_of_the_batch() -> list[Bound | Check]:
    """PyTorch's device "meta" stands for any other one: a batch that stays behind raises an error, one that moved does
    not, and the loss, its times and its noise are made there."""
    net, batch = nn.Linear(2, 2, device="meta"), torch.zeros(8, 2)

    def loss(batch: Tensor) -> Tensor:
        return regression_loss(lambda x, t, label: net(x), CondOT(), "velocity", batch)

    return [
        Bound(raises(RuntimeError, lambda: loss(batch)), 1.0, "printed: RuntimeError raised", above=True),
        Check(float(loss(batch.to("meta")).device.type == "meta"), 1.0, 0.0, "corrected: the loss is there"),
    ]


@claim(
    "E55",
    f"{TUTORIAL}, integrate, encode and decode",
    "Where gradients are switched off a flow has none, and neither likelihoods nor training through it are possible.",
    formula="printed @torch.no_grad;  ∂x₁/∂x₀ of the solve",
    erratum=True,
)
def gradient_of_the_flow() -> list[Bound | Check]:
    """Euler's map of N(3, 0.25) on CondOT is affine: its derivative is the difference of two outputs, to rounding."""
    equation, times = flow(normal(3.0, 0.5).denoiser(CondOT())), grid(20)
    x = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        printed = solve(equation, x, times, Euler()).x
    (slope,) = torch.autograd.grad(solve(equation, x, times, Euler()).x, x)
    step = solve(equation, x.detach() + 1.0, times, Euler()).x - printed
    return [
        Bound(float(not printed.requires_grad), 1.0, "printed: the gradient is lost", above=True),
        Check((slope - step).item(), 0.0, 1e-13, "corrected: the gradient less the slope of the map"),
    ]


@claim(
    "E56",
    f"{TUTORIAL}, section 7.4",
    "Networks of both sorts can be exchanged only if each is told the time in its own way.",
    formula="printed net(x, t);  net(x, λ(t)) for a network that was trained on λ",
    erratum=True,
)
def clock_of_the_network() -> list[Bound | Check]:
    """A network for ε that knows λ alone, exact on the cosine path. Told λ it is the oracle's, to a rounding of 1e-12;
    told t in its place it is wrong."""
    path = Cosine()

    def net(x: Tensor, log_snr: Tensor) -> Tensor:
        return MIXTURE.eps(x, torch.as_tensor(path.time(log_snr)), path)

    right, wrong = (Denoiser(net, path, predicts="eps", time=clock) for clock in ("log_snr", "t"))
    exact = MIXTURE.eps(STATES, 0.2, path)
    return [
        Bound(largest(wrong.predict("eps", 0.2, STATES) - exact), 0.1, "printed: its error", above=True),
        Check(largest(right.predict("eps", 0.2, STATES) - exact), 0.0, 1e-12, "corrected"),
    ]


uncovered("E57", TUTORIAL, "ρ_t, c, y and λ each stand for two things.", "nothing to compute: names.")
uncovered(
    "E58",
    f"{TUTORIAL}, section 8.3",
    "The masked models of MAR attend in both directions; causal attention is their baseline.",
    "it concerns a language model; Fokker has none.",
)


@claim(
    "E59",
    f"{TUTORIAL}, ancestral_sampling_step",
    "A time for each sample must be spread over the first axis; as printed it is spread over the last.",
    formula="printed α x, α of shape (B,);  α[:, None] x",
    erratum=True,
)
def axis_of_the_times() -> list[Bound | Check]:
    """Four samples in d = 4 at four times, silently wrong as printed. Spread by Fokker it is row by row what one time
    gives, bitwise; with d = 3 the printed form raises an error."""
    path = Cosine()
    t = torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=torch.float64)
    x = MIXTURE.sample(16, 0).reshape(4, 4)
    alpha = torch.as_tensor(path.alpha(t))
    rows = torch.stack([float(each) * row for each, row in zip(alpha, x, strict=True)])
    return [
        Bound(largest(alpha * x - rows), 0.1, "printed, d = 4: its error", above=True),
        Bound(raises(RuntimeError, lambda: alpha * x[:, :3]), 1.0, "printed, d = 3: RuntimeError raised", above=True),
        Check(largest(per_sample(alpha, x) * x - rows), 0.0, 0.0, "corrected"),
    ]
