"""Everything that changes during training, as tensors that can be written and read back."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Generator, Tensor

from ...solvers.common import whole
from ..networks import Network, TwoTimes
from ..paths import Importance
from .checkpoint import build_network
from .configuration import Training

__all__ = ["State"]


class State:
    """The state of a training before its first step, until `restore` gives it another one."""

    def __init__(self, training: Training) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.net = build_network(training.network)
        if training.goal is not None and isinstance(self.net, TwoTimes):
            training.goal.begin(self.net, training.teacher)
        self.average = build_network(training.network)
        self.average.load_state_dict(self.net.state_dict())
        self.average.requires_grad_(False)
        self.before: Network | None = None
        if training.goal is not None and training.goal.remembers:
            self.before = deepcopy(self.average)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=training.learning_rate)
        self.generator = Generator().manual_seed(training.seed)
        self.importance = Importance(training.importance) if training.importance else None
        self.step = 0

    def tensors(self) -> dict[str, Tensor]:
        moments = {
            f"adam.{index}.{name}": value
            for index, state in self.adam.state_dict()["state"].items()
            for name, value in state.items()
        }
        nets = {
            f"{name}.{key}": value
            for name, net in (("net", self.net), ("average", self.average), ("before", self.before))
            if net is not None
            for key, value in net.state_dict().items()
        }
        learned = {} if self.importance is None else {"importance": self.importance.moments}
        generator, step = self.generator.get_state(), torch.tensor(self.step, device="cpu")
        return {**nets, **moments, **learned, "generator": generator, "step": step}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave. Raises ValueError for tensors that are not those of such a training."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)}

        self._check(tensors)
        self.net.load_state_dict(part("net."))
        self.average.load_state_dict(part("average."))
        if self.before is not None:
            self.before.load_state_dict(part("before."))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("adam.").items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        self.adam.load_state_dict({"state": moments, "param_groups": self.adam.state_dict()["param_groups"]})
        try:
            self.generator.set_state(tensors["generator"])
        except RuntimeError as error:
            raise ValueError(f"It holds no state of a generator ({error}); remove it.") from None
        if self.importance is not None:
            self.importance.moments = tensors["importance"]
        self.step = whole("step", tensors["step"], 0)

    def _check(self, tensors: dict[str, Tensor]) -> None:
        """Raise ValueError if a tensor is missing, is one too many, or has another shape or dtype."""
        needed = {name: (value.shape, value.dtype) for name, value in self.tensors().items()}
        moments = {
            f"adam.{index}.{name}": (parameter.shape if name != "step" else torch.Size(), parameter.dtype)
            for index, parameter in enumerate(self.net.parameters())
            for name in ("step", "exp_avg", "exp_avg_sq")
        }
        for name in {**needed, **tensors}:
            found = (tensors[name].shape, tensors[name].dtype) if name in tensors else None
            if found != {**needed, **moments}.get(name):
                raise ValueError(f"It is the state of another training, for {name} does not fit; remove it.")
