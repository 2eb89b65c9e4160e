"""One thread a process: parallelism belongs to pytest, and torch's sums depend on the number of threads."""

from __future__ import annotations

import os
from collections import Counter

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start

import torch

torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Of the cases of a test that is `thinned(n)` every n-th runs always, and the others are slow."""
    seen: Counter[object] = Counter()
    for item in items:
        thinned = item.get_closest_marker("thinned")
        if thinned is not None:
            if seen[item.function] % thinned.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[item.function] += 1
