"""What a chain in discrete time is trained on, of each sample: one step of it, drawn from all n + 1 of them.

    bound     (n + 1) × the step's own term of the variational bound
    hybrid    ‖ε − ε-hat‖²/dim + weight × bound/dim, with the bound's x₀-hat held constant

The last step is the decoder; the prior's term knows no network. Step numbers are stratified over the batch. The simple
loss ‖ε − ε-hat‖²/dim alone is `regression_loss` with the times `Steps(n + 1)`.

Sources: Ho et al. (2006.11239), eq. 5; Nichol and Dhariwal (2102.09672), eq. 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..denoiser import Denoiser, per_sample
from ..paths import stratified
from .bound import Chain
from .chain import learned, share
from .grey_levels import check_levels

__all__ = ["bound_loss", "hybrid_loss"]

Times = Tensor | Sequence[float]


@dataclass(frozen=True)
class _Drawn:
    """For each sample a latent of the chain, its number, host int64 (B,), and its ε."""

    chain: Chain
    index: Tensor
    eps: Tensor
    x: Tensor

    @classmethod
    def of(cls, denoiser: Denoiser, x0: Tensor, times: Times | None, generator: Generator | None) -> _Drawn:
        chain = Chain.of(denoiser, times)
        count = chain.steps + 1
        index = (stratified(len(x0), generator, like=x0).double() * count).long().clamp(max=chain.steps).cpu()
        eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        return cls(chain, index, eps, chain.noisy(index, x0, eps))

    @property
    def times(self) -> Tensor:
        return self.chain.times[self.index]

    def bound(self, x0: Tensor, x0_hat: Tensor, v: Tensor | float, levels: int | None) -> Tensor:
        """(n + 1) times the term of each sample, (B,)."""
        chain, last = self.chain, self.index == self.chain.steps
        decoder = chain.decoder_terms(v, x0, x0_hat, levels)
        if chain.steps == 0:
            return decoder
        steps = chain.step_terms(self.index.clamp(max=chain.steps - 1), v, x0 - x0_hat)
        return (chain.steps + 1.0) * torch.where(last.to(x0.device), decoder, steps)


def bound_loss(
    denoiser: Denoiser,
    x0: Tensor,
    times: Times | None = None,
    *,
    variance: str | float,
    levels: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """An unbiased estimate of each sample's `variational_bound` without its prior, in nats, (B,): one evaluation.

    variance, levels: as there. Raises ValueError as it does.
    """
    v = share(variance)
    if levels is not None:
        check_levels(x0, levels)
    drawn = _Drawn.of(denoiser, x0, times, generator)
    if v is None:
        return drawn.bound(x0, *learned(denoiser, drawn.times, drawn.x), levels)
    return drawn.bound(x0, denoiser.predict("x0", drawn.times, drawn.x), v, levels)


def hybrid_loss(
    denoiser: Denoiser,
    x0: Tensor,
    times: Times | None = None,
    *,
    weight: float = 1e-3,
    levels: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """The loss of a network with a learned variance, of each sample, (B,): one evaluation.

    The bound, in nats a component, teaches the variance alone; the simple loss the prediction. Raises ValueError for a
    denoiser that learns no variance, and as `bound_loss` does.
    """
    if levels is not None:
        check_levels(x0, levels)
    drawn = _Drawn.of(denoiser, x0, times, generator)
    x0_hat, v = learned(denoiser, drawn.times, drawn.x)
    t, path = drawn.times, denoiser.path
    back = per_sample(torch.as_tensor(path.alpha(t)) / torch.as_tensor(path.sigma(t)), x0)
    simple = (back * (x0 - x0_hat)).square().flatten(1).mean(1)
    return simple + weight / x0[0].numel() * drawn.bound(x0, x0_hat.detach(), v, levels)
