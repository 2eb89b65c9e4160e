"""The contract of a flow map: its jump, its boundary, its conventions, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from doors import GRADIENT, check_numbers, check_refusals

from fokker.generative import CFG, EDM, VE, VP, CondOT, Consistency, Cosine, Denoiser, FlowMap, flow
from fokker.generative.denoiser import KINDS, Contents
from fokker.solvers import ExponentialAdams, solve

X = torch.tensor([[1.0, -0.5], [0.3, 2.0], [-1.2, 0.1]], dtype=torch.float64)
S, T = torch.tensor([0.1, 0.45, 0.8]).double(), torch.tensor([0.7, 0.2, 0.95]).double()
PATHS = CondOT(), VP(), VE(), Cosine()


def net(x: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x * s[:, None]) + t[:, None]


def labelled(
    x: torch.Tensor, s: torch.Tensor, t: torch.Tensor, label: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    return label[:, None] * x + (weight * t)[:, None]


def teacher(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return torch.sin(x) - time[:, None]


def as_teacher(x: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A student at its start: it predicts as its teacher, whatever the target."""
    return teacher(x, s)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_jump_is_made_of_the_pair_and_its_boundary_is_built_in(path: Any, kind: str) -> None:
    """The pair reproduces the state at s and makes the one at t; rounding grows with 1/det of the 2×2 system, < 1e3."""
    flow_map = FlowMap(net, path, predicts=kind)
    denoiser = flow_map.towards(T)
    x0, eps = denoiser.predict("x0", S, X), denoiser.predict("eps", S, X)

    def state(t: torch.Tensor) -> torch.Tensor:
        alpha, sigma = path.alpha(t), path.sigma(t)
        return alpha[:, None] * x0 + sigma[:, None] * eps

    torch.testing.assert_close(state(S), X, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state(T), flow_map(X, S, T), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(denoiser.predict(kind, S, X), net(X, S, T), rtol=0, atol=0)
    torch.testing.assert_close(flow_map(X, S, S), X, rtol=1e-14, atol=0)
    torch.testing.assert_close(flow_map(X, 0.3, 0.3), X, rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", [*KINDS, "state"])
def test_times_may_be_floats_or_one_a_sample(kind: str) -> None:
    flow_map = FlowMap(net, VP(), predicts=kind)
    each = [flow_map(X[i : i + 1], S[i].item(), T[i].item()) for i in range(3)]
    torch.testing.assert_close(flow_map(X, S, T), torch.cat(each), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(flow_map(X, 0.3, T)[1:2], flow_map(X[1:2], 0.3, T[1].item()), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(flow_map(X, S, 0.6)[1:2], flow_map(X[1:2], S[1].item(), 0.6), rtol=1e-14, atol=1e-14)
    straight = FlowMap(net, CondOT(), predicts=kind)
    check_numbers(lambda s: straight(X, s, 0.75), 0.5)
    check_numbers(lambda t: straight(X, 0.5, t), 0.75)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_student_that_predicts_as_its_teacher_makes_a_step_of_ddim(path: Any) -> None:
    """DDIM is the exponential method of order 1, whatever it holds: here x₀-hat."""
    expected = solve(
        flow(Denoiser(teacher, path, predicts="v"), "x0"), X, [0.3, 0.6], ExponentialAdams(1)
    ).x
    found = FlowMap(as_teacher, path, predicts="v")(X, 0.3, 0.6)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(FlowMap(as_teacher, path, predicts="v").towards(None).predict("x0", 0.3, X),
                               Denoiser(teacher, path, predicts="v").predict("x0", 0.3, X))  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_difference_of_the_pair_is_the_average_velocity(path: Any) -> None:
    """u = (z_t − z_s)/(r_t − r_s) with z = x/(α + σ) and r = α/(α + σ)."""
    flow_map = FlowMap(net, path, predicts="v")
    scales, z, s, t = {}, {}, 0.35, 0.6
    for time, x in ((s, X), (t, flow_map(X, s, t))):
        alpha, sigma = path.alpha(time), path.sigma(time)
        scales[time], z[time] = alpha / (alpha + sigma), x / (alpha + sigma)
    expected = (z[t] - z[s]) / (scales[t] - scales[s])
    torch.testing.assert_close(flow_map.towards(t).combination(1.0, -1.0, s, X), expected, rtol=1e-11, atol=1e-11)


def test_on_the_straight_path_a_velocity_is_that_of_meanflow() -> None:
    found = FlowMap(net, CondOT(), predicts="velocity")(X, S, T)
    torch.testing.assert_close(found, X + (T - S)[:, None] * net(X, S, T), rtol=1e-14, atol=1e-14)


def test_a_network_may_learn_its_boundary() -> None:
    flow_map = FlowMap(net, VP(), predicts="state")
    torch.testing.assert_close(flow_map(X, S, T), net(X, S, T), rtol=1e-14, atol=1e-14)
    assert torch.equal(flow_map(X, 0.5, 0.5), net(X, *torch.full((2, 3), 0.5).double()))
    with pytest.raises(ValueError, match="does not determine"):
        flow_map.towards(None).predict("x0", 0.5, X)


def test_the_network_sees_both_times_on_its_clock() -> None:
    seen = []

    def noted(x: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append((s, t))
        return x

    FlowMap(noted, VP(), predicts="v", time="half_log_snr")(X, S, T)
    assert torch.equal(seen[0][0], VP().half_log_snr(S))
    assert torch.equal(seen[0][1], VP().half_log_snr(T))
    FlowMap(noted, VE(), predicts="x0", precondition=EDM(0.5))(X, 0.5, 1.0)
    torch.testing.assert_close(seen[1][0], torch.full((3,), math.log(VE().sigma(0.5)) / 4.0).double())
    assert torch.equal(seen[1][1], torch.ones(3).double())
    with pytest.raises(ValueError, match="The target on the network's clock, 'log_snr', is inf at t = 1"):
        FlowMap(noted, CondOT(), predicts="v", time="log_snr")(X, 0.5, 1.0)


def test_the_frame_of_consistency_models() -> None:
    """c_skip = s²/(σ² + s²) and c_out = σ s/√(σ² + s²) on VE: with F = 0, f = c_skip x, and f(x, 1) = x."""
    f = Consistency(lambda x, s: torch.zeros_like(x), VE(), predicts="x0", precondition=EDM(0.5))
    torch.testing.assert_close(f(X, 0.4), 0.25 / (VE().sigma(0.4) ** 2 + 0.25) * X)
    assert torch.equal(f(X, 1.0), X)
    assert torch.equal(f(X, torch.ones(3).double(), torch.ones(3).double()), X)
    for t in (0.5, T, None):
        with pytest.raises(ValueError, match="A consistency model jumps to the data, t = 1, but was asked for"):
            f.towards(t)


def test_labels_and_weights_follow_their_samples() -> None:
    flow_map = FlowMap(labelled, CondOT(), predicts="velocity", label=[2, 0, 1], condition={"weight": 1.0 + S})
    picked = torch.tensor([2, 2, 0])
    found = flow_map.of_rows(picked)(X[picked], S[picked], T[picked])
    torch.testing.assert_close(found, flow_map(X, S, T)[picked])
    torch.testing.assert_close(
        flow_map.given(1).given({"weight": torch.tensor([3.0])})(X, 0.0, 0.5), X + 0.5 * (X + 1.5)
    )
    targeted = flow_map.towards(T).of_rows(picked)
    torch.testing.assert_close(targeted.output(S[picked], X[picked]), flow_map.towards(T).output(S, X)[picked])
    assert (flow_map.path, flow_map.predicts, flow_map.time, flow_map.precondition) == (CondOT(), "velocity", "t", None)
    assert repr(flow_map) == "FlowMap(labelled, CondOT(sigma_min=0.0), predicts='velocity', time='t')"


def test_the_network_of_a_map_is_part_of_what_it_is_made_of() -> None:
    contents = Contents()
    contents(FlowMap(net, CondOT(), predicts="velocity"))
    assert contents.networks == [net]


def test_derivatives_flow_through_all_arguments() -> None:
    """∂X/∂t at t = s is the velocity of the diagonal; torch.func.jvp goes through the network and the conversions."""
    flow_map, one, zero = FlowMap(as_teacher, VP(), predicts="v"), torch.ones(3).double(), torch.zeros(3).double()
    _, slope = torch.func.jvp(flow_map, (X, S, S), (torch.zeros_like(X), zero, one))
    torch.testing.assert_close(slope, flow_map.towards(None).predict("velocity", S, X), rtol=1e-10, atol=1e-10)
    _, slope = torch.func.jvp(flow_map, (X, S, T), (X, one, zero))
    h = 1e-5
    central = (flow_map((1 + h) * X, S + h, T) - flow_map((1 - h) * X, S - h, T)) / (2 * h)
    torch.testing.assert_close(slope, central, rtol=1e-6, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    flow_map = FlowMap(net, CondOT(), predicts="velocity")
    check_refusals("kind of prediction", "name", lambda v: FlowMap(net, CondOT(), predicts=v))
    check_refusals("net", "function", lambda v: FlowMap(v, CondOT(), predicts="v"))
    check_refusals("x", "samples", lambda v: flow_map(v, 0.5), but=[X * math.nan, torch.ones(2, 3) * math.nan])
    check_refusals("s", "real", lambda v: flow_map(X, v), but=[1e300, -1e300, GRADIENT])
    check_refusals("t", "real", lambda v: flow_map(X, 0.5, v), but=[1e300, -1e300, GRADIENT])
    with pytest.raises(TypeError, match=r"called as net\(x, s, t, label\)"):
        FlowMap(net, CondOT(), predicts="v", label=1)
    with pytest.raises(ValueError, match=r"s has shape \(2,\) for states"):
        flow_map(X, S[:2])
    with pytest.raises(ValueError, match="x has no axes"):
        flow_map(X[0, 0], 0.5)
    with pytest.raises(ValueError, match="does not determine"):
        FlowMap(net, CondOT(), predicts="eps")(X, 0.0, 0.5)
    guided: Any = flow_map
    with pytest.raises(TypeError, match="denoiser is of type FlowMap"):
        CFG(guided, 2.0)
