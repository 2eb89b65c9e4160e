"""What belongs to single samples: picked, and replaced in the first rows of a batch."""

from __future__ import annotations

import pytest
import torch

from fokker.generative.denoiser import Conditions
from fokker.generative.denoiser.conditioning import rows

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
