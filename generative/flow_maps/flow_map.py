"""A flow map X(x, s, t): it takes the state at time s to the state at time t along the probability flow.

On every Gaussian path a flow map is one DDIM step with a prediction that knows its target:

    X(x, s, t) = α_t x₀-hat + σ_t ε-hat        with        x = α_s x₀-hat + σ_s ε-hat.

So X(x, s, s) = x is built in, and any kind of prediction gives the map. A network that predicts as its teacher does,
whatever its target, makes the teacher's DDIM step. The difference x₀-hat − ε-hat is the average velocity

    u = (z_t − z_s)/(r_t − r_s),        z = x/(α + σ),    r = α/(α + σ),

on `CondOT` that of MeanFlow, where z = x and r = t. The map to the data, f(x, s) = X(x, s, 1), is the consistency
function.

Sources: Song et al., Consistency Models (2303.01469), section 3; Kim et al., Consistency Trajectory Models
(2310.02279), section 3; Geng et al., MeanFlow (2505.13447), eq. 3; Boffi et al., Flow Map Matching (2406.07507).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ...solvers.common import check_floating, check_instance, real
from ..denoiser import EDM, Clock, Condition, Denoiser, Label, checked_times
from ..paths import GaussianPath, Scalar
from .towards import Towards

__all__ = ["FlowMap", "check_flow_map"]


class FlowMap:
    """A network `net(x, s, t)` or `net(x, s, t, label)` that jumps from time s to time t, with its conventions.

    The boundary X(x, s, s) = x holds for every network and every kind of prediction, with two exceptions. For "x0" at
    the data and "eps" at the noise the prediction alone is X, so that the boundary is the network's to learn there; an
    `EDM` preconditioning builds it in. For "state" the network learns the boundary at every time.

    Args:
        net: the network: states x (B, ...), their times s (B,) and the targets t (B,), to a tensor of the shape of x.
            Its dtype is handled as that of the network of a `Denoiser`.
        path: the path on which it was trained.
        predicts: the kind of its prediction at time s: "x0", "eps", "v", "velocity" (α_s' x₀-hat + σ_s' ε-hat; on
            `CondOT` the average velocity of MeanFlow) or "score"; or "state" for X(x, s, t) itself.
        time: the clock on which it sees s and t, as for `Denoiser`.
        label: its class label, an int for all samples, or integers (B,).
        condition: its further keyword arguments, as for `Denoiser`; for example the weight of a distilled guidance,
            condition={"weight": torch.tensor([2.0])}.
        precondition: `EDM()` for a network that was trained inside this frame; it predicts x0, and sees s as
            log(σ/α)/4 and t as the time of the path.

    Attributes:
        held: the denoiser that holds the network and its conventions.

    Raises:
        TypeError, ValueError: as `Denoiser` does.

    Example:
        For data at 0 the flow on CondOT scales x by (1 − t)/(1 − s), so that ε-hat = x/(1 − s):

        >>> flow_map = FlowMap(lambda x, s, t: x / (1 - s[:, None]), CondOT(), predicts="eps")
        >>> flow_map(torch.ones(1, 2), 0.5, 0.75)
        tensor([[0.5000, 0.5000]])
    """

    cost: int = 1
    kind: ClassVar[type[Denoiser]] = Towards
    """The class of the denoiser that holds the network."""

    def __init__(
        self,
        net: Callable[..., Tensor],
        path: GaussianPath,
        *,
        predicts: str,
        time: str | Clock = "t",
        label: Label | None = None,
        condition: Condition | None = None,
        precondition: EDM | None = None,
    ) -> None:
        self.held = self.kind(
            net, path, predicts=predicts, time=time, label=label, condition=condition, precondition=precondition
        )

    @property
    def net(self) -> Callable[..., Tensor]:
        """The network."""
        return self.held.net

    @property
    def path(self) -> GaussianPath:
        """The path on which the network was trained."""
        return self.held.path

    @property
    def predicts(self) -> str:
        """The kind of the network's prediction."""
        return self.held.predicts

    @property
    def time(self) -> str | Clock:
        """The clock of the network."""
        return self.held.time

    @property
    def precondition(self) -> EDM | None:
        """The frame in which the network was trained."""
        return self.held.precondition

    @property
    def label(self) -> int | Tensor | None:
        """The class label, an int, or int64 (B,); None if there is none."""
        return self.held.label

    @property
    def condition(self) -> Condition:
        """The further keyword arguments of the network."""
        return self.held.condition

    def __call__(self, x: Tensor, s: Scalar, t: Scalar = 1.0) -> Tensor:
        """X(x, s, t), with one network evaluation.

        Args:
            x: the states at time s, (B, ...).
            s: their time, a float or (B,).
            t: the target, before or after s, a float or (B,). 1 is the data.

        Returns:
            A tensor of the shape of x.

        Raises:
            TypeError: for times that are no numbers, and for an x that is no floating-point tensor.
            ValueError: for another number of times, and where the prediction does not determine the state at t.
        """
        check_floating("x", x)
        if x.ndim == 0:
            raise ValueError("x has no axes, but must hold samples, (B, ...); give x[None].")
        s, t = checked_times(s, x, "s"), checked_times(t, x, "t")
        denoiser = self.towards(t)
        if isinstance(t, Tensor) and not isinstance(s, Tensor):
            s = torch.full_like(t, s)
        return denoiser.combination(self.path.alpha(t), self.path.sigma(t), s, x)

    def towards(self, t: Scalar | None) -> Denoiser:
        """The network as a denoiser that knows its target: its pair (x₀-hat, ε-hat) makes the jump to t.

        Its `predict` gives the pair, `combination(1, −1, s, x)` the average velocity, and `output(s, x)` what the
        network was trained to predict.

        Args:
            t: the target, a float or (B,). None follows the time of the state, t = s, where a flow map is a denoiser.

        Raises:
            TypeError, ValueError: for a target that is no real number.
        """
        if isinstance(t, Tensor):
            check_floating("t", t)
        elif t is not None:
            t = real("t", t)
        network: Any = self.held
        denoiser: Denoiser = network.to(t)
        return denoiser

    def given(self, label: Label | Condition | None) -> Self:
        """The same map with another label, or, for a mapping, with other keyword arguments, as `Denoiser.given`."""
        return self._with(self.held.given(label))

    def of_rows(self, index: Tensor) -> Self:
        """The same map for the samples `index`, int64 (n,), of the batch."""
        return self._with(self.held.of_rows(index))

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same map with `change(tensor)` in place of every tensor that has a row a sample."""
        return self._with(self.held.map_rows(change))

    def _with(self, network: Denoiser) -> Self:
        made = copy(self)
        made.held = network
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}{repr(self.held).removeprefix(type(self.held).__name__)}"


def check_flow_map(value: object) -> None:
    """Raises TypeError unless the value is a flow map."""
    check_instance("flow_map", value, FlowMap, "FlowMap(net, path, predicts=...), or load(name)")
