"""The published samplers that are the same method: those of which the papers say so, and no others."""

from __future__ import annotations

import json

import pytest

from fokker.generative import VE, VP, CondOT, GaussianPath
from fokker.generative.sampling import PUBLISHED, Sampler
from fokker.solvers import ExponentialAdams
from fokker.verification.laws import Equivalences, equivalences

PATHS: dict[str, GaussianPath] = {"VP": VP(), "CondOT": CondOT(), "VE": VE()}


@pytest.fixture(scope="module")
def found() -> dict[str, Equivalences]:
    return {name: equivalences(path) for name, path in PATHS.items()}


def classes(table: Equivalences) -> set[frozenset[str]]:
    return {frozenset(group) for group in table.classes}


def test_ddim_is_eulers_method_in_the_ratio_of_noise_to_signal(found: dict[str, Equivalences]) -> None:
    """`euler` is Euler's method in σ/α, on every path DDIM. `flow-euler` is that in t: the same where α and σ are
    linear in t, on CondOT and VE, and not on VP."""
    for name in PATHS:
        assert found[name].between("ddim", "euler").same
    assert frozenset({"ddim", "euler", "flow-euler"}) in classes(found["CondOT"]) & classes(found["VE"])
    apart = found["VP"].between("ddim", "flow-euler")
    assert not apart.same
    assert apart.common.startswith("They part in step 0")


def test_ddpm_is_the_ancestral_euler_sampler(found: dict[str, Equivalences]) -> None:
    for table in found.values():
        assert frozenset({"ddpm", "euler-ancestral"}) in classes(table)


def test_edms_heun_is_heuns_method_in_t_on_its_own_path_alone(found: dict[str, Equivalences]) -> None:
    assert found["VE"].between("flow-heun", "edm-heun").same
    assert not found["CondOT"].between("edm-heun", "flow-heun").same


def test_one_method_on_two_grids_is_two_samplers(found: dict[str, Equivalences]) -> None:
    pair = found["CondOT"].between("ddim", "euler")
    assert pair.same
    assert not pair.same_as_published
    assert "They part at time" in pair.own


def test_higher_orders_part_where_their_values_enter(found: dict[str, Equivalences]) -> None:
    """dpm++2m and dpm++3m share their first step, of which both know the order; then a third value tells."""
    pair = found["VP"].between("dpm++2m", "dpm++3m")
    assert not pair.same
    assert "step" in pair.common


def test_every_pair_is_compared_and_what_has_no_table_is_named(found: dict[str, Equivalences]) -> None:
    for table in found.values():
        count = len(PUBLISHED) - len(table.excluded)
        assert len(table.pairs) == count * (count - 1) // 2
        assert all(table.excluded.values())


def test_a_sampler_of_ones_own_is_recognised() -> None:
    ddim = PUBLISHED["ddim"]
    copy = Sampler(**{field: getattr(ddim, field) for field in ddim.__dataclass_fields__} | {"name": "copy"})
    other = Sampler(
        **{field: getattr(ddim, field) for field in ddim.__dataclass_fields__}
        | {"name": "other", "solver": ExponentialAdams(2)}
    )
    table = equivalences(VP(), samplers={"ddim": ddim, "copy": copy, "other": other})
    assert table.classes == [["ddim", "copy"]]
    assert table.between("ddim", "other").common != ""


def test_the_table_is_deterministic_and_json(found: dict[str, Equivalences]) -> None:
    again = equivalences(CondOT())
    assert again.as_json() == found["CondOT"].as_json()
    assert json.loads(json.dumps(again.as_json()))["path"] == str(CondOT())
    assert "ddim = euler = flow-euler" in str(again)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="1 steps tell no multistep method"):
        equivalences(VP(), steps=1)
    with pytest.raises(ValueError, match="were not compared"):
        equivalences(VP(), samplers={"ddim": PUBLISHED["ddim"]}).between("ddim", "nothing")
