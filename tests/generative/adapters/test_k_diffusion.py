"""Denoisers of k-diffusion, against the library's own samplers on the same levels of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker import solve
from fokker.generative import VE, named
from fokker.generative.adapters import from_k_diffusion

ALPHAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).mul(-1.0).log1p().cumsum(0).exp()


def net(x: Tensor, t: Tensor, weight: float = 1.0) -> Tensor:
    """Smooth, and different at every time."""
    return weight * torch.tanh(x + 0.1 * t.log1p()[:, None] * x.flip(1))


def wrapped(library: Any, name: str) -> Any:
    match name:
        case "karras":
            return library.layers.Denoiser(net, sigma_data=0.7)
        case "v":
            return library.external.VDenoiser(net)
        case "eps":
            return library.external.DiscreteEpsDDPMDenoiser(net, ALPHAS, quantize=False)
        case _:
            return library.external.DiscreteVDDPMDenoiser(net, ALPHAS, quantize=True)


@pytest.mark.parametrize("name", ["karras", "v", "eps", "v-table"])
def test_the_denoised_sample(name: str, k_diffusion: Any) -> None:
    theirs = wrapped(k_diffusion, name)
    denoiser = from_k_diffusion(theirs, condition={"weight": 0.8}, sigma_max=20.0)
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sigma in (0.05, 1.0, 12.0):
        t = 1.0 - sigma / 20.0
        expected = theirs(x, torch.full((4,), sigma, dtype=torch.float64), weight=0.8)
        torch.testing.assert_close(denoiser.predict("x0", t, x), expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(denoiser.predict("eps", t, x), (x - expected) / sigma, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("wrapper", ["karras", "v", "eps"])
@pytest.mark.parametrize(("sampler", "theirs"), [("euler", "sample_euler"), ("edm-heun", "sample_heun")])
def test_the_samples(sampler: str, theirs: str, wrapper: str, k_diffusion: Any) -> None:
    """Algorithm 1 of EDM, with and without its second-order correction: the same numbers, to rounding."""
    inner, n = wrapped(k_diffusion, wrapper), 8
    sigmas = k_diffusion.sampling.get_sigmas_karras(n, 0.05, 10.0).double()
    x = sigmas[0] * torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sample: Callable[..., Tensor] = getattr(k_diffusion.sampling, theirs)
    expected = sample(inner, x, sigmas, disable=True)
    denoiser, row = from_k_diffusion(inner, sigma_max=20.0), named(sampler)
    found = solve(row.equation(denoiser), x, 1.0 - sigmas / 20.0, row.solver).x
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_the_noisiest_level_is_that_of_the_table(k_diffusion: Any) -> None:
    largest = ((1.0 - ALPHAS[-1]) / ALPHAS[-1]).sqrt()
    assert from_k_diffusion(wrapped(k_diffusion, "eps")).path == VE(float(largest))
    assert from_k_diffusion(wrapped(k_diffusion, "karras")).path == VE(80.0)


def test_what_is_no_denoiser_is_refused() -> None:
    with pytest.raises(TypeError, match="denoiser is a int; give a wrapper"):
        from_k_diffusion(3)  # type: ignore[arg-type]


def test_a_wrapped_denoiser_has_the_noise_levels_of_the_one_inside(k_diffusion: Any) -> None:
    class Inner(torch.nn.Module):
        sigma_max = 14.6

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return x

    assert from_k_diffusion(torch.nn.DataParallel(Inner())).path == VE(14.6)
