"""The fuzzer: how it classes a call, that it reaches every entry, and a short run of it."""

import math

import pytest
import torch
from fuzz.entries import Entry, entries
from fuzz.outcome import of_error, of_value
from fuzz.targets import TEXTS, Change, Function, called, drawn, targets, working
from fuzz.worker import make
from fuzz.wrong import NetworkFailed, kinds

from fokker import grids, solve
from fokker.generative import CondOT


def how(function, nonsense=False, certain=False):
    try:
        value = function()
    except Exception as error:
        return of_error(error, nonsense).kind
    return of_value(value, certain).kind


def fail():
    raise NetworkFailed


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda: 1.0, "result"),
        (lambda: {"a": [torch.tensor([1.0, math.nan])]}, "silent"),
        (lambda: grids.uniform(CondOT(), 0), "door"),  # a sentence of the package
        (lambda: solve(), "obscure"),  # Python's own error, without a sentence
        (lambda: torch.ones(2) @ torch.ones(3), "obscure"),  # torch's
        (lambda: math.sqrt(-1.0), "obscure"),  # a ValueError, but not ours
        (lambda: [][1], "obscure"),
        (fail, "door"),  # the error of the user's network, unchanged
    ],
)
def test_a_call_is_classed_by_who_raised_and_by_what_it_returned(function, kind):
    assert how(function) == kind


def test_nonsense_may_end_in_pythons_own_type_error_and_certain_nonsense_may_not_return():
    assert how(lambda: len(3), nonsense=True) == "door"
    assert how(lambda: [][1], nonsense=True) == "obscure"
    assert how(lambda: 1.0, certain=True) == "silent"


def test_a_new_parameter_is_covered_by_its_annotation_or_named():
    def new(width: "float", lengths: "Sequence[int] | None", what: "Unheard") -> None:  # noqa: F821
        pass

    assert kinds("lengths", "Sequence[int] | None") == {"ints", "None"}
    assert kinds("seed", "Seed") == {"int", "ints"}
    with pytest.raises(LookupError, match=r"no example of new\(width: float\)"):
        Function(Entry("new", new)).run([Change("width", 0)])


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_entry_works_with_its_examples(entry):
    called(entry, working(entry))


def test_two_words_of_a_command_are_exchanged():
    (certify,) = (target for target in targets() if target.name == "fokker certify")
    words, outcome = certify.run([Change("--html", TEXTS.index("")), Change("", TEXTS.index("nan"))])
    assert words.startswith("nan --json ")
    assert words.endswith(" --html ''")
    assert outcome == ("door", "2: fokker: Invalid value for '--html': file '' is a directory.")


def test_a_short_run_ends_in_results_and_sentences_alone():
    """240 single wrong values, one or two for every entry; `make fuzz` tries 10,000."""
    among = [target for target in targets() if isinstance(target, Function)]
    made = make(drawn(among, 240, seed=0), processes=1, told=lambda done: None)
    assert len(made) == 240
    assert [call for call in made if call.outcome.kind not in ("result", "door")] == []
