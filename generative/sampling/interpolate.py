"""Between two samples: along a great circle of their latents.

Noise in high dimension lies on a sphere, |z| ≈ σ √d, which a straight line leaves: halfway between two independent
latents the norm is 1/√2 of theirs, and no sample looks like what is decoded there. With u = z₀/|z₀|, θ the angle
between z₀ and z₁, and p the unit vector that is perpendicular to u in their plane, towards z₁,

    z(s) = ((1 − s) |z₀| + s |z₁|) (u cos sθ + p sin sθ),

so that the norm goes straight from one to the other and the direction turns evenly, whatever the two norms are. In this
form the limits need no formula of their own: for parallel latents θ = 0, and p does not count; for opposite ones every
great circle is as short as any other, and p is made from the coordinate axis that is most nearly perpendicular to u.

Sources: Shoemake, Animating Rotation with Quaternion Curves (1985), section 3.3; Song, Meng and Ermon, DDIM
(2010.02502), section 5.3 and appendix D.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..denoiser import Condition, Denoiser, Label
from .encode import decode, encode
from .plan import AnySampler
from .sample import conditioned

__all__ = ["interpolate", "slerp"]


def slerp(z0: Tensor, z1: Tensor, s: float | Tensor) -> Tensor:
    """z(s), sample by sample: z0, z1 of one shape (B, ...) and s a float, or (B,) -> (B, ...).

    A latent that is zero has no direction; it takes that of the other. Raises ValueError for shapes that do not fit.
    """
    if z0.shape != z1.shape or z0.ndim < 2:
        raise ValueError(f"slerp goes between {tuple(z0.shape)} and {tuple(z1.shape)}; give one shape (B, ...) twice.")
    if isinstance(s, Tensor) and s.shape not in ((), z0.shape[:1]):
        raise ValueError(f"s has shape {tuple(s.shape)} for {len(z0)} samples; give a float, or one number each.")
    share = torch.as_tensor(s, dtype=z0.dtype, device=z0.device).reshape(-1, 1)
    a, b = z0.flatten(1), z1.flatten(1)
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
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
    """From x_a to x_b, each (B, ...): `steps` samples at even s from 0 to 1, (steps, B, ...).

    Both are encoded, their latents interpolated by `slerp`, and all of them decoded in one batch. The first and the
    last are x_a and x_b up to the error of a round trip. nfe: evaluations in each direction, by default 50. label,
    guidance, sampler: as for `encode`, a label for both ends. Raises ValueError for fewer than 2 steps, and what
    `encode` and `slerp` raise.
    """
    if steps < 2:
        raise ValueError(f"steps = {steps} leaves out an end; give at least 2.")
    if x_a.shape != x_b.shape:
        raise ValueError(f"There is no way from {tuple(x_a.shape)} to {tuple(x_b.shape)}; give one shape (B, ...).")
    batch = len(x_a)
    denoiser = conditioned(denoiser, x_a, batch, label, guidance)
    rows = torch.arange(batch)
    z_a, z_b = encode(denoiser.of_rows(rows.repeat(2)), torch.cat([x_a, x_b]), nfe, sampler=sampler).chunk(2)
    shares = torch.linspace(0.0, 1.0, steps, dtype=torch.float64).repeat_interleave(batch)
    repeats = (steps, *(1,) * (x_a.ndim - 1))
    z = slerp(z_a.repeat(repeats), z_b.repeat(repeats), shares)
    x = decode(denoiser.of_rows(rows.repeat(steps)), z, nfe, sampler=sampler)
    return x.reshape(steps, *x_a.shape)


def _unit(x: Tensor) -> Tensor:
    """x / |x|, and 0 for 0."""
    length = x.norm(dim=1, keepdim=True)
    return x / torch.where(length > 0.0, length, 1.0)
