"""The certificate of flow maps: exact ones pass, each fault is found where it is, and the figures are closed forms."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import VP, CondOT, Consistency, Denoiser, FlowMap
from fokker.verification import Gaussian, GaussianMixture, certify_flow_map

NORMAL = Gaussian(torch.zeros(2).double(), torch.eye(2).double())
PLANE = GaussianMixture(
    torch.tensor([0.4, 0.6], dtype=torch.float64),
    torch.tensor([[-1.0, 0.5], [1.2, 0.1]]).double(),
    torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.4, 0.0], [0.0, 0.5]]]).double(),
)
PATH = CondOT()
EXACT = NORMAL.map(PATH)
FEW: dict[str, Any] = {"samples": 64, "steps": 16}


def scaled(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """2 % too far, and 2 % off at its own time."""
    return 1.02 * EXACT(x, s, t)


def hasty(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """Exact jumps to the data alone: any other is 0.3 (1 − t) off; and right at its own time."""
    return EXACT(x, s, t) * (1.0 + (0.3 * (1.0 - t) * (s != t))[:, None])


def early(x: Tensor, s: Tensor) -> Tensor:
    return EXACT(x, s, 1.0)


@pytest.mark.parametrize("path", [PATH, VP()], ids=str)
def test_exact_maps_pass_and_their_errors_are_rounding(path: Any) -> None:
    found = certify_flow_map(NORMAL.map(path), NORMAL, **FEW)
    assert found.passed
    assert found.reference_error == 0.0
    errors = [size for _, size in found.boundary] + [each.error for each in found.maps]
    errors += [each.defect for each in found.maps if each.defect is not None]
    assert max(errors) < 1e-13
    assert [(each.jumps, each.gamma) for each in found.laws] == [(1, 0), (2, 0), (2, 1), (4, 0), (4, 1)]
    assert len(found.maps) == 10


def test_an_error_is_found_where_it_is_and_as_large_as_it_is() -> None:
    """A factor of 1.02 of the state: 0.02 everywhere, and with a stop 1.02² − 1.02 = 0.0204, to rounding."""
    found = certify_flow_map(FlowMap(scaled, PATH, predicts="state"), NORMAL, tolerance=0.01, **FEW)
    assert not found.passed
    for size in [size for _, size in found.boundary] + [each.error for each in found.maps]:
        assert math.isclose(size, 0.02, rel_tol=1e-12)
    for defect in [each.defect for each in found.maps if each.defect is not None]:
        assert math.isclose(defect, 1.02**2 - 1.02, rel_tol=1e-12)
    assert [each.error for each in found.laws if each.gamma == 0.0] == pytest.approx([0.02, 1.02**2 - 1, 1.02**4 - 1])
    assert "the boundary (0.02)" in found.reason
    assert "jumps with a stop (0.02)" in found.reason
    assert certify_flow_map(FlowMap(scaled, PATH, predicts="state"), NORMAL, **FEW).passed


def test_a_consistency_model_is_measured_at_the_data_alone() -> None:
    found = certify_flow_map(Consistency(early, PATH, predicts="x0"), NORMAL, **FEW)
    assert found.passed
    assert {each.t for each in found.maps} == {1.0}
    assert [t for t, _ in found.boundary] == [1.0]
    assert {each.gamma for each in found.laws} == {1.0}


def test_a_map_that_is_right_at_one_jump_alone_is_told_by_its_stops() -> None:
    found = certify_flow_map(FlowMap(hasty, PATH, predicts="state"), NORMAL, **FEW)
    one, two = found.laws[:2]
    assert one.error is not None
    assert two.error is not None
    assert one.error < 1e-13
    assert two.error > 0.1  # 0.3 (1 − ½)
    assert "jumps with a stop" in found.reason


@pytest.mark.parametrize("law", [NORMAL, PLANE], ids=["of a closed form", "solved"])
def test_a_student_at_its_start_makes_the_steps_of_ddim(law: GaussianMixture) -> None:
    """Against the teacher's flow, and that of the law: the errors agree to that of the reference. For N(0, I) one
    step from the noise gives 0, the mean: an error of 1, and a W₂ of √2, that of the law, in units of √2 times the rms
    of 128 numbers, 1 ± 1/16."""
    teacher = law.denoiser(PATH)
    student = FlowMap(lambda x, s, t: teacher.output(s, x), PATH, predicts="v")
    found, other = (certify_flow_map(student, given, shape=(2,), **FEW) for given in (teacher, law))
    assert not found.passed
    assert found.reference_error < 1e-3
    for mine, theirs in zip(found.maps, other.maps, strict=True):
        assert mine.error == pytest.approx(theirs.error, abs=5.0 * found.reference_error)
    if law is NORMAL:
        assert found.laws[0].error == pytest.approx(1.0, abs=1e-3)
        assert other.laws[0].w2 == pytest.approx(1.0, abs=4.0 / 16.0)


def test_the_certificate_prints_a_table_and_is_json() -> None:
    found = certify_flow_map(EXACT, NORMAL, times=[0.0, 0.5, 1.0], jumps=[1], name="mine", **FEW)
    lines = str(found).splitlines()
    assert lines[0] == "pass  mine against Gaussian: All errors are at most 0.1, on 64 samples."
    assert [line.split() for line in lines if line.startswith(("from", "jumps"))] == [
        ["from", "to", "error", "with", "a", "stop"], ["jumps", "gamma", "error", "W2", "floor"],
    ]  # fmt: skip
    assert len(found.maps) == 3
    assert json.loads(json.dumps(found.as_json()))["maps"][0]["t"] == 0.5


def test_what_does_not_fit_is_refused() -> None:
    given: Any = NORMAL.denoiser(PATH)
    with pytest.raises(TypeError, match="flow_map is of type Denoiser"):
        certify_flow_map(given, NORMAL)
    with pytest.raises(TypeError, match="give the teacher, a Denoiser, or the law"):
        certify_flow_map(EXACT, EXACT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="The teacher is on VP"):
        certify_flow_map(EXACT, NORMAL.denoiser(VP()))
    with pytest.raises(ValueError, match="No network declares the shape"):
        certify_flow_map(EXACT, Denoiser(early, PATH, predicts="x0"))
    with pytest.raises(ValueError, match="samples is 1"):
        certify_flow_map(EXACT, NORMAL, samples=1)
    with pytest.raises(ValueError, match="The times of jumps rise"):
        certify_flow_map(EXACT, NORMAL, times=[0.5, 0.2])
