"""Every oracle under every path: one contract (`oracle_contract`), by autograd and the continuity equation."""

from __future__ import annotations

import pytest
import torch
from oracle_contract import PATHS, check_fields, check_transport
from toy import MIXTURE

from fokker.generative import CondOT, GaussianPath, GeometricVE, Polynomial, Shifted, SubVP, Table, linear_betas
from fokker.generative.paths import NoisyCondOT
from fokker.verification import Empirical, Gaussian, GaussianClasses, Laplace, Oracle, PointMass, Student, Uniform

FLOAT = torch.float64
MEAN, COV = torch.tensor([0.4, -0.3], dtype=FLOAT), torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=FLOAT)
OTHERS: list[GaussianPath] = [
    SubVP(), Polynomial(2.0), GeometricVE(), Shifted(CondOT(), -0.7), NoisyCondOT(0.2),
    Table(linear_betas(50, 0.01, 0.2)),
]  # fmt: skip
LAWS: dict[str, Oracle] = {
    "Gaussian": Gaussian(MEAN, COV),
    "mixture": MIXTURE,
    "population": GaussianClasses([Gaussian(MEAN, COV), Gaussian(-MEAN, 2.0 * COV)]).population,
    "data set": Empirical(torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=FLOAT)),
    "point": PointMass(MEAN),
    "uniform": Uniform(-1.0, 2.0),
    "Laplace": Laplace(0.3, 0.7),
    "Student": Student(3.0, MEAN[:1], COV[:1, :1]),
}


def test_no_oracle_is_missing_here() -> None:
    ours = {kind for kind in Oracle.registered().values() if kind.__module__.startswith("fokker.")}
    assert ours <= {type(law) for law in LAWS.values()}


def test_no_path_is_missing_here() -> None:
    """`Scheduled` wraps a scheduler of flow_matching, whose formulas are those of other paths here."""
    ours = {name for name, kind in GaussianPath.registered().items() if kind.__module__.startswith("fokker.")}
    assert {type(path).__name__ for path in [*PATHS, *OTHERS]} == ours - {"Scheduled"}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("path", [*PATHS, *OTHERS], ids=lambda path: type(path).__name__)
def test_the_contract(name: str, path: GaussianPath) -> None:
    check_fields(LAWS[name], path, 0.41)
    if not isinstance(path, Table):  # its α and σ have kinks, and no slope by autograd through a table
        check_transport(LAWS[name], path, 0.41)
