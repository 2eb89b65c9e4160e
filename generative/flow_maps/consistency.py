"""A consistency model: a network that jumps to the data alone, from any time.

    f(x, s) = X(x, s, 1)

It does not see its target. With `EDM(sigma_data)` as its preconditioning it is c_skip x̃ + c_out F, the frame of
consistency models, whose boundary f(x, 1) = x is built in.

Source: Song et al., Consistency Models (2303.01469), eq. 5 and appendix C.
"""

from __future__ import annotations

from ..denoiser import Denoiser, first_time
from ..paths import Scalar
from .flow_map import FlowMap

__all__ = ["Consistency"]


class Consistency(FlowMap):
    """A network `net(x, s)` or `net(x, s, label)` that jumps from time s to the data, t = 1.

    Its arguments are those of `FlowMap`, without the kind "state": "x0" is the state at t = 1 where α = 1 and σ = 0.

    Raises:
        TypeError, ValueError: as `Denoiser` does. A call with another target than 1 raises ValueError.

    Example:
        >>> f = Consistency(lambda x, s: torch.zeros_like(x), CondOT(), predicts="x0")
        >>> f(torch.ones(1, 2), 0.5)
        tensor([[0., 0.]])
    """

    kind = Denoiser

    def towards(self, t: Scalar | None) -> Denoiser:
        """The network as the denoiser whose pair (x₀-hat, ε-hat) makes the jump to the data.

        Raises:
            ValueError: unless t is 1.
        """
        wrong = t is None or t != 1.0
        if t is None or (at := first_time(wrong, t)) is not None:
            given = "the state's own time" if t is None else f"t = {at:g}"
            raise ValueError(
                f"A consistency model jumps to the data, t = 1, but was asked for {given}; give t = 1, or train a "
                "FlowMap, whose network sees its target."
            )
        return self.held
