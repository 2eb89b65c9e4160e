"""Likelihoods of anyone's network: states of any shape, either dtype, conditions, guidance, operations of all kinds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy import random_mixture

from fokker.generative import CFG, CondOT, Denoiser, log_likelihood

LAW = random_mixture(16)
X, EXACT = LAW.sample(6, 0), LAW.log_prob(LAW.sample(6, 0))
SHAPES = [(16,), (2, 8), (1, 4, 4), (2, 2, 2, 2)]
TRACES = ["exact", "orthogonal", "coloured", "hutchinson", "hutch++", "auto"]


class Shaped(nn.Module):
    """The exact network of a mixture, for states of another shape. The weight tells the dtype that it computes in."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones((), dtype=dtype))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        field = LAW.v(x.flatten(1).double(), time.double(), CondOT())
        return self.one * field.to(x.dtype).reshape(x.shape)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("trace", TRACES)
def test_states_of_any_shape_and_dtype(shape: tuple[int, ...], trace: str, dtype: torch.dtype) -> None:
    """Six samples of a mixture in 16 dimensions, to 0.3 nats. An error of five times that has a probability of 6e-7."""
    denoiser = Denoiser(Shaped(dtype), CondOT(), predicts="v")
    x = X.to(dtype).reshape(6, *shape)
    if trace == "coloured" and len(shape) == 1:
        with pytest.raises(ValueError, match="has no pixels"):
            log_likelihood(denoiser, x, trace=trace, error=0.3)
        return
    with torch.no_grad():
        found = log_likelihood(denoiser, x, trace=trace, error=0.3)
    assert (found.value.dtype, found.latent.dtype) == (torch.float64, dtype)
    assert found.latent.shape == x.shape
    assert float((found.value - EXACT).abs().max()) < 1.5


@pytest.mark.parametrize("trace", TRACES)
def test_conditions_and_guidance(trace: str) -> None:
    """v-hat = a x with a of its own for each sample: dx/dt = a x, log p₁(x) = log N(e⁻ᵃ x; 0, I) − 4 a. Guided with the
    weight 2 and null 0 it is that of 2 a. A projection of a I, as in Hutch++, has a spread, within 5 of whose
    deviations the value is. All else is exact."""
    x = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rate = torch.linspace(-0.5, 0.5, 5, dtype=torch.float64)
    made = Denoiser(lambda x, time, rate: rate * x, CondOT(), predicts="velocity")
    given_rate = {"rate": rate[:, None, None, None]}
    for denoiser, a in (
        (made.given(given_rate), rate),
        (CFG(made.given(given_rate), 2.0, negative={"rate": torch.zeros(1, 1, 1, 1)}), 2.0 * rate),
    ):
        z = x * torch.exp(-a)[:, None, None, None]
        exact = -0.5 * z.square().flatten(1).sum(1) - 2.0 * math.log(2.0 * math.pi) - 4.0 * a
        found = log_likelihood(denoiser, x, trace=trace, error=1e-2)
        allowed = 5.0 * found.probe_stderr if trace == "hutch++" else 0.0
        assert bool(((found.value - exact).abs() < 0.03 + allowed).all())


class Cube(torch.autograd.Function):
    """x³/30 without setup_context, without a batching rule, and with a gradient that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3 / 30.0

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.from_numpy(gradient.numpy() * (x.numpy() ** 2 / 10.0))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_function_of_ones_own_falls_back_with_one_line(shape: tuple[int, ...]) -> None:
    """Every trace has the value of the plain operations, and the network is told of once."""
    x = X.reshape(6, *shape) / 3.0

    def plain(x: Tensor, time: Tensor) -> Tensor:
        return x**3 / 30.0

    def own(x: Tensor, time: Tensor) -> Tensor:
        return Cube.apply(x)

    kinds = [trace for trace in TRACES if trace != "coloured" or len(shape) > 1]
    nets: list[Callable[[Tensor, Tensor], Tensor]] = [plain, own]
    expected, found = [], []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for net, values in zip(nets, (expected, found), strict=True):
            denoiser = Denoiser(net, CondOT(), predicts="velocity")
            for trace in kinds:
                values.append(log_likelihood(denoiser, x, trace=trace, error=0.5).value)
    assert [str(each.message).startswith("torch.func cannot follow own (") for each in told] == [True]
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-9)
