"""`sample`: close to the exact flow at its default, each sample its own in every batch and chunk, within its budget."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN, MIXTURE

from fokker.generative import CFG, VE, VP, CondOT, Cosine, Denoiser, flow, load, named, sample
from fokker.generative.denoiser import EDM, Static
from fokker.generative.equations import grids
from fokker.generative.networks import MLP, UNet
from fokker.generative.paths import Polynomial
from fokker.generative.sampling import (
    PUBLISHED,
    Sampler,
    default_sampler,
    plan,
    regular_interval,
    resolve,
    sample_chunks,
)
from fokker.solvers import (
    RK4,
    SRA1,
    BrownianTree,
    Euler,
    Heun,
    Picard,
    Solver,
    Step,
    TorchDiffEq,
    solve,
    standard_normal,
    unroll,
)

DOUBLE = {"dtype": torch.float64}


class Elementwise:
    """A network without a matrix product: no rounding of it can depend on the batch. Its calls and rows are kept."""

    null_label = 10

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    @property
    def rows(self) -> int:
        return sum(map(len, self.inputs))

    def __call__(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self.inputs.append(x)
        broadcast = (-1, *(1,) * (x.ndim - 1))
        centre = 0.0 if label is None else label.reshape(broadcast) / 10.0
        return (x - centre).tanh() * (1.0 + t.reshape(broadcast))


def elementwise(predicts: str = "v", path: Any = None) -> Denoiser:
    return Denoiser(Elementwise(), VP() if path is None else path, predicts=predicts)


def test_the_default_goes_all_the_way() -> None:
    denoiser = GAUSSIAN.denoiser(CondOT())
    solver, times = default_sampler(denoiser, 20)
    assert (times[0], times[-1]) == (0.0, 1.0)
    assert repr(solver) == repr(resolve(None, denoiser, 20).solver)


def test_samples_follow_the_exact_flow() -> None:
    """Of Gaussian data; the error of the default at 40 evaluations is that of a third-order method, with h = 1/40."""
    path = CondOT()
    x = sample(GAUSSIAN.denoiser(path), (50, 2), nfe=40, seed=3, **DOUBLE)
    noise = standard_normal(torch.empty(50, 2, dtype=torch.float64), 3)
    torch.testing.assert_close(x, GAUSSIAN.flow_map(noise, 0.0, 1.0, path), rtol=0.0, atol=40.0**-3)


def test_the_default_is_robust_where_few_evaluations_are() -> None:
    """On a shipped network that predicts ε, where three uncorrected values are worse than DDIM at 10 to 20
    evaluations: two corrected ones are measured to be 6 times better at 8, and 12 and 26 times at 10 and 20."""
    denoiser, given = load("digits-eps"), {"shape": (10, 1, 8, 8), "label": range(10)}
    reference = sample(denoiser, nfe=100, **given)
    for nfe in (8, 10, 20):
        errors = [
            (sample(denoiser, nfe=nfe, sampler=sampler, **given) - reference).square().mean().sqrt().item()
            for sampler in (None, "ddim")
        ]
        assert 4.0 * errors[0] < errors[1]


@pytest.mark.parametrize("sampler", [None, "ddpm", "sde-dpm++2m", "edm-stochastic", "predictor-corrector", Heun()])
@pytest.mark.parametrize("seed", [4, [5, 6, 7, 8, 9, 10, 11]], ids=["one", "each"])
def test_no_bit_of_a_sample_depends_on_its_chunk(sampler: Any, seed: Any) -> None:
    """Nor on the batch: the noise at the start and on the way, and the label, are those of the sample."""
    labels = [3, 1, 4, 1, 5, 9, 2]
    given = {"nfe": 9, "seed": seed, "sampler": sampler, **DOUBLE}
    whole = sample(elementwise(), (7, 2, 3), label=labels, **given)
    for chunk in (1, 2, 3, 7, 100):
        assert torch.equal(sample(elementwise(), (7, 2, 3), label=labels, chunk=chunk, **given), whole)
    few = {**given, "seed": seed if isinstance(seed, int) else seed[:4]}
    assert torch.equal(sample(elementwise(), (4, 2, 3), label=labels[:4], **few), whole[:4])
    assert not (whole[0] - whole[1]).abs().lt(1e-3).any()


def test_a_seed_of_its_own_moves_with_the_sample() -> None:
    denoiser = GAUSSIAN.denoiser(VP())
    own = sample(denoiser, (3, 2), seed=[5, 6, 7], **DOUBLE)
    torch.testing.assert_close(sample(denoiser, (2, 2), seed=[7, 5], **DOUBLE), own[[2, 0]], rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("seed", [8, [1, 2, 3, 4, 5]], ids=["one", "each"])
@pytest.mark.parametrize("path", [VP(), VE()], ids=str)
def test_the_start_is_the_normals_of_the_seed(path: Any, seed: Any) -> None:
    denoiser = elementwise(path=path)
    sample(denoiser, (5, 3), nfe=1, seed=seed, chunk=2, **DOUBLE)
    noise = standard_normal(torch.empty(5, 3, dtype=torch.float64), seed)
    assert torch.equal(torch.cat(denoiser.net.inputs), path.sigma(0.0) * noise)


@pytest.mark.parametrize("name", ["ddpm", "euler-ancestral", "predictor-corrector"])
def test_a_stochastic_sampler_is_driven_by_the_path_of_its_seed(name: str) -> None:
    denoiser = MIXTURE.denoiser(VP())
    equation, times, solver = named(name)(denoiser, named(name).solver.steps(30))
    x = denoiser.path.sigma(0.0) * standard_normal(torch.empty(6, 2, dtype=torch.float64), 2)
    expected = solve(equation, x, times, solver, BrownianTree(x, 0.0, 1.0, 2)).x
    found = sample(denoiser, (6, 2), nfe=30, seed=2, sampler=name, chunk=6, **DOUBLE)
    assert torch.equal(found, expected)


def test_chunks_are_the_samples_in_order_and_made_when_asked_for() -> None:
    denoiser = elementwise()
    chunks = sample_chunks(denoiser.given(range(7)), (7, 3), nfe=2, chunk=3, **DOUBLE)
    assert denoiser.net.rows == 0
    first = next(chunks)
    assert denoiser.net.rows == 3 * 2
    rest = list(chunks)
    assert [len(first), *map(len, rest)] == [3, 3, 1]
    whole = sample(elementwise(), (7, 3), nfe=2, label=range(7), **DOUBLE)
    assert torch.equal(torch.cat([first, *rest]), whole)
    assert not whole.requires_grad


@pytest.mark.parametrize(("shape", "sizes"), [((4097, 2), [4096, 1]), ((3, 2, 512, 512), [2, 1])])
def test_a_chunk_is_by_default_4096_samples_or_a_million_numbers(shape: tuple[int, ...], sizes: list[int]) -> None:
    assert [len(x) for x in sample_chunks(elementwise(), shape, nfe=1)] == sizes


@pytest.mark.parametrize("nfe", [*range(1, 12), 14, 15, 16, 17, 20, 29, 30, 31, 41])
@pytest.mark.parametrize("guidance", [None, 2.0])
def test_the_budget_is_kept(nfe: int, guidance: float | None) -> None:
    """Rows that the network sees, per sample; guidance takes two of them a step. A step more would exceed it."""
    denoiser = elementwise("velocity", CondOT())
    cost = 1 if guidance is None else 2
    if nfe < cost:
        with pytest.raises(ValueError, match="less than one step, which takes 2 evaluations"):
            sample(denoiser, (4, 3), nfe=nfe, label=1, guidance=guidance)
        return
    x = sample(denoiser, (4, 3), nfe=nfe, label=1, guidance=guidance, chunk=3)
    assert x.shape == (4, 3)
    assert torch.isfinite(x).all()
    assert nfe - cost < denoiser.net.rows / 4 <= nfe


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("path", [VP(), CondOT()], ids=str)
def test_every_published_sampler_keeps_the_budget_on_every_path(name: str, path: Any) -> None:
    """A step takes up to three evaluations, of which those at an end where the clock is infinite may save two."""
    for nfe in (6, 13, 20):
        denoiser = elementwise(path=path)
        x = sample(denoiser, (2, 3), nfe=nfe, sampler=name, **DOUBLE)
        assert x.isfinite().all()
        assert nfe / 3 <= denoiser.net.rows / 2 <= nfe


@pytest.mark.parametrize(
    ("path", "predicts", "sampler", "expected"),
    [
        (CondOT(), "velocity", None, (0.0, 1.0)),
        (CondOT(), "v", None, (0.0, 1.0)),
        (CondOT(), "x0", None, (0.0, 1.0 / 1.002)),
        (CondOT(), "eps", None, (1.0 / 81.0, 1.0)),
        (CondOT(), "score", None, (1.0 / 81.0, 1.0 / 1.002)),
        (CondOT(), "velocity", Heun(), (0.0, 1.0)),
        (CondOT(), "velocity", "ddim", (0.0, 1.0 / 1.002)),  # holds x0, whose scale is σ
        (CondOT(), "velocity", "euler", (1.0 / 81.0, 1.0)),  # holds ε, whose scale is α
        (CondOT(), "velocity", "ddpm", (1.0 / 81.0, 1.0 / 1.002)),
        (VE(), "x0", None, (0.0, 1.0 - 0.002 / 80.0)),
        (VE(), "eps", None, (0.0, 1.0)),
        (VP(), "eps", None, (0.0, 1.0)),
        (VP(), "velocity", None, (0.0, VP().time(-2.0 * math.log(0.002)))),  # σ' is infinite at its end
        (VP(), "eps", Heun(), (0.0, VP().time(-2.0 * math.log(0.002)))),
        (Cosine(), "x0", None, (0.0, 1.0)),
        (Cosine(), "score", Heun(), (0.0, 1.0)),
        (CondOT(), "velocity", Sampler(Heun(), "x0"), (0.0, 1.0)),  # the drift, whatever is held
        (VP(), "velocity", Heun(), (0.0, 1.0)),  # the network's own
        (Polynomial(2.0), "velocity", None, (0.0, 1.0)),
        (Polynomial(2.0), "eps", None, (0.0, 1.0)),  # the drift of a path at rest is 0
        (CondOT(), "v", Sampler(SRA1(), "x0", 1.0), (1.0 / 81.0, 1.0 / 1.002)),  # q is infinite at its ends
    ],
)
def test_the_ends_are_the_last_times_where_a_sampler_can_start(
    path: Any, predicts: str, sampler: Any, expected: tuple[float, float]
) -> None:
    denoiser = elementwise(predicts, path)
    found = regular_interval(denoiser, resolve(sampler, denoiser, 20))
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("solver", [Heun(), RK4(), SRA1()], ids=repr)
@pytest.mark.parametrize("hold", ["x0", "eps", "velocity"])
@pytest.mark.parametrize("predicts", ["velocity", "v"])
def test_a_classical_solver_samples_and_has_a_table_whatever_is_held(solver: Any, hold: str, predicts: str) -> None:
    sampler = Sampler(solver, hold)
    made = plan(elementwise(predicts, CondOT()), sampler, 24)
    x, equation = torch.randn(3, 2, dtype=torch.float64), sampler.equation(made.denoiser)
    assert (made.times[0], made.times[-1]) == (0.0, 1.0)
    found = made.solve(x).x
    assert found.isfinite().all()
    torch.testing.assert_close(unroll(equation, made.times, solver).run(equation, x).x, found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("time", "regular"), [("t", True), ("log_snr", False), (lambda t: 1.0 / t, False)])
def test_a_clock_that_is_infinite_is_no_start(time: Any, regular: bool) -> None:
    denoiser = Denoiser(Elementwise(), CondOT(), predicts="velocity", time=time)
    assert (regular_interval(denoiser, resolve(None, denoiser, 20))[0] == 0.0) == regular


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"precondition": EDM(), "predicts": "x0"}, (1.0 / 81.0, 1.0 / 1.002)),  # its clock is log(σ/α)/4
        ({"threshold": Static(), "predicts": "v"}, (0.0, 1.0 / 1.002)),  # ε from x₀
    ],
)
def test_frames_and_thresholds_have_ends_of_their_own(more: dict[str, Any], expected: tuple[float, float]) -> None:
    denoiser = Denoiser(Elementwise(), CondOT(), **more)
    assert regular_interval(denoiser, resolve(None, denoiser, 20)) == pytest.approx(expected)
    assert sample(denoiser, (2, 3), **DOUBLE).isfinite().all()


def test_a_sampler_that_cannot_start_without_signal_starts_at_sigma_80() -> None:
    """Holding ε on the straight path, from σ ξ there; with 50 steps of third order over eleven units of log-SNR."""
    path, start = CondOT(), 1.0 / 81.0
    x = sample(GAUSSIAN.denoiser(path), (20, 2), nfe=150, sampler="dpm-solver-3s", seed=1, **DOUBLE)
    noise = (1.0 - start) * standard_normal(torch.empty(20, 2, dtype=torch.float64), 1)
    torch.testing.assert_close(x, GAUSSIAN.flow_map(noise, start, 1.0, path), rtol=0.0, atol=5e-3)


def test_a_classical_solver_ends_before_its_drift_is_infinite() -> None:
    path = VP()
    end = path.time(-2.0 * math.log(0.002))
    x = sample(GAUSSIAN.denoiser(path), (20, 2), nfe=400, sampler=RK4(), seed=1, **DOUBLE)
    noise = path.sigma(0.0) * standard_normal(torch.empty(20, 2, dtype=torch.float64), 1)
    torch.testing.assert_close(x, GAUSSIAN.flow_map(noise, 0.0, end, path), rtol=0.0, atol=1e-5)


def test_a_solver_holds_the_velocity_on_the_default_grid() -> None:
    denoiser = GAUSSIAN.denoiser(CondOT())
    noise = standard_normal(torch.empty(5, 2, dtype=torch.float64), 0)
    expected = solve(flow(denoiser), noise, grids.quadratic(denoiser.path, 10), Heun()).x
    assert torch.equal(sample(denoiser, (5, 2), sampler=Heun(), **DOUBLE), expected)


def test_a_guided_denoiser_is_sampled_as_it_is() -> None:
    given = {"nfe": 8, "chunk": 2, **DOUBLE}
    labels = [3, 1, 4, 1, 5]
    expected = sample(elementwise(), (5, 3), label=labels, guidance=2.0, **given)
    plain = elementwise()
    assert torch.equal(sample(CFG(plain.given(torch.tensor(labels)), 2.0), (5, 3), **given), expected)
    assert torch.equal(sample(CFG(plain.given(0), 2.0), (5, 3), label=labels, **given), expected)
    assert torch.equal(sample(plain.given(torch.tensor(labels)), (5, 3), guidance=2.0, **given), expected)


def test_the_default_of_a_guided_sampler_is_that_for_its_steps() -> None:
    """40 evaluations are 20 steps, where two values are best."""
    given = {"nfe": 40, "label": 1, "guidance": 2.0, **DOUBLE}
    expected = sample(elementwise(), (5, 3), sampler=resolve(None, elementwise(), 20), **given)
    assert torch.equal(sample(elementwise(), (5, 3), **given), expected)


@pytest.mark.parametrize("sampler", [None, "ddpm", "res-2s", Heun()], ids=str)
@pytest.mark.parametrize("nfe", [2, 7, 20, 41])
def test_guidance_in_an_interval_pays_for_more_steps(nfe: int, sampler: Any) -> None:
    """Three evaluations a step may be in the way of using all: a step of two calls, one of them guided."""
    plain = elementwise(path=Cosine())
    guided = CFG(plain.given(1), 2.0, interval=(-1.0, 2.0))
    if nfe < 2 * resolve(sampler, guided, nfe).solver.evaluations(1):
        return
    sample(guided, (4, 3), nfe, sampler=sampler, chunk=4, **DOUBLE)
    spent, calls = plain.net.rows / 4, len(plain.net.inputs)
    assert max(nfe - 4, 1) <= spent <= nfe
    if nfe > 10:
        assert nfe // 2 < calls < spent


def test_a_solver_that_is_no_table_gets_the_steps_of_the_most_evaluations() -> None:
    """Euler's method with a square in its step, and torchdiffeq's: ten steps, each at the price of guidance."""

    class Squared(Euler):
        def step(self, equation: Any, t0: Any, t1: Any, x: Tensor, state: Any, noise: Any) -> Step:
            return Step(super().step(equation, t0, t1, x, state, noise).x + 0.0 * x * x)

    for solver in (Squared(), TorchDiffEq("euler")):
        plain = elementwise()
        sample(CFG(plain.given(1), 2.0, interval=(-1.0, 2.0)), (4, 3), 20, sampler=solver, chunk=4, **DOUBLE)
        assert len(plain.net.inputs) == 10


def test_weights_and_conditions_belong_to_samples() -> None:
    weights, labels = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), [4, 5, 6]
    given = {"nfe": 8, "chunk": 2, **DOUBLE}
    together = sample(elementwise(), (3, 2), label=labels, guidance=weights, seed=[7, 8, 9], **given)
    for i in range(3):
        alone = sample(elementwise(), (1, 2), label=labels[i], guidance=weights[i].item(), seed=[7 + i], **given)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0.0, atol=1e-14)

    def net(x: Tensor, t: Tensor, centre: Tensor) -> Tensor:
        return x - centre

    denoiser = Denoiser(net, VP(), predicts="v")
    centres = torch.arange(3.0, dtype=torch.float64)[:, None]
    told = sample(denoiser, (3, 2), label={"centre": centres}, **given)
    assert torch.equal(told, sample(denoiser.given({"centre": centres}), (3, 2), **given))
    assert torch.equal(told[:1], sample(denoiser, (1, 2), label={"centre": torch.zeros(1, 1).double()}, **given))
    with pytest.raises(ValueError, match="has 3 rows for 4 samples"):
        sample(denoiser, (4, 2), label={"centre": centres}, **given)


@pytest.mark.parametrize("batch", [1, 5])
def test_progress_is_shown_and_changes_nothing(
    batch: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich draws no bar into a file
    shown = sample(elementwise(), (batch, 3), chunk=2, progress=True, **DOUBLE)
    assert torch.equal(shown, sample(elementwise(), (batch, 3), **DOUBLE))
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%" in err


UNET, POINTS = UNet(8, width=8, classes=10), MLP(4, width=8, depth=1)


@pytest.mark.parametrize(
    ("net", "shape", "given", "message"),
    [
        (UNET, (2, 1, 28, 28), {}, r"samples have shape \(1, 28, 28\), but the network's have \(1, 8, 8\)"),
        (UNET, (2, 64), {}, r"samples have shape \(64,\)"),
        (POINTS, (2, 5), {}, r"samples have shape \(5,\), but the network's have \(4,\)"),
        (POINTS, (4,), {}, r"samples have shape \(\), but"),
        (UNET, (2, 1, 8, 8), {"device": "meta"}, "state is on meta, but the network on cpu"),
        (UNET, (2, 1, 8, 8), {"label": 11}, "got 11"),
        (UNET, (2, 1, 8, 8), {"label": [0, -1]}, "label -1 is negative"),
        (UNET, (2, 1, 8, 8), {"label": [0, 1, 2]}, "has 3 rows for 2 samples; give one a sample, or one for all"),
        (POINTS, (2, 4), {"label": 3}, "got 3"),
        (Elementwise(), (2, 4), {"label": 12}, "got 12"),
        (UNET, (2, 1, 8, 8), {"seed": [1]}, "1 seeds were given for 2 samples"),
        (UNET, (2, 1, 8, 8), {"guidance": 2.0}, "guidance needs a label"),
        (UNET, (2, 1, 8, 8), {"nfe": 0}, "nfe is 0, but must be a whole number from 1"),
        (UNET, (2, 1, 8, 8), {"nfe": 2, "sampler": "res-3s"}, "less than one step, which takes 3 evaluations"),
        (UNET, (2, 1, 8, 8), {"sampler": "dpm++9m"}, "Unknown sampler 'dpm\\+\\+9m'; choose one of ddim"),
        (UNET, (2, 1, 8, 8), {"sampler": Picard(Euler(), 4)}, "cannot tell its evaluations beforehand"),
        (UNET, (0, 1, 8, 8), {}, r"shape = \(0, 1, 8, 8\) asks for no samples"),
        (UNET, (2, 1, 8, 8), {"chunk": 0}, "chunk is 0, but must be a whole number >= 1"),
    ],
)
def test_what_contradicts_the_network_is_refused_at_the_call(
    net: Any, shape: tuple[int, ...], given: dict[str, Any], message: str
) -> None:
    denoiser = Denoiser(net, CondOT(), predicts="velocity")
    with pytest.raises(ValueError, match=message):
        sample(denoiser, shape, **given)
    if not {"label", "guidance"} & given.keys():
        with pytest.raises(ValueError, match=message):
            sample_chunks(denoiser, shape, **given)


@pytest.mark.parametrize("sampler", [Euler, 3])
def test_what_is_no_sampler_is_refused(sampler: type[Solver] | int) -> None:
    with pytest.raises(TypeError, match=r"give the name of a published one, or a solver such as Heun\(\)"):
        sample(GAUSSIAN.denoiser(CondOT()), (2, 2), sampler=sampler)


def test_a_network_of_points_takes_any_shape_of_as_many_numbers() -> None:
    denoiser = Denoiser(POINTS, CondOT(), predicts="velocity")
    square = sample(denoiser, (3, 1, 2, 2), nfe=4)
    assert not square.requires_grad
    assert torch.equal(square, sample(denoiser, (3, 4), nfe=4).reshape(3, 1, 2, 2))
