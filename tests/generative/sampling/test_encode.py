"""Encoding and decoding against closed forms in both directions, and the order with which the way back returns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import ENDS, GAUSSIAN, MIXTURE, PATHS, states

from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, GaussianPath, sample
from fokker.generative.equations import grids
from fokker.generative.sampling import decode, encode, round_trip
from fokker.solvers import RK4, Euler, ExponentialAdams, ExponentialRK, Heun, Solver, standard_normal

each_path = pytest.mark.parametrize("path", ENDS, ids=str)
UNCHANGED = Cosine(-math.inf, math.inf)  # no signal at one end, no noise at the other


def coarse(path: GaussianPath) -> int:
    """Evaluations for 1e-4 and less: on VE, where σ spans a factor of 100 times that of the data, many."""
    return 1000 if isinstance(path, VE) else 130


@each_path
def test_both_directions_are_the_exact_flow_of_a_gaussian(path: GaussianPath) -> None:
    denoiser, nfe = GAUSSIAN.denoiser(path), coarse(path)
    x = GAUSSIAN.sample(40, seed=1)
    z = GAUSSIAN.flow_map(x, 1.0, 0.0, path)
    scale = path.sigma(0.0)
    torch.testing.assert_close(encode(denoiser, x, nfe) / scale, z / scale, rtol=0.0, atol=1e-4)
    torch.testing.assert_close(decode(denoiser, z, nfe), x, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("solver", [Heun(), ExponentialAdams(3), ExponentialRK(3)], ids=repr)
def test_encoding_has_the_order_of_the_solver(solver: Solver) -> None:
    """Certificates measure the other direction. On the exact flow of a Gaussian, with 64 and 128 steps; the next term
    of the error bends the slope by 1/64."""
    path, x, errors = CondOT(), GAUSSIAN.sample(40, seed=1), []
    exact = GAUSSIAN.flow_map(x, 1.0, 0.0, path)
    for n in (64, 128):
        found = encode(GAUSSIAN.denoiser(path), x, times=grids.quadratic(path, n), sampler=solver)
        errors.append((found - exact).square().mean().sqrt().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(solver.order, abs=0.15)


@pytest.mark.parametrize(
    ("sampler", "order"),
    [
        ("ddim", 1),
        (Euler(), 1),
        (Heun(), 3),
        (ExponentialRK(3), 3),
        (ExponentialAdams(3), 3),
        (RK4(), 5),
    ],
    ids=repr,
)
def test_a_round_trip_has_the_order_of_theory(sampler: Any, order: int) -> None:
    """Odd orders p return with p, even ones of one-step methods with p + 1."""
    report = round_trip(MIXTURE.denoiser(CondOT()), MIXTURE.sample(64, 1), (256, 512, 1024), sampler=sampler)
    assert report.expected == order
    assert report.order == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_default_returns_with_order_four_at_least(path: GaussianPath) -> None:
    budgets = (1000, 2000) if isinstance(path, VE) else (130, 258, 514)
    report = round_trip(MIXTURE.denoiser(path), MIXTURE.sample(64, 1), budgets)
    assert report.expected == 4
    assert 4.0 - 0.15 < report.order < 5.0 + 0.15


def test_the_report() -> None:
    report = round_trip(MIXTURE.denoiser(CondOT()), MIXTURE.sample(8, 1), (40, 10, 20), sampler=Heun())
    assert (report.steps, report.nfe, report.ends) == ((5, 10, 20), (10, 20, 40), (0.0, 1.0))
    n, errors = torch.tensor(report.steps).double().log(), torch.tensor(report.errors).double().log()
    slope = torch.linalg.lstsq(torch.stack([n, torch.ones(3)], 1), errors[:, None]).solution[0].item()
    assert report.order == pytest.approx(-slope)
    assert report.errors[0] > report.errors[1] > report.errors[2]
    lines = report.table().splitlines()
    assert len(lines) == 4
    local = math.log2(report.errors[1] / report.errors[2])
    assert lines[3].split() == ["20", "40", "40", f"{report.errors[2]:.2e}", f"{local:.2f}"]
    text = str(report)
    assert report.table() in text
    assert "by Heun(), t = 1 to 0 and back, float64" in text
    assert f"order {report.order:.2f}, in theory at least 3" in text
    assert "exact in the limit of many steps alone" in text


def test_errors_of_rounding_are_left_out_of_the_order() -> None:
    """In float32 of these budgets only the first two see the method."""
    x = MIXTURE.sample(16, 1).float()
    exact = MIXTURE.denoiser(CondOT())
    net = lambda x, t: exact.net(x.double(), t.double()).float()  # noqa: E731
    report = round_trip(Denoiser(net, CondOT(), predicts="v"), x, (20, 40, 640, 1280), sampler=RK4())
    assert report.floor == pytest.approx(2.0**-23 * x.double().square().mean().sqrt().item())
    assert report.errors[-1] < 100.0 * report.floor < report.errors[1]
    assert report.order == pytest.approx(math.log2(report.errors[0] / report.errors[1]))
    nothing = round_trip(Denoiser(net, CondOT(), predicts="v"), x, (1280,), sampler=RK4())
    assert math.isnan(nothing.order)


def test_the_evaluations_are_kept_in_each_direction() -> None:
    calls = 0
    exact = MIXTURE.denoiser(CondOT())

    def net(x: Tensor, t: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return exact.net(x, t)

    denoiser, x = Denoiser(net, CondOT(), predicts="v"), MIXTURE.sample(3, 1)
    for way in (encode, decode):
        for sampler in (None, "res-3s", Heun()):
            for nfe in (3, 17, 50):
                calls = 0
                way(denoiser, x, nfe, sampler=sampler)
                assert nfe - 5 < calls <= nfe
        calls = 0
        way(denoiser, x)
        assert calls == 50
    calls = 0
    report = round_trip(denoiser, x, (15, 30))
    assert calls == 2 * sum(report.nfe) == 2 * 45


def test_decoding_is_sampling() -> None:
    denoiser = MIXTURE.denoiser(VP())
    z = VP().sigma(0.0) * standard_normal(torch.empty(6, 2, dtype=torch.float64), 4)
    expected = sample(denoiser, (6, 2), 20, seed=4, dtype=torch.float64)
    assert torch.equal(decode(denoiser, z, 20), expected)


def test_times_are_those_given_in_either_order() -> None:
    denoiser, x, path = MIXTURE.denoiser(CondOT()), MIXTURE.sample(5, 1), CondOT()
    times = grids.power(path, 20, 1.5)
    for way in (encode, decode):
        expected = way(denoiser, x, 20)
        assert torch.equal(way(denoiser, x, times=times), expected)
        assert torch.equal(way(denoiser, x, times=times.flip(0).tolist()), expected)
    part = grids.uniform(path, 40, t0=0.4)
    half = encode(denoiser, x, times=part, sampler=RK4())
    torch.testing.assert_close(decode(denoiser, half, times=part, sampler=RK4()), x, rtol=0.0, atol=1e-6)
    assert (half - encode(denoiser, x)).abs().max() > 0.1


def test_images_are_encoded_as_their_numbers_are() -> None:
    def net(x: Tensor, t: Tensor) -> Tensor:
        return MIXTURE.v(x.flatten(1), t, CondOT()).reshape(x.shape)

    denoiser, x = Denoiser(net, CondOT(), predicts="v"), MIXTURE.sample(7, 1)
    images = x.reshape(7, 1, 2, 1)
    assert torch.equal(encode(denoiser, images, 20), encode(denoiser, x, 20).reshape(7, 1, 2, 1))
    assert torch.equal(decode(denoiser, images, 20), decode(denoiser, x, 20).reshape(7, 1, 2, 1))
    assert round_trip(denoiser, images, (20, 40)).errors == round_trip(denoiser, x, (20, 40)).errors


WIDE, NARROW, CENTRE = 2.0, 1.0, 1.5


def classes(path: GaussianPath) -> Denoiser:
    """v-hat of N(1.5, 1) for label 0, and of N(0, 4) for none, label 1."""

    def net(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        alpha, sigma = (torch.as_tensor(c)[:, None] for c in (path.alpha(t), path.sigma(t)))
        none = label[:, None] == 1
        variance = torch.where(none, WIDE**2, NARROW**2)
        centre = torch.where(none, 0.0, CENTRE)
        total = alpha**2 * variance + sigma**2
        gain = alpha * sigma * (1.0 - variance) / total
        return -sigma * centre + gain * (x - alpha * centre)

    net.null_label = 1  # type: ignore[attr-defined]
    return Denoiser(net, path, predicts="v")


@pytest.mark.parametrize(("weight", "mean"), [(2.0, 2.07026), (4.0, 2.27635)])
@pytest.mark.parametrize("path", [CondOT(), UNCHANGED], ids=str)
def test_guided_data_are_encoded_by_the_guided_flow(path: GaussianPath, weight: float, mean: float) -> None:
    """Between N(0, S²) and N(m, s²) the guided flow is z -> mean + S^{1−w} s^w z, whatever the path; its mean, an
    integral, to the six digits that are known of it. Both ways, with the error of 200 evaluations of order four."""
    deviation = WIDE ** (1.0 - weight) * NARROW**weight
    z = torch.linspace(-2.0, 2.0, 5, dtype=torch.float64)[:, None]
    x = mean + deviation * z
    given = {"label": 0, "guidance": weight}
    torch.testing.assert_close(decode(classes(path), z, 400, **given), x, rtol=0.0, atol=2e-5)
    torch.testing.assert_close(encode(classes(path), x, 400, **given), z, rtol=0.0, atol=2e-5 / deviation)
    report = round_trip(classes(path), x, (40, 80), [0] * 5, weight)
    assert report.nfe == (40, 80)
    assert report.steps == (18, 38)


def test_a_gradient_flows_through_both() -> None:
    """The Jacobian of the exact flow of a Gaussian is constant: finite differences of the flow map are exact."""
    path = CondOT()
    x = GAUSSIAN.sample(1, seed=1)
    for way, s, t in ((encode, 1.0, 0.0), (decode, 0.0, 1.0)):
        jacobian = torch.autograd.functional.jacobian(lambda x, way=way: way(GAUSSIAN.denoiser(path), x, 130), x)
        moved = [GAUSSIAN.flow_map(x + e, s, t, path) - GAUSSIAN.flow_map(x, s, t, path) for e in torch.eye(2)]
        torch.testing.assert_close(jacobian[0, :, 0].T, torch.cat(moved), rtol=0.0, atol=1e-4)


@pytest.mark.parametrize(("predicts", "start", "end"), [("x0", 0.0, 1.0 / 1.002), ("eps", 1.0 / 81.0, 1.0)])
def test_an_end_without_a_field_is_replaced_by_the_last_regular_time(predicts: str, start: float, end: float) -> None:
    path = CondOT()

    def net(x: Tensor, t: Tensor) -> Tensor:
        return GAUSSIAN.x0(x, t, path) if predicts == "x0" else GAUSSIAN.eps(x, t, path)

    denoiser, x = Denoiser(net, path, predicts=predicts), states(path, end)
    exact = GAUSSIAN.flow_map(x, end, start, path)
    torch.testing.assert_close(encode(denoiser, x, 130), exact, rtol=0.0, atol=1e-4)
    torch.testing.assert_close(decode(denoiser, exact, 130), x, rtol=0.0, atol=1e-4)
    assert round_trip(denoiser, x, (10, 20)).ends == pytest.approx((start, end))


@pytest.mark.parametrize("way", [encode, decode, round_trip])
@pytest.mark.parametrize("sampler", ["ddpm", "euler-ancestral", "predictor-corrector"])
def test_there_is_no_way_back_from_noise(way: Any, sampler: str) -> None:
    with pytest.raises(ValueError, match=f"{sampler} draws noise, and there is no way back from it"):
        way(MIXTURE.denoiser(VP()), MIXTURE.sample(2, 1), sampler=sampler)


def test_errors() -> None:
    denoiser, x = MIXTURE.denoiser(CondOT()), MIXTURE.sample(2, 1)
    with pytest.raises(ValueError, match="Both nfe = 9 and 3 times were given; give one"):
        encode(denoiser, x, 9, times=[0.0, 0.5, 1.0])
    with pytest.raises(ValueError, match="guidance needs a label"):
        decode(denoiser, x, guidance=2.0)
    with pytest.raises(ValueError, match="nfe = 1 is less than one step, which takes 2 evaluations"):
        encode(denoiser, x, 1, sampler=Heun())
    with pytest.raises(ValueError, match="needs a budget, such as"):
        round_trip(denoiser, x, ())
