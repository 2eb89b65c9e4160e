"""The digest of a problem changes with everything that determines its solutions, and with nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu, silu
from toy import GAUSSIAN, MIXTURE

from fokker.benchmarks.problems import Problem, problem, problem_of
from fokker.generative import (
    VP,
    AutoGuidance,
    CondOT,
    Denoiser,
    Dynamic,
    Static,
    Table,
    linear_betas,
    load,
    scaled_linear_betas,
)  # fmt: skip
from fokker.generative.denoiser import Contents, digest_of

FACTOR = 0.5
WEIGHT = torch.tensor([2.0, 3.0])
LAYER = nn.Linear(2, 2)


class Net(nn.Module):
    def __init__(self, heads: int = 1, act: Callable[[Tensor], Tensor] = silu) -> None:
        super().__init__()
        self.heads, self.act, self.layer = heads, act, nn.Linear(2, 2)
        nn.init.constant_(self.layer.weight, 0.5)
        nn.init.zeros_(self.layer.bias)
        self._calls = {}

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None, push: Tensor | None = None) -> Tensor:
        return helped(self.act(self.layer(x))) / self.heads


def helped(x: Tensor) -> Tensor:
    return FACTOR * x


def made(net: Any = None, path: Any = None, **given: Any) -> Problem:
    known = {name: given.pop(name) for name in ("predicts", "time", "threshold") if name in given}
    denoiser = Denoiser(net or Net(), path or VP(), **{"predicts": "eps", **known})
    return problem_of(denoiser, (2,), **{"name": "toy", **given})


def changed(net: nn.Module, change: Callable[[Any], Any]) -> nn.Module:
    with torch.no_grad():
        change(net)
    return net


CHANGES: dict[str, Callable[[], Problem]] = {
    "a weight": lambda: made(changed(Net(), lambda net: net.layer.weight[0, 0].add_(1e-6))),
    "the dtype": lambda: made(Net().bfloat16()),
    "a setting": lambda: made(Net(heads=2)),
    "a function": lambda: made(Net(act=relu)),
    "a layer": lambda: made(changed(Net(), lambda net: setattr(net, "layer", nn.Sequential(net.layer, nn.ReLU())))),
    "evaluation mode": lambda: made(Net().eval()),
    "the path": lambda: made(path=VP(0.1, 19.0)),
    "the kind": lambda: made(predicts="v"),
    "the clock": lambda: made(time="1-t"),
    "a clock of one's own": lambda: made(time=lambda t: 999.0 * t),
    "another clock of one's own": lambda: made(time=lambda t: 1000.0 * t),
    "a threshold": lambda: made(threshold=Static()),
    "another threshold": lambda: made(threshold=Dynamic()),
    "the label": lambda: made(label=1),
    "another label": lambda: made(label=2),
    "labels": lambda: made(label=[1, 2]),
    "classes": lambda: made(classes=3),
    "a condition": lambda: made(condition={"push": torch.ones(1, 2)}),
    "the condition's numbers": lambda: made(condition={"push": torch.full((1, 2), 1.5)}),
    "guidance": lambda: made(label=1, guidance=2.0, negative=0),
    "its weight": lambda: made(label=1, guidance=2.5, negative=0),
    "what it leads away from": lambda: made(label=1, guidance=2.0, negative=3),
}


def test_every_change_counts() -> None:
    digests = {name: make().digest for name, make in {"none": made, **CHANGES}.items()}
    assert len({*digests.values()}) == len(digests), digests


@pytest.mark.parametrize("name", ["none", *CHANGES])
def test_nothing_else_counts(name: str) -> None:
    make = CHANGES.get(name, made)
    first, again = make(), make()
    again.equation(2).drift(0.3, again.noise(2, 0))
    assert first.digest == again.digest == copy.deepcopy(first).digest
    assert len(first.digest) == 16
    assert int(first.digest, 16) >= 0
    assert first.identity() == again.identity()


def test_names_and_numbers_of_samples_do_not_count() -> None:
    assert made().digest == made(name="other").digest == made(samples=7).digest
    assert digest(torch.compile(Net(), backend="eager")) == digest(Net())


def test_tables_with_one_repr_differ() -> None:
    betas = linear_betas(100, 1e-4, 0.02)
    other = (*betas[:50], 1.1 * betas[50], *betas[51:])
    assert repr(Table(betas)) == repr(Table(other))
    assert made(path=Table(betas)).digest != made(path=Table(other)).digest
    assert made(path=Table(betas)).digest != made(path=Table(scaled_linear_betas(100))).digest


def digest(function: Any) -> str:
    contents = Contents()
    return digest_of([contents(function), contents.tensors, contents.code])


def scaled(scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, time: scale * x


def by_default(x: Tensor, time: Tensor, scale: float = 1.0) -> Tensor:
    return scale * x


def of_a_global(x: Tensor, time: Tensor) -> Tensor:
    return WEIGHT * x


def of_a_module(x: Tensor, time: Tensor) -> Tensor:
    return LAYER(x)


def of_a_helper(x: Tensor, time: Tensor) -> Tensor:
    return next(helped(each) for each in (x,))


@pytest.mark.parametrize(
    ("function", "name", "other"),
    [
        (of_a_global, "WEIGHT", torch.tensor([2.0, 3.5])),
        (of_a_module, "LAYER", nn.Linear(2, 2)),
        (of_a_helper, "FACTOR", 0.75),
        (Net.forward, "FACTOR", 0.75),
        (Net(), "FACTOR", 0.75),
    ],
    ids=["tensor", "module", "helper", "method", "object"],
)
def test_what_a_function_reads_counts(
    function: Any, name: str, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(function)
    assert before == digest(function)
    monkeypatch.setitem(globals(), "CALLS", 3)  # which it does not read
    assert before == digest(function)
    monkeypatch.setitem(globals(), name, other)
    assert before != digest(function)


def test_what_a_function_holds_counts() -> None:
    assert digest(scaled(1.0)) == digest(scaled(1.0)) != digest(scaled(2.0))
    assert digest(partial(by_default, scale=2.0)) != digest(partial(by_default, scale=3.0))
    before = digest(by_default)
    other = copy.copy(by_default)
    assert before == digest(other)
    changed = type(by_default)(by_default.__code__, globals(), "by_default", (2.0,))
    assert digest(changed) != before


def test_code_without_a_source_counts() -> None:
    """As in a console: what it was compiled to."""
    found = []
    for text in ("2.0 * x", "2.0 * x", "3.0 * x", "2.0 * x + time"):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def net(x, time):\n    return {text}\nclass Net:\n    __call__ = lambda self, x, time: {text}", names)
        found.append((digest(names["net"]), digest(names["Net"]())))
    assert found[0] == found[1]
    for each in (0, 1):
        assert len({pair[each] for pair in found}) == 3


class Lazy:
    """A network that is no module."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    @cached_property
    def twice(self) -> float:
        return 2.0 * self._scale

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        return self.twice * x


@dataclass
class Slotted:
    __slots__ = ("scale",)
    scale: float


def test_attributes_of_objects_count() -> None:
    first, other = Lazy(1.0), Lazy(2.0)
    before = digest(first)
    first(torch.ones(1), torch.ones(1))
    assert digest(first) == before != digest(other)
    assert digest(first.__call__) != digest(other.__call__)
    assert digest(Slotted(1.0)) == digest(Slotted(1.0)) != digest(Slotted(2.0))


def test_an_object_inside_itself_ends() -> None:
    first = Lazy(1.0)
    first.own = first  # type: ignore[attr-defined]
    assert digest(first) == digest(first)


def test_both_networks_of_a_guidance_count() -> None:
    def guided(heads: int) -> str:
        good, bad = (Denoiser(Net(n), VP(), predicts="eps") for n in (1, heads))
        return problem_of(AutoGuidance(good, bad, 2.0), (2,)).digest

    assert guided(2) == guided(2) != guided(3)


def test_oracles_are_told_apart_by_their_law() -> None:
    one, other = (problem_of(oracle.denoiser(CondOT()), (2,)) for oracle in (GAUSSIAN, MIXTURE))
    assert one.digest == problem_of(copy.deepcopy(GAUSSIAN).denoiser(CondOT()), (2,)).digest != other.digest


def test_shipped_networks_have_their_own_digests() -> None:
    names = ("digits", "digits-eps", "digits-rough", "digits-eps-rough")
    assert len({problem(name).digest for name in names}) == len(names)
    single = load("digits-flow")
    assert problem_of(single, (1, 8, 8)).digest != problem("digits").digest  # in float32
    single.net.double()
    assert problem_of(single, (1, 8, 8)).digest == problem("digits").digest


def test_installed_code_counts_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = pytest.importorskip("diffusers.models.attention")
    net = attention.FeedForward(2)
    before = digest(net)
    assert before == digest(net) != digest(changed(net, lambda each: each.net[2].bias.add_(1.0)))
    before = digest(net)
    monkeypatch.setattr("diffusers.__version__", "999")
    assert digest(net) != before
