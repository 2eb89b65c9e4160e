"""A tableau that is wrong cannot exist."""

from __future__ import annotations

import dataclasses

import pytest

from fokker.solvers import RK4, Bosh3, ButcherTableau, Dopri5, Euler, Heun, Midpoint, Ralston, RungeKutta, Tsit5
from fokker.solvers.runge_kutta import METHODS
from fokker.solvers.runge_kutta.tableau import rooted_trees

PAIRS = [method for method in METHODS if method.tableau.embedded_b is not None]


def test_the_number_of_rooted_trees() -> None:
    """1, 1, 2, 4, 9, 20, 48 with one to seven nodes (Hairer et al., table II.2.1)."""
    assert [len(rooted_trees(n)) for n in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]
    assert all(len(set(rooted_trees(n))) == len(rooted_trees(n)) for n in range(1, 8))


@pytest.mark.parametrize("method", METHODS)
def test_no_method_claims_less_than_it_is(method: type[RungeKutta]) -> None:
    with pytest.raises(ValueError, match="misses the condition"):
        dataclasses.replace(method.tableau, order=method.tableau.order + 1)


@pytest.mark.parametrize("method", METHODS)
def test_every_weight_is_checked(method: type[RungeKutta]) -> None:
    tableau = method.tableau
    for i, b in enumerate(tableau.b):
        wrong = (*tableau.b[:i], b + 1e-9, *tableau.b[i + 1 :])
        with pytest.raises(ValueError, match="misses the condition"):
            dataclasses.replace(tableau, b=wrong)


@pytest.mark.parametrize("method", METHODS)
def test_every_row_is_checked(method: type[RungeKutta]) -> None:
    tableau = method.tableau
    for i, row in enumerate(tableau.a):
        for j, a in enumerate(row):
            wrong = (*tableau.a[:i], (*row[:j], a + 1e-9, *row[j + 1 :]), *tableau.a[i + 1 :])
            with pytest.raises(ValueError, match=f"Row {i} of the tableau"):
                dataclasses.replace(tableau, a=wrong)


@pytest.mark.parametrize("method", PAIRS)
def test_the_interpolant_is_checked(method: type[RungeKutta]) -> None:
    """Every coefficient, to 1e-9; and none claims less than it is, or is without the slope at the end."""
    tableau = method.tableau
    dense = tableau.dense or (0.0,) * len(tableau.b)
    assert tableau.dense_order == max(tableau.order - 1, 2) or method is Bosh3
    with pytest.raises(ValueError, match="interpolant is not of order"):
        dataclasses.replace(tableau, dense_order=tableau.dense_order + 1)
    for i, d in enumerate(dense):
        wrong = (*dense[:i], d + 1e-9, *dense[i + 1 :])
        with pytest.raises(ValueError, match="interpolant is not of order"):
            dataclasses.replace(tableau, dense=wrong)
    with pytest.raises(ValueError, match="needs the slope at the end"):
        dataclasses.replace(RK4.tableau, dense_order=3)


@pytest.mark.parametrize("method", PAIRS)
def test_every_embedded_weight_is_checked(method: type[RungeKutta]) -> None:
    tableau = method.tableau
    for i, b in enumerate(tableau.embedded_b):
        wrong = (*tableau.embedded_b[:i], b + 1e-9, *tableau.embedded_b[i + 1 :])
        with pytest.raises(ValueError, match="misses the condition"):
            dataclasses.replace(tableau, embedded_b=wrong)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="2 stages needs rows of 0 to 1 entries"):
        ButcherTableau(order=1, c=(0.0, 1.0), a=((), ()), b=(1.0, 0.0))


def test_the_last_stage_is_reused_where_it_is_the_next_slope() -> None:
    idle = ButcherTableau(order=2, c=(0.0, 0.5, 1.0), a=((), (0.5,), (-1.0, 2.0)), b=(0.0, 1.0, 0.0))
    assert idle.evaluations == 3
    known = {Euler: 10, Midpoint: 20, Heun: 20, Ralston: 20, RK4: 40, Bosh3: 30, Dopri5: 60, Tsit5: 60}
    assert {method: method().evaluations(10) for method in known} == known
    assert known.keys() <= set(METHODS)
