"""The study of the default sampler: what its table says."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from fokker.benchmarks.study import NFE, RIVALS, Study, development, held_out, study
from fokker.benchmarks.study.study import Error

ROWS = {
    "one": {"default": {4: Error(2.0, 1.0)}, "ddim": {4: Error(1.0, 4.0)}, "unipc": {4: Error(4.0, 8.0)}},
    "two": {"default": {4: Error(2.0, 1.0)}, "ddim": {4: Error(8.0, 4.0)}, "unipc": {4: Error(4.0, 2.0)}},
}


def test_ratios_are_to_the_best_of_each_problem_and_to_the_best_single_sampler() -> None:
    """One: 2/1 and 1/4; two: 2/4 and 1/2. Geometric means of ddim 8^½, of unipc 4, of the default 2."""
    found = Study((4,), ROWS)
    assert (found.ratio("one", 4), found.ratio("two", 4)) == (2.0, 0.5)
    assert found.over_the_best_one(4) == pytest.approx(2.0 / math.sqrt(8.0))
    assert found.missed() == [("one", 4, 2.0)]
    best = dataclasses.replace(found, kind="best")
    assert (best.ratio("one", 4), best.ratio("two", 4), best.missed()) == (0.25, 0.5, [])
    assert best.over_the_best_one(4) == pytest.approx(0.25)
    lines = found.table().splitlines()
    assert [line.split()[-1] for line in lines[1:5]] == ["2.00", "0.50", "1.00", "0.71"]
    assert lines[-1] == "1 of 2 above 1.25"


def test_a_sampler_that_cannot_run_is_left_out() -> None:
    """One evaluation is no step of Heun's method."""
    found = study([development()[0]], nfe=[1])
    rows = next(iter(found.errors.values()))
    assert set(rows) == {"default", *RIVALS}
    assert rows["flow-heun"] == {}
    assert rows["ddim"][1].best <= rows["ddim"][1].rms


def test_the_held_out_problems_are_others() -> None:
    chosen, apart = ([make() for make in cases()[:30]] for cases in (development, held_out))
    assert not {case.name for case in chosen} & {case.name for case in apart}
    assert not {type(case.denoiser.path) for case in chosen} & {type(case.denoiser.path) for case in apart}
    assert len(NFE) == 10
    assert torch.equal(chosen[0].noise(), chosen[0].noise())
