"""States on a device without float64: no number reaches it in float64, and every result is that of the CPU.

`elsewhere` is the device. The CPU computes the same float32 operations, but for sums that are float64 there, so that
results agree to some thousand roundings of 6e-8; nothing here takes more operations in a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from elsewhere import DEVICE, WithoutFloat64
from torch import Tensor, nn

from fokker.generative import (
    CFG,
    EDM,
    VE,
    VP,
    AutoGuidance,
    ClassifierGuidance,
    CondOT,
    Denoiser,
    Dequantisation,
    Dynamic,
    Interpolant,
    Logit,
    Static,
    Table,
    ancestral,
    bound_loss,
    decode,
    diffusion_sde,
    encode,
    flow,
    interpolate,
    linear_betas,
    log_likelihood,
    minibatch_ot,
    noise_level,
    regression_loss,
    reverse_sde,
    round_trip,
    sample,
    time_densities,
    variational_bound,
    weightings,
)
from fokker.generative.sampling import PUBLISHED
from fokker.solvers import (
    SDE,
    SRA1,
    Adaptive,
    BrownianTree,
    Dopri5,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    FunctionClock,
    Halving,
    Heun,
    Langevin,
    Milstein,
    Picard,
    Restart,
    Semilinear,
    WhiteNoise,
    solve,
    unroll,
)

TIMES = [0.1, 0.3, 0.55, 0.7, 0.9]
PATH, TABLE = CondOT(), Table(linear_betas(20))
STATE = torch.tensor([[0.3, -0.7], [1.1, 0.2], [-0.4, 0.8]])
TOLERANCE = 1e-4


class Net(nn.Module):
    classes, null_label = 3, 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[-0.5, 0.2], [0.1, -0.4]]))
            self.layer.bias.copy_(torch.tensor([0.3, -0.1]))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        shift = 0.0 if label is None else 0.1 * label[:, None].to(x.dtype)
        value: Tensor = torch.tanh(self.layer(x)) + time[:, None].to(x.dtype) * x + shift
        return value


def log_prob(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    return -(x - label[:, None].to(x.dtype)).square().sum(1)


class On:
    """The network and the states on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.x, self.net = device, STATE.to(device), Net().to(device)
        self.tree = BrownianTree(self.x, 0.1, 0.9, seed=3, area=True)

    def model(self, predicts: str = "velocity", path: Any = PATH, **settings: Any) -> Denoiser:
        return Denoiser(self.net, path, predicts=predicts, **settings)

    def solved(self, solver: Any, times: Any = TIMES, equation: Any = None, **settings: Any) -> Tensor:
        equation = flow(self.model(), "x0") if equation is None else equation
        solution = solve(equation, self.x, times, solver, self.tree, **settings)
        return solution.x if solution.xs is None else solution.xs

    def trained(self, *arguments: Any, **settings: Any) -> list[Tensor]:
        torch.manual_seed(0)
        loss = regression_loss(self.net, *arguments, **settings)
        loss.backward()
        return [loss, *(each.grad for each in self.net.parameters() if each.grad is not None)]


def within(tolerance: float, *, alone: bool) -> Adaptive:
    return Adaptive(0.1, 0.9, rtol=tolerance, atol=tolerance, per_sample=alone)


def without_noise(on: On) -> list[Any]:
    """Losses draw on the device itself, whose numbers are its own: only that they run is compared."""
    loss = on.trained(VP(), "eps", on.x, weighting=weightings.MinSNR(5.0), times=time_densities.LogitNormal(),
                      importance=time_densities.Importance(4))  # fmt: skip
    loss += on.trained(VE(), "x0", on.x, precondition=EDM(0.5), weighting=weightings.EDM(0.5))
    loss.append(bound_loss(on.model("eps", TABLE, time="index"), on.x, variance=0.5))
    loss.append(Interpolant(PATH).loss(on.net, on.x, on.x.flip(0)))
    return [each.isfinite().all() for each in loss]


JOBS: dict[str, Callable[[On], Any]] = {
    "Heun": lambda on: on.solved(Heun(), save=True),
    "ExponentialAdams": lambda on: on.solved(ExponentialAdams(4, corrector=True)),
    "ExponentialRK": lambda on: on.solved(ExponentialRK(4)),
    "Picard": lambda on: on.solved(Picard(Heun(), 2)),
    "Restart": lambda on: on.solved(Restart(Heun(), (0.3, 0.7), 2)),
    "Langevin": lambda on: on.solved(Langevin(ExponentialAdams(1), 2, 0.1)),
    "adaptive": lambda on: on.solved(Dopri5(), within(1e-3, alone=False), save=[0.2, 0.5]),
    "adaptive, tolerances": lambda on: on.solved(
        Dopri5(), Adaptive(0.1, 0.9, rtol=1e-3, atol=torch.tensor([[1e-3, 1e-4]], dtype=torch.float64))
    ),
    "per sample": lambda on: on.solved(Dopri5(), within(1e-3, alone=True), save=[0.2, 0.5]),
    "per sample, exponential": lambda on: on.solved(ExponentialRK(3), within(1e-3, alone=True), save=[0.2]),
    "per sample, halving": lambda on: on.solved(Halving(Heun()), within(1e-3, alone=True)),
    "tree": lambda on: on.solved(SRA1(), equation=reverse_sde(on.model())),
    "tree, adaptive": lambda on: on.solved(Halving(SRA1()), within(1e-2, alone=False), reverse_sde(on.model())),
    "white noise": lambda on: solve(reverse_sde(on.model()), on.x, TIMES, EulerMaruyama(), WhiteNoise(3)).x,
    "diagonal noise": lambda on: on.solved(Milstein(), equation=SDE(lambda t, x: -x, lambda t, x: 0.3 * x)),
    "diffusion_sde": lambda on: on.solved(SRA1(), equation=diffusion_sde(on.model(), noise_level.sine(0.5), 0.1, 0.9)),
    "in its clock": lambda on: on.solved(
        Dopri5(), Adaptive(0.2, 0.5, rtol=1e-3, atol=1e-3, per_sample=True), flow(on.model()).in_clock()
    ),
    "a clock of functions": lambda on: on.solved(
        Heun(), within(1e-3, alone=True), Semilinear(lambda t, x: -x, FunctionClock(torch.exp, lambda t: 2.0 * t))
    ),
    "scheme": lambda on: unroll(flow(on.model()), TIMES, ExponentialRK(2)).run(flow(on.model()), on.x).x,
    **{
        f"sample {name}": lambda on, name=name: sample(
            on.model(label=1), (3, 2), nfe=8, sampler=name, device=on.device
        )
        for name in PUBLISHED
    },
    "encode": lambda on: encode(on.model(), on.x, 8),
    "round_trip": lambda on: round_trip(on.model(), on.x, (4, 8)).errors[:1],
    "interpolate": lambda on: interpolate(on.model(), on.x, on.x.flip(0), 3, nfe=8),
    **{
        f"log_likelihood {trace}": lambda on, trace=trace: log_likelihood(
            on.model("v"), on.x, nodes=9, trace=trace, **({} if trace == "exact" else {"probes": 2})
        ).value
        for trace in ("exact", "orthogonal", "hutchinson", "hutch++")
    },
    "log_likelihood coloured": lambda on: log_likelihood(
        Denoiser(lambda x, time: on.net(x.flatten(1), time)[:, None], PATH, predicts="velocity"), on.x[:, None],
        nodes=9, trace="coloured", probes=2,
    ).value,
    "log_likelihood to an error": lambda on: log_likelihood(on.model("v"), on.x, error=0.1, trace="exact").bits_per_dim(
        Dequantisation(4)
    ),
    "bound": lambda on: variational_bound(on.model(), on.x, on.tree, TIMES, variance=0.5).total,
    "bound on levels": lambda on: variational_bound(
        on.model("eps", TABLE, time="index"), torch.ones_like(on.x), WhiteNoise(0), variance=0.5, levels=4
    ).total,
    "ancestral": lambda on: ancestral(on.model("eps", TABLE, time="index"), on.x, on.tree, TIMES, variance="small").x,
    "training": without_noise,
    "interpolant": lambda on: on.solved(Heun(), equation=Interpolant(PATH).flow(on.net)),
    "minibatch_ot": lambda on: minibatch_ot(on.x, on.x.flip(0)),
    "CFG": lambda on: decode(CFG(on.model(label=1), 2.0, interval=(-2.0, 2.0), rescale=0.3), on.x, 8),
    "CFG, weights": lambda on: decode(CFG(on.model(label=[0, 1, 2]), torch.tensor([1.0, 2.0, 3.0])), on.x, 8),
    "CFG per sample": lambda on: on.solved(
        Dopri5(), within(1e-3, alone=True), flow(CFG(on.model(label=1), 2.0, interval=(-2.0, 2.0)))
    ),
    "AutoGuidance": lambda on: decode(AutoGuidance(on.model(), on.model("v"), 2.0), on.x, 8),
    "ClassifierGuidance": lambda on: decode(ClassifierGuidance(on.model("eps"), log_prob, 2.0, label=1), on.x, 8),
    "thresholds": lambda on: [decode(on.model(threshold=each), on.x, 8) for each in (Static(1.0), Dynamic(0.9))],
    "EDM": lambda on: decode(on.model("x0", VE(), precondition=EDM(0.5)), on.x, 8),
    "clocks": lambda on: [
        on.model("eps", VP(), time=clock).predict("x0", t, on.x)
        for clock in ("t", "1-t", "sigma", "log_snr", math.exp)
        for t in (0.4, torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64))
    ],
    "dequantisation": lambda on: Dequantisation(4, spread=0.1)((0.0 * on.x).long(), 3),
    "dequantisation in logits": lambda on: Dequantisation(4, spread=0.1, transform=Logit(-1.0, 1.0, 0.05)).log_density(
        on.x
    ),
    "a backward pass": lambda on: torch.autograd.grad(
        decode(on.model(), on.x, 8).sum() + on.solved(Dopri5(), within(1e-3, alone=True)).sum(),
        list(on.net.parameters()),
    ),
}


DEAR = ("log_likelihood hutchinson", "log_likelihood hutch++", "log_likelihood coloured")
"""They share their way to the device with the other likelihoods."""


@pytest.mark.parametrize("job", [pytest.param(each, marks=[pytest.mark.slow] * (each in DEAR)) for each in JOBS])
def test_results_are_those_of_the_cpu(job: str) -> None:
    expected = JOBS[job](On(torch.device("cpu")))
    with WithoutFloat64():
        found = here(JOBS[job](On(DEVICE)))
    torch.testing.assert_close(found, here(expected), rtol=TOLERANCE, atol=TOLERANCE, check_dtype=False)


def here(found: Any) -> Any:
    """Tensors on the CPU, in a nest of lists."""
    if isinstance(found, list | tuple):
        return [here(each) for each in found]
    return found.cpu() if isinstance(found, Tensor) else found


FAULTS: dict[str, Callable[[Tensor], Any]] = {
    "float64 there": lambda x: x.double(),
    "made there": lambda x: torch.zeros(2, dtype=torch.float64, device=x.device),
    "a sum in float64": lambda x: x.sum(dtype=torch.float64),
    "taken there": lambda x: torch.ones(3, 2, dtype=torch.float64).to(x.device),
    "taken there and cast at once": lambda x: torch.ones(3, 2, dtype=torch.float64).to(x),
    "brought back and cast at once": lambda x: x.to("cpu", torch.float64),
    "mixed with the CPU": lambda x: x * torch.ones(3, 2),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_device_refuses(fault: str) -> None:
    with WithoutFloat64(), pytest.raises((TypeError, RuntimeError), match=r"float64|same device"):
        FAULTS[fault](STATE.to(DEVICE))
