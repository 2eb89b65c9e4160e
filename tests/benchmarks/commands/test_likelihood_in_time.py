"""`fokker likelihood` under a limit of time: images and trace follow from the cost of one image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fokker.benchmarks.commands import likelihood as command
from fokker.generative import Denoiser, LogLikelihood, log_likelihood
from fokker.generative.likelihood import LikelihoodTime

SMALL = {"tolerance": 0.1}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, int]]:
    """The images, traces and probes of likelihoods of digits-flow, an image of which takes 100 evaluations and 20
    products of 10 ms: 1.2 s with one probe, 13.8 s with an exact trace in 64 dimensions."""
    found: list[tuple[int, str, int]] = []

    def counted(
        denoiser: Denoiser, x: Tensor, times: object, *, trace: str, probes: int, **_: object
    ) -> LogLikelihood:
        found.append((len(x), trace, probes))
        return log_likelihood(denoiser, x[:2], torch.tensor([1.0, 0.5, 0.0]), trace="hutchinson", probes=2)

    monkeypatch.setattr(command, "time_likelihood", lambda *_: LikelihoodTime(100.0, 20.0, 0.01))
    monkeypatch.setattr(command, "log_likelihood_many", counted)
    return found


@pytest.mark.parametrize(
    ("minutes", "given", "expected"),
    [
        (10.0, {}, (39, "exact", 8)),  # 540 s of images of 13.8 s
        (5.0, {"probes": 8}, (103, "hutchinson", 8)),  # 270 s of images of 2.6 s; an exact trace for 19 images only
        (5.0, {"trace": "exact"}, (19, "exact", 1)),
        (5.0, {"trace": "hutch++", "probes": 2}, (122, "hutch++", 2)),  # of 2.2 s
        (1000.0, {"images": 50}, (50, "exact", 1)),
    ],
)
def test_images_and_trace_follow_from_the_minutes(
    minutes: float,
    given: dict[str, object],
    expected: tuple[int, str, int],
    taken: list[tuple[int, str, int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.held_out_likelihood("digits-flow", minutes=minutes, **({"probes": 1} | given))  # type: ignore[arg-type]
    images, trace, probes = taken[0]
    assert (images, trace) == expected[:2]
    assert trace == "exact" or probes == expected[2]
    said = capsys.readouterr().err
    assert said.startswith(f"fokker: {images} images, ")
    assert said.count("\n") == 1


def test_too_few_minutes_say_how_many_are_needed(taken: list[tuple[int, str, int]]) -> None:
    """Two images with 8 probes take 5.2 s, 90 % of 0.097 minutes."""
    with pytest.raises(ValueError, match=r"minutes is 0.05, but two images take longer; give at least 0.1\."):
        command.held_out_likelihood("digits-flow", minutes=0.05, probes=8)
    assert taken == []


def test_the_trace_is_checked_before_anything_is_timed(taken: list[tuple[int, str, int]]) -> None:
    with pytest.raises(ValueError, match="trace"):
        command.held_out_likelihood("digits-flow", minutes=1.0, trace="exactly")
