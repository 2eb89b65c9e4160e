"""Networks with an error of known size: that it is the size, wherever it is known, and what kind of error it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from toy import MIXTURE

from fokker.generative import VP, CondOT, GaussianPath
from fokker.verification.oracles import Student
from fokker.verification.oracles.perturbed import Bias, Lag, Rounding, Smooth, White, perturbed, relative_error

FLOAT = torch.float64
PATHS: list[GaussianPath] = [CondOT(), VP()]


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("predicts", ["x0", "eps", "v", "velocity"])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_a_bias_has_its_size_exactly(path: GaussianPath, predicts: str, t: float) -> None:
    found = relative_error(perturbed(MIXTURE, Bias(0.1), path, predicts), MIXTURE, t, n=64)
    assert found.value == pytest.approx(0.1, rel=1e-10)
    assert found.standard_error < 1e-10


@pytest.mark.parametrize("error", [White(0.2, seed=3), Smooth(0.2, seed=3), Smooth(0.2, length=0.3)], ids=repr)
@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_a_random_field_has_its_size_in_the_mean(error: White | Smooth, path: GaussianPath, t: float) -> None:
    """Over 4096 states, within 5 standard errors: a false alarm in 6e-7."""
    found = relative_error(perturbed(MIXTURE, error, path), MIXTURE, t)
    assert abs(found.value - 0.2) < 5.0 * found.standard_error
    assert found.standard_error < 0.02


def test_white_noise_is_a_function_of_the_state_and_of_nothing_else() -> None:
    denoiser = perturbed(MIXTURE, White(0.5), CondOT())
    x = MIXTURE.sample(16, 0, 0.5, CondOT())
    whole, part = denoiser.output(0.5, x), denoiser.output(0.5, x[3:7])
    assert torch.equal(whole[3:7], part)
    exact = MIXTURE.v(x, 0.5, CondOT())
    moved = x + 1e-15
    other = denoiser.output(0.5, moved) - MIXTURE.v(moved, 0.5, CondOT())
    assert float((other - (whole - exact)).abs().max()) > 0.1  # one bit away, an independent error
    assert not torch.equal(perturbed(MIXTURE, White(0.5, seed=1), CondOT()).output(0.5, x), whole)


def test_a_smooth_error_is_smooth() -> None:
    denoiser, path = perturbed(MIXTURE, Smooth(0.5), CondOT()), CondOT()
    x = MIXTURE.sample(16, 0, 0.5, path)

    def error(x: torch.Tensor) -> torch.Tensor:
        return denoiser.output(0.5, x) - MIXTURE.v(x, 0.5, path)

    assert float((error(x + 1e-6) - error(x)).abs().max()) < 1e-4


def test_a_lag_is_the_exact_network_at_another_time() -> None:
    path = VP()
    x = MIXTURE.sample(8, 0, 0.5, path)
    denoiser = perturbed(MIXTURE, Lag(0.05), path, "eps")
    torch.testing.assert_close(denoiser.output(0.5, x), MIXTURE.eps(x, 0.45, path), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(denoiser.output(0.02, x), MIXTURE.eps(x, 0.0, path), rtol=1e-12, atol=1e-12)


def test_rounding_is_within_its_digits() -> None:
    """bfloat16 has 8 binary digits: 2^−9 of each component, with a little more for float64's own."""
    x = MIXTURE.sample(64, 0, 0.5, CondOT())
    exact = MIXTURE.v(x, 0.5, CondOT())
    apart = perturbed(MIXTURE, Rounding(torch.bfloat16), CondOT()).output(0.5, x) - exact
    assert bool((apart.abs() <= 2.0**-8 * exact.abs()).all())
    assert float(apart.abs().max()) > 0.0


def test_times_of_their_own() -> None:
    """Every sample has the error of its time."""
    path, times = CondOT(), torch.tensor([0.2, 0.5, 0.8], dtype=FLOAT)
    x = MIXTURE.sample(3, 0, times, path)
    for error in (Bias(0.1), White(0.1), Smooth(0.1), Lag(0.05)):
        net = perturbed(MIXTURE, error, path).net
        each = torch.cat([net(x[i : i + 1], times[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(net(x, times), each, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bias(-0.1), "finite number >= 0"),
        (lambda: White(float("nan")), "finite number >= 0"),
        (lambda: Smooth(0.1, length=0.0), "length is 0"),
        (lambda: Lag(float("inf")), "finite number"),
        (lambda: Rounding(torch.int64), "floating type"),
        (lambda: perturbed(Student(1.5, torch.zeros(1).double(), torch.eye(1).double()), Bias(0.1), CondOT()),
         "no finite variance"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
