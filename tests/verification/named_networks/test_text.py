"""Paths and clocks in text: read, and never evaluated."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch

from fokker.generative import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    GeometricVE,
    Polynomial,
    Shifted,
    SubVP,
    Table,
    linear_betas,
    scaled_linear_betas,
    zero_terminal_snr,
)  # fmt: skip
from fokker.verification.named_networks import ClockExpression, read_clock, read_path

INFINITE = Cosine(-math.inf, math.inf)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("VP", VP()),
        ("VP()", VP()),
        (" VP ( 0.2 , beta_max = 19 ) ", VP(0.2, 19.0)),
        ("Shifted(VP(), 0.3)", Shifted(VP(), 0.3)),
        ("Shifted(path=Cosine(), shift=-0.7)", Shifted(Cosine(), -0.7)),
        ("Table(linear_betas(1000))", Table(linear_betas(1000))),
        ("Table(zero_terminal_snr(scaled_linear_betas(9)))", Table(zero_terminal_snr(scaled_linear_betas(9)))),
        ("Table([0.1, 0.2, 0.3])", Table((0.1, 0.2, 0.3))),
        ("Cosine(-inf, inf)", INFINITE),
    ],
)  # fmt: skip
def test_a_text_is_a_path(text: str, path: GaussianPath) -> None:
    assert read_path(text) == path


@pytest.mark.parametrize(
    "path", [CondOT(0.1), VP(), SubVP(), VE(), Cosine(), INFINITE, GeometricVE(), Polynomial(3.0), Shifted(VP(), -0.3)]
)
def test_the_repr_of_a_path_is_a_text(path: GaussianPath) -> None:
    assert read_path(repr(path)) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "path is of type int; give a text"),
        ("", r"There is no path ''"),
        ("vp", r"There is no path 'vp' \(VP.*; there are .*CondOT, "),
        ("VPP()", r"There is no path 'VPP' \(VP\?"),
        ("VP(", "cannot be read; write a path such as"),
        ("VP(beta=3)", "VP cannot be made: .*unexpected keyword argument 'beta'"),
        ("VP(-1)", "beta_min is -1, but must be"),
        ("linear_betas(1000)", "is no path; write"),
        ("Shifted(VP)", "Shifted cannot be made"),
        ("GaussianPath()", "There is no path 'GaussianPath'"),
        ("__import__('os').getcwd()", "is neither a known name nor a literal"),
        ("VP(print(3))", "There is no path 'print'"),
        ("VP(*[1, 2])", "is neither a known name nor a literal"),
        ("VP(lambda: 3)", "is neither a known name nor a literal"),
        ("VP() if 1 else VE()", "is neither a known name nor a literal"),
        ("(" * 10_000, "cannot be read"),
        ("VP(" + "-" * 10_000 + "1)", "cannot be read|neither"),
        ("VP(" + "1," * 100_000 + ")", "cannot be read"),
    ],
)
def test_what_is_no_path_ends_in_a_sentence(text: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        read_path(text)
    assert len(str(failure.value)) < 500


TABLE = Table(linear_betas(1000))


@pytest.mark.parametrize("name", ["t", "1-t", "1 - t", "sigma", "log_snr", "half_log_snr"])
def test_a_named_clock_keeps_its_name(name: str) -> None:
    assert read_clock(name, VP()) == name.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("1000*t", VP(), lambda t: 1000.0 * t),
        ("999*(1 - t)", CondOT(), lambda t: 999.0 * (1.0 - t)),
        ("-log_snr", VP(), lambda t: -VP().log_snr(t)),
        ("-0.25*half_log_snr", VE(), lambda t: -0.25 * VE().half_log_snr(t)),
        ("log(sigma)/4", VE(), lambda t: 0.25 * VE().sigma(t).log()),
        ("sqrt(1 - alpha*alpha) + exp(-t) - 2", VP(), lambda t: (1.0 - VP().alpha(t) ** 2).sqrt() + (-t).exp() - 2.0),
        ("999 - index", TABLE, lambda t: 999.0 - TABLE.index(t)),
        ("+1e3*t", VP(), lambda t: 1000.0 * t),
    ],
)
def test_an_expression_is_a_clock_of_floats_and_of_tensors(text: str, path: GaussianPath, expected: Any) -> None:
    clock = read_clock(text, path)
    assert isinstance(clock, ClockExpression)
    t = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    torch.testing.assert_close(clock(t), expected(t), rtol=1e-12, atol=1e-12)
    each = torch.tensor([clock(float(at)) for at in t], dtype=torch.float64)
    torch.testing.assert_close(each, expected(t), rtol=1e-12, atol=1e-12)
    for other in (copy.deepcopy(clock), pickle.loads(pickle.dumps(clock))):  # noqa: S301  # our own
        assert other == clock
        assert torch.equal(other(t), clock(t))


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (3, VP(), "time is of type int; give a text"),
        ("t", 3, "path is of type int"),
        ("", VP(), "'' cannot be read; write t, 1-t"),
        ("s", VP(), "'s' in the clock 's' is not known; write t, 1-t"),
        ("index", VP(), "Only a Table"),
        ("2*index", VP(), "Only a Table of betas has an index"),
        ("t**2", VP(), "is not known"),
        ("t if t else 1", VP(), "is not known"),
        ("True*t", VP(), "is not known"),
        ("'t'", VP(), "is not known"),
        ("path.sigma(t)", VP(), "is not known"),
        ("open('file')", VP(), "is not known"),
        ("log(t, 2)", VP(), "is not known"),
        ("1/(t - 0.5)", VP(), "has no value at t = 0.5"),
        ("1e308*1e308*t", VP(), "is inf, but must be a finite number"),
        ("1" * 201, VP(), "has 201 characters"),
        ("-" * 190 + "t", VP(), None),
    ],
)
def test_what_is_no_clock_ends_in_a_sentence(text: Any, path: Any, message: str | None) -> None:
    if message is None:
        assert read_clock(text, path)(0.5) == 0.5
        return
    with pytest.raises((TypeError, ValueError), match=message):
        read_clock(text, path)
