"""Everything that a user can hold is data: it can be copied and sent to another process, and copies are independent."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from examples import EXAMPLES, NO_OBJECT, assert_same, observed, public, seen


def pickled(what: Any) -> Any:
    return pickle.loads(pickle.dumps(what))  # noqa: S301  # our own


WAYS: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_copy_is_equal_and_independent(name: str, way: str) -> None:
    """The copy behaves as the original does, whichever of the two is run first."""
    expected = observed(EXAMPLES[name]())
    original = EXAMPLES[name]()
    first, second = WAYS[way](original), WAYS[way](original)
    assert type(first) is type(original)
    for each in (first, original, second):
        assert_same(observed(each), expected)


def test_everything_public_has_an_example() -> None:
    """Of a class that only its subclasses make objects of, an object of one of them."""
    kinds = {type(make()) for make in EXAMPLES.values()}
    named = {name.partition(",")[0] for name in EXAMPLES}
    missing = [
        name
        for name, what in public().items()
        if name not in named | NO_OBJECT
        and what not in kinds
        and not (inspect.isabstract(what) and any(issubclass(kind, what) for kind in kinds))
    ]
    assert missing == []
    assert set(public()) >= NO_OBJECT


def test_copies_in_another_process() -> None:
    """What a new process sees of everything at once is what is seen here."""
    with torch.multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(seen, [make() for make in EXAMPLES.values()], chunksize=len(EXAMPLES))
    for name, elsewhere in zip(EXAMPLES, found, strict=True):
        assert_same(elsewhere, seen(EXAMPLES[name]()))


def test_copies_by_cloudpickle() -> None:
    """Ray and Dask send objects in this way."""
    cloudpickle = pytest.importorskip("cloudpickle")
    sent = pickle.loads(cloudpickle.dumps([make() for make in EXAMPLES.values()]))  # noqa: S301  # our own
    for name, what in zip(EXAMPLES, sent, strict=True):
        assert_same(observed(what), observed(EXAMPLES[name]()))
