"""The normals that other code draws by torch, taken from a `Noise`.

Code of other libraries draws by torch.randn, torch.randn_like, torch.normal or Tensor.normal_, from torch's own
generator. Inside `Draws` such a normal of the state's shape is an extra normal of the noise: a function of its seed,
the same in every batch, and a unit vector where the noise is one of impulses. All other random numbers come from
torch's generator, which the noise seeds when the first of them is drawn, and which is restored at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...solvers import Noise

__all__ = ["OTHERS", "Draws"]

OTHERS = 2**20
"""The number of the extra normal that seeds torch's generator. Those after it replace normals."""
SAME_ARGUMENTS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.randn: torch.zeros,
    torch.randn_like: torch.zeros_like,
}
"""The functions that draw standard normals, each with one that takes the same arguments."""
GENERATOR = frozenset(
    {
        torch.normal, Tensor.normal_, torch.rand, torch.rand_like, torch.randint, torch.randint_like, torch.randperm,
        torch.bernoulli, torch.multinomial, torch.poisson, Tensor.bernoulli, Tensor.bernoulli_, Tensor.cauchy_,
        Tensor.exponential_, Tensor.geometric_, Tensor.log_normal_, Tensor.multinomial, Tensor.random_, Tensor.uniform_,
        torch.randn, torch.randn_like,
    }
)  # fmt: skip
"""The functions that draw from torch's generator."""


class Draws(TorchFunctionMode):
    """A context in which torch's normals of the shape of a state, or of several, are those of a noise.

    Args:
        noise: the source of normals.
        like: the state, (B, ...).
    """

    def __init__(self, noise: Noise, like: Tensor) -> None:
        super().__init__()
        self.noise, self.like, self.drawn = noise, like, OTHERS
        self.forked: Any = None

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # torch's
        if self.forked is not None:
            self.forked.__exit__(None, None, None)
            self.forked = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in GENERATOR:
            return func(*args, **kwargs)
        if (plain := SAME_ARGUMENTS.get(func)) is not None:
            zeros = plain(*args, **{name: value for name, value in kwargs.items() if name != "generator"})
            if (normals := self._normals(zeros)) is not None:
                return normals.requires_grad_(zeros.requires_grad)
        elif func in (torch.normal, Tensor.normal_):
            return self._shifted(func, *args, **kwargs)
        self._seed()
        return func(*args, **kwargs)

    def _shifted(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Normals of any mean and deviation, by the same function with deviation 0."""
        in_place = func is Tensor.normal_
        names = ("self", "mean", "std") if in_place else ("mean", "std", "size")
        given = dict(zip(names, args, strict=False)) | kwargs
        mean, std = given.get("mean", 0.0), given.get("std", 1.0)
        if in_place:
            like = args[0]
        elif isinstance(mean, Tensor) or isinstance(std, Tensor):
            like = mean + 0.0 * std
        else:
            like = torch.zeros(given["size"], dtype=kwargs.get("dtype"), device=kwargs.get("device"))
        if (normals := self._normals(like)) is None:
            self._seed()
            return func(*args, **kwargs)
        return args[0].copy_(mean + std * normals) if in_place else mean + std * normals

    def _normals(self, like: Tensor) -> Tensor | None:
        """The next normals of the shape of a tensor; None if it is not made of states."""
        state = self.like.shape
        if like.shape == state:
            return self._next(like)
        if like.shape[1:] == state:
            return torch.stack([self._next(each) for each in like]) if len(like) else None
        if like.shape[:1] == state[:1] and like.numel() == state.numel():
            return self._next(like).reshape(like.shape)
        return None

    def _next(self, like: Tensor) -> Tensor:
        self.drawn += 1
        return self.noise.extra(self.drawn, self.like).to(like.dtype).to(like.device)

    def _seed(self) -> None:
        """Seed torch's generator by the noise, once."""
        if self.forked is None:
            devices = [self.like.device] if self.like.device.type == "cuda" else []
            self.forked = torch.random.fork_rng(devices)
            self.forked.__enter__()
            torch.manual_seed(hash(tuple(self.noise.extra(OTHERS, self.like).flatten()[:2].tolist())))
