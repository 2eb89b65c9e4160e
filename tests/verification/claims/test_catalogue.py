"""Every claim of the catalogue holds; and where the code that it speaks of is broken, the right claims fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import VP, CondOT, Denoiser, FlowMap
from fokker.generative.denoiser import CFG
from fokker.generative.discrete import chain as discrete
from fokker.generative.equations import process
from fokker.generative.paths import Table
from fokker.generative.sampling import jumps
from fokker.generative.training import losses
from fokker.solvers import RK4, Euler, EulerMaruyama, ExponentialAdams, Heun
from fokker.verification import Gaussian, GaussianMixture, Oracle
from fokker.verification.claims import CATALOGUE, run

CHAPTERS = sorted({claim.chapter for claim in CATALOGUE.values()})
NUMBERS = {
    "A": [
        *range(1, 9), *range(11, 21), *range(31, 40), *range(51, 66), *range(71, 85), *range(101, 128),
        *range(131, 139), *range(141, 162), *range(171, 176), 180, 181, *range(191, 201), *range(211, 216),
        *range(221, 225), *range(231, 242),
    ],
    "E": [*range(1, 25), *range(30, 60), *range(71, 83), *range(91, 98)],
}  # fmt: skip
NOTHING_TO_COMPUTE = {"E05", "E15", "E17", "E19", "E30", "E31", "E37", "E38", "E40", "E41", "E44", "E45", "E57",
                      "E78", "E82", "E92", "E93", "E97", "C6l"}  # fmt: skip
OUT_OF_SCOPE = {"A200", "A221", "A222", "A223", "A224", "E58"}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_claim_of_the_chapter_holds(chapter: str) -> None:
    """An erratum also shows what is printed to fail: a check has it in its name, or is a bound from below."""
    outcomes = run([claim for claim in CATALOGUE.values() if claim.chapter == chapter])
    failed = {
        outcome.claim.id: (outcome.error, [check for check, passed in zip(outcome.checks, outcome.passed, strict=True)
                                           if not passed])
        for outcome in outcomes
        if outcome.verdict == "fail"
    }  # fmt: skip
    assert failed == {}
    for outcome in outcomes:
        if outcome.claim.erratum and outcome.checks:
            shown = [each for each in outcome.checks if getattr(each, "above", False) or "printed" in each.what]
            assert shown, outcome.claim.id


def test_no_statement_of_the_documents_is_missing() -> None:
    stated = {f"{letter}{number:0{3 if letter == 'A' else 2}}" for letter in NUMBERS for number in NUMBERS[letter]}
    assert stated <= set(CATALOGUE)
    assert {claim.id for claim in CATALOGUE.values() if claim.function is None} == NOTHING_TO_COMPUTE | OUT_OF_SCOPE


# What a claim measures is broken, and the claim sees it.


def fails(*ids: str) -> bool:
    return all(outcome.verdict == "fail" for outcome in run([CATALOGUE[id] for id in ids]))


def test_a_velocity_with_sigma_for_its_slope_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CondOT, "d_sigma", lambda self, t: -1.01 + 0.0 * t)
    assert fails("A054", "A057", "A060", "A075", "A105", "A110")


def test_a_score_of_the_other_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GaussianMixture.score
    monkeypatch.setattr(GaussianMixture, "score", lambda self, x, t, path: -right(self, x, t, path))
    assert fails("A007", "A071", "A073", "A074", "A081", "A082", "E33")


def test_a_divergence_without_its_second_term_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GaussianMixture.divergence
    monkeypatch.setattr(GaussianMixture, "divergence", lambda self, x, t, path: 0.99 * right(self, x, t, path))
    assert fails("A007", "A059", "A060", "E13")


@pytest.mark.slow
def test_a_method_that_is_not_of_its_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heun, "tableau", Euler.tableau)
    assert fails("A012", "A013", "A015", "A018")
    monkeypatch.setattr(RK4, "tableau", Euler.tableau)
    assert fails("A016", "E04", "E12")


@pytest.mark.slow
def test_a_step_with_the_wrong_noise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = EulerMaruyama.step

    def doubled(self: EulerMaruyama, equation: Any, t0: Any, t1: Any, x: Tensor, state: Any, noise: Any) -> Any:
        step = right(self, equation, t0, t1, x, state, noise)
        still = right(self, equation, t0, t1, x, state, None)
        return step._replace(x=step.x + (step.x - still.x))

    monkeypatch.setattr(EulerMaruyama, "step", doubled)
    assert fails("A032", "A034", "A036", "A038", "A039", "A077", "A080", "E03", "E22")


def test_a_prediction_that_is_read_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of v with the sign of σ exchanged."""
    from fokker.generative.denoiser import prediction

    right = prediction.coefficients

    def wrong(kind: str, path: Any, t: Any) -> Any:
        p, q = right(kind, path, t)
        return (-p, q) if kind == "v" else (p, q)

    for module in (
        "generative.denoiser.prediction", "generative.training.weightings", "verification.claims.training.conversions",
    ):  # fmt: skip
        monkeypatch.setattr(f"fokker.{module}.coefficients", wrong)
    assert fails("A115", "A116")


def test_a_prediction_that_is_no_number_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Denoiser, "predict", lambda self, kind, t, x: math.nan * x)
    assert fails("A108", "A110", "A123", "A126", "A142", "A144")


def test_a_target_of_the_other_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loss regresses on minus what it should."""
    right = losses.row
    monkeypatch.setattr(losses, "row", lambda output, path, t: tuple(-c for c in right(output, path, t)))
    assert fails("A056", "A064", "A072", "A103", "A105", "A115", "A116", "A141", "E81", "C6c")


@pytest.mark.slow
def test_guidance_of_another_weight_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = CFG.__init__
    monkeypatch.setattr(CFG, "__init__", lambda self, denoiser, weight, *more, **names: right(
        self, denoiser, weight + 0.01, *more, **names))  # fmt: skip
    assert fails("A144", "A145", "A148")


@pytest.mark.slow
def test_a_reversal_with_half_its_score_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = _with_score_factor(process.reverse_sde, 0.5)
    monkeypatch.setattr("fokker.verification.claims.equations.reversal.reverse_sde", broken)
    assert fails("A133")


def _with_score_factor(right: Callable[..., Any], factor: float) -> Callable[..., Any]:
    """reverse_sde of a denoiser whose ε is scaled: its score, and nothing else of the equation, is."""

    def reverse_sde(denoiser: Denoiser, *more: Any, **names: Any) -> Any:
        def net(x: Tensor, t: Tensor) -> Tensor:
            value: Tensor = factor * denoiser.predict("eps", float(t.flatten()[0]), x)
            return value

        return right(Denoiser(net, denoiser.path, predicts="eps"), *more, **names)

    return reverse_sde


def test_a_posterior_of_the_wrong_variance_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = discrete.Posterior.variance.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(discrete.Posterior, "variance", property(lambda self: 1.1 * right(self)))
    assert fails("A153", "A156", "A157")


def test_a_table_that_is_off_by_one_level_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Table.at
    monkeypatch.setattr(Table, "at", lambda self, index: right(self, index - 1))
    assert fails("A151", "A155", "A157", "A160")


def test_a_step_that_goes_too_far_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ExponentialAdams.step

    def longer(self: ExponentialAdams, equation: Any, t0: Any, t1: Any, x: Tensor, state: Any, noise: Any) -> Any:
        step = right(self, equation, t0, t1, x, state, noise)
        return step._replace(x=x + 1.01 * (step.x - x))

    monkeypatch.setattr(ExponentialAdams, "step", longer)
    assert fails("A191", "A193", "A194")


@pytest.mark.slow
def test_a_likelihood_of_another_network_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GaussianMixture.denoiser

    def blurred(self: GaussianMixture, path: Any, predicts: str = "v") -> Denoiser:
        exact = right(self, path, predicts)
        return Denoiser(lambda x, t: exact.net(1.01 * x, t), path, predicts=predicts)

    monkeypatch.setattr(GaussianMixture, "denoiser", blurred)
    assert fails("A180", "A213")


def test_a_schedule_with_another_decay_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = VP.alpha
    monkeypatch.setattr(VP, "alpha", lambda self, t: right(self, t) * (1.0 - 1e-3 * math.pi))
    assert fails("A054", "A131", "E23")


def test_a_flow_map_that_goes_too_far_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Oracle, Gaussian):
        right = kind.flow_map
        monkeypatch.setattr(kind, "flow_map", lambda self, x, s, t, path, right=right: x + 1.01 * (
            right(self, x, s, t, path) - x))  # fmt: skip
    assert fails("A198", "A231", "A232", "A233", "A234", "A235", "A240")


def test_a_jump_that_is_given_too_little_noise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = jumps._jump
    monkeypatch.setattr(jumps, "_jump", lambda *given: replace(
        right(*given), deviation=0.999 * right(*given).deviation))  # fmt: skip
    assert fails("A240", "A241")


def test_a_pair_that_is_turned_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flow map ends at 1.001 σ_t."""
    right = FlowMap.__call__
    monkeypatch.setattr(FlowMap, "__call__", lambda self, x, s, t=1.0: right(self, x, s, t) + 1e-3 * self.towards(
        t).predict("eps", s, x))  # fmt: skip
    assert fails("A233", "A237")


def test_verdicts_do_not_depend_on_the_callers_generator() -> None:
    ids = ["A083", "A103", "E16", "E48"]
    first = run([CATALOGUE[id] for id in ids])
    torch.manual_seed(99)
    second = run([CATALOGUE[id] for id in ids])
    assert [outcome.checks for outcome in first] == [outcome.checks for outcome in second]
