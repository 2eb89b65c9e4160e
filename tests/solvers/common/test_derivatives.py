"""Products with Jacobians of networks that torch.func cannot follow: those of the same network in plain operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from fokker.generative import CondOT, Denoiser
from fokker.generative.denoiser import ClassifierGuidance
from fokker.generative.likelihood import log_likelihood
from fokker.solvers import SDE, Milstein, WhiteNoise, solve
from fokker.solvers.common import gradient, pullback, pushforward
from fokker.verification import audit
from fokker.verification.oracles import Gaussian

DRAW = torch.Generator().manual_seed(0)
WEIGHT = 0.4 * torch.randn(4, 4, generator=DRAW, dtype=torch.float64)
X, V = torch.randn(2, 3, 4, generator=DRAW, dtype=torch.float64)
EYE = torch.eye(4, dtype=torch.float64)[:, None].expand(4, 3, 4)


class Sine(torch.autograd.Function):
    """sin, as extensions write it: without setup_context, and without a batching rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * x.cos()


class SineOnce(Sine):
    """sin, whose gradient comes from numpy: it can be neither batched nor differentiated."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.from_numpy(gradient.numpy() * x.cos().numpy())


@torch.library.custom_op("fokker_tests::sine", mutates_args=())
def sine(x: Tensor) -> Tensor:
    """sin as an operator of torch.library, of which forward mode drops the tangent."""
    return x.sin()


sine.register_autograd(
    lambda ctx, gradient: gradient * ctx.saved_tensors[0].cos(),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)


def attention(x: Tensor) -> Tensor:
    """Self-attention of the components, by the kernel that torch prefers: on a CPU the flash kernel."""
    heads = x.reshape(-1, 1, 4, 1) * torch.linspace(0.5, 1.5, 8, dtype=x.dtype)
    return F.scaled_dot_product_attention(heads, heads, heads).mean(-1).reshape(-1, 4)


def plain_attention(x: Tensor) -> Tensor:
    heads = x.reshape(-1, 1, 4, 1) * torch.linspace(0.5, 1.5, 8, dtype=x.dtype)
    return (torch.softmax(heads @ heads.mT / 8**0.5, -1) @ heads).mean(-1).reshape(-1, 4)


def layer(x: Tensor) -> Tensor:
    return torch.sin(x @ WEIGHT)


PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": layer,
    "checkpoint": layer,
    "function": layer,
    "once": layer,
    "operator": layer,
    "attention": plain_attention,
    "checkpointed attention": plain_attention,
}
TOLD = "torch.func cannot follow"
UNFOLLOWED = {"checkpoint", "function", "once", "operator", "checkpointed attention"}


def network(kind: str) -> Callable[[Tensor], Tensor]:
    """A new one every time, so that it has not been warned of."""
    return {
        "plain": lambda x: layer(x),
        "checkpoint": lambda x: checkpoint(layer, x, use_reentrant=False),
        "function": lambda x: Sine.apply(x @ WEIGHT),
        "once": lambda x: SineOnce.apply(x @ WEIGHT),
        "operator": lambda x: sine(x @ WEIGHT),
        "attention": lambda x: attention(x),
        "checkpointed attention": lambda x: checkpoint(attention, x, use_reentrant=False),
    }[kind]


class Counted:
    """A function that warnings may name, and that counts its calls."""

    __name__ = "counted"

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *given: Tensor) -> Tensor:
        self.calls += 1
        return self.function(*given)


@pytest.fixture(autouse=True)
def _scripts() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")  # torch's own, in forward mode
        yield


def told(kind: str) -> Any:
    """What expects the warning of these networks, once each."""
    return pytest.warns(RuntimeWarning, match=TOLD) if kind in UNFOLLOWED else warnings.catch_warnings()


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(B, d, d), by autograd alone."""
    return torch.stack([torch.autograd.functional.jacobian(lambda y: function(y[None])[0], row) for row in x])


each_kind = pytest.mark.parametrize("kind", PLAIN)


@each_kind
@pytest.mark.parametrize("enabled", [False, True], ids=["no_grad", "grad"])
def test_products_are_those_of_plain_operations(kind: str, enabled: bool) -> None:
    net, exact = Counted(network(kind)), jacobian(PLAIN[kind], X)
    with torch.set_grad_enabled(enabled), told(kind):
        value, products = pullback(net, X, net)
        together = products(EYE)
    with torch.set_grad_enabled(enabled):
        torch.testing.assert_close(value, PLAIN[kind](X), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(together, exact.transpose(0, 1), rtol=1e-12, atol=1e-13)
        calls = net.calls
        pullback(net, X, net)
        assert net.calls == calls + 1  # the way is remembered, and nothing is said again
        slope = gradient(lambda x: net(x).square().sum(), X, net)
        torch.testing.assert_close(slope, 2.0 * (PLAIN[kind](X)[:, None] @ exact)[:, 0], rtol=1e-12, atol=1e-13)
        if kind != "once":
            pushed = pushforward(net, X, V, net)
            torch.testing.assert_close(pushed, (exact @ V[..., None])[..., 0], rtol=1e-12, atol=1e-13)
    assert value.requires_grad is False or enabled


@pytest.mark.parametrize("kind", [kind for kind in PLAIN if kind != "once"])
def test_products_can_be_differentiated(kind: str) -> None:
    """The gradient of the sum of squares of J, with respect to x."""
    net, x = Counted(network(kind)), X.clone().requires_grad_()
    with told(kind):
        _, products = pullback(net, x, net)
        with sdpa_kernel(SDPBackend.MATH):  # checkpointed attention is called again here
            (found,) = torch.autograd.grad(products(EYE).square().sum(), x)
    y = X.clone().requires_grad_()
    rows = torch.stack([torch.autograd.grad(PLAIN[kind](y), y, e, create_graph=True)[0] for e in EYE])
    (expected,) = torch.autograd.grad(rows.square().sum(), y)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_a_constant_has_no_derivative() -> None:
    for net in (torch.ones_like, lambda x: checkpoint(torch.ones_like, x, use_reentrant=False)):
        with told("plain" if net is torch.ones_like else "checkpoint"):
            assert not pullback(net, X, net)[1](EYE).any()
        assert not pushforward(net, X, V, net).any()


def test_an_error_of_the_network_is_its_own() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        pullback(lambda x: x @ torch.ones(5, 5, dtype=x.dtype), X, None)


def test_reentrant_checkpoints_are_refused_with_the_way_out() -> None:
    """torch refuses gradients with respect to their input alone."""
    net = lambda x, time: checkpoint(layer, x, use_reentrant=True)  # noqa: E731
    denoiser = Denoiser(net, CondOT(), predicts="velocity")
    warnings.filterwarnings("ignore", message="None of the inputs have requires_grad=True")  # torch's, of the flow
    with (
        pytest.warns(RuntimeWarning, match=TOLD),
        pytest.raises(ValueError, match=r"use_reentrant=True, which has no gradient.*; give use_reentrant=False"),
    ):
        log_likelihood(denoiser, X)


# Where they are used.


def timed(kind: str) -> Counted:
    inner = network(kind)
    return Counted(lambda x, time: inner(x + 0.1 * time[:, None]))


def plainly(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, time: PLAIN[kind](x + 0.1 * time[:, None])


def image(inner: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, time: inner(x.flatten(1), time).reshape(x.shape)


@pytest.mark.thinned(3)
@each_kind
@pytest.mark.parametrize("trace", ["exact", "orthogonal", "coloured", "hutchinson", "hutch++"])
def test_the_likelihood(kind: str, trace: str) -> None:
    """Values, gradients and the account: evaluations and products of the plain network, of states that are images."""
    x = X.reshape(3, 1, 2, 2)
    plain = Denoiser(image(plainly(kind)), CondOT(), predicts="velocity")
    given: Any = {"nodes": 9, "trace": trace, **({} if trace == "exact" else {"probes": 2})}
    expected = log_likelihood(plain, x, **given)
    denoiser = Denoiser(image(timed(kind)), CondOT(), predicts="velocity")
    with torch.no_grad(), told(kind):
        found = log_likelihood(denoiser, x, **given)
    torch.testing.assert_close(found.value, expected.value, rtol=1e-12, atol=1e-12)
    assert (found.nfe.forward, found.nfe.vjp) == (expected.nfe.forward, expected.nfe.vjp)
    if kind != "once":
        at, there = x.clone().requires_grad_(), x.clone().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):  # checkpointed attention is called again here
            log_likelihood(denoiser, at, **given).value.sum().backward()
        log_likelihood(plain, there, **given).value.sum().backward()
        torch.testing.assert_close(at.grad, there.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["function", "once", "operator"])
def test_a_likelihood_to_an_error(kind: str) -> None:
    """With nodes added where a sample needs them, and a trace that the error chooses; the warning comes once."""
    plain = Denoiser(plainly(kind), CondOT(), predicts="velocity")
    denoiser = Denoiser(timed(kind), CondOT(), predicts="velocity")
    for given in ({"error": 1e-6, "trace": "exact"}, {"error": 0.3}):
        expected = log_likelihood(plain, X, **given)
        with warnings.catch_warnings() if "trace" not in given else told(kind):
            found = log_likelihood(denoiser, X, **given)
        torch.testing.assert_close(found.value, expected.value, rtol=1e-10, atol=1e-10)


@each_kind
def test_guidance_by_a_classifier(kind: str) -> None:
    denoiser = Denoiser(lambda x, time: -x, CondOT(), predicts="velocity")

    def log_prob(net: Callable[..., Tensor]) -> Any:
        return Counted(lambda x, time: net(x, time).square().sum(1))

    expected = ClassifierGuidance(denoiser, log_prob(plainly(kind)), 2.0).output(0.4, X)
    guided = ClassifierGuidance(denoiser, log_prob(timed(kind)), 2.0)
    with told(kind):
        found = guided.output(0.4, X)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in PLAIN if kind != "once"])
def test_milstein(kind: str) -> None:
    """g = 1 + ½ net(x) is no diagonal noise, but the product ∂g · g of the step is that of the plain network."""

    def noise(net: Callable[[Tensor], Tensor]) -> SDE:
        return SDE(lambda t, x: -x, Counted(lambda t, x: 1.0 + 0.5 * net(x)))

    expected = solve(noise(PLAIN[kind]), X, [0.0, 0.1, 0.2], Milstein(), WhiteNoise(0)).x
    with torch.no_grad(), told(kind):
        found = solve(noise(network(kind)), X, [0.0, 0.1, 0.2], Milstein(), WhiteNoise(0)).x
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Module(nn.Module):
    """The exact network of a Gaussian, in operations of each kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        exact = LAW.v(x, time, CondOT())
        shift = {"checkpoint": lambda y: checkpoint(torch.sin, y, use_reentrant=False), "function": Sine.apply}
        return exact + shift.get(self.kind, torch.sin)(x) - torch.sin(x)


LAW = Gaussian(torch.zeros(2, dtype=torch.float64), torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=torch.float64))


@pytest.mark.parametrize("kind", ["checkpoint", "function"])
def test_the_audit(kind: str) -> None:
    """Its table is that of the same network in plain operations."""
    data = LAW.sample(64, seed=1)
    expected = audit(Denoiser(Module("plain"), CondOT(), predicts="v"), data, likelihoods=0)
    with told(kind):
        found = audit(Denoiser(Module(kind), CondOT(), predicts="v"), data, likelihoods=0)
    for entry, other in zip(found.entries, expected.entries, strict=True):
        assert entry.identity == other.identity
        assert entry.value == pytest.approx(other.value, rel=1e-6, abs=1e-9)
