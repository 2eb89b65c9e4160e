"""The tables that come with the package: made for the networks that come with it, and better than the default there."""

from __future__ import annotations

import warnings

import pytest
import torch

from fokker.generative import flow, load, named, sample
from fokker.generative.denoiser import network_digest
from fokker.generative.sampling import TABLES, default_for, table_of
from fokker.solvers import ExponentialAdams, solve, standard_normal

DIGITS = [name for name in TABLES if name.startswith("digits")]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_of_the_network_and_of_the_evaluations_in_its_name(name: str) -> None:
    network, _, nfe = name.rpartition("-")
    scheme = table_of(named(name))
    assert scheme is not None
    assert scheme.nfe == int(nfe)
    assert scheme.about["network"] == network_digest(load(network))
    assert scheme.about["network_name"] == network
    held_out = scheme.about["report"]["held_out"]
    assert all(held_out["tuned"][each][0] < held_out["default"][each][0] for each in ("median", "trimmed"))


@pytest.mark.parametrize("name", DIGITS)
def test_it_is_nearer_to_the_end_of_the_flow_than_the_default(name: str) -> None:
    """On 8 noises of another seed: if each is nearer with a chance of 0.8, the median fails once in a hundred times.

    The report has intervals on 128 noises. The reference, 60 steps of order 3, is right to a tenth of these errors.
    """
    network, _, nfe = name.rpartition("-")
    denoiser = load(network)
    scheme = table_of(named(name))
    assert scheme is not None
    first, last = scheme.times[0], scheme.times[-1]
    denoiser = denoiser.given(torch.arange(8))
    x = denoiser.path.sigma(first) * standard_normal(torch.empty(8, 1, 8, 8, dtype=torch.float64), 99)
    sampler, equation = default_for(denoiser, int(nfe)), flow(denoiser)
    with torch.no_grad():
        fine = sampler.grid(denoiser.path, 60, t0=first, t1=last)
        end = solve(flow(denoiser, "velocity"), x, fine, ExponentialAdams(3, corrector=True)).x
        times = sampler.grid(denoiser.path, int(nfe), t0=first, t1=last)
        usual = solve(equation, x, times, sampler.solver).x
        tuned = scheme.run(flow(denoiser, "velocity"), x).x
    errors = [(found - end).square().flatten(1).mean(1).sqrt() for found in (tuned, usual)]
    assert float(errors[0].median()) < float(errors[1].median())


def test_a_name_samples_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = sample(load("digits-flow"), (2, 1, 8, 8), 5, label=3, sampler="digits-flow-5")
    assert images.shape == (2, 1, 8, 8)
    with pytest.warns(UserWarning, match="digits-flow"):
        sample(load("digits-eps"), (2, 1, 8, 8), 5, label=3, sampler="digits-flow-5")
