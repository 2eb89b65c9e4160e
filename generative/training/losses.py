"""One regression trains every model.

    L = E w(t) ‖ net(x_t, t, label) − y_t ‖² / dim,      x_t = α x₀ + σ ε,      y_t = p x₀ + q ε,

with (p, q) the row of `predicts` in the table of predictions: "velocity" is conditional flow matching (Lipman
et al., 2210.02747, eq. 9), "eps" the simple loss of DDPM (Ho et al., 2006.11239, eq. 14), "x0" denoising, "score"
denoising score matching (Vincent, 2011). The conditional target may stand for the marginal one: the minimiser of a
square is a conditional mean, and E[y_t | x_t] is the marginal target.

w = 1, or a weighting (`weightings`), which gives the same loss for every kind; t has a density (`time_densities`). Both
decide whether L is finite. The least error of a kind with determinant D is D² Var(x₀ | x_t)/σ², of order D² at the ends
of a path; the error of an untrained network is of order 1. So E w D² and E w must be finite. The score is refused if
times reach σ = 0, where D² = α²/σ² is infinite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ...solvers.common import check_callable, check_instance, check_samples, host, matching, real
from ..denoiser import check_kind, check_output, per_sample, preconditioning
from ..paths import GaussianPath, Importance, TimeDensity, Uniform, stratified
from .weightings import Output, Weighting, determinant, inside, row

__all__ = ["Seen", "check_finite_loss", "check_labels", "dropped", "regression_loss", "squared_error", "target"]

NEAR_THE_END = (1e-8, 1e-10)
BEYOND = 1e15
"""A larger weight is infinite: only a discrete time at the very end of the path has one."""
WHOLE = Uniform()


class Seen(NamedTuple):
    """What a batch was, without gradients.

    Attributes:
        u: the uniform numbers that gave the times, (B,).
        t: the times, (B,).
        loss: the weighted squared errors, the mean over the components of a sample, (B,).
    """

    u: Tensor
    t: Tensor
    loss: Tensor


def check_finite_loss(
    path: GaussianPath,
    predicts: str,
    weighting: Weighting | None = None,
    times: TimeDensity = WHOLE,
    precondition: preconditioning.EDM | None = None,
) -> None:
    """Checks that the loss is finite.

    ∫ f(F⁻¹(u)) du converges at an end if u f falls like a power of the distance u to the end. The check measures this
    at two distances.

    Args:
        path: the path of the training.
        predicts: the kind of prediction.
        weighting: None for w = 1.
        times: the density of t.
        precondition: the frame of the network, if it has one.

    Raises:
        ValueError: the loss is infinite, times lie outside [0, 1], or the kind is unknown.
    """
    output = _output(predicts, precondition)
    u = host(NEAR_THE_END)
    t = times.quantile(path, torch.cat([u, 1.0 - u]))
    if not bool(((t >= 0.0) & (t <= 1.0)).all()):
        raise ValueError(f"The times of {times} run from {t[0]:.3g} to {t[3]:.3g} on {path}; keep them in [0, 1].")
    common = determinant(output, path, inside(t)) ** 2
    weight = torch.ones_like(t)
    if weighting is not None:
        weight = weighting.of(output, path, t)
        common = per_sample(weighting.common(path, inside(t)), weight)
    size = torch.maximum(common, per_sample(weight, common)).reshape(len(t), -1).amax(1)  # of any channel
    for end, (far, near) in zip((t[1], t[3]), size.view(2, 2).unbind(), strict=True):
        if not bool((near * u[1] < 0.8 * far * u[0]) & (near < BEYOND)):
            cut = "Uniform(0.0, 0.999)" if end > 0.5 else "Uniform(0.001, 1.0)"
            raise ValueError(
                f"The loss of {predicts} on {path} with weighting {weighting} and times {times} is infinite, since "
                f"errors count without bound towards t = {end:.3g}; keep away from it, times={cut}, or weigh otherwise."
            )


def target(output: Output, path: GaussianPath, t: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """The target of the regression, y_t = p x₀ + q ε.

    Args:
        output: a kind of prediction, or the preconditioning around the network.
        path: the path of the training.
        t: times, (B,).
        x0: clean samples, (B, ...).
        eps: the noise, like x0.

    Returns:
        The target, like x0.
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
    """w(t) (net(x_t, t, label) − y_t)² in every component.

    Outputs in half precision are compared with the target in x0's dtype.

    Args:
        net: net(x, t, label).
        path: the path of the training.
        predicts: the kind of prediction.
        t: times, (B,).
        x0: clean samples, (B, ...).
        eps: the noise, like x0.
        label: int64 (B,), or None.
        weighting: w; None for w = 1.
        precondition: the network is F in x₀-hat = skip x + gain F(scale x, clock), and y_t what F has to return.

    Returns:
        A tensor like x0.
    """
    output = _output(predicts, precondition)
    x = per_sample(path.alpha(t), x0) * x0 + per_sample(path.sigma(t), x0) * eps
    if precondition is None:
        answer = net(x, t, label)
    else:
        t = inside(t)
        scales = precondition.scales(path.alpha(t), path.sigma(t))
        answer = net(per_sample(scales.input, x) * x, matching(scales.clock, x), label)
    check_output(answer, x)
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
    """The mean of `squared_error` on a batch, with random times and noise: the loss above.

    Args:
        net: net(x, t, label).
        path: the path of the training.
        predicts: the kind of prediction.
        x0: clean samples, (B, ...).
        label: int64 (B,), or None.
        generator: draws times, noise and dropped labels; None for torch's own.
        label_dropout: the probability with which a label becomes `net.null_label`, so that one network learns the
            conditional and the unconditional model (Ho and Salimans, 2207.12598, algorithm 1).
        weighting: w; None for w = 1.
        times: the density of t.
        draw: draws u, `stratified` or `independent`.
        importance: draws u from a density of its own, and corrects for it.
        precondition: as for a `Denoiser`.
        observe: a function that is called with `Seen`.

    Returns:
        A scalar.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: an unknown kind of prediction, an infinite loss, a dropout outside [0, 1) or without a null label,
            no samples, or another number of labels.
    """
    check_callable("net", net, "a network, net(x, t, label)")
    check_instance("path", path, GaussianPath, "a path, such as CondOT()")
    check_samples("x0", x0, empty=False)
    check_callable("draw", draw, "stratified or independent")
    label_dropout = real("label_dropout", label_dropout, 0.0, below=1.0)
    if label is not None:
        check_labels(label, x0, net if label_dropout else None)
    for name, value, kind, such_as in (
        ("generator", generator, Generator, "torch.Generator().manual_seed(0)"),
        ("weighting", weighting, Weighting, "a weighting, such as weightings.SNR()"),
        ("times", times, TimeDensity, "a density, such as time_densities.Uniform()"),
        ("importance", importance, Importance, "time_densities.Importance()"),
        ("precondition", precondition, preconditioning.EDM, "EDM()"),
    ):
        if value is not None or name == "times":
            check_instance(name, value, kind, such_as)
    if observe is not None:
        check_callable("observe", observe, "a function of Seen")
    check_finite_loss(path, predicts, weighting, times, precondition)
    u = draw(len(x0), generator, like=x0)
    check_samples("What draw returned", u)
    if u.shape != x0.shape[:1]:
        raise ValueError(f"draw returned shape {tuple(u.shape)} for {len(x0)} samples; return ({len(x0)},).")
    factor = None
    if importance is not None:
        u, factor = importance.warp(u)
    t = times.quantile(path, u)
    eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
    if label is not None and label_dropout > 0.0:
        label = dropped(label, net, label_dropout, generator)
    square = squared_error(net, path, predicts, t, x0, eps, label, weighting=weighting, precondition=precondition)
    if observe is not None:
        observe(Seen(u, t, square.detach().flatten(1).mean(1)))
    if factor is not None:
        square = per_sample(factor, square) * square
    return square.mean()


def dropped(label: Tensor, net: Any, probability: float, generator: Generator | None) -> Tensor:
    """The labels (B,), each replaced by `net.null_label` with this probability."""
    chosen = torch.rand(label.shape, generator=generator, device=label.device) < probability
    return label.masked_fill(chosen, int(net.null_label))


def check_labels(label: Tensor, x0: Tensor, dropping: object | None) -> None:
    """Raises for labels that are not int64 (B,), and for a network that drops labels and has no null label."""
    integers = isinstance(label, Tensor) and label.dtype == torch.int64
    if not integers or label.shape != x0.shape[:1]:
        given = f"{label.dtype} of shape {tuple(label.shape)}" if isinstance(label, Tensor) else type(label).__name__
        kind = ValueError if integers else TypeError
        raise kind(f"label is {given} for {len(x0)} samples; give int64 of shape ({len(x0)},).")
    if dropping is not None and not isinstance(getattr(dropping, "null_label", None), int):
        raise ValueError("label_dropout needs the label that stands for none; let the network have a null_label.")


def _output(predicts: str, precondition: preconditioning.EDM | None) -> Output:
    if precondition is None:
        return check_kind(predicts)
    if predicts != "x0":
        raise ValueError(f"A preconditioned network predicts x0, but got predicts={predicts!r}; write predicts='x0'.")
    return precondition
