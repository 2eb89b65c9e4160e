"""Velocity fields of flow_matching and torchcfm, against what these libraries do with them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE

from fokker import Euler, solve
from fokker.generative import VP, CondOT, Cosine, GaussianPath, flow
from fokker.generative.adapters import from_velocity
from fokker.generative.adapters.velocity import Scheduled, path_of
from fokker.solvers import Midpoint

TIMES = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
ROUNDING = 1e-12


def schedulers() -> dict[str, Any]:
    schedule = pytest.importorskip("flow_matching.path.scheduler")
    return {
        "condot": schedule.CondOTScheduler(),
        "quadratic": schedule.PolynomialConvexScheduler(2),
        "vp": schedule.VPScheduler(0.2, 15.0),
        "linear-vp": schedule.scheduler.LinearVPScheduler(),
        "cosine": schedule.CosineScheduler(),
    }


NAMES = ["condot", "quadratic", "vp", "linear-vp", "cosine"]


def model(path: GaussianPath) -> Any:
    """A model of flow_matching: the exact velocity of the mixture, for one time or one a sample, times a factor."""
    from flow_matching.utils import ModelWrapper

    denoiser = MIXTURE.denoiser(path)

    class Model(ModelWrapper):  # type: ignore[misc]
        def forward(self, x: Tensor, t: Tensor, factor: float = 1.0) -> Tensor:
            return factor * denoiser.predict("velocity", t.expand(len(x)), x)

    return Model(torch.nn.Identity())


@pytest.mark.parametrize("name", NAMES)
def test_paths_are_those_of_the_schedulers(name: str) -> None:
    scheduler = schedulers()[name]
    path, theirs = path_of(scheduler), scheduler(TIMES)
    pairs = [
        (path.alpha, theirs.alpha_t),
        (path.sigma, theirs.sigma_t),
        (path.d_alpha, theirs.d_alpha_t),
        (path.d_sigma, theirs.d_sigma_t),
    ]
    for ours, expected in pairs:
        torch.testing.assert_close(ours(TIMES), expected, rtol=1e-9, atol=1e-12)
        alone = torch.tensor([ours(t) for t in TIMES.tolist()], dtype=torch.float64)
        torch.testing.assert_close(alone, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(path.time(path.log_snr(TIMES)), TIMES, rtol=0.0, atol=1e-9)
    for t in TIMES.tolist():
        assert path.time(path.log_snr(t)) == pytest.approx(t, abs=1e-9)


def test_known_schedulers_are_our_paths() -> None:
    every = schedulers()
    assert path_of(every["condot"]) == path_of(None) == CondOT()
    assert path_of(every["vp"]) == VP(0.2, 15.0)
    assert path_of(every["cosine"]) == Cosine(-math.inf, math.inf)
    assert isinstance(path_of(every["quadratic"]), Scheduled)


@pytest.mark.parametrize("name", ["quadratic", "linear-vp"])
def test_a_scheduled_path_has_its_ends(name: str) -> None:
    path = path_of(schedulers()[name])
    assert (path.alpha(0.0), path.sigma(0.0), path.alpha(1.0), path.sigma(1.0)) == (0.0, 1.0, 1.0, 0.0)
    assert (path.time(-math.inf), path.time(math.inf)) == (0.0, 1.0)
    assert path.time(600.0) == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
@pytest.mark.parametrize("name", NAMES)
def test_the_flow_is_that_of_their_solver(name: str, method: str) -> None:
    solver = pytest.importorskip("flow_matching.solver")
    scheduler = schedulers()[name]
    net = model(path_of(scheduler))
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = solver.ODESolver(net).sample(x, None, method=method, time_grid=TIMES, factor=0.7)
    denoiser = from_velocity(net, scheduler, condition={"factor": 0.7})
    ours = solve(flow(denoiser), x, TIMES, Euler() if method == "euler" else Midpoint()).x
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=ROUNDING * float(theirs.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_those_of_their_path(name: str) -> None:
    paths = pytest.importorskip("flow_matching.path")
    scheduler = schedulers()[name]
    theirs = paths.AffineProbPath(scheduler)
    net = model(path_of(scheduler))
    denoiser = from_velocity(net, theirs)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in TIMES.tolist():
        at = torch.tensor(t, dtype=torch.float64)
        velocity = net(x, at)
        torch.testing.assert_close(denoiser.predict("velocity", t, x), velocity, rtol=0.0, atol=0.0)
        target, eps = theirs.velocity_to_target(velocity, x, at), theirs.velocity_to_epsilon(velocity, x, at)
        torch.testing.assert_close(denoiser.predict("x0", t, x), target, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(denoiser.predict("eps", t, x), eps, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "sigma"),
    [
        ("ConditionalFlowMatcher", 0.0),
        ("ConditionalFlowMatcher", 0.3),
        ("TargetConditionalFlowMatcher", 0.3),
        ("VariancePreservingConditionalFlowMatcher", 0.0),
    ],
)
def test_matchers_of_torchcfm(name: str, sigma: float, torchcfm: Any) -> None:
    """Data N(0, d²): x_t and its target are linear in three normals, which the matcher itself multiplies out.

    With (a, b, c) the coefficients of x_t and (e, f, g) those of the target, in noise, data and what is added between
    them, E[target | x_t] = (a e + b f d² + c g)/(a² + b² d² + c²) x_t, and so on.
    """
    matcher, deviation = getattr(torchcfm, name)(sigma), 1.7
    noise, data, added = torch.eye(3, dtype=torch.float64)[:, :, None].unbind()
    weights = torch.tensor([1.0, deviation**2, 1.0], dtype=torch.float64)

    def coefficients(t: float) -> tuple[Tensor, Tensor]:
        at = torch.full((3,), t, dtype=torch.float64)
        xt = matcher.sample_xt(noise, data, at, added)
        return xt.flatten(), matcher.compute_conditional_flow(noise, data, at, xt).flatten()

    def net(t: Tensor, x: Tensor) -> Tensor:
        of_x, of_target = coefficients(float(t[0]))
        return (weights * of_x * of_target).sum() / (weights * of_x**2).sum() * x

    denoiser = from_velocity(net, matcher)
    x = torch.randn(4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in TIMES.tolist():
        of_x, _ = coefficients(t)
        variance = (weights * of_x**2).sum()
        expected = {"x0": weights[1] * of_x[1] / variance * x, "score": -x / variance}
        for kind, value in expected.items():
            torch.testing.assert_close(denoiser.predict(kind, t, x), value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "sigma"),
    [
        ("SchrodingerBridgeConditionalFlowMatcher", 0.5),
        ("ExactOptimalTransportConditionalFlowMatcher", 0.0),
        ("VariancePreservingConditionalFlowMatcher", 0.5),
    ],
)
def test_couplings_are_no_gaussian_path(name: str, sigma: float, torchcfm: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("torchcfm.conditional_flow_matching.OTPlanSampler", lambda *_, **__: None)
    with pytest.raises(ValueError, match="is no Gaussian path of independent noise and data"):
        path_of(getattr(torchcfm, name)(sigma))


def test_the_order_of_arguments_is_read_from_their_names() -> None:
    x = torch.randn(3, 2)

    def forward(x: Tensor, t: Tensor) -> Tensor:
        return x + t[:, None]

    def backward(t: Tensor, x: Tensor) -> Tensor:
        return x + t[:, None]

    class Module(torch.nn.Module):
        def forward(self, timestep: Tensor, state: Tensor) -> Tensor:
            return state + timestep[:, None]

    expected = x + 0.25
    for net in (forward, backward, Module()):
        assert torch.equal(from_velocity(net).output(0.25, x), expected)
    assert torch.equal(from_velocity(lambda a, b: b + a[:, None], order="t, x").output(0.25, x), expected)
    assert torch.equal(from_velocity(lambda t, x: t + x[:, None], order="x, t").output(0.25, x), expected)


def test_an_order_that_the_names_do_not_tell_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(a, b\) does not say which argument is the time; give order='x, t' or"):
        from_velocity(lambda a, b: a)
    with pytest.raises(ValueError, match=r"\(t, time\) does not say"):
        from_velocity(lambda t, time: t)
    with pytest.raises(ValueError, match="a signature that cannot be read does not say"):
        from_velocity(torch.add)
    with pytest.raises(ValueError, match="order is 'tx'; it is"):
        from_velocity(lambda x, t: x, order="tx")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'straight' is no Gaussian path"):
        from_velocity(lambda x, t: x, "straight")


def test_one_time_for_all() -> None:
    seen = []

    def net(t: Tensor, x: Tensor) -> Tensor:
        seen.append(t)
        return torch.cat([x, t.repeat(len(x))[:, None]], 1)[:, :2]  # as torchcfm's wrapper for torchdyn

    denoiser = from_velocity(net, scalar=True)
    x = torch.randn(3, 2)
    assert torch.equal(denoiser.output(0.25, x), x)
    assert seen[0].shape == ()
    with pytest.raises(ValueError, match="net takes one time for all samples"):
        denoiser.output(torch.tensor([0.1, 0.2, 0.3]), x)


def test_labels_and_conditions_reach_the_network() -> None:
    def net(t: Tensor, x: Tensor, y: Tensor, scale: float) -> Tensor:
        return scale * x + y[:, None] + t[:, None]

    denoiser = from_velocity(net, label=torch.tensor([1, 2]), condition={"scale": 2.0})
    assert torch.equal(denoiser.output(0.5, torch.ones(2, 1)), torch.tensor([[3.5], [4.5]]))


@pytest.mark.parametrize("order", ["x, t", "t, x"])
def test_a_wrapped_network_is_asked_inside(order: str) -> None:
    """The names of the parameters are those of the network, and not those of DataParallel."""

    class Net(torch.nn.Module):
        classes = 3

    class First(Net):
        def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
            return x * t[:, None]

    class Second(Net):
        def forward(self, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
            return x * t[:, None]

    net = torch.nn.DataParallel(First() if order == "x, t" else Second())
    denoiser, x = from_velocity(net, CondOT(), label=2), torch.ones(2, 3)
    assert torch.equal(denoiser.predict("velocity", 0.25, x), 0.25 * x)
    with pytest.raises(ValueError, match="0 to 2"):
        from_velocity(net, CondOT(), label=3)
