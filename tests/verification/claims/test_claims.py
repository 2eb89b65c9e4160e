"""The catalogue's framework: what a verdict is made of, the order of the ids, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch

from fokker.verification.claims import (
    CATALOGUE,
    Bound,
    Check,
    Citation,
    Claim,
    Source,
    Statistical,
    claim,
    run,
    uncovered,
)
from fokker.verification.claims.claim import AnyCheck

SOURCE = Source("notes", "someone", "Notes", "2025", "https://example.org")


def stated(id: str, function: Callable[[], AnyCheck | Sequence[AnyCheck]] | None) -> Claim:
    return Claim(id, f"name_{id}", (SOURCE["Eq. 1"],), "a statement", "", False, False, "a chapter", function)


def p(value: float) -> Statistical:
    return Statistical(value, 100, "a shift of 0.6", 0.1, 0.0)


@pytest.fixture
def catalogue() -> Iterator[dict[str, Claim]]:
    """The catalogue, put back afterwards."""
    kept = dict(CATALOGUE)
    yield CATALOGUE
    CATALOGUE.clear()
    CATALOGUE.update(kept)


def test_a_check_passes_within_its_tolerance_and_not_beyond() -> None:
    assert Check(1.0, 1.5, 0.5).passed
    assert not Check(1.0, 1.51, 0.5).passed
    assert Check(2.0, 2.0, 0.0).passed


def test_what_is_no_number_passes_no_check() -> None:
    assert not Check(math.nan, 0.0, math.inf).passed
    assert not Bound(math.nan, 1.0).passed
    assert not Bound(math.nan, 1.0, above=True).passed


def test_a_bound_is_one_sided() -> None:
    assert Bound(1.0, 1.0).passed
    assert not Bound(1.1, 1.0).passed
    assert Bound(1.1, 1.0, above=True).passed
    assert not Bound(0.9, 1.0, above=True).passed


@pytest.mark.parametrize("tolerance", [-1e-9, math.nan])
def test_a_tolerance_is_a_number_that_is_not_negative(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance is"):
        Check(0.0, 0.0, tolerance)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_p_value_is_a_probability(value: float) -> None:
    with pytest.raises(ValueError, match="p_value is"):
        p(value)


def test_statistical_checks_are_judged_together() -> None:
    alone = run([stated("A1", lambda: p(0.004))])
    assert [outcome.verdict for outcome in alone] == ["fail"]
    together = run([stated("A1", lambda: p(0.004)), stated("A2", lambda: [p(0.3), Check(0.0, 0.0, 0.0), p(0.7)])])
    assert [outcome.verdict for outcome in together] == ["pass", "pass"]
    found = run([stated("A1", lambda: [p(0.4), p(0.001)]), stated("A2", lambda: [p(0.3), p(0.7)])])
    assert [outcome.passed for outcome in found] == [(True, False), (True, True)]
    assert [outcome.verdict for outcome in found] == ["fail", "pass"]


def test_one_failed_check_fails_a_claim() -> None:
    (outcome,) = run([stated("A1", lambda: [Check(0.0, 0.0, 0.0, "this"), Bound(2.0, 1.0, "that")])])
    assert outcome.verdict == "fail"
    assert outcome.passed == (True, False)
    assert outcome.error is None
    assert [check.what for check in outcome.checks] == ["this", "that"]


def test_a_claim_that_raises_fails_with_the_sentence() -> None:
    def broken() -> Check:
        raise ValueError("the slope is infinite at t = 1.")

    outcomes = run([stated("A1", broken), stated("A2", lambda: Check(0.0, 0.0, 0.0))])
    assert [outcome.verdict for outcome in outcomes] == ["fail", "pass"]
    assert outcomes[0].error == "ValueError: the slope is infinite at t = 1."
    assert outcomes[0].checks == ()


def test_a_claim_without_checks_fails() -> None:
    (outcome,) = run([stated("A1", list)])
    assert outcome.verdict == "fail"
    assert outcome.error == "the claim returned no check."


def test_what_is_not_covered_is_neither_passed_nor_failed() -> None:
    (outcome,) = run([stated("A1", None)])
    assert outcome.verdict == "not covered"
    assert outcome.checks == ()


def test_claims_run_in_the_order_of_their_ids_and_tell_their_progress() -> None:
    seen: list[tuple[int, int, str]] = []
    claims = [stated(id, lambda: Check(0.0, 0.0, 0.0)) for id in ("E02", "A100", "A9", "A010")]
    outcomes = run(claims, progress=lambda done, total, each: seen.append((done, total, each.id)))
    assert [outcome.claim.id for outcome in outcomes] == ["A9", "A010", "A100", "E02"]
    assert seen == [(0, 4, "A9"), (1, 4, "A010"), (2, 4, "A100"), (3, 4, "E02")]


def test_a_claim_draws_the_same_whatever_ran_before_and_leaves_the_generator_alone() -> None:
    def draw() -> Check:
        return Check(torch.rand(()).item(), 0.0, 1.0)

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = run([stated("A1", draw), stated("A2", draw)])
    second = run([stated("A2", draw)])
    assert [outcome.checks for outcome in first] == [second[0].checks] * 2
    assert torch.equal(torch.rand(3), expected)


def test_registration_keeps_what_is_cited_and_the_names_of_function_and_module(catalogue: dict[str, Claim]) -> None:
    @claim(
        "A999",
        SOURCE["Eq. 1"],
        SOURCE,
        statement="It holds.",
        formula="x = x",
        erratum=True,
        damage="a bar.",
        slow=True,
    )
    def late() -> Check:
        """No tolerance."""
        return Check(0.0, 0.0, 0.0)

    @uncovered("A000", SOURCE, statement="It is unknown.")
    def unknown() -> None:
        """Nobody
        knows."""

    cited = (SOURCE["Eq. 1"], Citation(SOURCE))
    assert catalogue["A999"] == Claim(
        "A999", "late", cited, "It holds.", "x = x", True, True, "test_claims", late, damage="a bar."
    )
    assert catalogue["A999"].source == "notes, Eq. 1; notes"
    assert catalogue["A999"].note == "Found in our copy of the text. It may be damage of the extraction: a bar."
    assert catalogue["A000"] == Claim(
        "A000", "unknown", cited[1:], "It is unknown.", "", False, False, "test_claims", None, "Nobody knows."
    )
    assert catalogue["A000"].note == ""


def test_an_id_and_a_name_are_given_once(catalogue: dict[str, Claim]) -> None:
    def normal_density() -> None:
        """A reason."""

    before = dict(catalogue)
    with pytest.raises(ValueError, match="A001 of test_claims is already stated in probability; give it another id"):
        uncovered("A001", SOURCE, statement="a statement")(normal_density)
    with pytest.raises(ValueError, match="A998 has the name normal_density of A001 in probability; name its function"):
        uncovered("A998", SOURCE, statement="a statement")(normal_density)
    assert catalogue == before


@pytest.mark.parametrize("id", ["", "a001", "001", "A", "A1b2", "A 1"])
def test_an_id_is_letters_and_digits(catalogue: dict[str, Claim], id: str) -> None:
    def nothing() -> None:
        """A reason."""

    before = dict(catalogue)
    with pytest.raises(ValueError, match="capital letters and digits"):
        uncovered(id, SOURCE, statement="a statement")(nothing)
    assert catalogue == before


def test_a_claim_derives_its_tolerance_and_cites_and_an_uncovered_one_has_a_reason() -> None:
    def silent() -> None:
        pass

    def told() -> None:
        """A reason."""

    with pytest.raises(ValueError, match="docstring that derives its tolerance"):
        claim("A998", SOURCE, statement="a statement")(lambda: Check(0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="say why"):
        uncovered("A998", SOURCE, statement="a statement")(silent)
    with pytest.raises(ValueError, match="A998 cites no source"):
        uncovered("A998", statement="a statement")(told)


def test_the_catalogue_is_complete_in_words() -> None:
    assert {type(each) for each in CATALOGUE.values()} == {Claim}
    for id, each in CATALOGUE.items():
        assert each.id == id
        assert each.name.isidentifier()
        assert each.statement.endswith(".")
        assert (each.function is None) == bool(each.reason)
        assert not each.damage or each.erratum


def test_claims_are_ordered_by_letter_number_and_suffix() -> None:
    ids = ["E02", "A100", "C6b", "A9", "C6a", "A010"]
    claims = [stated(id, None) for id in ids]
    assert [each.id for each in sorted(claims, key=lambda each: each.order)] == [
        "A9", "A010", "A100", "C6a", "C6b", "E02",
    ]  # fmt: skip
