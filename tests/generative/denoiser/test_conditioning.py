"""What belongs to single samples: picked, and replaced in the first rows of a batch."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from fokker.generative import CFG, CondOT, Denoiser, flow, sample
from fokker.generative.denoiser import Conditions
from fokker.generative.denoiser.nested import rows
from fokker.solvers import Adaptive, Dopri5, solve

X = torch.zeros(5, 2, dtype=torch.float64)
TEXT = torch.arange(10, dtype=torch.float64).reshape(5, 2)
SIZE, SCALE = torch.tensor([[7.0]]), torch.tensor(3.0)
OWN = Conditions(torch.arange(5), {"text": TEXT, "added": {"size": SIZE, "scale": SCALE}, "flag": True})


def test_a_change_reaches_every_tensor_that_has_rows() -> None:
    picked = OWN.map_rows(lambda value: rows(value, torch.tensor([4, 0])))
    assert picked.label.tolist() == [4, 0]
    assert torch.equal(picked.keywords["text"], TEXT[[4, 0]])
    assert picked.keywords["added"]["size"] is SIZE
    assert picked.keywords["added"]["scale"] is SCALE
    assert picked.keywords["flag"] is True
    assert Conditions(3).map_rows(lambda value: value + 1).label == 3


def test_the_first_rows_are_those_of_others() -> None:
    others = Conditions(9, {"text": -TEXT[:1], "added": {"size": SIZE + 1.0}})
    joined = OWN.with_first(2, others, X)
    assert joined.label.tolist() == [9, 9, 2, 3, 4]
    assert torch.equal(joined.keywords["text"], torch.cat([-TEXT[:1], -TEXT[:1], TEXT[2:]]))
    assert joined.keywords["added"]["size"].flatten().tolist() == [8.0, 8.0, 7.0, 7.0, 7.0]
    assert joined.keywords["added"]["scale"] is SCALE
    each = OWN.with_first(2, Conditions(torch.tensor([8, 6])), X)
    assert each.label.tolist() == [8, 6, 2, 3, 4]
    assert each.keywords["text"] is TEXT


def test_what_one_of_the_two_lacks_stays() -> None:
    assert Conditions().with_first(2, Conditions(9), X).label is None
    assert Conditions(4).with_first(2, Conditions(), X).label == 4
    assert Conditions(4).with_first(2, Conditions(9, {"text": TEXT}), X).keywords == {}


def test_arguments_have_a_row_for_each_sample() -> None:
    (labels,), keywords = Conditions(4, {"size": SIZE, "flag": True}).arguments(X)
    assert labels.tolist() == [4] * 5
    assert keywords["size"].shape == (5, 1)
    assert keywords["flag"] is True
    assert Conditions().arguments(X) == ((), {})
    with pytest.raises(ValueError, match="label has 5 rows for 4 samples"):
        OWN.arguments(X[:4])


# Nested lists and tuples, such as the residuals of a ControlNet.


class Residuals(NamedTuple):
    down: Any
    mid: Any


def residuals(batch: int, seed: int = 0) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(seed)
    one, two, three = torch.randn(3, batch, 2, generator=draw, dtype=torch.float64).unbind()
    return {"added": Residuals([one, (two, None), {"deep": [three]}], "middle"), "scales": (0.5, 2), "plain": [SCALE]}


class Controlled:
    """x times the sum of everything it is given."""

    null_label = 0

    def __call__(self, x: Tensor, time: Tensor, **given: Any) -> Tensor:
        self.given = given
        down = given["added"].down
        return x * (down[0] + down[1][0] ** 2 + torch.sin(down[2]["deep"][0])) * given["scales"][0]


def controlled(condition: Any, net: Any = None) -> Denoiser:
    return Denoiser(net or Controlled(), CondOT(), predicts="velocity", condition=condition)


def test_any_nesting_reaches_the_network_in_its_own_types() -> None:
    net, condition = Controlled(), residuals(5)
    controlled(condition, net).output(0.5, X + 1.0)
    added, mine = net.given["added"], condition["added"]
    assert isinstance(added, Residuals)
    assert (type(added.down), type(added.down[1]), type(added.down[2])) == (list, tuple, dict)
    assert (added.mid, added.down[1][1], net.given["scales"]) == ("middle", None, (0.5, 2))
    assert net.given["plain"] is condition["plain"]
    assert torch.equal(added.down[2]["deep"][0], mine.down[2]["deep"][0])


def test_rows_of_any_nesting_are_picked() -> None:
    x, index = torch.linspace(1.0, 2.0, 10, dtype=torch.float64).reshape(5, 2), torch.tensor([4, 0, 4])
    whole = controlled(residuals(5))
    assert torch.equal(whole.of_rows(index).output(0.5, x[index]), whole.output(0.5, x)[index])
    shared = controlled(residuals(1))
    assert torch.equal(shared.of_rows(index).output(0.5, x[index]), shared.output(0.5, x)[index])
    with pytest.raises(ValueError, match=r"condition 'added\[0\]\[0\]' has 4 rows for 5 samples"):
        controlled(residuals(4)).output(0.5, x)


def test_guidance_replaces_tensors_of_any_nesting() -> None:
    """(1 − w) y(negative) + w y(c), each alone; what is no tensor in both stays the denoiser's own."""
    x, w = torch.linspace(1.0, 2.0, 10, dtype=torch.float64).reshape(5, 2), 3.0
    mine, other = residuals(5), residuals(1, seed=1)
    negative = {"added": other["added"]._replace(mid="another")}
    expected = (1.0 - w) * controlled(mine | {"added": other["added"]}).output(0.5, x)
    expected = expected + w * controlled(mine).output(0.5, x)
    guided = CFG(controlled(mine), w, negative=negative)
    torch.testing.assert_close(guided.output(0.5, x), expected, rtol=1e-13, atol=1e-13)
    index = torch.tensor([3, 1])
    torch.testing.assert_close(guided.of_rows(index).output(0.5, x[index]), expected[index], rtol=1e-13, atol=1e-13)
    partly = {"added": [residuals(1, 1)["added"].down, "same"]}
    assert CFG(controlled(mine), w, negative=partly).output(0.5, x).equal(guided.output(0.5, x))
    for wrong in ({"added": [None, None]}, {"added": other["added"].down}, {"scales": (torch.ones(5, 2), 2)}):
        with pytest.raises(ValueError, match="has no tensor of the denoiser's condition to stand in for"):
            CFG(controlled(mine), w, negative=wrong)


@pytest.mark.parametrize("given", [False, True], ids=["made", "given"])
def test_samplers_and_steps_follow_any_nesting(given: bool) -> None:
    """In chunks, in adaptive steps of each sample, and in a deep copy; each sample is the one that is made alone."""
    condition = residuals(5)
    denoiser = controlled(residuals(5, seed=3)).given(condition) if given else controlled(condition)
    whole = sample(denoiser, (5, 2), nfe=4, dtype=torch.float64)
    assert torch.equal(sample(denoiser, (5, 2), nfe=4, chunk=2, dtype=torch.float64), whole)
    assert torch.equal(sample(copy.deepcopy(denoiser), (5, 2), nfe=4, dtype=torch.float64), whole)
    x, steps = X + 1.0, Adaptive(0.1, 0.9, rtol=1e-6, atol=1e-6, per_sample=True)
    solved = solve(flow(denoiser), x, steps, Dopri5()).x
    for i in range(5):
        alone = solve(flow(denoiser.of_rows(torch.tensor([i]))), x[i : i + 1], steps, Dopri5()).x
        torch.testing.assert_close(solved[i : i + 1], alone, rtol=1e-12, atol=1e-12)
