"""From denoiser to equation: whatever is held, drift and diffusion are those of the path's own family."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS, states

from fokker.generative import CFG, VP, CondOT, Cosine, Denoiser, GaussianPath, flow, reverse_sde
from fokker.generative.equations import constant, diffusion_sde, grids, reversal
from fokker.generative.equations.noise_level import power_of_sigma, sine
from fokker.solvers import RK4, SDE, Adaptive, Dopri5, ExponentialAdams, Field, Semilinear, Time, solve
from fokker.verification import GaussianMixture

HOLDS = ["x0", "eps", "velocity", "v"]
FORMS = [(hold, 0.0) for hold in HOLDS] + [(hold, eta) for hold in ("x0", "eps") for eta in (0.6, 1.0)]
TIMES = [0.08, 0.5, 0.93]

each_path = pytest.mark.parametrize("path", PATHS, ids=str)
each_form = pytest.mark.parametrize(("hold", "eta"), FORMS)


def equation(denoiser: Denoiser, hold: str, eta: float) -> Semilinear:
    return reverse_sde(denoiser, eta, hold) if eta else flow(denoiser, hold)


@each_path
@each_form
def test_drift_and_diffusion(path: GaussianPath, hold: str, eta: float) -> None:
    """dx = [velocity + η² σ² λ' score] dt + η σ √(2 λ') dW (Song et al. 2011.13456, eqs. 6 and 13)."""
    made = equation(MIXTURE.denoiser(path), hold, eta)
    assert made.stochastic == (eta > 0.0)
    for t in TIMES:
        x = states(path, t)
        extra = (eta * path.sigma(t)) ** 2 * path.d_half_log_snr(t)
        expected = MIXTURE.velocity(x, t, path) + extra * MIXTURE.score(x, t, path)
        torch.testing.assert_close(made.drift(t, x), expected, rtol=1e-9, atol=1e-9)
        if eta:
            assert made.diffusion(t, x) == pytest.approx(math.sqrt(2.0 * extra), rel=1e-12)


@each_path
@each_form
def test_rates_are_the_derivatives_of_scale_gain_and_power(path: GaussianPath, hold: str, eta: float) -> None:
    """S'/S, S r' = G' − (S'/S) G and S √|q'|, q = P / S², by autograd."""
    made = equation(MIXTURE.denoiser(path), hold, eta)
    times = torch.tensor(TIMES, dtype=torch.float64, requires_grad=True)

    def slope(value: Tensor) -> Tensor:
        return torch.autograd.grad(value.sum(), times, allow_unused=True, materialize_grads=True)[0]

    scale, gain = made.clock.scale(times) + 0.0 * times, made.clock.gain(times) + 0.0 * times
    linear = slope(scale) / scale
    forcing = slope(gain) - linear * gain
    power = made.clock.power(times) + 0.0 * times
    intensity = (slope(power) - 2.0 * linear * power).clamp(min=0.0).sqrt()
    rates = torch.tensor([made.clock.rates(t) for t in TIMES], dtype=torch.float64)
    expected = torch.stack([linear, forcing, intensity], 1).detach()
    torch.testing.assert_close(rates, expected, rtol=1e-9, atol=1e-9)


@each_path
@each_form
def test_time_is_the_inverse_of_the_clock(path: GaussianPath, hold: str, eta: float) -> None:
    made = equation(MIXTURE.denoiser(path), hold, eta)
    times = torch.tensor(TIMES, dtype=torch.float64)
    clock = made.clock.r(times)
    assert (clock.diff() > 0.0).all() or (clock.diff() < 0.0).all()
    torch.testing.assert_close(made.clock.time(clock), times, rtol=1e-9, atol=0.0)


@each_path
@pytest.mark.parametrize("hold", HOLDS)
def test_in_its_clock_the_flow_is_the_field_alone(path: GaussianPath, hold: str) -> None:
    """dz/dr = N for z = x / S."""
    made = flow(MIXTURE.denoiser(path), hold)
    x, t = states(path, 0.4), 0.4
    time = torch.tensor([t], dtype=torch.float64)
    drift = made.in_clock().drift(made.clock.r(time).item(), x / made.clock.scale(time))
    torch.testing.assert_close(drift, made.field(t, x), rtol=1e-9, atol=1e-9)


def test_single_precision_follows_double_precision() -> None:
    x = states(VP(), 0.0)
    single = GaussianMixture(MIXTURE.weights.float(), MIXTURE.means.float(), MIXTURE.covs.float())
    times = grids.uniform(VP(), 30)
    double = solve(flow(MIXTURE.denoiser(VP()), "x0"), x, times, ExponentialAdams(2)).x
    solved = solve(flow(single.denoiser(VP()), "x0"), x.float(), times, ExponentialAdams(2)).x
    assert solved.dtype == torch.float32
    torch.testing.assert_close(solved.double(), double, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hold", ["x0", "velocity", "v"])
@pytest.mark.parametrize("path", [CondOT(), Cosine(-math.inf, math.inf)], ids=str)
def test_the_drift_where_alpha_is_zero(path: GaussianPath, hold: str) -> None:
    x = states(path, 0.0)
    drift = flow(MIXTURE.denoiser(path), hold).drift(0.0, x)
    torch.testing.assert_close(drift, MIXTURE.velocity(x, 0.0, path), rtol=1e-12, atol=1e-12)


@each_form
@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_equation_of_some_samples(hold: str, eta: float, logarithmic: bool) -> None:
    """In any order, and repeated."""

    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return torch.sin(x + time[:, None]) * (1.0 + label[:, None])

    denoiser = Denoiser(net, CondOT(), predicts="v", label=[0, 1, 2, 3])
    made, x = reverse_sde(denoiser, eta, hold, logarithmic=logarithmic), states(CondOT(), 0.4, 4)
    index = torch.tensor([3, 1, 1])
    some = made.of_rows(index)
    assert torch.equal(some.field(0.4, x[index]), made.field(0.4, x)[index])
    assert torch.equal(some.drift(0.4, x[index]), made.drift(0.4, x)[index])
    assert some.diffusion(0.4, x[index]) == made.diffusion(0.4, x)
    for one in (some, made):
        assert (one.stochastic, one.clock.logarithmic) == (eta > 0.0, logarithmic)


def test_an_evaluation_costs_what_the_denoiser_says() -> None:
    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return x

    denoiser = Denoiser(net, CondOT(), predicts="velocity", label=1)
    assert flow(denoiser).field.evaluations(0.5) == 1
    assert flow(CFG(denoiser, 2.0, null=0)).field.evaluations(0.5) == 2
    assert reverse_sde(CFG(denoiser, 2.0, null=0)).field.evaluations(0.5) == 2


def test_a_call_takes_at_its_time_what_the_denoiser_says() -> None:
    """For one time, and for one for each sample; in some rows, and in the clock."""

    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return x

    denoiser = Denoiser(net, CondOT(), predicts="velocity", label=[1, 2, 3])
    guided = CFG(denoiser, 2.0, null=0, interval=(-1.0, 1.0))
    times = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    for made in (flow(guided), reverse_sde(guided), flow(guided).of_rows(torch.tensor([2, 0, 1]))):
        each = [made.field.evaluations(t) for t in times.tolist()]
        assert each == made.field.evaluations(times).tolist() == [1, 2, 1]
    made = flow(guided)
    assert made.in_clock().field.evaluations(made.clock.r(times)).tolist() == [1, 2, 1]
    assert flow(denoiser).field.evaluations(0.5) == 1


def test_the_account_knows_the_branches_of_guidance() -> None:
    """Two evaluations a call, of each sample; with steps of its own every sample keeps its label and its count."""

    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return torch.sin(3.0 * x) * (1.0 + label[:, None]) - x

    denoiser = Denoiser(net, CondOT(), predicts="velocity", label=[1, 2, 5, 2])
    equation, x = flow(CFG(denoiser, 2.0, null=0)), states(CondOT(), 0.0, 4)
    nfe = solve(equation, x, grids.uniform(CondOT(), 5), RK4()).nfe
    assert (nfe, nfe.branches, nfe.depth, nfe.per_sample.tolist()) == (40, 2, 20, [40] * 4)
    with pytest.raises(ValueError, match="5 steps of RK4 take 40 evaluations, more than max_nfe = 39; 4 steps fit"):
        solve(equation, x, grids.uniform(CondOT(), 5), RK4(), max_nfe=39)
    times = Adaptive(0.0, 1.0, rtol=1e-7, atol=1e-7, per_sample=True)
    together = solve(equation, x, times, Dopri5())
    for i, label in enumerate([1, 2, 5, 2]):
        alone = solve(flow(CFG(denoiser.given(label), 2.0, null=0)), x[i : i + 1], times, Dopri5())
        torch.testing.assert_close(together.x[i], alone.x[0], rtol=0.0, atol=1e-13)
        assert alone.nfe == int(together.nfe.per_sample[i])
    assert together.nfe == 2 * together.nfe.depth


def test_a_stochastic_equation_knows_its_samples() -> None:
    """The rows of a watched equation are watched."""
    calls = []

    @dataclass(frozen=True)
    class Watched(Field):
        field: Field

        def __call__(self, t: Time, x: Tensor) -> Tensor:
            calls.append(len(x))
            return self.field(t, x)

        def of_rows(self, index: Tensor) -> Field:
            return Watched(self.field.of_rows(index))

    @dataclass(frozen=True)
    class Scaled(Field):
        scale: Tensor

        def __call__(self, t: Time, x: Tensor) -> Tensor:
            return self.scale * x

        def of_rows(self, index: Tensor) -> Field:
            return Scaled(self.scale[index])

    scale, index = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0, 2])
    some = SDE(Scaled(scale), lambda t, x: 1.0, noise="additive").wrapped(Watched).of_rows(index)
    assert torch.equal(some.drift(0.0, torch.ones(3, 1)), scale[index])
    assert calls == [3]


def test_what_does_not_exist_is_refused() -> None:
    denoiser = MIXTURE.denoiser(CondOT())
    with pytest.raises(ValueError, match="choose one of x0, eps, velocity, v"):
        flow(denoiser, hold="score")
    with pytest.raises(ValueError, match="no stochastic form"):
        reverse_sde(denoiser, hold="velocity")
    with pytest.raises(ValueError, match=r"eta is -0.1, but must be a finite number from 0 to 12"):
        reverse_sde(denoiser, eta=-0.1)
    with pytest.raises(ValueError, match="deterministic form"):
        reverse_sde(denoiser).in_clock()


def pickled_net(x: Tensor, time: Tensor) -> Tensor:
    return torch.sin(x + time[:, None])


WHAT_TRAVELS = {
    **{hold: lambda denoiser, hold=hold: flow(denoiser, hold) for hold in HOLDS},
    "in its clock": lambda denoiser: flow(denoiser).in_clock(),
    "of some samples": lambda denoiser: flow(denoiser).of_rows(torch.arange(8)),
    "reverse": reverse_sde,
    "constant": lambda denoiser: diffusion_sde(denoiser, constant(0.5), 0.1, 0.9),
    "reversal": lambda denoiser: diffusion_sde(denoiser, reversal(denoiser.path, 0.5), 0.1, 0.9),
    "power of sigma": lambda denoiser: diffusion_sde(denoiser, power_of_sigma(denoiser.path, 0.5), 0.1, 0.9),
    "sine": lambda denoiser: diffusion_sde(denoiser, sine(0.5), 0.1, 0.9),
}


@pytest.mark.parametrize("name", WHAT_TRAVELS)
def test_an_equation_can_be_pickled_if_its_denoiser_can(name: str) -> None:
    """So that it can be sent to another process, where it has the same drift and diffusion."""
    made = WHAT_TRAVELS[name](Denoiser(pickled_net, CondOT(), predicts="v"))
    read, x = pickle.loads(pickle.dumps(made)), states(CondOT(), 0.4)  # noqa: S301, written in this line
    assert torch.equal(read.drift(0.4, x), made.drift(0.4, x))
    if made.stochastic:
        assert read.diffusion(0.4, x) == made.diffusion(0.4, x)
