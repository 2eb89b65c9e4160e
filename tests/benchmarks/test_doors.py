"""The doors of the benchmark: a wrong value ends in one sentence, before any work."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import GAUSSIAN

from fokker.benchmarks.bench import bench
from fokker.benchmarks.bootstrap import estimate, interval, ratio_interval, resampled
from fokker.benchmarks.entrants import entrant
from fokker.benchmarks.ledger import Key, Row
from fokker.benchmarks.problems import Problem, problem
from fokker.benchmarks.reference import Reference, reference
from fokker.benchmarks.results import Result, Standing
from fokker.benchmarks.results.plot import work_precision
from fokker.generative import CondOT

HERE, ERRORS = Path("nowhere"), np.linspace(0.1, 0.5, 8)
REFERENCE = Reference(torch.zeros(8, 2), torch.full((8,), 1e-9), "two", "settled", 1000, 1e-3)


def compared(**given: Any) -> Result:
    return bench(**({"denoiser": problem("ring"), "samplers": ["heun"], "nfe": [8], "folder": HERE} | given))


def made(**given: Any) -> Problem:
    fields = {"name": "own", "description": "my own", "denoiser": GAUSSIAN.denoiser(CondOT()), "shape": (2,)}
    return Problem(**(fields | {"samples": 4} | given))


def row(failure: str = "", errors: object = ERRORS) -> Row:
    return Row("heun", "uniform", 8, 4, 8, 0.1, failure, errors)


def result(*rows: Row) -> Result:
    return Result(Key("ring", "0" * 16, 0, 8), problem("ring"), {"heun": entrant("heun")}, rows, REFERENCE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: problem(["ring"]), r"Unknown problem \['ring'\]; choose one of gaussian"),
        (lambda: entrant(None), "function is of type NoneType"),
        (lambda: compared(denoiser="ring"), "denoiser is of type str; give a Denoiser"),
        (lambda: compared(denoiser=GAUSSIAN.denoiser(CondOT())), "shape is missing"),
        (lambda: compared(denoiser=GAUSSIAN.denoiser(CondOT()), shape=(3,)), r"samples of shape \(3,\)"),
        (lambda: compared(samplers="heun"), "samplers is of type str; give a list"),
        (lambda: compared(samplers=[]), "samplers is empty"),
        (lambda: compared(samplers=["hein"]), "Unknown sampler 'hein'"),
        (lambda: compared(samplers=[3]), "int"),
        (lambda: compared(nfe=[0]), r"nfe\[0\] is 0"),
        (lambda: compared(nfe=[8.5]), r"nfe\[0\] is 8.5"),
        (lambda: compared(nfe=8), "nfe is 8"),
        (lambda: compared(nfe=[]), "with 0 evaluations; allow more"),
        (lambda: compared(folder=3), "folder is of type int"),
        (lambda: compared(engine="ray"), "engine is of type str"),
        (lambda: compared(minutes=0.0), "minutes is 0"),
        (lambda: compared(minutes="5"), "minutes is '5'"),
        (lambda: compared(seed=2**63), "seed is 9223372036854775808"),
        (lambda: compared(samples=1), "samples is 1"),
        (lambda: compared(samples=10**12), "samples is 1000000000000"),
        (lambda: compared(progress="yes"), "progress is 'yes'"),
        (lambda: result(row()).best("8"), "nfe is '8'"),
        (lambda: result(row()).table("wide"), "width is 'wide'"),
        (lambda: result(row()).plot(3), "file is of type int"),
        (lambda: result(row()).save(None), "file is of type NoneType"),
        (lambda: reference("ring", 4, 0), "problem is of type str"),
        (lambda: reference(problem("ring"), 0, 0), "samples is 0"),
        (lambda: reference(problem("ring"), 4, 0, 99), "effort is 99"),
        (lambda: problem("ring").noise(10**12, 0), "samples is 1000000000000, which takes"),
        (lambda: problem("ring").noise(4, None), "seed is None"),
        (lambda: made(name=None), "name is of type NoneType"),
        (lambda: made(denoiser=GAUSSIAN), "denoiser is of type Gaussian"),
        (lambda: made(shape=(0,)), r"shape\[0\] is 0"),
        (lambda: made(samples=0.5), "samples is 0.5"),
        (lambda: made(classes=-1), "classes is -1"),
        (lambda: made(parameters=(1.0,)), r"parameters\[0\] is of type float"),
        (lambda: made(exact=3), "exact is of type int"),
        (lambda: interval([0.1]), "errors is of type list"),
        (lambda: interval(ERRORS[:0]), r"shape \(0,\)"),
        (lambda: interval(ERRORS * math.nan), "but must be finite"),
        (lambda: interval(-ERRORS), "at least 0"),
        (lambda: resampled(ERRORS, seed=0.5), "seed is 0.5"),
        (lambda: ratio_interval(ERRORS, ERRORS[:4]), r"shapes \(8,\) and \(4,\)"),
        (lambda: ratio_interval(ERRORS, 0.0 * ERRORS), "The rms of the denominator is 0"),
        (lambda: interval(ERRORS, "mean"), "Unknown statistic 'mean'; choose one of rms, median, trimmed"),
        (lambda: estimate(np.stack([ERRORS, ERRORS])), r"shape \(2, 8\)"),
        (lambda: work_precision([], HERE), "no results to draw"),
        (lambda: work_precision(["ring"], HERE), r"results\[0\] is of type str"),
        (lambda: work_precision([result(row("why"))], HERE), "All rows of 'ring' failed"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)
    assert not HERE.exists()


def test_an_exact_sampler_has_no_lead() -> None:
    standing = Standing.of(8, [row(errors=0.0 * ERRORS), row()], 1e-9)
    assert standing.best[0].error == 0.0
    assert standing.lead is None


def test_a_problem_keeps_plain_numbers() -> None:
    one = made(shape=torch.tensor([2]), samples=np.int64(4))
    assert (one.shape, one.samples, type(one.samples)) == ((2,), 4, int)
    assert torch.equal(made().noise(np.int64(3), torch.tensor(1)), made().noise(3, 1))
