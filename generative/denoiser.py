"""Anyone's network behind one face.

A network is trained on one kind of prediction (`predicts`) and one clock (`time`); a `Denoiser` says once which,
and everything above it asks for the prediction it needs:

    p x₀ + q ε = a_t x + b_t net(x, clock(t))                  (prediction.conversion)

The network sees its clock as a tensor of shape (B,) in the state's dtype; everywhere else time is a float
(or a tensor of shape (B,), one time a sample).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .elementary import Real
from .path import GaussianPath
from .prediction import check_kind, coefficients, conversion, per_sample

__all__ = ["Denoiser"]

Clock = Callable[[Real], Real]


def _clock(path: GaussianPath, time: str | Clock) -> Clock:
    if callable(time):
        return time
    clocks: dict[str, Clock] = {"t": lambda t: t, "log_snr": path.log_snr, "sigma": path.sigma}
    if time not in clocks:
        raise ValueError(f"Unknown clock {time!r}; choose one of {', '.join(clocks)}, or give a function of t.")
    return clocks[time]


class Denoiser:
    """A network `net(x, time)` or `net(x, time, label)`, the path it was trained on and what it predicts.

    predicts: one of `prediction.KINDS`. time: the network's clock, "t", "log_snr", "sigma" or a function of t.
    label: class labels, an int or an int64 tensor of shape (B,); None calls the network without one.

    `cost` is the number of network evaluations that one call takes, per sample.
    """

    cost: int = 1

    def __init__(
        self,
        net: Callable[..., Tensor],
        path: GaussianPath,
        *,
        predicts: str,
        time: str | Clock = "t",
        label: int | Sequence[int] | Tensor | None = None,
    ) -> None:
        self.net, self.path, self.predicts, self.time = net, path, check_kind(predicts), time
        self.label = label
        self._clock = _clock(path, time)

    def given(self, label: int | Sequence[int] | Tensor | None) -> Denoiser:
        """The same denoiser, conditioned on class labels."""
        return Denoiser(self.net, self.path, predicts=self.predicts, time=self.time, label=label)

    def of_rows(self, index: Tensor) -> Denoiser:
        """The same denoiser for the samples of these indices."""
        if self.label is None or isinstance(self.label, int):
            return self
        return self.given(torch.as_tensor(self.label)[index])

    def output(self, t: Real, x: Tensor) -> Tensor:
        """The network's own prediction at time t: x of shape (B, ...) -> (B, ...)."""
        clock = self._clock(t)
        batch = x.shape[0]
        times = clock.to(x).expand(batch) if isinstance(clock, Tensor) else x.new_full((batch,), clock)
        if self.label is None:
            return self.net(x, times)
        label = torch.as_tensor(self.label, dtype=torch.int64, device=x.device).expand(batch)
        return self.net(x, times, label)

    def predict(self, kind: str, t: Real, x: Tensor) -> Tensor:
        """The prediction of another kind: "x0", "eps", "v", "velocity" or "score".

        Raises ValueError where it cannot be recovered from what the network predicts.
        """
        if kind == self.predicts:
            return self.output(t, x)
        return self.combination(*coefficients(kind, self.path, t), t, x)

    def combination(self, p: Real, q: Real, t: Real, x: Tensor) -> Tensor:
        """p x₀-hat + q ε-hat. Raises ValueError where the network's prediction does not determine it."""
        source = coefficients(self.predicts, self.path, t)
        from_x, from_output = conversion(source, (p, q), self.path, t)
        output = self.output(t, x)
        if isinstance(from_x, Tensor) or (from_x, from_output) != (0.0, 1.0):
            return per_sample(from_x, x) * x + per_sample(from_output, x) * output
        return output

    def __repr__(self) -> str:
        net: Any = getattr(self.net, "__name__", type(self.net).__name__)
        return f"{type(self).__name__}({net}, {self.path}, predicts={self.predicts!r}, time={self.time!r})"
