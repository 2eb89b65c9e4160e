"""What every oracle must satisfy, by autograd and differences that share no code with its formulas."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath
from fokker.verification.oracles import Oracle

__all__ = ["ENDLESS", "PATHS", "TIMES", "check_fields", "check_per_sample_times", "check_transport", "gradient"]

ENDLESS = Cosine(-math.inf, math.inf)
PATHS: list[GaussianPath] = [CondOT(), Cosine(), ENDLESS, VP(), VE()]
TIMES = [0.05, 0.5, 0.93]
FIELDS = ["score", "x0", "eps", "v", "velocity", "divergence", "log_prob", "d_log_prob"]


def gradient(value: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(value.sum(), x, retain_graph=True)[0]


def check_fields(law: Oracle, path: GaussianPath, t: float) -> None:
    """The score is the gradient of log p_t, Tweedie's formula holds, and the kinds are what they are called."""
    x = law.sample(8, 1, t, path).requires_grad_()
    score, x0, eps = law.score(x, t, path), law.x0(x, t, path), law.eps(x, t, path)
    torch.testing.assert_close(score, gradient(law.log_prob(x, t, path), x), rtol=1e-9, atol=1e-9)
    alpha, sigma = path.alpha(t), path.sigma(t)
    torch.testing.assert_close(alpha * x0 + sigma * eps, x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(eps, -sigma * score, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(law.v(x, t, path), alpha * eps - sigma * x0, rtol=1e-11, atol=1e-11)
    velocity = path.d_alpha(t) * x0 + path.d_sigma(t) * eps
    torch.testing.assert_close(law.velocity(x, t, path), velocity, rtol=1e-10, atol=1e-10)
    for kind in ("x0", "eps", "v", "velocity", "score"):
        expected = getattr(law, kind)(x, t, path)
        torch.testing.assert_close(law.denoiser(path).predict(kind, t, x), expected, rtol=1e-8, atol=1e-8)
        assert torch.equal(law.denoiser(path, kind).output(t, x), getattr(law, kind)(x, x.new_full((8,), t), path))


def check_transport(law: Oracle, path: GaussianPath, t: float) -> None:
    """The divergence is the trace of the Jacobian, and ∂_t log p is minus u·s + ∇·u."""
    x = law.sample(8, 2, t, path).requires_grad_()
    velocity = law.velocity(x, t, path).flatten(1)
    trace = sum(gradient(velocity[:, i], x).flatten(1)[:, i] for i in range(velocity.shape[1]))
    torch.testing.assert_close(law.divergence(x, t, path), trace, rtol=1e-8, atol=1e-8)
    times = torch.full((8,), t, dtype=torch.float64, requires_grad=True)
    rate = gradient(law.log_prob(x, times, path), times)
    scale = 1.0 + law.divergence(x, t, path).abs()
    assert ((law.d_log_prob(x, t, path) - rate).abs() / scale).max() < 1e-8


def check_per_sample_times(law: Oracle, path: GaussianPath) -> None:
    times = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    x = torch.cat([law.sample(1, 3, t.item(), path) for t in times])
    torch.testing.assert_close(law.sample(5, 3, times, path)[0], x[0], rtol=1e-13, atol=1e-13)
    for field in FIELDS:
        each = torch.cat([getattr(law, field)(x[i : i + 1], t.item(), path) for i, t in enumerate(times)])
        torch.testing.assert_close(getattr(law, field)(x, times, path), each, rtol=1e-11, atol=1e-11)
