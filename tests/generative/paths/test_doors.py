"""What the paths and the densities refuse, and the numbers that they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from fokker.generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    GeometricVE,
    NoisyCondOT,
    Polynomial,
    Shifted,
    SubVP,
    Table,
    linear_betas,
    scaled_linear_betas,
    squared_cosine_betas,
    zero_terminal_snr,
)
from fokker.generative.paths.time_densities import (
    Geometric,
    Importance,
    LogitNormal,
    Steps,
    Uniform,
    independent,
    stratified,
)

KINDS = (np.float32, np.float64, torch.tensor, lambda number: torch.tensor([number], dtype=torch.float64))
FIELDS = [
    (CondOT, "sigma_min"),
    (Cosine, "shift"),
    (VP, "beta_max"),
    (SubVP, "beta_max"),
    (VE, "sigma_max"),
    (Polynomial, "power"),
    (GeometricVE, "sigma_max"),
    (NoisyCondOT, "std"),
    (partial(Shifted, CondOT()), "shift"),
    (linear_betas, "beta_end"),
    (scaled_linear_betas, "beta_start"),
    (squared_cosine_betas, "max_beta"),
    (Uniform, "start"),
    (LogitNormal, "std"),
    (partial(Geometric, levels=3, smallest=0.1), "largest"),
    (Importance, "share"),
]


@pytest.mark.parametrize(("make", "field"), FIELDS)
def test_a_field_takes_every_number_that_fits_and_refuses_the_others(make: Callable[..., Any], field: str) -> None:
    good = 1.5 if field == "power" else 0.5
    for kind in KINDS:
        made, expected = make(**{field: kind(good)}), make(**{field: good})
        if isinstance(made, tuple):
            assert made == expected
        else:
            assert type(getattr(made, field)) is float
            assert getattr(made, field) == getattr(expected, field)
    for wrong in (math.nan, -1e300, 1e300, torch.tensor(math.nan)):
        with pytest.raises(ValueError, match=f"{field} (is|=)|start < end"):
            make(**{field: wrong})
    for none in ("0.5", None, True, 0.5j, [0.5]):
        with pytest.raises(TypeError, match=f"^{field} is "):
            make(**{field: none})
    with pytest.raises(ValueError, match=f"^{field} requires a gradient"):
        make(**{field: torch.tensor(0.5, requires_grad=True)})


COUNTS = [
    (linear_betas, "steps", 2, 10**6),
    (scaled_linear_betas, "steps", 2, 10**6),
    (squared_cosine_betas, "steps", 2, 10**6),
    (Steps, "count", 1, 2**53),
    (partial(Geometric, 10.0, 0.1), "levels", 2, 2**53),
    (Importance, "bins", 2, 10**6),
    (independent, "count", 0, 10**8),
    (stratified, "count", 0, 10**8),
]


@pytest.mark.parametrize(("make", "name", "least", "most"), COUNTS)
def test_a_count_is_whole_and_bounded(make: Callable[..., Any], name: str, least: int, most: int) -> None:
    for number in (3, 3.0, np.int32(3), torch.tensor(3)):
        make(**{name: number})
    for wrong in (math.nan, 2.5, least - 1, most + 1, 10**40):
        with pytest.raises(ValueError, match=f"^{name} is .* whole number from {least} to"):
            make(**{name: wrong})
    for kind in ("3", None, True, [3]):
        with pytest.raises(TypeError, match=f"^{name} is "):
            make(**{name: kind})


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Cosine(40.0, 90.0), "angles of the log-SNRs 40 and 90 of Cosine are .* rounding blurs"),
        (lambda: VP(beta_max=1e12), r"beta_max = 1e\+12 is too large: alpha .* may be 2800 at most"),
        (lambda: SubVP(beta_max=2900), "beta_max = 2900 is too large"),
        (lambda: Shifted(Shifted(CondOT(), 200.0), 200.0), "shift is 400, but must be"),
        (lambda: Table([0.1, math.nan, 0.2]), r"betas\[1\] is nan"),
        (lambda: Table(torch.full((3, 2), 0.1)), "1-D"),
        (lambda: zero_terminal_snr(torch.tensor([0.1, 0.2], requires_grad=True)), "betas requires a gradient"),
        (lambda: VP().transition(0.5, 0.3), "t0 < t1, but got 0.5 and 0.3"),
        (lambda: VP().sigma(1.001), "root of .* which does not exist"),
        (lambda: Polynomial(2.0).log_snr(-0.5), "does not exist; stay within its times"),
        (lambda: LogitNormal(300.0).quantile(Cosine(), torch.rand(3)), "too little to draw from"),
    ],
)
def test_values_that_fit_alone_but_not_together(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_what_draws_is_a_generator_and_what_is_drawn_is_real() -> None:
    with pytest.raises(TypeError, match="generator is of type int"):
        stratified(2, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"like\.float\(\)"):
        independent(2, like=torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("path", [VP(), SubVP(), Cosine(), Polynomial(), Table(linear_betas(10))], ids=str)
def test_of_nan_every_coefficient_is_nan(path: GaussianPath) -> None:
    for function in (path.alpha, path.sigma, path.d_alpha, path.d_sigma, path.log_snr):
        assert math.isnan(function(math.nan))
        assert function(torch.tensor([math.nan])).isnan().all()


class Quadratic(GaussianPath):
    """A path of a user, who checks nothing: α = w t², σ = 1 − t, with a learned w."""

    def __init__(self, w: Any) -> None:
        self.w = w

    def alpha(self, t: Any) -> Any:
        return self.w * t**2

    def sigma(self, t: Any) -> Any:
        return 1.0 - t

    def time(self, log_snr: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("path", [VP(), SubVP(), CondOT(0.1), Cosine(), Shifted(VP(), -0.5), Polynomial(3.0)], ids=str)
def test_a_gradient_flows_through_the_times_of_a_path_and_back(path: GaussianPath) -> None:
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(path.time(path.log_snr(t)).sum(), t)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=1e-7, atol=0)


def test_a_path_of_a_user_may_learn() -> None:
    w, t = torch.tensor(2.0, dtype=torch.float64, requires_grad=True), torch.tensor(0.5, dtype=torch.float64)
    (found,) = torch.autograd.grad(Quadratic(w).half_log_snr(t), w)  # log w + 2 log t − log(1 − t)
    assert found.item() == pytest.approx(0.5)
    assert Quadratic(3.0).d_alpha(0.5) == pytest.approx(3.0)
