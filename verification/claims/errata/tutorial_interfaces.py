"""Errata of the tutorial's listings: what they hand to each other.

Each claim measures two things: by how much the printed code fails, and that the corrected form, which is Fokker's own
where there is one, holds. Only the wrong expression of a listing is repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ....generative.denoiser import Denoiser, per_sample
from ....generative.equations import flow
from ....generative.paths import CondOT, Cosine
from ....generative.sampling import decode
from ....generative.training import regression_loss
from ....solvers import Euler, ExponentialAdams, solve
from ...oracles import GaussianClasses
from ..claim import Bound, Check, claim, uncovered
from ..sources import TUTORIAL
from ..tools.errors import largest, raises
from ..tools.points import MIXTURE, STATES, column, gaussian, grid
from ..tools.samplers import response


@claim(
    "E49",
    TUTORIAL["listings of FM.loss, diffusion_loss, integrate, decode and encode"],
    statement="The condition is passed to the network by position in one listing and by keyword in another, and the "
    "solvers do not pass it at all.",
    formula="printed net(x, t, condition=None);  net(x, t, label) everywhere",
    erratum=True,
)
def condition_of_the_network() -> list[Bound | Check]:
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
    classes = GaussianClasses([gaussian(-1.0, 1e-6), gaussian(2.0, 1e-6)])
    end = decode(classes.denoiser(path), column([0.3, -0.2]), 10, label=torch.tensor([0, 1]))
    return [
        Bound(printed, 1.0, "printed: TypeError raised", above=True),
        Check(float((seen[0] - labels).abs().sum()), 0.0, 0.0, "corrected: labels that the loss did not pass on"),
        Check(largest(end - column([-1.0, 2.0])), 0.0, 1e-9, "corrected: from noise to each one's class"),
    ]


@claim(
    "E53",
    TUTORIAL["listing of train_flow_matching_model"],
    statement="The training loop passes on each batch where the loader left it: it fails unless the loader's batches "
    "lie on the network's device. The listings for sampling move their noise to DEVICE.",
    formula="printed loss(net, batch);  loss(net, batch.to(device))",
    erratum=True,
)
def device_of_the_batch() -> list[Bound | Check]:
    """PyTorch's device "meta" stands for any other one: a batch that stays behind raises an error, one that moved does
    not, and the loss, its times and its noise are made there. (Fokker's own training runs on the processor alone, and
    its losses refuse a batch on "meta", which has no values: the loss is that of the straight path, written out.)"""
    net, batch = nn.Linear(2, 2, device="meta"), torch.zeros(8, 2)

    def loss(batch: Tensor) -> Tensor:
        t, noise = torch.rand(len(batch), 1, device=batch.device), torch.randn_like(batch)
        gap: Tensor = net(t * batch + (1.0 - t) * noise) - (batch - noise)
        return gap.square().mean()

    return [
        Bound(raises(RuntimeError, lambda: loss(batch)), 1.0, "printed: RuntimeError raised", above=True),
        Check(float(loss(batch.to("meta")).device.type == "meta"), 1.0, 0.0, "corrected: the loss is there"),
    ]


@claim(
    "E55",
    TUTORIAL["listings of integrate, encode and decode"],
    statement="Where gradients are switched off the flow has none, so that neither likelihoods nor training through "
    "the flow are possible.",
    formula="printed @torch.no_grad;  ∂x₁/∂x₀ of the solve",
    erratum=True,
)
def gradient_of_the_flow() -> list[Bound | Check]:
    """Euler's map of N(3, 0.25) on CondOT is affine: its derivative is the difference of two outputs, to rounding."""
    equation, times = flow(gaussian(3.0, 0.5).denoiser(CondOT())), grid(20)
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
    TUTORIAL["section 7.4"],
    statement="A diffusion network and a flow network can be exchanged only if each is told the time on its own "
    "clock: the tutorial's diffusion networks take λ = log(α²/σ²), the log-SNR, and no half of it.",
    formula="printed net(x, t);  net(x, λ(t)) for a network that was trained on λ",
    erratum=True,
)
def clock_of_the_network() -> list[Bound | Check]:
    """Networks that know λ alone, exact on the cosine path. Told λ, a network for ε is the oracle's, to a rounding of
    1e-12; told t in its place it is wrong. With a network for v of N(0.7, 0.25) the law of 100 steps of DDIM is exact:
    mean and deviation are 0.6998 and 0.4924 on the tutorial's clock, and 0.7410 and 0.4205 on log(α/σ), which is half
    of it, to half a unit of the last digit."""
    path, data = Cosine(), gaussian(0.7, 0.5)

    def noise(x: Tensor, log_snr: Tensor) -> Tensor:
        return MIXTURE.eps(x, path.time(log_snr), path)

    def v(x: Tensor, log_snr: Tensor) -> Tensor:
        return data.v(x, path.time(log_snr), path)

    right, wrong = (Denoiser(noise, path, predicts="eps", time=clock) for clock in ("log_snr", "t"))
    exact = MIXTURE.eps(STATES, 0.2, path)
    whole, half = (Denoiser(v, path, predicts="v", time=clock) for clock in ("log_snr", "half_log_snr"))
    laws = [response(ExponentialAdams(1), flow(each, "x0"), grid(100)).law() for each in (whole, half)]
    return [
        Bound(largest(wrong.predict("eps", 0.2, STATES) - exact), 0.1, "printed: its error", above=True),
        Check(largest(right.predict("eps", 0.2, STATES) - exact), 0.0, 1e-12, "corrected"),
        Check(laws[0][0], 0.6998, 5e-5, "corrected: the mean of 100 steps"),
        Check(laws[0][1], 0.4924, 5e-5, "corrected: the deviation"),
        Check(laws[1][0], 0.7410, 5e-5, "half of the log-SNR: the mean"),
        Check(laws[1][1], 0.4205, 5e-5, "half of the log-SNR: the deviation"),
        Bound(0.5 - laws[1][1], 0.07, "half of the log-SNR: what is missing of the deviation", above=True),
    ]


@uncovered("E57", TUTORIAL, statement="ρ_t, c, y and λ each stand for two things.", erratum=True)
def symbols_with_two_meanings() -> None:
    """Nothing to compute: names."""


@uncovered(
    "E58",
    TUTORIAL["section 8.3"],
    statement="The masked models of MAR attend in both directions; causal attention is only their baseline.",
    erratum=True,
)
def attention_of_masked_models() -> None:
    """It concerns a language model; Fokker has none."""


@claim(
    "E59",
    TUTORIAL["listing of ancestral_sampling_step"],
    statement="The times of a batch must be spread over the first axis; as printed they are spread over the last.",
    formula="printed α x, α of shape (B,);  α[:, None] x",
    erratum=True,
)
def axis_of_the_times() -> list[Bound | Check]:
    """Four samples in d = 4 at four times, silently wrong as printed. Spread by Fokker it is row by row what one time
    gives, bitwise; with d = 3 the printed form raises an error."""
    path = Cosine()
    t = torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=torch.float64)
    x = MIXTURE.sample(16, 0).reshape(4, 4)
    alpha = path.alpha(t)
    rows = torch.stack([float(each) * row for each, row in zip(alpha, x, strict=True)])
    return [
        Bound(largest(alpha * x - rows), 0.1, "printed, d = 4: its error", above=True),
        Bound(raises(RuntimeError, lambda: alpha * x[:, :3]), 1.0, "printed, d = 3: RuntimeError raised", above=True),
        Check(largest(per_sample(alpha, x) * x - rows), 0.0, 0.0, "corrected"),
    ]
