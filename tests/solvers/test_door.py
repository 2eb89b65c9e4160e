"""The numbers, names and objects that people give: taken as what they mean, or refused in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fokker.solvers import (
    DPM_SOLVER_2,
    ODE,
    RK4,
    SDE,
    Abilities,
    Adaptive,
    Ancestral,
    BrownianTree,
    ButcherTableau,
    Churn,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    ExponentialTableau,
    FunctionClock,
    Halving,
    Heun,
    Langevin,
    Picard,
    PlainClock,
    Restart,
    SciPy,
    Semilinear,
    Solver,
    TorchDiffEq,
    TorchSDE,
    WhiteNoise,
    interpolated,
    same,
    solve,
    standard_normal,
    unroll,
)

X = torch.tensor([[1.0, -0.5], [0.3, 0.2], [-1.0, 2.0]], dtype=torch.float64)
GRID = [0.0, 0.25, 0.5, 1.0]
DECAY = ODE(lambda t, x: -x)
PLAIN = Semilinear(lambda t, x: -x, PlainClock())
NOISY = SDE(lambda t, x: -x, lambda t, x: 0.5, noise="additive")
ONE = ExponentialAdams(1)
Call = Callable[[Any], object]

# Gradients with respect to what becomes a number

TAKES_NUMBERS: dict[str, Call] = {
    "times": lambda v: solve(DECAY, X, torch.stack([0.0 * v, v]), Heun()),
    "a list of times": lambda v: solve(DECAY, X, [0.0, v], Heun()),
    "the end": lambda v: Adaptive(0.0, v, rtol=1e-3, atol=1e-3),
    "a tolerance": lambda v: Adaptive(0.0, 1.0, rtol=v, atol=1e-3),
    "a tolerance of each": lambda v: Adaptive(0.0, 1.0, rtol=v.expand(3), atol=1e-3),
    "saved times": lambda v: solve(DECAY, X, GRID, Heun(), save=[v]),
    "unrolled times": lambda v: unroll(DECAY, [0.0, v], Heun()),
    "restarts": lambda v: Restart(ONE, [0.1, v], 1),
    "eta": lambda v: Ancestral(ONE, v),
    "churn": lambda v: Churn(ONE, v),
    "a size": lambda v: Langevin(ONE, 1, v),
    "a tolerance of sweeps": lambda v: Picard(Euler(), 2, v),
    "the end of a tree": lambda v: BrownianTree(X, 0.0, v),
    "a node": lambda v: interpolated(1, v, {0: 0.0}),
    "a tableau": lambda v: ButcherTableau(1, (0.0,), ((),), (2.0 * v,)),
    "rates": lambda v: PlainClock().rates(v) and Semilinear(lambda t, x: x, SQUARED).drift(v, X[:1]),
}
SQUARED = FunctionClock(torch.exp, lambda t: t**2)


@pytest.mark.parametrize("case", TAKES_NUMBERS)
def test_a_gradient_is_not_lost_but_refused(case: str) -> None:
    """By autograd, inside torch.func.grad, and as a dual number; without a gradient the number is taken."""
    call, value = TAKES_NUMBERS[case], torch.tensor(0.5, dtype=torch.float64)
    call(value)
    message = r"requires a gradient, but becomes a number.*with t = T s"
    with pytest.raises(ValueError, match=message):
        call(value.clone().requires_grad_())
    with pytest.raises(ValueError, match=message):
        torch.func.grad(lambda v: call(v) or v)(value)
    with pytest.raises(ValueError, match=message):
        torch.func.jvp(lambda v: call(v) or v, (value,), (torch.ones_like(value),))
    with torch.no_grad():
        call(nn.Parameter(value))


def test_the_way_out_has_the_gradient() -> None:
    """x' = −x over [0, T], in s = t/T: d x(T)/dT = −x₀ e^{−T}."""
    end = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    moved = ODE(lambda s, x: end * -x)
    solution = solve(moved, X, torch.linspace(0.0, 1.0, 101), RK4())
    (found,) = torch.autograd.grad(solution.x.sum(), end)
    torch.testing.assert_close(found, -X.sum() * math.exp(-1.7), rtol=1e-8, atol=0.0)


@pytest.mark.parametrize("solver", [Heun(), ONE, ExponentialRK(2)], ids=repr)
def test_a_clock_that_learns_is_refused(solver: Solver) -> None:
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    learned = FunctionClock(lambda t: torch.exp(rate * t), lambda t: t, time_of=lambda r: r)
    with pytest.raises(ValueError, match="requires a gradient, but becomes a number"):
        solve(Semilinear(lambda t, x: -x, learned), X, GRID, solver)
    with torch.no_grad():
        solve(Semilinear(lambda t, x: -x, learned), X, GRID, solver)


# Numbers as people have them


def kinds(value: float) -> list[Any]:
    """The number as numpy and torch have it."""
    found = [np.float64(value), np.array(value), np.array([value]), torch.tensor(value, dtype=torch.float64)]
    if value == int(value):
        whole = int(value)
        found += [float(value), np.int32(whole), np.uint8(whole), torch.tensor(whole), torch.tensor([whole])]
    return found


SAME: dict[str, tuple[Callable[[Any], Any], float]] = {
    "max_nfe": (lambda v: solve(DECAY, X, GRID, Heun(), max_nfe=v).x, 6),
    "t1": (lambda v: solve(DECAY, X, Adaptive(0, v, rtol=1e-3, atol=1e-3), Dopri5()).x, 2),
    "rtol": (lambda v: solve(DECAY, X, Adaptive(0, 1, rtol=v, atol=1e-3), Dopri5()).x, 0.01),
    "a time": (lambda v: solve(DECAY, X, [0, 1, v], Heun()).x, 2),
    "a saved time": (lambda v: solve(DECAY, X, [0, 1, 2, 3], Heun(), save=[0, v, 3]).xs, 2),
    "order": (lambda v: repr(ExponentialAdams(v)), 2),
    "stages": (lambda v: repr(ExponentialRK(v)), 3),
    "steps": (lambda v: repr(Langevin(ONE, v, 0.1)), 2),
    "repeats": (lambda v: repr(Restart(ONE, GRID, v)), 2),
    "window": (lambda v: repr(Picard(Euler(), v)), 2),
    "eta": (lambda v: repr(Ancestral(ONE, v)), 1),
    "churn": (lambda v: repr(Churn(ONE, v)), 0.5),
    "a white seed": (lambda v: solve(NOISY, X, GRID, EulerMaruyama(), WhiteNoise(v)).x, 3),
    "a seed of a tree": (lambda v: solve(NOISY, X, GRID, EulerMaruyama(), BrownianTree(X, 0, 1, v)).x, 3),
    "a seed": (lambda v: standard_normal(X, v), 3),
    "n": (lambda v: Heun().evaluations(v), 3),
    "nfe": (lambda v: Heun().steps(v), 7),
}


@pytest.mark.parametrize("case", SAME)
def test_a_number_is_the_same_in_numpy_and_torch(case: str) -> None:
    call, value = SAME[case]
    expected = call(int(value) if value == int(value) else value)
    for kind in kinds(value):
        if "seed" in case and getattr(kind, "ndim", 0):
            continue  # seeds of one sample
        found = call(kind)
        assert torch.equal(found, expected) if isinstance(found, Tensor) else found == expected


def test_seeds_in_any_sequence_are_the_same() -> None:
    expected = standard_normal(X, [5, 2, 2**63])
    assert not torch.equal(expected[0], expected[1])
    for seeds in ((5, 2, 2**63), np.array([5, 2, 2**63], dtype=np.uint64), [np.int64(5), torch.tensor(2), 2.0**63]):
        assert torch.equal(standard_normal(X, seeds), expected)
    same_seeds = torch.tensor([5, 2, 7])
    assert torch.equal(standard_normal(X, same_seeds), standard_normal(X, [5, 2, 7]))
    assert torch.equal(standard_normal(X, same_seeds.to(torch.uint8)), standard_normal(X, [5, 2, 7]))
    ends = [solve(NOISY, X, GRID, EulerMaruyama(), BrownianTree(X, 0, 1, s)).x for s in (same_seeds, [5, 2, 7])]
    assert torch.equal(*ends)


@pytest.mark.parametrize("backwards", [False, True])
def test_saved_times_are_found_within_rounding(backwards: bool) -> None:
    """0.1 + 0.2 is no 0.3, and a grid in single precision has no 0.3 at all."""
    double = [k / 10 for k in range(11)]
    asked = [0.1 + 0.2, 7 * 0.1, 3 * 0.3, sum([0.1] * 10)]
    assert all(t not in double for t in asked)
    single = torch.linspace(0.0, 1.0, 11).tolist()
    for grid in (double, single):
        order = slice(None, None, -1 if backwards else 1)
        found = solve(DECAY, X, grid[order], Heun(), save=asked[order])
        whole = solve(DECAY, X, grid[order], Heun(), save=True)
        places = [grid[order].index(grid[k]) for k in (3, 7, 9, 10)[order]]
        assert found.ts.tolist() == [grid[order][k] for k in places]
        assert torch.equal(found.xs, whole.xs[places])
    adaptive = solve(DECAY, X, Adaptive(0.0, 0.3, rtol=1e-3, atol=1e-3), Dopri5(), save=[0.1, 0.1 + 0.2])
    assert adaptive.ts.tolist() == [0.1, 0.3]
    assert torch.equal(adaptive.xs[-1], adaptive.x)


def test_times_may_be_close() -> None:
    """Rounding does not make them equal, and steps so short that their product is zero do not turn back."""
    times = [0.0, 1e-200, 2e-200, 3e-200]
    solution = solve(DECAY, X, times, Euler(), save=[1e-200, 3e-200])
    assert solution.ts.tolist() == [1e-200, 3e-200]
    near = [0.0, 0.5, math.nextafter(0.5, 1.0), 1.0]
    assert solve(DECAY, X, near, Euler(), save=near).ts.tolist() == near


def test_the_largest_number_of_steps_is_found_at_once() -> None:
    assert Heun().steps(2 * 10**12 + 1) == 10**12
    assert ExponentialAdams(4).steps(9) == 7
    assert ExponentialAdams(4, corrector=True).steps(9) == 1
    assert TorchSDE("srk").steps(100) == 0
    assert Heun().steps(0) == 0


# What is refused

TREE = BrownianTree(X, 0.0, 1.0)
RISING = FunctionClock(lambda t: 1.0 + t, lambda t: t)
REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a class for a solver": (lambda: solve(DECAY, X, GRID, ExponentialAdams), TypeError, "but got ExponentialAdams"),
    "a class for an equation": (lambda: solve(ODE, X, GRID, Heun()), TypeError, "equation is the class ODE"),
    "a class for noise": (lambda: solve(NOISY, X, GRID, EulerMaruyama(), WhiteNoise), TypeError, "class WhiteNoise"),
    "noise for nothing": (lambda: solve(DECAY, X, GRID, Heun(), "noise"), TypeError, "noise must be WhiteNoise"),
    "a complex state": (lambda: solve(DECAY, X + 0j, GRID, Heun()), TypeError, r"torch\.view_as_real\(x\)"),
    "two states": (lambda: solve(DECAY, (X, X), GRID, Heun()), TypeError, r"torch\.cat"),
    "a sparse state": (lambda: solve(DECAY, X.to_sparse(), GRID, Heun()), TypeError, r"x\.to_dense\(\)"),
    "a state without values": (lambda: solve(DECAY, X.to("meta"), GRID, Heun()), ValueError, "device meta"),
    "endless times": (lambda: solve(DECAY, X, count(), Heun()), ValueError, "more than 1000001 entries"),
    "too many times": (lambda: solve(DECAY, X, torch.arange(2e6), Heun()), ValueError, "2000000 entries"),
    "a text for times": (lambda: solve(DECAY, X, "0 1", Heun()), TypeError, "times is '0 1'"),
    "one number for times": (lambda: solve(DECAY, X, 1.0, Heun()), TypeError, "times is 1.0"),
    "no numbers for times": (lambda: solve(DECAY, X, [0.0, None], Heun()), TypeError, r"times\[1\] is None"),
    "times beyond floats": (lambda: solve(DECAY, X, [-1e308, 1e308], Heun()), ValueError, "longer than floats"),
    "no interval": (lambda: Adaptive(-1e308, 1e308, rtol=1e-3, atol=1e-3), ValueError, "finite distance"),
    "a text for a time": (lambda: Adaptive("0", 1.0, rtol=1e-3, atol=1e-3), TypeError, "t0 is '0'"),
    "half an evaluation": (lambda: solve(DECAY, X, GRID, Heun(), max_nfe=9.5), ValueError, "max_nfe is 9.5"),
    "no evaluation": (lambda: solve(DECAY, X, GRID, Heun(), max_nfe=0), ValueError, "max_nfe is 0, but must be"),
    "a number for a flag": (lambda: solve(DECAY, X, GRID, Heun(), progress=1), TypeError, "progress is 1"),
    "a text for a flag": (lambda: solve(DECAY, X, GRID, Heun(), checkpoint="no"), TypeError, "checkpoint is 'no'"),
    "one saved time": (lambda: solve(DECAY, X, GRID, Heun(), save=0.5), TypeError, "save is 0.5"),
    "a saved time twice": (lambda: solve(DECAY, X, GRID, Heun(), save=[0.5, 0.5 + 1e-9]), ValueError, "strictly mono"),
    "a saved time beside": (lambda: solve(DECAY, X, GRID, Heun(), save=[0.4]), ValueError, "not on the grid"),
    "a saved time outside": (lambda: solve(DECAY, X, GRID, Heun(), save=[0.5, 1.1]), ValueError, "outside the solve"),
    "a saved time of nan": (lambda: solve(DECAY, X, GRID, Heun(), save=[math.nan]), ValueError, r"save\[0\] is nan"),
    "a class for a field": (lambda: ODE(nn.Identity), TypeError, "got the class Identity"),
    "a number for a diffusion": (lambda: SDE(lambda t, x: x, 0.5), TypeError, "diffusion is of type float"),
    "an unknown calculus": (lambda: SDE(len, len, calculus="Ito"), ValueError, "choose one of ito, stratonovich"),
    "a number for a scale": (lambda: FunctionClock(1.0, torch.exp), TypeError, "scale_of is of type float"),
    "a text for in_log": (lambda: FunctionClock(torch.exp, torch.exp, in_log="no"), TypeError, "in_log is 'no'"),
    "a path without sigma": (lambda: Semilinear(len, RISING, noising=3), TypeError, "noising is a int without alpha"),
    "a number for a basis": (lambda: Semilinear(len, RISING, basis=3), TypeError, "basis is of type int"),
    "a scale of one number": (
        lambda: solve(Semilinear(lambda t, x: x, FunctionClock(lambda t: 1.0, torch.exp)), X, GRID, ONE),
        TypeError,
        "clock's scale returned float; return a tensor, such as torch.ones_like",
    ),
    "rates of one number": (
        lambda: solve(Semilinear(lambda t, x: x, FunctionClock(lambda t: 1.0, torch.exp)), X, GRID, Heun()),
        TypeError,
        "function of the clock returned float",
    ),
    "a gain of another shape": (
        lambda: solve(Semilinear(lambda t, x: x, FunctionClock(torch.exp, lambda t: t[:1])), X, GRID, ONE),
        ValueError,
        r"clock's gain returned torch.float64 of shape \(1,\) for times of shape \(4,\)",
    ),
    "a gain of nan": (
        lambda: solve(Semilinear(lambda t, x: x, FunctionClock(torch.exp, lambda t: t / t)), X, GRID, ONE),
        ValueError,
        "clock's gain is nan at t = 0; keep the times away",
    ),
    "a path backwards": (lambda: BrownianTree(X, 1.0, 0.0), ValueError, "needs finite t0 < t1"),
    "a tree of a list": (lambda: BrownianTree([1.0], 0.0, 1.0), TypeError, "like is"),
    "an area of one": (lambda: BrownianTree(X, 0.0, 1.0, area=1), TypeError, "area is 1"),
    "a fine resolution": (lambda: BrownianTree(X, 0.0, 1.0, resolution=0.0), ValueError, "resolution is 0"),
    "a tree that ends early": (
        lambda: solve(NOISY, X, [0.0, 0.5, 1.5], EulerMaruyama(), TREE),
        ValueError,
        r"way from 0 to 1\.5 leaves the BrownianTree's interval",
    ),
    "an extra number below zero": (lambda: TREE.extra(-1, X), ValueError, "index is -1"),
    "parts of seeds": (lambda: standard_normal(X, [0.1, 0.2, 0.3]), ValueError, r"seed\[0\] is 0.1"),
    "a seed of a text": (lambda: standard_normal(X, "123"), TypeError, "seed is '123'"),
    "a white seed of a text": (lambda: WhiteNoise("1"), TypeError, "seed is '1'"),
    "half a seed": (lambda: WhiteNoise(0.5), ValueError, "seed is 0.5"),
    "a seed of 65 bits": (lambda: standard_normal(X, 2**64), ValueError, "seed is 18446744073709551616"),
    "seeds of 65 bits": (lambda: standard_normal(X, [0, 1, -(2**64)]), ValueError, r"seed\[2\]"),
    "a true seed": (lambda: standard_normal(X, True), TypeError, "seed is True"),
    "too few seeds": (lambda: standard_normal(X, torch.tensor([1, 2])), ValueError, "2 seeds were given for 3"),
    "seeds in two dimensions": (lambda: standard_normal(X, torch.ones(3, 1).long()), ValueError, "must be 1-D"),
    "an order of a text": (lambda: ExponentialAdams("2"), TypeError, "order is '2'"),
    "half an order": (lambda: ExponentialRK(2.5), ValueError, "order is 2.5"),
    "order 0": (lambda: ExponentialAdams(0), ValueError, "orders 1, 2, 3 and 4"),
    "order a million": (lambda: ExponentialRK(10**6), ValueError, "orders 2, 3 and 4"),
    "corrector = 1": (lambda: ExponentialAdams(2, corrector=1), TypeError, "corrector is 1"),
    "a billion corrections": (lambda: Langevin(ONE, 10**9, 0.1), ValueError, "whole number from 0 to 1000000"),
    "a size without end": (lambda: Langevin(ONE, 1, math.inf), ValueError, "size is inf"),
    "a billion repeats": (lambda: Restart(ONE, GRID, 10**9), ValueError, "repeats is 1000000000"),
    "a billion steps at once": (lambda: Picard(Euler(), 10**9), ValueError, "window is 1000000000"),
    "a tolerance of nan": (lambda: Picard(Euler(), 2, math.nan), ValueError, "tolerance is nan"),
    "churn of nan": (lambda: Churn(ONE, math.nan), ValueError, "churn is nan"),
    "eta of nan": (lambda: Ancestral(ONE, math.nan), ValueError, "eta is nan"),
    "a class to halve": (lambda: Halving(Heun), TypeError, "goes around a one-step solver"),
    "an unknown SciPy method": (lambda: SciPy("rk45"), ValueError, "Unknown SciPy method 'rk45'; choose one of RK23"),
    "no SciPy method": (lambda: SciPy(["RK45"]), ValueError, "Unknown SciPy method"),
    "an unknown torchsde method": (lambda: TorchSDE("euler2"), ValueError, "Unknown torchsde method"),
    "numbers for parameters": (
        lambda: TorchDiffEq("rk4", adjoint=True, parameters=[1.0]),
        TypeError,
        "one of the adjoint's parameters is of type float",
    ),
    "a tableau of nan": (lambda: ButcherTableau(1, (0.0,), ((),), (math.nan,)), ValueError, r"b\[0\] is nan"),
    "a tableau of order 13": (lambda: ButcherTableau(13, (0.0,), ((),), (1.0,)), ValueError, "from 1 to 12"),
    "half a pair": (lambda: ButcherTableau(1, (0.0,), ((),), (1.0,), embedded_order=0), ValueError, "embedded_b"),
    "dense weights too many": (lambda: ButcherTableau(1, (0.0,), ((),), (1.0,), dense=(1.0, 2.0)), ValueError, "dense"),
    "no rows": (lambda: ButcherTableau(1, (0.0,), 3, (1.0,)), TypeError, "a is of type int"),
    "a stage that looks ahead": (
        lambda: ExponentialTableau("T", 2, (0.0, 0.5), ({1: {(1, 1): 1.0}},), *_WEIGHTS),
        ValueError,
        r"stage in a\[0\] is 1, but must be a whole number from 0 to 0",
    ),
    "φ₅": (lambda: ExponentialTableau("T", 1, (0.0,), (), {0: {(5, -1): 1.0}}, {}, (0,)), ValueError, "k is 5"),
    "order 5": (lambda: ExponentialTableau("T", 5, (0.0,), (), {}, {}, (0,)), ValueError, "order is 5"),
    "weights of nan": (
        lambda: ExponentialTableau("T", 1, (0.0,), (), {0: {(1, -1): math.nan}}, {}, (0,)),
        ValueError,
        r"b\[0\]\[\(1, -1\)\] is nan",
    ),
    "no dense stage": (
        lambda: ExponentialTableau("T", 1, (0.0,), (), {0: {(1, -1): 1.0}}, {0: {(1, -1): 1.0}}, ()),
        ValueError,
        "dense names the stages",
    ),
    "equal nodes": (lambda: interpolated(-1, 1.0, {0: 0.5, 1: 0.5}), ValueError, "different nodes"),
    "abilities of a text": (lambda: Abilities(order="2"), TypeError, "order is '2'"),
    "unknown noises": (lambda: Abilities(2, noises=frozenset({"white"})), ValueError, "Unknown noise 'white'"),
    "a solver unrolled by class": (lambda: unroll(DECAY, GRID, Heun), TypeError, "not made of steps"),
    "a field unrolled": (lambda: unroll(lambda t, x: x, GRID, Heun()), TypeError, "wrap a field as ODE"),
    "no scheme": (lambda: same(unroll(DECAY, GRID, Heun()), 3), TypeError, "second is of type int; give a Scheme"),
    "a scheme and no state": (lambda: unroll(DECAY, GRID, Heun()).run(DECAY, [1.0]), TypeError, "x is"),
    "a scheme and a flag": (lambda: unroll(DECAY, GRID, Heun()).run(DECAY, X, save=2), TypeError, "save is 2"),
    "a scheme and no noise": (lambda: unroll(DECAY, GRID, Heun()).run(DECAY, X, 3), TypeError, "noise must be Wh"),
    "steps below zero": (lambda: Heun().evaluations(-1), ValueError, "n is -1"),
}
_WEIGHTS: tuple[Any, ...] = (DPM_SOLVER_2.b, DPM_SOLVER_2.embedded_b, (0, 1))


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_gets_one_sentence(case: str) -> None:
    call, kind, sentence = REFUSED[case]
    with pytest.raises(kind, match=sentence) as refusal:
        call()
    assert "\n" not in str(refusal.value)
