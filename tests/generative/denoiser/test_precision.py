"""The one rule of precision: a network computes in its own dtype, everything else in the dtype of the state."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fokker.generative import VP, CondOT, Denoiser, flow, sample
from fokker.generative.denoiser import EDM, KINDS
from fokker.generative.denoiser.precision import own_dtype
from fokker.generative.equations import Interpolant
from fokker.generative.likelihood import log_likelihood, plan_likelihood
from fokker.generative.paths import Table, linear_betas
from fokker.solvers import Adaptive, Dopri5, ExponentialAdams, Heun, solve

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROUNDING = {dtype: torch.finfo(dtype).eps for dtype in DTYPES}


class Net(nn.Module):
    """A network that remembers what it was given, and fails for any other dtype than its own."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3, dtype=dtype)
        generator = torch.Generator().manual_seed(1)
        nn.init.uniform_(self.linear.weight, -0.5, 0.5, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, time: Tensor, shift: Tensor | None = None) -> Tensor:
        self.seen = x, time, shift
        out = torch.tanh(self.linear(torch.cat([x, time[:, None]], 1)))
        return out if shift is None else out + shift


def network(own: torch.dtype) -> Net:
    """The same weights, rounded to any dtype."""
    return Net(torch.float64).to(torch.float16).to(torch.bfloat16).to(own)


@pytest.mark.parametrize("own", DTYPES)
@pytest.mark.parametrize("state", DTYPES)
@pytest.mark.parametrize("predicts", KINDS)
def test_a_network_sees_its_own_dtype_and_answers_in_that_of_the_state(
    own: torch.dtype, state: torch.dtype, predicts: str
) -> None:
    net, x = network(own), X.to(state)
    exact = Denoiser(network(torch.float64), VP(), predicts=predicts)
    for t in (0.4, torch.tensor([0.2, 0.4, 0.6, 0.7], dtype=torch.float64)):
        found = Denoiser(net, VP(), predicts=predicts).output(t, x)
        assert [each.dtype for each in net.seen[:2]] == [own, own]
        assert found.dtype == state
        # Of numbers up to 1: ten roundings of the state, of the clock, of the sum and of the output
        expected = exact.output(t, x.double())
        assert (found.double() - expected).abs().max() < 10.0 * max(ROUNDING[own], ROUNDING[state])
        for kind in ("x0", "velocity"):
            assert Denoiser(net, VP(), predicts=predicts).predict(kind, t, x).dtype == state


@pytest.mark.parametrize("own", DTYPES)
@pytest.mark.parametrize("predicts", ["velocity", "v", "x0"])
def test_every_solver_takes_a_network_of_any_dtype(own: torch.dtype, predicts: str) -> None:
    """In states of float64 the field is that of the rounded network: solvers agree to far below its rounding."""
    denoiser = Denoiser(network(own), CondOT(), predicts=predicts)
    for solver, times in ((Heun(), [0.1, 0.3, 0.5]), (ExponentialAdams(2), [0.1, 0.3, 0.5])):
        assert solve(flow(denoiser), X, times, solver).x.dtype == torch.float64
    adaptive = Adaptive(0.1, 0.5, rtol=0.1, atol=0.1, per_sample=True)
    assert solve(flow(denoiser), X, adaptive, Dopri5()).x.dtype == torch.float64


@pytest.mark.parametrize("predicts", ["velocity", "v"])
def test_under_autocast(predicts: str) -> None:
    """The output is in bfloat16 there, whatever the network predicts; the state stays what it was."""
    denoiser = Denoiser(network(torch.float32), CondOT(), predicts=predicts)
    x, times = X.float(), [0.1, 0.3, 0.5]
    expected = solve(flow(denoiser), x, times, Heun()).x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for solver in (Heun(), ExponentialAdams(2)):
            found = solve(flow(denoiser), x, times, solver).x
            assert found.dtype == torch.float32
            assert 0.0 < (found - expected).abs().max() < 0.05
        assert sample(denoiser, (4, 3), nfe=4).dtype == torch.float32
        assert solve(Interpolant(CondOT()).flow(denoiser.net), x, times, Heun()).x.dtype == torch.float32


def test_conditions_are_given_in_the_dtype_of_the_network() -> None:
    """Numbers in floating point; labels and other integers stay what they are."""
    net, shift = network(torch.bfloat16), torch.randn(4, 3, dtype=torch.float64)
    Denoiser(net, CondOT(), predicts="v", condition={"shift": shift}).output(0.5, X)
    assert net.seen[2].dtype == torch.bfloat16
    torch.testing.assert_close(net.seen[2], shift.bfloat16())
    whole = torch.arange(12).reshape(4, 3)
    Denoiser(net, CondOT(), predicts="v", condition={"shift": whole}).output(0.5, X)
    assert net.seen[2].dtype == torch.int64


def test_a_function_sees_the_dtype_of_the_state() -> None:
    def net(x: Tensor, time: Tensor, shift: Tensor) -> Tensor:
        assert (x.dtype, time.dtype, shift.dtype) == (torch.float64, torch.float64, torch.float32)
        return x.float() + shift

    denoiser = Denoiser(net, CondOT(), predicts="v", condition={"shift": torch.zeros(4, 3)})
    assert denoiser.output(0.5, X).dtype == torch.float64


def test_the_clock_is_rounded_last() -> None:
    """1 − t at t = 1 − 2⁻⁹ is exact in bfloat16, but not if t is rounded first. An index is at least in float32."""
    net = network(torch.bfloat16)
    for t in (1.0 - 2.0**-9, torch.tensor([1.0 - 2.0**-9], dtype=torch.float64)):
        for clock in ("1-t", lambda t: 1.0 - t):
            Denoiser(net, CondOT(), predicts="velocity", time=clock).output(t, X)
            assert net.seen[1].tolist() == [2.0**-9] * 4
    table = Table(linear_betas(1000))

    def net32(x: Tensor, time: Tensor) -> Tensor:
        assert (time.dtype, time.tolist()) == (torch.float32, [777.0] * 4)
        return x

    Denoiser(net32, table, predicts="eps", time="index").output(table.at(777), X.bfloat16())


@pytest.mark.parametrize("own", DTYPES)
def test_the_frame_of_edm_is_computed_in_the_dtype_of_the_state(own: torch.dtype) -> None:
    net = network(own)
    found = Denoiser(net, VP(), predicts="x0", precondition=EDM(0.5)).predict("x0", 0.4, X)
    exact = Denoiser(network(torch.float64), VP(), predicts="x0", precondition=EDM(0.5)).predict("x0", 0.4, X)
    assert net.seen[0].dtype == own
    assert found.dtype == torch.float64
    assert (found - exact).abs().max() < 10.0 * ROUNDING[own]


def test_the_likelihood_of_a_network_in_another_dtype() -> None:
    """A network of float32 in a state of float64, against the same weights in float64, in nats."""
    nets = [Denoiser(network(own), CondOT(), predicts="velocity") for own in (torch.float32, torch.float64)]
    plan = plan_likelihood(nets[1], X, nodes=9)
    found, exact = (log_likelihood(each, X, plan) for each in nets)
    assert found.value.dtype == found.data.dtype == torch.float64
    torch.testing.assert_close(found.value, exact.value, rtol=0.0, atol=1e-5)


def test_the_dtype_of_a_network_is_that_of_its_weights() -> None:
    class Declared(nn.Module):
        """A table in float32, and layers in the dtype that is declared."""

        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Embedding(3, 2), nn.Linear(2, 2, dtype=torch.bfloat16)

        @property
        def dtype(self) -> torch.dtype:
            return self.layer.weight.dtype

    class Holder:
        def __init__(self, net: Any) -> None:
            self.inner = net

        def __call__(self, x: Tensor, time: Tensor) -> Tensor:
            return self.inner(x, time)

    class Buffered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("index", torch.arange(3))
            self.register_buffer("scale", torch.ones(3, dtype=torch.float16))

    net = Net(torch.float16)
    for same in (net, net.forward, functools.partial(net, shift=None), Holder(net), nn.DataParallel(net), Buffered()):
        assert own_dtype(same) == torch.float16
    assert own_dtype(net.double()) == own_dtype(net.forward) == torch.float64  # it may change
    net.linear = nn.Linear(4, 3)
    assert own_dtype(net) == torch.float32
    declared = Declared()
    assert own_dtype(declared) == torch.bfloat16
    assert own_dtype(declared.half()) == torch.float16
    for none in (torch.tanh, lambda x, t: x, nn.Tanh(), Holder(torch.tanh)):
        assert own_dtype(none) is None


@pytest.mark.parametrize("t", [0.4, torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)], ids=["one time", "times"])
def test_a_prediction_is_one_graph_for_the_compiler(t: Any) -> None:
    """What is looked up and checked at a call leaves no break."""
    denoiser = Denoiser(network(torch.float32), CondOT(), predicts="velocity")
    compiled = torch.compile(lambda x: denoiser.predict("x0", t, x), fullgraph=True, backend="eager")
    assert torch.equal(compiled(X.float()), denoiser.predict("x0", t, X.float()))
