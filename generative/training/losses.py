"""One regression trains every model.

    L = E w(t) ‖ net(x_t, t, label) − y_t ‖² / dim,      x_t = α x₀ + σ ε,      y_t = p x₀ + q ε,

with (p, q) the row of `predicts` in the table of predictions: "velocity" is conditional flow matching (Lipman
et al., 2210.02747, eq. 9), "eps" the simple loss of DDPM (Ho et al., 2006.11239, eq. 14), "x0" denoising, "score"
denoising score matching (Vincent, 2011). The conditional target may stand for the marginal one: the minimiser of a
square is a conditional mean, and E[y_t | x_t] is the marginal target.

w = 1, or a weighting (`weightings`), which is the same loss for every kind; t has a density (`time_densities`). Whether
L is finite is a matter of both. The least error of a kind with determinant D is D² Var(x₀ | x_t)/σ², of order D² at
the ends of a path, and an untrained network's of order 1; so E w D² and E w must be finite. The score is refused up to
σ = 0, where D² = α²/σ².
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ..denoiser import check_kind, per_sample, preconditioning
from ..paths import GaussianPath, Importance, TimeDensity, Uniform, stratified
from .weightings import Output, Weighting, determinant, inside, row

__all__ = ["Seen", "check_finite", "regression_loss", "squared_error", "target"]

NEAR_THE_END = (1e-8, 1e-10)
BEYOND = 1e15
"""No error counts so much, except for a discrete time that lies at the very end of the path."""
WHOLE = Uniform()


class Seen(NamedTuple):
    """What a batch was: u (B,), its times t (B,) and weighted squared errors a dimension (B,), without gradients."""

    u: Tensor
    t: Tensor
    loss: Tensor


def check_finite(
    path: GaussianPath,
    predicts: str,
    weighting: Weighting | None = None,
    times: TimeDensity = WHOLE,
    precondition: preconditioning.EDM | None = None,
) -> None:
    """Raises ValueError unless the loss is finite, its times lie in [0, 1] and the kind is known.

    ∫ f(F⁻¹(u)) du converges at an end if u f falls like a power of the distance u to it, which is measured there.
    """
    output = _output(predicts, precondition)
    u = torch.tensor(NEAR_THE_END, dtype=torch.float64)
    t = times.quantile(path, torch.cat([u, 1.0 - u]))
    if not bool(((t >= 0.0) & (t <= 1.0)).all()):
        raise ValueError(f"The times of {times} run from {t[0]:.3g} to {t[3]:.3g} on {path}; keep them in [0, 1].")
    common = determinant(output, path, inside(t)) ** 2
    weight = torch.ones_like(t)
    if weighting is not None:
        common, weight = weighting.common(path, inside(t)), weighting.of(output, path, t)
    size = torch.maximum(common, weight)
    for end, (far, near) in zip((t[1], t[3]), size.view(2, 2).unbind(), strict=True):
        if not bool((near * u[1] < 0.8 * far * u[0]) & (near < BEYOND)):
            cut = "Uniform(0.0, 0.999)" if end > 0.5 else "Uniform(0.001, 1.0)"
            raise ValueError(
                f"The loss of {predicts} on {path} with weighting {weighting} and times {times} is infinite, since "
                f"errors count without bound towards t = {end:.3g}; keep away from it, times={cut}, or weigh otherwise."
            )


def target(output: Output, path: GaussianPath, t: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """What a network is regressed on: p x₀ + q ε, of x0's shape (B, ...), for times t (B,).

    output: a kind of prediction, or the preconditioning that the network is inside of.
    """
    p, q = row(output, path, t)
    return per_sample(p, x0) * x0 + per_sample(q, eps) * eps


def squared_error(
    net: Callable[..., Tensor],
    path: GaussianPath,
    predicts: str,
    t: Tensor,
    x0: Tensor,
    eps: Tensor,
    label: Tensor | None = None,
    *,
    weighting: Weighting | None = None,
    precondition: preconditioning.EDM | None = None,
) -> Tensor:
    """w(t) (net(x_t, t, label) − y_t)², of x0's shape (B, ...), for times t (B,) and noise eps like x0.

    What a network returns in half precision is compared with the target in x0's dtype.

    With `precondition` the network is F in x₀-hat = skip x + gain F(scale x, clock), and y_t what F has to return.
    """
    output = _output(predicts, precondition)
    x = per_sample(path.alpha(t), x0) * x0 + per_sample(path.sigma(t), x0) * eps
    if precondition is None:
        answer = net(x, t, label)
    else:
        t = inside(t)
        scales = precondition.scales(path.alpha(t), path.sigma(t))
        answer = net(per_sample(scales.input, x) * x, torch.as_tensor(scales.clock).to(x), label)
    square = (answer - target(output, path, t, x0, eps)).square()
    return square if weighting is None else per_sample(weighting.of(output, path, t), square) * square


def regression_loss(
    net: Callable[..., Tensor],
    path: GaussianPath,
    predicts: str,
    x0: Tensor,
    label: Tensor | None = None,
    *,
    generator: Generator | None = None,
    label_dropout: float = 0.0,
    weighting: Weighting | None = None,
    times: TimeDensity = WHOLE,
    draw: Callable[..., Tensor] = stratified,
    importance: Importance | None = None,
    precondition: preconditioning.EDM | None = None,
    observe: Callable[[Seen], None] | None = None,
) -> Tensor:
    """The mean square above, a scalar, on a batch x0 of shape (B, ...) with labels (B,) int64 or none.

    Each label is replaced by `net.null_label` with probability `label_dropout`, so that one network learns
    the conditional and the unconditional model (Ho and Salimans, 2207.12598, algorithm 1). weighting: None counts the
    errors of what the network returns equally. times, draw: the density of t, and what draws u, `stratified` or
    `independent`. importance: draws u otherwise and corrects for it. precondition: as for a `Denoiser`. observe:
    is given what was `Seen`.

    Raises ValueError for an unknown kind of prediction, a loss that is infinite and a dropout outside [0, 1).
    """
    if not 0.0 <= label_dropout < 1.0:
        raise ValueError(f"label_dropout is {label_dropout}; give a probability in [0, 1), whatever the guidance.")
    check_finite(path, predicts, weighting, times, precondition)
    u = draw(len(x0), generator, like=x0)
    factor = None
    if importance is not None:
        u, factor = importance.warp(u)
    t = times.quantile(path, u)
    eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
    if label is not None and label_dropout > 0.0:
        dropped = torch.rand(label.shape, generator=generator, device=x0.device) < label_dropout
        label = label.masked_fill(dropped, int(net.null_label))  # type: ignore[attr-defined]
    square = squared_error(net, path, predicts, t, x0, eps, label, weighting=weighting, precondition=precondition)
    if observe is not None:
        observe(Seen(u, t, square.detach().flatten(1).mean(1)))
    if factor is not None:
        square = per_sample(factor, square) * square
    return square.mean()


def _output(predicts: str, precondition: preconditioning.EDM | None) -> Output:
    if precondition is None:
        return check_kind(predicts)
    if predicts != "x0":
        raise ValueError(f"A preconditioned network predicts x0, but got predicts={predicts!r}; write predicts='x0'.")
    return precondition
