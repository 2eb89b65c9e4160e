"""A budget's division against enumeration, and what a value takes against what it says."""

from __future__ import annotations

import pytest
import torch
from toy import GAUSSIAN, MIXTURE, random_mixture

from fokker.generative import CFG, VP, CondOT, Denoiser, GaussianPath, log_likelihood
from fokker.generative.likelihood.budget import FEWEST_STEPS, Price, divide
from fokker.generative.likelihood.change_of_variables import even_times
from fokker.solvers import ExponentialAdams
from fokker.verification.oracles import GaussianClasses

SOLVER = ExponentialAdams(3, corrector=True)
CLASSES = GaussianClasses([MIXTURE, GAUSSIAN])


def guided(path: GaussianPath) -> Denoiser:
    return CFG(CLASSES.denoiser(path).given(0), 2.0)


@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
@pytest.mark.parametrize("n", [4, 5, 8, 13])
@pytest.mark.parametrize("branches", [1, 2])
def test_the_price_is_what_a_value_takes(path: GaussianPath, n: int, branches: int) -> None:
    denoiser = MIXTURE.denoiser(path) if branches == 1 else guided(path)
    price = Price(SOLVER, branches, mismatch=path.alpha(0.0) != 0.0)
    times, x = even_times(path, n).flip(0), MIXTURE.sample(3, 1)
    for trace, probes, products in (("exact", 1, 2), ("hutchinson", 1, 1), ("hutchinson", 5, 5)):
        result = log_likelihood(denoiser, x, times, SOLVER, trace, probes)
        assert int(result.nfe) + result.nfe.vjp == price.of(n, products)
        assert result.nfe.per_sample.tolist() == [int(result.nfe)] * 3


@pytest.mark.parametrize("nfe", [40, 77, 300, 1000])
@pytest.mark.parametrize("dim", [1, 2, 7])
@pytest.mark.parametrize(("mismatch", "branches"), [(False, 1), (True, 2)])
@pytest.mark.parametrize(("error", "variance"), [(1e-3, 1e-1), (1.0, 1e-3), (1e-6, 0.0)])
def test_the_division_is_the_best_of_all(
    nfe: int, dim: int, mismatch: bool, branches: int, error: float, variance: float
) -> None:
    price = Price(SOLVER, branches, mismatch)

    def expected(n: int, k: int) -> float:
        """By the formula, k = 0 for the exact trace."""
        noise = variance / k if k else 0.0
        return (error**2 * (16.0 / n) ** 8 + noise) ** 0.5

    affordable = {
        (n, k): expected(n, k)
        for k in range(dim)
        for n in range(4, nfe)
        if price.of(n, k or dim) <= nfe
    }
    if not affordable:
        with pytest.raises(ValueError, match="too small"):
            divide(nfe, dim, price, trial_steps=16, trial_error=error, variance=variance)
        return
    found = divide(nfe, dim, price, trial_steps=16, trial_error=error, variance=variance)
    k = 0 if found.trace == "exact" else found.probes
    assert affordable[found.steps, k] == min(affordable.values())
    assert found.error == pytest.approx(affordable[found.steps, k])


@pytest.mark.parametrize("nfe", [31, 60, 151])
@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
def test_a_budget_is_never_exceeded(nfe: int, path: GaussianPath) -> None:
    """And what is left of it does not pay two more steps, of 4 evaluations and products each at most."""
    for denoiser in (MIXTURE.denoiser(path), guided(path)):
        if nfe < Price(SOLVER, denoiser.cost, path.alpha(0.0) != 0.0).of(FEWEST_STEPS, 1):
            continue
        result = log_likelihood(denoiser, MIXTURE.sample(4, 1), nfe=nfe)
        spent = int(result.nfe) + result.nfe.vjp
        assert nfe - 2 * denoiser.cost * 4 < spent <= nfe


def test_large_budgets_are_exact_and_small_ones_random() -> None:
    """In 16 dimensions, where an exact trace on the fewest steps takes 146; the error falls."""
    law = random_mixture(16)
    x = law.sample(32, 1)
    errors = []
    for nfe, exact in ((60, False), (140, False), (600, True), (2000, True)):
        result = log_likelihood(law.denoiser(CondOT()), x, nfe=nfe)
        assert bool((result.probe_stderr == 0.0).all()) == exact
        assert int(result.nfe) + result.nfe.vjp <= nfe
        error = (result.value - law.log_prob(x)).abs()
        errors.append(error.square().mean().sqrt().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_a_budget_that_is_too_small_is_refused() -> None:
    x = MIXTURE.sample(2, 1)
    least = Price(SOLVER).of(FEWEST_STEPS, 1)
    assert least == 6 + 4 + 2 * (5 + 3)
    log_likelihood(MIXTURE.denoiser(CondOT()), x, nfe=least)
    with pytest.raises(ValueError, match=f"nfe = {least - 1} is too small .* 4 steps and a probe take {least}"):
        log_likelihood(MIXTURE.denoiser(CondOT()), x, nfe=least - 1)
    with pytest.raises(ValueError, match=f"take {2 * least}"):
        log_likelihood(guided(CondOT()), x, nfe=2 * least - 1)


def test_the_trial_takes_a_few_samples_and_their_labels() -> None:
    labels = torch.arange(20) % 3
    denoiser = CLASSES.denoiser(CondOT()).given(labels)
    x = MIXTURE.sample(20, 1)
    result = log_likelihood(denoiser, x, nfe=300)
    expected = CLASSES.given(labels).log_prob(x)
    torch.testing.assert_close(result.value, expected, rtol=0.0, atol=1e-2)
