"""The losses of a chain in discrete time: for each sample one of the n + 1 steps, drawn at random.

    bound     (n + 1) × the step's own term of the variational bound
    hybrid    ‖ε − ε-hat‖²/dim + weight × bound/dim, with the bound's x₀-hat held constant

The last step is the decoder. The term of the prior does not depend on the network. The numbers of the steps are
stratified over the batch. The simple loss ‖ε − ε-hat‖²/dim alone is `regression_loss` with the times `Steps(n + 1)`.

Sources: Ho et al. (2006.11239), eq. 5; Nichol and Dhariwal (2102.09672), eq. 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...solvers.common import check_instance, check_samples, real
from ..denoiser import Denoiser, check_denoiser, per_sample
from ..paths import stratified
from .bound import Chain
from .chain import learned, share
from .grey_levels import check_levels

__all__ = ["bound_loss", "hybrid_loss"]

Times = Tensor | Sequence[float]


@dataclass(frozen=True)
class _Drawn:
    """For each sample the number of a latent of the chain, int64 on the host (B,), its ε and its state."""

    chain: Chain
    index: Tensor
    eps: Tensor
    x: Tensor

    @classmethod
    def of(cls, denoiser: Denoiser, x0: Tensor, times: Times | None, generator: Generator | None) -> _Drawn:
        check_denoiser(denoiser)
        check_samples("x0", x0, axes=1 + denoiser.learned_variance, empty=False)
        if generator is not None:
            check_instance("generator", generator, Generator, "torch.Generator().manual_seed(0)")
        chain = Chain.of(denoiser, times)
        count = chain.steps + 1
        index = (stratified(len(x0), generator, like=x0).cpu().double() * count).long().clamp(max=chain.steps)
        eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        return cls(chain, index, eps, chain.noisy(index, x0, eps))

    @property
    def times(self) -> Tensor:
        return self.chain.times[self.index]

    def bound(self, x0: Tensor, x0_hat: Tensor, v: Tensor | float, levels: int | None) -> Tensor:
        """(n + 1) times the term of each sample.

        Args:
            x0: the data, (B, ...).
            x0_hat: the prediction, like x0.
            v: the reverse variance's exponent: one float, or a tensor like x0.
            levels: as in `variational_bound`.

        Returns:
            Nats, (B,).
        """
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
    """An unbiased estimate of `variational_bound` without its prior term, by one evaluation for each sample.

    Args:
        denoiser: the network.
        x0: clean samples, (B, ...).
        times: as in `variational_bound`.
        variance: as in `variational_bound`.
        levels: as in `variational_bound`.
        generator: draws the steps and ε; None for torch's own.

    Returns:
        Nats, (B,).

    Raises:
        ValueError: as `variational_bound` does.
    """
    v = share(variance)
    drawn = _Drawn.of(denoiser, x0, times, generator)
    if levels is not None:
        check_levels(x0, levels)
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
    """The loss of a network with a learned variance, by one evaluation for each sample.

    The bound trains only the variance; the simple loss trains the prediction.

    Args:
        denoiser: a network with a learned variance.
        x0: clean samples, (B, ...).
        times: as in `variational_bound`.
        weight: the weight of the bound, in nats for each component.
        levels: as in `variational_bound`.
        generator: draws the steps and ε; None for torch's own.

    Returns:
        (B,).

    Raises:
        ValueError: a denoiser that learned no variance, and as `bound_loss` does.
    """
    weight = real("weight", weight, 0.0, 1e30)
    drawn = _Drawn.of(denoiser, x0, times, generator)
    if levels is not None:
        check_levels(x0, levels)
    x0_hat, v = learned(denoiser, drawn.times, drawn.x)
    t, path = drawn.times, denoiser.path
    back = per_sample(path.alpha(t) / path.sigma(t), x0)
    simple = (back * (x0 - x0_hat)).square().flatten(1).mean(1)
    return simple + weight / x0[0].numel() * drawn.bound(x0, x0_hat.detach(), v, levels)
