"""Samples and likelihoods in chunks, on an engine: what `sample` and `log_likelihood` find, to the last bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields

import pytest
import torch
from toy import MIXTURE

from fokker.benchmarks.engine import Engine, local
from fokker.benchmarks.many import Block, log_likelihood_many, sample_many
from fokker.generative import CondOT, load, log_likelihood, sample

DIGITS, MIXED = load("digits-flow"), MIXTURE.denoiser(CondOT())
DATA = MIXTURE.sample(20, 0)


@pytest.fixture(scope="module")
def two() -> Iterator[Engine]:
    with local(2) as engine:
        yield engine


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As workers have: sums depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("sampler", [None, "ddpm"])
@pytest.mark.parametrize("workers", [1, 2])
def test_samples_are_those_of_sample(workers: int, sampler: str | None, two: Engine) -> None:
    """Labels, guidance, and for ddpm the noise on the way belong to the position of a sample."""
    engine = local(1) if workers == 1 else two
    arguments = {"nfe": 8, "label": [i % 10 for i in range(70)], "guidance": 1.5, "seed": 3, "sampler": sampler}
    expected = sample(DIGITS, (70, 1, 8, 8), chunk=16, **arguments)
    found = sample_many(DIGITS, (70, 1, 8, 8), engine=engine, chunk=16, **arguments)
    assert torch.equal(found, expected)


def test_samples_do_not_depend_on_the_chunk(two: Engine) -> None:
    """The fields of a mixture are sums over its modes in float64, which round to 1e-15 whatever the batch."""
    shape = (23, *MIXTURE.sample(1, 0).shape[1:])
    arguments = {"nfe": 6, "seed": list(range(23)), "dtype": torch.float64}
    expected = sample(MIXED, shape, **arguments)
    for chunk in (1, 5, 100):
        found = sample_many(MIXED, shape, engine=two, chunk=chunk, **arguments)
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("workers", [1, 2])
def test_likelihoods_are_those_of_log_likelihood(workers: int, two: Engine) -> None:
    engine = local(1) if workers == 1 else two
    options = {"error": 0.3, "trace": "hutchinson", "seed": 5}
    expected = log_likelihood(MIXED, DATA, **options)
    whole = log_likelihood_many(MIXED, DATA, engine=engine, **options)
    parts = log_likelihood_many(MIXED, DATA, engine=engine, chunk=7, **options)
    for entry in fields(expected):
        if entry.name != "nfe":
            assert torch.equal(getattr(whole, entry.name), getattr(expected, entry.name))
            torch.testing.assert_close(getattr(parts, entry.name), getattr(expected, entry.name), rtol=1e-9, atol=1e-9)
    assert whole.nfe == expected.nfe
    assert parts.nfe.per_sample.tolist() == expected.nfe.per_sample.tolist()


def test_a_block_travels_alone() -> None:
    x = torch.zeros(10_000, 10)
    block = Block(3, x[3:5])
    assert len(pickle.dumps(block)) < 2000
    assert torch.equal(pickle.loads(pickle.dumps(block)).x, x[3:5])  # noqa: S301


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_many(DIGITS, (2, 1, 8, 8), engine=None), "engine is of type NoneType; give an engine"),
        (lambda: sample_many(DIGITS, (2, 1, 9, 9), engine=local(1)), r"\(1, 9, 9\)"),
        (lambda: sample_many(DIGITS, (2, 1, 8, 8), guidance=2.0, engine=local(1)), "guidance needs a label"),
        (lambda: sample_many(DIGITS, (2, 1, 8, 8), chunk=0, engine=local(1)), "chunk is 0"),
        (lambda: sample_many(DIGITS, (2, 1, 8, 8), label=[1, 2, 3], engine=local(1)), "2 samples"),
        (lambda: sample_many(DIGITS, (2, 1, 8, 8), seed=[1], engine=local(1)), "1 seeds were given for 2 samples"),
        (lambda: log_likelihood_many(MIXED, [0.0], engine=local(1)), "x is "),
        (lambda: log_likelihood_many(MIXED, DATA[:2], engine=3), "engine is of type int"),
        (lambda: log_likelihood_many(MIXED, DATA[:2], trace="no", engine=local(1)), "Unknown trace 'no'"),
    ],
)
def test_wrong_values_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
