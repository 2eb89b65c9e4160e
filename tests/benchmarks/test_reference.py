"""The references that errors are measured against: what they say of their own error is true."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fokker.benchmarks.problems import Problem, problem, problem_of
from fokker.benchmarks.reference import Reference, keep, reference, stored
from fokker.generative import VP, CondOT, Denoiser, flow
from fokker.generative.equations import grids
from fokker.generative.training import read, write
from fokker.solvers import Heun, solve
from fokker.verification import Gaussian
from fokker.verification.oracles import Rounding, White, perturbed
from fokker.verification.statistics import rms

ORACLE = Gaussian(
    torch.tensor([1.0, -1.0, 0.5, 0.0], dtype=torch.float64),
    torch.diag(torch.tensor([0.02, 0.2, 1.0, 2.0], dtype=torch.float64) ** 2),
)


def prepare(problem: Problem, samples: int, seed: int, effort: int = 20_000, *, folder: Path) -> Reference:
    found = reference(problem, samples, seed, effort)
    keep(found, problem, samples, seed, folder=folder)
    return found


def made(denoiser: Denoiser, dim: int = 4) -> Problem:
    return Problem("own", "my own", denoiser, (dim,), 64)


def exact(of: Problem, samples: int = 64) -> Tensor:
    """The flow of the law itself."""
    return ORACLE.flow_map(of.noise(samples, 0), of.start, of.end, of.path)


def errors(found: Reference, truth: Tensor) -> Tensor:
    return (found.solution - truth).square().mean(1).sqrt()


@pytest.mark.parametrize("name", ["gaussian", "ring", "mixture64"])
def test_two_methods_agree_on_a_smooth_field(name: str) -> None:
    found = reference(problem(name), 4, seed=0)
    assert found.settled
    assert found.floor <= 1e-8 * rms(found.solution)
    assert found.solution.shape == (4, *problem(name).shape)
    assert found.floors.shape == (4,)
    assert found.floor == pytest.approx(rms(found.floors), rel=1e-12)


def test_a_flow_map_in_closed_form_is_the_reference() -> None:
    """Its error is that of rounding, far below the floor."""
    one = replace(made(ORACLE.denoiser(VP())), exact=lambda x: ORACLE.flow_map(x, 0.0, VP().time(12.0), VP()))
    assert torch.equal(reference(one, 64, 0).solution, one.exact(one.noise(64, 0)))
    assert reference(one, 64, 0).methods.startswith("exact flow map")
    own = made(ORACLE.denoiser(VP()))
    found = reference(own, 64, 0)
    assert errors(found, exact(own)).max() < 1e-8


@pytest.mark.parametrize("path", [CondOT(), VP()], ids=["CondOT", "VP"])
@pytest.mark.parametrize(
    ("error", "low", "high"),
    [
        pytest.param(White(0.05), 1e-3, 2e-2, id="white"),
        pytest.param(Rounding(torch.bfloat16), 2e-5, 5e-4, id="bfloat16"),
        pytest.param(Rounding(torch.float32), 5e-10, 2e-8, id="float32"),
    ],
)
def test_the_floor_of_an_imperfect_network_is_the_error_of_its_reference(
    error: White | Rounding, low: float, high: float, path: CondOT | VP
) -> None:
    """Independent errors of size s average out, to about s/√N after N evaluations, and their flow is that of the law.

    Dopri5 sees one evaluation where the Adams method sees another, so that their difference is the root of the sum of
    two squared errors, of which the reference has the smaller: it is below the floor, as a mean over 64 numbers.
    """
    rough = made(perturbed(ORACLE, error, path))
    found = reference(rough, 16, 0, effort=2500)
    wrong = errors(found, exact(rough, 16))
    assert low < found.floor < high
    assert 0.1 * found.floor < rms(wrong) < found.floor
    assert float((wrong > 3.0 * found.floors).double().mean()) < 0.1
    if isinstance(error, White):
        assert found.methods.startswith("corrected ExponentialAdams(4)")


def test_results_above_the_floor_are_those_of_the_exact_field() -> None:
    """Heun's error at 6 steps is far above the floor: measured against the exact flow it is the same within that."""
    rough, smooth = made(perturbed(ORACLE, White(0.01), VP())), made(ORACLE.denoiser(VP()))
    found, truth = reference(rough, 16, 0, effort=2500), exact(smooth, 16)
    times = grids.log_snr(VP(), 6, t1=smooth.end)
    end = solve(flow(smooth.denoiser), smooth.noise(16, 0), times, Heun()).x
    error = rms(end - truth)
    assert error > 20.0 * found.floor
    assert abs(rms(errors(found, end)) - error) < found.floor


@pytest.mark.parametrize(("power", "gain"), [(0, 2.0), (1, 16.0)], ids=["jump", "kink"])
def test_a_field_with_a_kink_in_time(power: int, gain: float) -> None:
    """dx/dt = |t − c|, and its derivative, whose integrals are ((1 − c)² + c²)/2 and 1 − 2c.

    The kink lies at any place within a step: either method errs by up to about h or h²/2 there. From the first effort
    to the last the steps become 16 times as many; what is gained of h depends on the places, and is half at least.
    """
    c = 1.0 / 3.0 + 0.01

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        away = time - c
        return (away.abs() if power else away.sign())[:, None].expand_as(x)

    kinked = made(Denoiser(velocity, CondOT(), predicts="velocity"), dim=3)
    integral = ((1.0 - c) ** 2 + c**2) / 2.0 if power else 1.0 - 2.0 * c
    floors = []
    for effort in (500, 2500, 10_000):
        found = reference(kinked, 2, 0, effort)
        truth = kinked.noise(2, 0) + integral
        assert not found.settled
        assert rms(found.solution - truth) < 1.5 * found.floor
        floors.append(found.floor)
    assert floors[2] < floors[0] / gain
    assert found.ended == "spent"


def test_refining_ends_where_it_no_longer_pays() -> None:
    """Independent errors average out as the root of the number of evaluations: 32, 128 and 512 steps, and no more."""
    calls = 0
    network = perturbed(ORACLE, White(0.05), CondOT())

    def counted(x: Tensor, time: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return network.net(x, time)

    found = reference(made(Denoiser(counted, CondOT(), predicts="v")), 4, 0, effort=10**6)
    assert found.ended == "stalled"
    assert 12 * (32 + 128) < calls < 13 * (32 + 128 + 512) + 10  # + 10: where the field exists at all


@pytest.mark.parametrize("effort", [100, 391, 500, 3000])
def test_no_more_evaluations_than_allowed(effort: int) -> None:
    calls = 0
    network = ORACLE.denoiser(VP())

    def counted(x: Tensor, time: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return network.net(x, time)

    one = made(Denoiser(counted, VP(), predicts=network.predicts))
    assert one.start == 0.0
    calls = 0
    found = reference(one, 64, 0, effort)
    assert effort / 3 < calls <= effort or found.settled
    assert rms(errors(found, exact(one))) < 1.5 * found.floor


def test_a_network_that_is_not_finite_has_no_reference() -> None:
    """The error says where. One that is not finite on coarse grids alone has one."""

    def grown(x: Tensor, time: Tensor) -> Tensor:
        return x.square() * 1e3

    with pytest.raises(ArithmeticError, match=r"^No reference for 'own': .*not finite"):
        reference(made(Denoiser(grown, CondOT(), predicts="velocity")), 4, 0, effort=1000)

    def stiff(x: Tensor, time: Tensor) -> Tensor:
        return -10.0 * x * (1.0 + x.square()) ** 2

    found = reference(made(Denoiser(stiff, CondOT(), predicts="velocity")), 4, 0)
    assert found.floor < 1e-11 < found.solution.abs().max() < math.exp(-10.0)


def test_a_start_after_the_noise() -> None:
    """A network for ε has no flow at t = 0 of the straight path."""
    one = made(ORACLE.denoiser(CondOT(), predicts="eps"))
    assert one.start > 0.0
    found = reference(one, 64, 0)
    assert found.settled
    assert errors(found, exact(one)).max() < 1e-7


def test_a_reference_is_kept(tmp_path: Path) -> None:
    gaussian = problem("gaussian")
    assert stored(gaussian, 4, 3, folder=tmp_path) is None
    made = prepare(gaussian, 4, 3, folder=tmp_path)
    found = stored(gaussian, 4, 3, folder=tmp_path)
    assert found is not None
    assert torch.equal(found.solution, reference(gaussian, 4, 3).solution)
    assert torch.equal(found.floors, made.floors)
    assert (found.methods, found.ended, found.effort, found.seconds) == (
        made.methods, made.ended, made.effort, made.seconds,
    )
    assert stored(gaussian, 4, 2, folder=tmp_path) is None
    assert stored(gaussian, 5, 3, folder=tmp_path) is None
    assert stored(replace(gaussian, parameters=(torch.ones(1),)), 4, 3, folder=tmp_path) is None


def test_a_reference_that_was_short_of_evaluations_is_not_enough_for_twice_as_many(tmp_path: Path) -> None:
    ring = problem("ring")
    assert prepare(ring, 4, 0, 500, folder=tmp_path).ended == "spent"
    assert stored(ring, 4, 0, 999, folder=tmp_path) is not None
    assert stored(ring, 4, 0, 1000, folder=tmp_path) is None
    assert prepare(ring, 4, 0, folder=tmp_path).settled
    assert stored(ring, 4, 0, 10**9, folder=tmp_path) is not None
    assert len(list((tmp_path / "references").iterdir())) == 1


SOUND = {"solution": torch.zeros(4, 12).double(), "floors": torch.zeros(4).double()}


@pytest.mark.parametrize(
    ("tensors", "facts", "message"),
    [
        (SOUND | {"solution": torch.zeros(1, 12).double()}, {}, r"but must hold float64 of the shapes .*\(4, 12\)"),
        (SOUND | {"solution": torch.zeros(4, 12)}, {}, r"It holds .*float32.*must hold"),
        (SOUND | {"solution": torch.full((4, 12), math.nan).double()}, {}, r"The solution is nan at \[0, 0\]"),
        (SOUND | {"floors": torch.full((4,), math.inf).double()}, {}, r"The floors is inf at \[0\]"),
        (SOUND | {"other": torch.zeros(4)}, {}, "It holds .*other"),
        ({}, {}, r"It holds \{\}, but"),
        (SOUND, {"run": [4, 4]}, "belongs to another problem or to other initial noises"),
        (SOUND, {"problem": {}}, "belongs to another problem or to other initial noises"),
        (SOUND, {"ended": "agreed"}, "Unknown ended 'agreed'"),
        (SOUND, {"seconds": -1.0}, "seconds is -1"),
        (SOUND, {"effort": None}, "effort is None"),
        (SOUND, {"methods": 3}, "methods is of type int"),
        (SOUND, {"colour": 3}, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_no_reference_of_this_run_is_refused(
    tensors: dict[str, Tensor], facts: dict[str, object], message: str, tmp_path: Path
) -> None:
    gaussian = problem("gaussian")
    prepare(gaussian, 4, 3, folder=tmp_path)
    [file] = (tmp_path / "references").iterdir()
    _, sound = read(file)
    write(file, SOUND, sound)
    assert stored(gaussian, 4, 3, folder=tmp_path) is not None
    write(file, tensors, sound | facts)
    with pytest.raises(ValueError, match=rf"^{file}: .*{message}"):
        stored(gaussian, 4, 3, folder=tmp_path)


def test_every_bit_of_a_reference_counts(tmp_path: Path) -> None:
    gaussian, generator = problem("gaussian"), random.Random(0)
    prepare(gaussian, 4, 3, folder=tmp_path)
    [file] = (tmp_path / "references").iterdir()
    content = file.read_bytes()
    for place in generator.sample(range(len(content)), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << generator.randrange(8)
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=f"^{file} (is damaged|is no safetensors|carries no)"):
            stored(gaussian, 4, 3, folder=tmp_path)


def test_a_reference_of_a_network_that_is_trained_carries_no_gradient() -> None:
    layer = torch.nn.Linear(2, 2)
    denoiser = Denoiser(lambda x, time: layer(x.float()), CondOT(), predicts="velocity")
    found = reference(problem_of(denoiser, (2,)), 2, seed=0, effort=200)
    assert not found.solution.requires_grad
