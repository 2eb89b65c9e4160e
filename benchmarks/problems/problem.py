"""A problem: a field, the path it lives on, and the interval of time on which samplers compete.

    start   0 if the network gives x₀-hat, ε-hat and dx/dt there, so that every sampler can start. Otherwise the time of
            σ/α = 80: a network that predicts ε, for example, says nothing about x₀ where α = 0.
    end     1 if the network gives dx/dt there. Otherwise the time of log-SNR 12, where σ/α = 0.0025 is far below what
            can be seen: the slope of σ is infinite at the end of VP, and a network that predicts x₀ says nothing about
            dx/dt where σ = 0.

Every sampler starts from the same x = σ(start) ξ, ξ ~ N(0, I).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import cloudpickle
import torch
from torch import Tensor

from ...generative import Denoiser, flow
from ...generative.denoiser import Contents, check_denoiser, digest_of, module_of
from ...generative.equations import grids
from ...generative.paths import GaussianPath
from ...solvers import Semilinear, standard_normal
from ...solvers.common import (
    MANY,
    check_callable,
    check_fields,
    check_instance,
    check_memory,
    whole,
    wholes,
)

__all__ = ["Problem"]

FEWEST, NUMBERS = 16, 4096
"""Of samples and of their components at a time. A network on 8×8 images takes 0.7 ms for each of 64 images, and 1.8 ms
for each of 640."""
CLEANEST = 12.0
"""The log-SNR of the end, where dx/dt does not reach the data."""


@dataclass(frozen=True)
class Problem:
    """A field, solved in float64 from `start` to `end`. The network computes in its own dtype, on its own device.

    It travels to other processes as a whole, with a network of any kind.

    Attributes:
        name: its name in reports.
        description: a few words for reports.
        denoiser: the network or the oracle whose probability flow is solved.
        shape: of one sample.
        samples: the number of initial noises, unless another one is asked for.
        classes: the labels 0 … classes − 1 are dealt out in turn; 0 for a field without labels, or with its own.
        exact: the flow map from the noise to the end, where it has a closed form.
        parameters: numbers that stand for the network in the digest, if those that it computes from them may differ in
            the last bit from machine to machine, as a random rotation does; None for the network itself.

    Raises:
        TypeError: a field of another kind.
        ValueError: a number out of range.
    """

    name: str
    description: str
    denoiser: Denoiser = field(repr=False)
    shape: tuple[int, ...]
    samples: int
    classes: int = 0
    exact: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    parameters: tuple[Tensor, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for key in ("name", "description"):
            check_instance(key, getattr(self, key), str, "a text")
        check_denoiser(self.denoiser)
        check_fields(self, wholes, "shape", low=1)
        check_fields(self, whole, "samples", low=1, high=MANY)
        check_fields(self, whole, "classes", low=0, high=MANY)
        if self.exact is not None:
            check_callable("exact", self.exact, "a function of the noise")
        if self.parameters is not None:
            check_instance("parameters", self.parameters, tuple, "a tuple of tensors")
            for i, tensor in enumerate(self.parameters):
                check_instance(f"parameters[{i}]", tensor, Tensor, "a tensor")

    @property
    def path(self) -> GaussianPath:
        return self.denoiser.path

    @cached_property
    def start(self) -> float:
        """The time of the noise."""
        there = all(self.denoiser.gives(kind, 0.0) for kind in ("x0", "eps", "velocity"))
        return 0.0 if there else self.path.time(-2.0 * math.log(grids.NOISIEST))

    @cached_property
    def end(self) -> float:
        """The time of the result."""
        there = math.isfinite(self.path.d_sigma(1.0)) and self.denoiser.gives("velocity", 1.0)
        return 1.0 if there else self.path.time(CLEANEST)

    @property
    def rows(self) -> int | None:
        """The number of samples for which the denoiser has labels, conditions or weights; None if for any number."""
        found: set[int] = set()

        def counted(value: Tensor) -> Tensor:
            found.add(len(value))
            return value

        self.denoiser.map_rows(counted)
        return max(found - {1}, default=None)

    @cached_property
    def device(self) -> torch.device:
        """That of the network's weights; the CPU for a network without weights."""
        contents, module = Contents(), module_of(self.denoiser.net)
        contents(self.denoiser.net if module is None else next(module.parameters(), None))
        return max(contents.devices, key=lambda each: each.type != "cpu", default=torch.device("cpu"))

    @property
    def at_once(self) -> int:
        """The samples that are best computed at a time: on a CPU as many as its caches hold the inner values of."""
        return max(FEWEST, NUMBERS // math.prod(self.shape)) if self.device.type == "cpu" else MANY

    def noise(self, samples: int, seed: int) -> Tensor:
        """x at `start` in float64, (samples, *shape); line i depends on (seed, i) alone, whatever the device."""
        samples, seed = whole("samples", samples, 0), whole("seed", seed)
        check_memory("samples", samples, 4 * samples * math.prod(self.shape))
        like = torch.empty(samples, *self.shape, dtype=torch.float64, device="cpu")
        return self.path.sigma(self.start) * standard_normal(like, seed).to(self.device)

    def labelled(self, samples: int) -> Denoiser:
        """The denoiser for so many initial noises: with a label for each, if its field has labels.

        Of labels, conditions and weights with a row a sample it takes the first rows. Raises ValueError if there are
        fewer rows than samples.
        """
        samples = whole("samples", samples, 0, MANY)
        counted = torch.arange(samples, device="cpu")
        if self.rows is not None and self.rows < samples:
            raise ValueError(
                f"{self.name} has labels, conditions or weights for {self.rows} samples, but there are {samples} "
                f"initial noises; ask for {self.rows}, or give one row for all."
            )
        denoiser = self.denoiser if self.rows is None else self.denoiser.of_rows(counted)
        return denoiser.given(counted % self.classes) if self.classes else denoiser

    def equation(self, samples: int) -> Semilinear:
        """The probability flow of so many initial noises."""
        return flow(self.labelled(samples))

    def identity(self) -> dict[str, Any]:
        """Everything that determines its solutions, for the record: results of two problems with one may be mixed.

        It is found once, when it is first asked for, and travels with the problem.
        """
        return {**self._identity[0]}

    @property
    def digest(self) -> str:
        """16 hex digits that stand for `identity`."""
        return digest_of(self.identity())

    @cached_property
    def _identity(self) -> tuple[dict[str, Any], list[str]]:
        """The identity, and the names of the modules whose code is not installed."""
        conventions, networks = Contents(), Contents()
        settings = conventions(self.denoiser)
        if self.parameters is None:
            networks.networks += conventions.networks
            made_of = [networks(net) for net in networks.networks]  # a network may hold others, which are appended
        else:
            made_of = [type(self.denoiser.net).__name__, networks(self.parameters)]
        identity = {
            "weights": digest_of(networks.tensors),
            "code": digest_of([networks.code, made_of]),
            "predicts": self.denoiser.predicts,
            "path": repr(self.path),
            "conditions": digest_of([settings, conventions.tensors, conventions.code]),
            "start": self.start,
            "end": self.end,
            "shape": list(self.shape),
            "classes": self.classes,
        }
        return identity, sorted(conventions.modules | networks.modules)

    def __deepcopy__(self, memo: dict[int, Any]) -> Problem:
        made = object.__new__(Problem)
        vars(made).update(deepcopy({name: value for name, value in vars(self).items() if name != "_key"}, memo))
        return made

    def __reduce__(self) -> Any:
        """By value: networks that are lambdas, or are defined where the other process does not look, travel too."""
        away = {"__main__", *cloudpickle.list_registry_pickle_by_value()}  # those that go by value in any case
        own = [sys.modules[name] for name in self._identity[1] if name in sys.modules and name not in away]
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        try:
            content = cloudpickle.dumps(vars(self))
        finally:
            for module in own:
                cloudpickle.unregister_pickle_by_value(module)
        _HERE[self._key] = self
        return _remade, (content, self._key)

    @cached_property
    def _key(self) -> str:
        return uuid4().hex


_HERE: WeakValueDictionary[str, Problem] = WeakValueDictionary()
"""The problems that this process has sent. Classes by value would replace the methods of those that are here."""


def _remade(content: bytes, key: str) -> Problem:
    """The problem that was sent."""
    if (here := _HERE.get(key)) is not None:
        return deepcopy(here)
    problem = object.__new__(Problem)
    vars(problem).update(cloudpickle.loads(content))
    return problem
