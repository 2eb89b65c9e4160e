"""What a field is asked: its times, its samples, its evaluations; and what a clock knows without being told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from fokker.solvers import (
    ODE,
    Adaptive,
    Clock,
    Dopri5,
    ExponentialRK,
    Field,
    FunctionClock,
    Heun,
    Picard,
    PlainClock,
    Semilinear,
    Time,
    solve,
)
from fokker.solvers.field import as_field

X = torch.tensor([[1.0, -0.5], [0.3, 0.2], [-1.0, 2.0]], dtype=torch.float64)


@dataclass(frozen=True)
class Decay(Field):
    """−λ x with a rate λ of each sample; it notes its times."""

    rates: Tensor
    times: list[Time] = field(default_factory=list)

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        self.times.append(t)
        return -self.rates[:, None] * x

    def of_rows(self, index: Tensor) -> Field:
        return Decay(self.rates[index], self.times)


RATES = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("times", "solver"),
    [
        (torch.linspace(0.0, 1.0, 9).double(), Heun()),
        (torch.linspace(0.0, 1.0, 9).double(), Picard(Heun(), window=4, tolerance=0.0)),
        (Adaptive(0.0, 1.0, rtol=1e-8, atol=1e-8, per_sample=True), Dopri5()),
        (Adaptive(0.0, 1.0, rtol=1e-8, atol=1e-8, per_sample=True), ExponentialRK(3)),
    ],
    ids=["grid", "Picard", "per sample", "per sample, exponential"],
)
def test_a_time_is_a_float_or_one_of_each_sample(times: Tensor | Adaptive, solver: Heun) -> None:
    """float64 of shape (B,) on the host, in the field, and in a semilinear equation's too."""
    seen: Decay = Decay(RATES)
    equation = Semilinear(seen, PlainClock()) if solver.semilinear else ODE(seen)
    end = solve(equation, X, times, solver).x
    tolerance = 1e-6 if isinstance(times, Adaptive) else 2e-2  # Heun's error at h = 1/8: (3 h)³/6 a step, at most
    torch.testing.assert_close(end, torch.exp(-RATES)[:, None] * X, rtol=0.0, atol=tolerance)
    several = [t for t in seen.times if isinstance(t, Tensor)]
    assert bool(several) == (not isinstance(solver, Heun))
    assert all(t.dtype == torch.float64 and t.ndim == 1 for t in several)


def test_a_function_is_a_field_of_one_evaluation() -> None:
    plain = as_field(lambda t, x: t * x)
    assert (plain.evaluations(0.3), plain.of_rows(torch.tensor([2])) is plain) == (1, True)
    assert torch.equal(plain(2.0, X), 2.0 * X)
    assert as_field(plain) is plain
    with pytest.raises(TypeError, match=r"A field is a function f\(t, x\), but got int; give one"):
        ODE(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"clock is of type function; give a Clock, such as FunctionClock"):
        Semilinear(lambda t, x: x, lambda t: t)  # type: ignore[arg-type]


def test_the_equation_of_some_samples_has_their_fields() -> None:
    index = torch.tensor([2, 0, 2])
    for equation in (ODE(Decay(RATES)), Semilinear(Decay(RATES), PlainClock(), score=Decay(2.0 * RATES))):
        some = equation.of_rows(index)
        assert torch.equal(some.drift(0.1, X[index]), equation.drift(0.1, X)[index])
    assert isinstance(some, Semilinear)
    assert some.score is not None
    assert torch.equal(some.score(0.1, X[index]), -2.0 * RATES[index, None] * X[index])


class Root(Clock):
    """S = 1 + t, S r = t², S² q = t³: r = t²/(1 + t), q = t³/(1 + t)²."""

    def scale(self, t: Tensor) -> Tensor:
        return 1.0 + t

    def gain(self, t: Tensor) -> Tensor:
        return t**2

    def power(self, t: Tensor) -> Tensor:
        return t**3

    @property
    def stochastic(self) -> bool:
        return True


@pytest.mark.parametrize("clock", [Root(), FunctionClock(Root().scale, Root().gain, Root().power)], ids=type)
def test_what_a_clock_knows_of_itself(clock: Clock) -> None:
    """r, q, S'/S, S r' = 2t − t²/(1 + t) and S √q' = √(3t² − 2t³/(1 + t)), at one time and at several."""
    times = torch.tensor([0.2, 0.5, 1.5], dtype=torch.float64)
    torch.testing.assert_close(clock.r(times), times**2 / (1.0 + times), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(clock.variance(times), times**3 / (1.0 + times) ** 2, rtol=1e-14, atol=0.0)
    together = clock.rates(times)
    for k, t in enumerate(times.tolist()):
        expected = (1.0 / (1.0 + t), 2.0 * t - t**2 / (1.0 + t), math.sqrt(3.0 * t**2 - 2.0 * t**3 / (1.0 + t)))
        assert clock.rates(t) == pytest.approx(expected, rel=1e-14)
        assert [rate[k].item() for rate in together] == pytest.approx(expected, rel=1e-14)
    with pytest.raises(ValueError, match=r"needs the inverse of the clock, but \w+ has none; give it time\(r\)"):
        clock.time(times)


def test_a_clock_without_noise_has_its_time_for_variance() -> None:
    times = torch.tensor([0.2, 0.5], dtype=torch.float64)
    for clock in (PlainClock(), FunctionClock(torch.exp, torch.sin)):
        assert not clock.stochastic
        assert torch.equal(clock.variance(times), times)
        assert torch.equal(clock.power(times), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(PlainClock().time(times), times)
    assert PlainClock().rates(0.3) == (0.0, 1.0, 0.0)
