"""Weights that were learned elsewhere are the table that they say, in every hold, and of every clock of times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from toy import MIXTURE

from fokker.generative import (
    VE,
    VP,
    CondOT,
    Denoiser,
    GaussianPath,
    flow,
    import_scheme,
    multistep_scheme,
    named,
    sample,
)
from fokker.generative.equations import HOLDS
from fokker.generative.sampling.imported import CLOCKS
from fokker.solvers import ExponentialAdams, Scheme, same, unroll

LEVELS = [60.0, 17.0, 6.5, 2.2, 0.9, 0.35, 0.1, 0.0]
"""σ/α as a search might find them, 7 steps."""


def adams(r: Sequence[float], order: int) -> Tensor:
    """The weights of Adams-Bashforth on uneven steps: the mean over a step of the Lagrange polynomials in r.

    By numpy's polynomials, for times shifted and scaled to the step, so that no number is large.
    """
    n = len(r) - 1
    w = np.zeros((n, n))
    for i in range(n):
        h, nodes = r[i + 1] - r[i], range(max(0, i - order + 1), i + 1)
        for j in nodes:
            lagrange = np.polynomial.Polynomial([1.0])
            for k in nodes:
                if k != j:
                    at, other = (r[j] - r[i]) / h, (r[k] - r[i]) / h
                    lagrange *= np.polynomial.Polynomial([-other, 1.0]) / (at - other)
            w[i, j] = lagrange.integ()(1.0)
    return torch.from_numpy(w)


def clock_of(denoiser: Denoiser, hold: str, times: Sequence[float]) -> list[float]:
    clock = flow(denoiser, hold).clock
    t = torch.tensor(times, dtype=torch.float64)
    found: list[float] = (clock.gain(t) / clock.scale(t)).tolist()
    return found


def assert_rows(scheme: Scheme, other: Scheme, first: int) -> None:
    """The rows of the steps from this one on are the same numbers, to 1e-12 of the largest."""
    for row, expected in list(zip(scheme.states, other.states, strict=True))[first:]:
        assert row.keys() == expected.keys()
        largest = max(map(abs, expected.values()))
        assert all(abs(row[symbol] - value) < 1e-12 * largest for symbol, value in expected.items()), (row, expected)


@pytest.mark.parametrize("path", [CondOT(), VP(), VE()], ids=str)
def test_ipndm_on_a_learned_grid(path: GaussianPath) -> None:
    """The weights of iPNDM for these steps make its rows, to rounding, once it has four values.

    The published sampler corrects its first three steps, which no triangular weights say: so those are compared with a
    loop by hand whose order grows, in y = x/α and r = σ/α.
    """
    denoiser = MIXTURE.denoiser(path)
    levels = LEVELS if not isinstance(path, VE) else LEVELS[:-1]
    weights = adams(levels, 4)
    scheme = multistep_scheme(denoiser, levels, weights, clock="sigma/alpha", name="iPNDM")
    row = named("ipndm")
    assert (row.hold, row.logarithmic) == ("eps", False)
    published = unroll(row.equation(denoiser), scheme.times, ExponentialAdams(4, start_up=False))
    assert_rows(scheme, published, first=3)
    assert (scheme.nfe, scheme.name, dict(scheme.about)) == (len(levels) - 1, "iPNDM", {"hold": "eps"})
    x = path.sigma(scheme.times[0]) * torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    y, values = x / path.alpha(scheme.times[0]), []
    for i, t in enumerate(scheme.times[:-1]):
        values.append(denoiser.predict("eps", t, path.alpha(t) * y))
        y = y + (levels[i + 1] - levels[i]) * sum(w * value for w, value in zip(weights[i], values, strict=False))
    expected = path.alpha(scheme.times[-1]) * y
    torch.testing.assert_close(scheme.run(flow(denoiser, "eps"), x).x, expected, rtol=0.0, atol=1e-11)
    assert sample(denoiser, (3, 2), nfe=7, sampler=scheme, dtype=torch.float64).shape == (3, 2)


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("absolute", [False, True])
def test_every_hold_has_its_clock(hold: str, absolute: bool) -> None:
    """Of one value a step the method is the published one; of two, from the second step on."""
    denoiser, times = MIXTURE.denoiser(VP()), [0.1, 0.25, 0.4, 0.7, 0.95]
    r = clock_of(denoiser, hold, times)
    equation = flow(denoiser, hold, logarithmic=False)
    for order in (1, 2):
        weights = adams(r, order)
        if absolute:
            weights = weights * torch.tensor(r, dtype=torch.float64).diff()[:, None]
        scheme = multistep_scheme(denoiser, times, weights.tolist(), hold=hold, absolute=absolute)
        expected = unroll(equation, times, ExponentialAdams(order, start_up=False))
        assert_rows(scheme, expected, first=order - 1)
        assert bool(same(scheme, expected)) == (order == 1)


def test_times_may_be_told_by_any_clock() -> None:
    """σ/α falls and log-SNR rises; to the rounding of a logarithm and its inverse."""
    denoiser, times = MIXTURE.denoiser(CondOT()), [0.1, 0.4, 0.8]
    told = {
        "t": times,
        "sigma/alpha": [(1.0 - t) / t for t in times],
        "log_snr": [CondOT().log_snr(t) for t in times],
    }
    assert tuple(told) == CLOCKS
    for clock, values in told.items():
        scheme = multistep_scheme(denoiser, values, torch.eye(2), clock=clock)
        assert scheme.times == pytest.approx(times, abs=1e-15)
    assert multistep_scheme(denoiser, [2.0, 0.0], torch.eye(1), clock="sigma/alpha").times[-1] == 1.0


def test_both_kinds_of_files(tmp_path: Path) -> None:
    """What a file states need not be said, and may be said again; its name is the table's."""
    denoiser = MIXTURE.denoiser(CondOT())
    weights = adams(LEVELS, 3)
    expected = multistep_scheme(denoiser, LEVELS, weights, clock="sigma/alpha", name="gits")
    content = {"times": LEVELS, "weights": weights.tolist(), "hold": "eps", "clock": "sigma/alpha", "absolute": False}
    (tmp_path / "gits.json").write_text(json.dumps(content))
    tensors = {"times": torch.tensor(LEVELS, dtype=torch.float64), "weights": weights}
    save_file(tensors, tmp_path / "gits.safetensors", {"hold": "eps", "clock": "sigma/alpha", "absolute": "False"})
    for name in ("gits.json", "gits.safetensors"):
        assert import_scheme(tmp_path / name, denoiser) == expected
        assert import_scheme(str(tmp_path / name), denoiser, hold="eps", clock="sigma/alpha") == expected
        with pytest.raises(ValueError, match="it states hold = 'eps', but hold = 'x0' was given; leave it out"):
            import_scheme(tmp_path / name, denoiser, hold="x0")
    save_file(tensors, tmp_path / "bare.safetensors")
    bare = import_scheme(tmp_path / "bare.safetensors", denoiser, clock="sigma/alpha")
    assert same(bare, expected)
    assert bare.name == "bare"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [1.0, 0.5, 0.0]}, "The 3 times must be two at least and lead from noise to data; sort them"),
        ({"times": [0.5]}, "The 1 times must be"),
        ({"times": [0.1, float("nan"), 0.5]}, r"times\[1\] is nan"),
        ({"times": [3.0, -1.0, 0.5], "clock": "sigma/alpha"}, "times are levels σ/α, but one of them is -1"),
        ({"times": [0.1, 0.5, 1.5]}, "The times go to t = 1.5"),
        ({"times": [0.0, 0.5, 1.0]}, "The equation that holds eps has no scale at t = 0; take times away"),
        ({"hold": "x0", "absolute": True}, "The equation that holds x0 has no scale at t = 1"),
        ({"hold": "speed"}, "Unknown hold 'speed'"),
        ({"clock": "rho"}, "Unknown clock 'rho'; choose one of t, sigma/alpha, log_snr"),
        ({"weights": [[1.0, 0.0]]}, r"weights must have 2 rows for 3 times, but 1; give \(n, n\)"),
        ({"weights": 3}, "weights must have 2 rows for 3 times, and are no rows"),
        ({"weights": [[1.0], [0.5, 0.5]]}, r"weights\[0\] has 1 numbers, but there are 2 steps; fill it up"),
        ({"weights": [[1.0, 0.5], [0.5, 0.5]]}, r"weights\[0\]\[1\] is 0.5, but step 0 knows no value of step 1"),
        ({"weights": [[1.0, 0.0], [float("inf"), 0.5]]}, r"weights\[1\]\[0\] is inf"),
    ],
    ids=str,
)
def test_what_is_no_table_is_told(change: dict[str, Any], message: str) -> None:
    given = {"times": [0.1, 0.5, 1.0], "weights": [[1.0, 0.0], [-0.5, 1.5]], **change}
    with pytest.raises(ValueError, match=f"^{message}"):
        multistep_scheme(MIXTURE.denoiser(CondOT()), given.pop("times"), given.pop("weights"), **given)


def test_a_network_that_cannot_be_asked() -> None:
    eps = Denoiser(lambda x, time: x, CondOT(), predicts="eps")
    with pytest.raises(ValueError, match="asks for the velocity at t = 0, where the network, which predicts eps"):
        multistep_scheme(eps, [0.0, 1.0], [[1.0]], hold="velocity")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "it holds no times and weights"),
        ("a.json", b"[1]", "it has no times and no weights; write"),
        ("a.json", b'{"times": [0.1, 0.5]}', "it has no weights; write"),
        ("a.json", b'{"times": "x", "weights": [[1.0]]}', "times is 'x', but must be a sequence of numbers"),
        ("a.json", b'{"times": [0.1, 0.5], "weights": [[1.0]], "absolute": 3}', "absolute is 3, but must be True or"),
        ("a.json", b'{"times": [0.1, 0.5], "weights": [[1.0]], "hold": []}', "Unknown hold"),
        ("a.safetensors", b"\x80\x04K\x01.", "it holds no times and weights"),
        ("a.pkl", b"\x80\x04K\x01.", "it holds no times and weights"),
    ],
)
def test_a_file_that_holds_no_weights(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{tmp_path / name}: {message}"):
        import_scheme(tmp_path / name, MIXTURE.denoiser(CondOT()))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        import_scheme(tmp_path / "none.json", MIXTURE.denoiser(CondOT()))
