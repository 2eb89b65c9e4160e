"""Tolerances of each component and norms: padding and scales change no step."""

from __future__ import annotations

import copy
import doctest
import math
import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torchdiffeq
from scipy.integrate import solve_ivp
from torch import Tensor

from fokker.solvers import (
    ODE,
    Adaptive,
    Dopri5,
    ExponentialRK,
    Field,
    Halving,
    Heun,
    PlainClock,
    SciPy,
    Semilinear,
    Solver,
    Time,
    TorchDiffEq,
    solve,
)
from fokker.solvers.common import Array
from fokker.solvers.loop import adaptive
from fokker.solvers.solution import Solution

LENGTHS = [3, 5, 2, 5]
MASK = torch.tensor([[1.0] * n + [0.0] * (8 - n) for n in LENGTHS], dtype=torch.float64)
X = MASK * torch.linspace(0.5, 2.0, 32, dtype=torch.float64).reshape(4, 8)
RATES = torch.tensor([1.0, 3.0, 10.0, 2.0, 5.0, 1.0, 1.0, 1.0], dtype=torch.float64)


def over_entries(scaled: Tensor) -> Tensor:
    """The root mean square over the entries that are no padding; it sees the whole batch."""
    return ((MASK * scaled**2).sum(1) / MASK.sum(1)).sqrt()


def field(t: Time, x: Tensor) -> Tensor:
    """Elementwise and not linear; the padding stays zero."""
    when = t[:, None] if isinstance(t, Tensor) else t
    return -RATES[: x.shape[1]] * torch.sin(x) * (1.0 + when)


def equation(solver: Solver) -> ODE | Semilinear:
    return Semilinear(field, PlainClock()) if solver.semilinear else ODE(field)


@pytest.mark.parametrize("solver", [Heun(), Dopri5(), ExponentialRK(3), Halving(Heun())])
def test_padding_changes_no_step_of_a_sample(solver: Solver) -> None:
    """To rounding: each sample of a padded batch takes the steps that it takes alone and without padding.

    With the plain norm it takes fewer, because the zeros of the padding make the mean smaller.
    """
    times = Adaptive(0.0, 1.0, rtol=1e-5, atol=1e-5, per_sample=True, norm=over_entries)
    padded = solve(equation(solver), X, times, solver)
    for i, n in enumerate(LENGTHS):
        alone = solve(equation(solver), X[i : i + 1, :n], replace(times, norm="rms"), solver)
        assert padded.nfe.per_sample[i] == alone.nfe
        torch.testing.assert_close(padded.x[i, :n], alone.x[0], rtol=0.0, atol=1e-13)
    plain = solve(equation(solver), X, replace(times, norm="rms"), solver)
    assert (plain.nfe.per_sample < padded.nfe.per_sample).all()


@pytest.mark.parametrize("solver", [Dopri5(), ExponentialRK(3), Halving(Heun()), TorchDiffEq("dopri5")])
def test_padding_changes_no_step_of_a_batch(solver: Solver) -> None:
    """All samples have five entries: to rounding, the steps are those of the batch without its padding.

    With the plain norm they are longer.
    """
    x, mask = X[:, :5].abs() + 0.1, torch.ones(4, 8, dtype=torch.float64)
    mask[:, 5:] = 0.0
    padded = torch.cat([x, torch.zeros(4, 3, dtype=torch.float64)], dim=1)

    def norm(scaled: Tensor) -> Tensor:
        return ((mask * scaled**2).sum(1) / mask.sum(1)).sqrt()

    times = Adaptive(0.0, 1.0, rtol=1e-5, atol=1e-5)
    short = solve(equation(solver), x, times, solver)
    long = solve(equation(solver), padded, replace(times, norm=norm), solver)
    torch.testing.assert_close(long.ts, short.ts, rtol=1e-11, atol=0.0)
    torch.testing.assert_close(long.x[:, :5], short.x, rtol=0.0, atol=1e-13)
    assert solve(equation(solver), padded, times, solver).ts[1] > long.ts[1]


SCALES = torch.tensor([1.0, 2.0**20, 2.0**-30, 2.0**7], dtype=torch.float64)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("solver", [Heun(), Dopri5(), ExponentialRK(3), TorchDiffEq("dopri5")])
def test_scales_change_no_step(solver: Solver, per_sample: bool) -> None:
    """Bitwise, because the scales are powers of 2: y = S x with the tolerance S atol takes the steps of x."""
    if per_sample and not solver.timewise:
        pytest.skip("it has no steps of each sample")
    x = X[:, :4].abs() + 0.1
    times = Adaptive(0.0, 1.0, rtol=1e-4, atol=1e-5, per_sample=per_sample)
    of_x = solve(equation(solver), x, times, solver)

    def scaled(t: Time, y: Tensor) -> Tensor:
        return SCALES * field(t, y / SCALES)

    of_y = Semilinear(scaled, PlainClock()) if solver.semilinear else ODE(scaled)
    for atol in (1e-5 * SCALES, (1e-5 * SCALES).expand(4, 4)):
        found = solve(of_y, SCALES * x, replace(times, atol=atol), solver)
        assert torch.equal(found.x, SCALES * of_x.x)
        assert torch.equal(found.ts, of_x.ts)
        assert torch.equal(found.nfe.per_sample, of_x.nfe.per_sample)


def test_a_tolerance_of_each_sample_leaves_with_it() -> None:
    """Bitwise: each sample takes the steps that it takes alone with its own tolerances."""
    x, atol = X[:, :4].abs() + 0.1, torch.tensor([[1e-3], [1e-5], [1e-7], [1e-9]], dtype=torch.float64)
    rtol = atol.flip(0)
    times = Adaptive(0.0, 1.0, rtol=rtol, atol=atol, per_sample=True)
    together = solve(ODE(field), x, times, Dopri5())
    for i in range(4):
        own = replace(times, rtol=rtol[i].item(), atol=atol[i].item())
        alone = solve(ODE(field), x[i : i + 1], own, Dopri5())
        assert torch.equal(alone.x[0], together.x[i])
        assert alone.nfe == together.nfe.per_sample[i]


@pytest.mark.parametrize("method", SciPy.METHODS)
def test_scipy_takes_an_atol_of_each_component(method: str) -> None:
    x, atol = X[:2, :3].abs() + 0.1, torch.tensor([1e-4, 1e-6, 1e-9], dtype=torch.float64)

    def of_vectors(t: float, y: Array) -> Array:
        found: Array = field(t, torch.from_numpy(y).reshape(2, 3)).flatten().numpy()
        return found

    direct = solve_ivp(of_vectors, (0.0, 1.0), x.flatten().numpy(), method, rtol=1e-5, atol=atol.repeat(2).numpy())
    found = solve(ODE(field), x, Adaptive(0.0, 1.0, rtol=1e-5, atol=atol), SciPy(method))
    assert found.ts.tolist() == direct.t.tolist()
    torch.testing.assert_close(found.x.flatten(), torch.from_numpy(direct.y[:, -1]), rtol=1e-14, atol=1e-15)


def test_torchdiffeq_takes_tolerances_of_each_component() -> None:
    x, ends = X[:2, :3].abs() + 0.1, torch.tensor([0.0, 1.0], dtype=torch.float64)
    atol, rtol = torch.tensor([1e-4, 1e-6, 1e-9], dtype=torch.float64), torch.tensor([[1e-3], [1e-7]]).double()

    def of_numbers(t: Tensor, x: Tensor) -> Tensor:
        return field(t.item(), x)

    options: dict[str, Any] = {"method": "dopri5", "options": {"step_t": ends[-1:]}}
    direct = torchdiffeq.odeint(of_numbers, x, ends, rtol=rtol, atol=atol, **options)
    found = solve(ODE(field), x, Adaptive(0.0, 1.0, rtol=rtol, atol=atol), TorchDiffEq("dopri5"))
    assert torch.equal(found.x, direct[-1])


def test_norms_by_hand() -> None:
    """s = e/(atol + rtol |x|), with one component that has no error and is allowed none."""
    error = torch.tensor([[3.0, 0.0], [1.0, -8.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0], [2.0, 4.0]], dtype=torch.float64)
    scaled = [[3.0, 0.0], [0.5, -2.0]]
    for per_sample in (False, True):
        times = Adaptive(0.0, 1.0, rtol=1.0, atol=0.0, per_sample=per_sample)
        assert times.scaled(error, 0.5 * x, x).tolist() == scaled
        of_samples = {"rms": [math.sqrt(4.5), math.sqrt(4.25 / 2.0)], "max": [3.0, 2.0]}
        of_all = {"rms": [math.sqrt(13.25 / 4.0)], "max": [3.0]}
        for norm in ("rms", "max"):
            expected = (of_samples if per_sample else of_all)[norm]
            assert replace(times, norm=norm).norms(error, x, x) == pytest.approx(expected, rel=1e-15)
        largest = replace(times, norm=lambda s: s.abs().amax(1))
        expected = of_samples["max"] if per_sample else [math.sqrt(6.5)]
        assert largest.norms(error, x, x) == pytest.approx(expected, rel=1e-15)


def test_one_of_the_tolerances_may_be_zero() -> None:
    """x' = −x: relative errors alone, absolute ones alone, and a component that rests at zero."""
    x = torch.tensor([[1.0, 1e-30, 0.0]], dtype=torch.float64)
    for rtol, atol, bound in ((1e-8, 0.0, 1e-6 * x), (0.0, 1e-8, torch.full_like(x, 1e-6))):
        times = Adaptive(0.0, 1.0, rtol=rtol, atol=atol)
        assert ((solve(ODE(lambda t, x: -x), x, times, Dopri5()).x - x / math.e).abs() <= bound).all()
    times = Adaptive(0.0, 1.0, rtol=1e-8, atol=0.0)
    with pytest.raises(ValueError, match="With atol = 0 no error is allowed where the state is zero"):
        solve(ODE(lambda t, x: torch.ones_like(x)), x, times, Dopri5())


def own_norm(scaled: Tensor) -> Tensor:
    return scaled.abs().amax(1)


def test_times_with_tensors_are_data() -> None:
    """They copy, pickle and compare; a change of what was given afterwards changes nothing."""
    atol = torch.tensor([1e-3, 1e-5])
    times = Adaptive(0.0, 1.0, rtol=1e-3, atol=atol, norm=own_norm)
    for twin in (copy.deepcopy(times), pickle.loads(pickle.dumps(times)), replace(times)):  # noqa: S301  # our own
        assert twin == times
        assert hash(twin) == hash(times)
        assert "own_norm" in repr(twin)
    assert times != replace(times, atol=2.0 * atol)
    assert times != replace(times, atol=1e-3)
    assert times != replace(times, norm="max")
    assert times != "times"
    atol.zero_()
    assert times.atol.tolist() == [pytest.approx(1e-3), pytest.approx(1e-5)]
    assert Adaptive(0, 1, rtol=np.float64(1e-3), atol=torch.tensor(1e-3)).rtol == 1e-3


def run(**changed: Any) -> Solution:
    solver, x = changed.pop("solver", Dopri5()), changed.pop("x", X)
    return solve(ODE(field), x, Adaptive(0.0, 1.0, **{"rtol": 1e-3, "atol": 1e-3} | changed), solver)


each = torch.full((8,), 1e-3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("changed", "kind", "sentence"),
    [
        ({"norm": "l2"}, ValueError, "Unknown norm 'l2'; choose one of rms, max"),
        ({"norm": 2}, TypeError, "norm is of type int; give 'rms', 'max', or a function"),
        ({"norm": torch.nn.Identity}, TypeError, "norm is the class Identity"),
        ({"norm": lambda s: s}, ValueError, r"norm returned shape \(4, 8\).*return one number a sample, \(4,\)"),
        ({"norm": lambda s: 1.0}, ValueError, "norm returned float"),
        ({"atol": each[:3]}, ValueError, r"atol has shape \(3,\), which does not broadcast to the state's, \(4, 8\)"),
        ({"rtol": each.expand(2, 4, 8)}, ValueError, r"rtol has shape \(2, 4, 8\), which does not broadcast"),
        ({"rtol": each, "atol": each[:3]}, ValueError, r"shapes \(8,\) and \(3,\) do not broadcast; match them"),
        ({"atol": each - 1.0}, ValueError, "atol has the negative entry -0.999"),
        ({"atol": each / 0.0}, ValueError, r"atol is inf at \[0\]"),
        ({"atol": each.long()}, TypeError, "atol is torch.int64"),
        ({"rtol": math.nan}, ValueError, "rtol is nan"),
        ({"rtol": -1e-3}, ValueError, "rtol is -0.001"),
        ({"rtol": "1e-3"}, TypeError, "rtol is '1e-3'"),
        ({"rtol": 0.0, "atol": each * MASK[0]}, ValueError, "rtol and atol are both zero"),
        ({"rtol": 1e-20 * each, "atol": 1e-20 * each}, ValueError, "rtol and atol lie below the rounding"),
        ({"rtol": 1e-20, "atol": 1e-20 * each}, ValueError, "^rtol = 1e-20 lie"),
        ({"atol": each.clone().requires_grad_()}, ValueError, "atol requires a gradient"),
        ({"norm": "max", "solver": SciPy("RK45")}, ValueError, "SciPy measures errors by its own norm"),
        ({"rtol": each, "solver": SciPy("RK45")}, ValueError, "SciPy takes one rtol for all components"),
        (
            {"atol": each, "solver": TorchDiffEq("dopri5", adjoint=True, parameters=())},
            ValueError,
            "adjoint takes one rtol and one atol",
        ),
        ({"per_sample": 1}, TypeError, "per_sample is 1, but must be True or False"),
        ({"control": "P"}, ValueError, "Unknown control 'P'"),
    ],
)
def test_what_no_tolerance_is_gets_one_sentence(changed: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        run(**changed)


def test_the_example_of_a_norm_runs() -> None:
    found = doctest.testmod(adaptive, globs={"torch": torch, "Tensor": Tensor, "Adaptive": Adaptive})
    assert found.failed == 0 < found.attempted


@dataclass(frozen=True)
class Counted(Field):
    """`field`, of which samples are left."""

    seen: list[int]

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        return field(t, x)


def test_a_norm_sees_all_samples_at_their_places() -> None:
    seen: list[tuple[int, ...]] = []

    def norm(scaled: Tensor) -> Tensor:
        seen.append(tuple(scaled.shape))
        return over_entries(scaled)

    counted = Counted([])
    solve(ODE(counted), X, Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=True, norm=norm), Dopri5())
    assert {*seen} == {(4, 8)}
    assert min(counted.seen) < 4
