"""Between two samples: along a great circle of their latents.

Noise in high dimension lies on a sphere, |z| ≈ σ √d. A straight line leaves the sphere: halfway between two independent
latents the norm is 1/√2 of theirs, and what is decoded there does not look like a sample. Let u = z₀/|z₀|, let θ be the
angle between z₀ and z₁, and let p be the unit vector that is perpendicular to u in their plane, towards z₁. Then

    z(s) = ((1 − s) |z₀| + s |z₁|) (u cos sθ + p sin sθ).

The norm goes straight from one to the other, and the direction turns evenly, whatever the two norms are. The limits
need no formula of their own. For parallel latents θ = 0, and p does not count. For opposite latents every great circle
is as short as any other, and p is made from the coordinate axis that is most nearly perpendicular to u.

Sources: Shoemake, Animating Rotation with Quaternion Curves (1985), section 3.3; Song, Meng and Ermon, DDIM
(2010.02502), section 5.3 and appendix D.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...solvers.common import MANY, check_alike, check_memory, check_samples, matching, real, whole
from ..denoiser import Condition, Denoiser, Label, check_denoiser
from .encode import two_way_plan
from .plan import AnySampler
from .sample import conditioned

__all__ = ["interpolate", "slerp"]

LARGEST_SHARE = 1000.0
"""Beyond it the direction turns so often that float32 does not tell where it ends."""


def slerp(z0: Tensor, z1: Tensor, s: float | Tensor) -> Tensor:
    """z(s), the point at the share s of the way from z0 to z1 along a great circle, sample by sample.

    A latent that is zero has no direction; it takes that of the other.

    Args:
        z0: the latents at s = 0, (B, ...).
        z1: the latents at s = 1, of the same shape.
        s: the share, a float, or one a sample, (B,); 0 to 1 between the two, and at most a thousand in size.

    Returns:
        The latents between, of the shape of z0.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> slerp(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)
        tensor([[1.4142, 1.4142]])
    """
    check_samples("z0", z0, axes=2)
    check_samples("z1", z1, axes=2)
    check_alike("z1", z1, "z0", z0)
    if not isinstance(s, Tensor):
        s = real("s", s, -LARGEST_SHARE, LARGEST_SHARE)
    elif s.shape not in ((), (1,), z0.shape[:1]):
        raise ValueError(f"s has shape {tuple(s.shape)} for {len(z0)} samples; give a float, or one number each.")
    else:
        check_samples("s", s, axes=0)
    if not z0.numel():
        return z0.clone()
    share = matching(s, z0).reshape(-1, 1)
    a, b = z0.flatten(1), z1.flatten(1)
    length_a, length_b = _length(a), _length(b)
    u, v = _unit(torch.where(length_a > 0.0, a, b)), _unit(torch.where(length_b > 0.0, b, a))
    cosine = (u * v).sum(1, keepdim=True)
    across = v - cosine * u
    sine = across.norm(dim=1, keepdim=True)
    axis = torch.nn.functional.one_hot(u.abs().argmin(1), u.shape[1]).to(u)
    on_a_line = sine < 8.0 * torch.finfo(u.dtype).eps
    p = torch.where(on_a_line, axis, _unit(across))
    p = _unit(p - (p * u).sum(1, keepdim=True) * u)  # the rounding of a short `across` is not perpendicular
    angle = share * torch.atan2(sine, cosine)
    length = torch.lerp(length_a, length_b, share.expand_as(length_a))
    return (length * (u * angle.cos() + p * angle.sin())).reshape(z0.shape)


def interpolate(
    denoiser: Denoiser,
    x_a: Tensor,
    x_b: Tensor,
    steps: int = 9,
    nfe: int | None = None,
    label: Label | Condition | None = None,
    guidance: float | Tensor | None = None,
    *,
    sampler: AnySampler = None,
) -> Tensor:
    """Samples on the way from x_a to x_b: both are encoded, and points between their latents (`slerp`) are decoded.

    The first and the last sample are x_a and x_b up to the error of a round trip. All are decoded in one batch.

    Args:
        denoiser: the network; it may be guided.
        x_a: the data where the way starts, (B, ...).
        x_b: the data where it ends, of the same shape.
        steps: the number of samples, at even s from 0 to 1.
        nfe: the most network evaluations a sample in each direction, by default 50.
        label: as for `sample`, the same for both ends.
        guidance: as for `sample`.
        sampler: as for `encode`.

    Returns:
        The samples, (steps, B, ...).

    Raises:
        ValueError: there are fewer than 2 steps; the shapes differ; or as `encode` raises.

    Example:
        >>> denoiser = Denoiser(lambda x, time: torch.zeros_like(x), CondOT(), predicts="velocity")
        >>> interpolate(denoiser, torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]]), steps=3)[1]
        tensor([[1.4142, 1.4142]])
    """
    check_denoiser(denoiser)
    check_samples("x_a", x_a, axes=2)
    check_samples("x_b", x_b, axes=2)
    steps = whole("steps", steps, 2, MANY)
    check_alike("x_b", x_b, "x_a", x_a)
    check_memory("steps", steps, steps * x_a.numel())
    batch = len(x_a)
    ends, rows = torch.cat([x_a, x_b]), torch.arange(batch, device="cpu")
    made = two_way_plan(conditioned(denoiser, ends, batch, label, guidance), sampler, nfe)
    z_a, z_b = made.of_rows(rows.repeat(2)).solve(ends, to_data=False).x.chunk(2)
    shares = torch.linspace(0.0, 1.0, steps, dtype=torch.float64, device="cpu").repeat_interleave(batch)
    repeats = (steps, *(1,) * (x_a.ndim - 1))
    z = slerp(z_a.repeat(repeats), z_b.repeat(repeats), shares)
    return made.of_rows(rows.repeat(steps)).solve(z).x.reshape(steps, *x_a.shape)


def _length(x: Tensor) -> Tensor:
    """|x| of each row, (B, 1), also where its square overflows or vanishes."""
    largest = x.abs().amax(1, keepdim=True)
    scale = torch.where(largest > 0.0, largest, 1.0)
    length: Tensor = scale * (x / scale).norm(dim=1, keepdim=True)
    return length


def _unit(x: Tensor) -> Tensor:
    """x / |x|, and 0 for 0."""
    length = _length(x)
    return x / torch.where(length > 0.0, length, 1.0)
