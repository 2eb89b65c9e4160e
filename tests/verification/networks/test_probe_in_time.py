"""A probe under a limit of time: how often it asks a network, on a clock that only the network moves.

A network that takes one second an evaluation makes minutes a number of evaluations, whatever the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS

from fokker.generative import VP, CondOT, GaussianPath, Shifted, load
from fokker.generative.denoiser import make_clock
from fokker.generative.training import dataset
from fokker.verification.named_networks import read_clock, read_path
from fokker.verification.networks import probe
from fokker.verification.networks.conventions import Convention, conventions, default_paths
from fokker.verification.networks.effort import Effort
from fokker.verification.networks.network_clock import NetworkClock
from fokker.verification.networks.race import Lead, lead

Net = Callable[..., Tensor]
DATA = MIXTURE.sample(64, seed=0)
NOISE = torch.Generator().manual_seed(0)
NONE: dict[str, Net] = {
    "noise": lambda x, value: torch.randn(x.shape, generator=NOISE, dtype=x.dtype),
    "nothing": lambda x, value: torch.zeros_like(x),
    "identity": lambda x, value: x,
    "one level for all": lambda x, value: MIXTURE.x0(x, 0.5, CondOT()),
}
CLOCKS = {
    "t": NetworkClock("t"),
    "1 - t": NetworkClock("t", True),
    "log_snr": NetworkClock("log_snr"),
}


class Timed:
    """A network that counts its evaluations, each of which takes a time on a clock of its own."""

    def __init__(self, net: Net, seconds: float) -> None:
        self.net, self.seconds = net, seconds
        self.evaluations = self.calls = 0

    def __call__(self, x: Tensor, *arguments: Tensor) -> Tensor:
        self.evaluations += len(x)
        self.calls += 1
        return self.net(x, *arguments)

    def now(self) -> float:
        return self.evaluations * self.seconds


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Net, float], Timed]:
    """Makes networks whose time is the time of the probe."""

    def make(net: Net, seconds: float) -> Timed:
        slow = Timed(net, seconds)
        monkeypatch.setattr("fokker.verification.networks.effort.perf_counter", slow.now)
        return slow

    return make


DIGITS, IMAGES = load("digits-eps"), dataset("digits")
FEW = IMAGES.dequantisation(IMAGES.held_out[:64], seed=0)
TRUTH = Convention("eps", VP(), NetworkClock("t"))


def test_a_slow_network_is_named_within_its_minutes(timed: Callable[[Net, float], Timed]) -> None:
    """64 samples, 25 ms an evaluation: two minutes are 4800 evaluations, and all draws would be 40,000."""
    net = timed(DIGITS.net, 0.025)
    finding = probe(net, FEW)
    assert finding.convention == TRUTH, str(finding)
    assert finding.settled
    assert net.now() < 120.0
    assert "on 32 draws" in finding.reason


@pytest.mark.parametrize("minutes", [1.5, *(pytest.param(each, marks=pytest.mark.slow) for each in (3.0, 10.0))])
def test_minutes_are_kept_and_used(minutes: float, timed: Callable[[Net, float], Timed]) -> None:
    net = timed(DIGITS.net, 0.025)
    finding = probe(net, FEW, minutes=minutes)
    assert finding.convention == TRUTH, str(finding)
    assert net.now() < 60.0 * minutes


def test_too_few_minutes_are_told_before_work(timed: Callable[[Net, float], Timed]) -> None:
    """72 ways on 2 draws, twice, and nine calls on 16 draws, at 7 levels and 25 ms, are 76 seconds; 90 % of 85."""
    net = timed(DIGITS.net, 0.025)
    with pytest.raises(ValueError, match=r"minutes is 0.2, .* network takes 25 ms; give at least") as failure:
        probe(net, FEW, minutes=0.2)
    assert net.evaluations < 200
    needed = str(failure.value).split()[-2]
    again = timed(DIGITS.net, 0.025)
    assert probe(again, FEW, minutes=float(needed)).convention == TRUTH
    assert again.now() < 60.0 * float(needed)


def test_without_minutes_a_very_slow_network_takes_as_long_as_it_needs(timed: Callable[[Net, float], Timed]) -> None:
    net = timed(DIGITS.net, 1.0)
    assert probe(net, FEW).convention == TRUTH
    assert 120.0 < net.now() < 4000.0


def test_a_quick_network_is_not_limited(timed: Callable[[Net, float], Timed]) -> None:
    """Whatever the time of an evaluation, all draws are made if there is time for them."""
    one, two = timed(DIGITS.net, 1e-6), timed(DIGITS.net, 1e-9)
    found = [probe(one, FEW), probe(two, FEW)]
    assert found[0].as_json() == found[1].as_json()
    assert "512 draws at each of 7" in found[0].reason


@pytest.mark.parametrize("name", ["noise", pytest.param("nothing", marks=pytest.mark.slow), "identity",
                                  pytest.param("one level for all", marks=pytest.mark.slow)])  # fmt: skip
def test_few_draws_name_no_network_that_has_no_convention(name: str, timed: Callable[[Net, float], Timed]) -> None:
    finding = probe(timed(NONE[name], 0.025), DATA, minutes=3.0)
    assert finding.convention is None, str(finding)


@pytest.mark.parametrize(
    ("path", "clock"),
    [
        pytest.param(path, clock, marks=[] if (i + j) % 3 == 0 else pytest.mark.slow)  # each path and each clock once
        for i, path in enumerate(PATHS) for j, clock in enumerate(CLOCKS)
    ],
    ids=str,
)
def test_few_draws_in_the_plane_are_right_or_not_settled(
    path: GaussianPath, clock: str, timed: Callable[[Net, float], Timed]
) -> None:
    """In two dimensions the error of a draw is as large as its mean: 64 samples settle little, and nothing wrongly."""
    times: dict[str, Net] = {"t": lambda value: value, "1 - t": lambda value: 1.0 - value, "log_snr": path.time}
    kind = ("eps", "v", "x0")[(PATHS.index(path) + list(CLOCKS).index(clock)) % 3]
    net = timed(lambda x, value: getattr(MIXTURE, kind)(x, times[clock](value), path), 0.025)
    finding = probe(net, DATA, minutes=3.0)
    assert net.now() < 180.0
    if finding.convention is None:
        assert finding.verdict == "not settled"
        assert "give more minutes" in finding.reason
    else:
        names = {finding.convention, *finding.equivalent, *finding.near}
        assert Convention(kind, path, CLOCKS[clock]) in names, str(finding)


def test_shared_ways_and_dropped_ones_save_calls(timed: Callable[[Net, float], Timed]) -> None:
    """1344 conventions ask this network in 72 ways. Two draws each are 1008 evaluations; one way is left after eight,
    so that half of all evaluations, and more, are spent on the shifts of it."""
    net = timed(DIGITS.net, 0.0)
    finding = probe(net, IMAGES.dequantisation(IMAGES.held_out, seed=0), samples=64)
    assert finding.convention == TRUTH
    assert finding.tried > 1300
    assert net.evaluations < 7000


def test_progress_tells_what_is_done_from_the_first_call_on(timed: Callable[[Net, float], Timed]) -> None:
    seen: list[tuple[int, int, str]] = []
    net = timed(DIGITS.net, 0.025)
    probe(net, FEW, progress=lambda *told: seen.append(told))
    assert seen[0] == (0, 0, "timing the network")
    assert all(done <= total for done, total, what in seen if what != seen[0][2])
    assert {total for _, total, what in seen if what == seen[0][2]} == {0}
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    said = list(dict.fromkeys(what for *_, what in seen))
    assert said[1] == "72 ways to ask a network that takes 25 ms: at most about 2 minutes"
    assert said[2] == "72 ways to ask the network, 2 draws"
    assert said[-1] == "shifts of VP()"
    early = next((done, total) for done, total, _ in seen if done > 500)
    assert 0.6 * net.evaluations < early[1] < 1.7 * net.evaluations


def test_effort_times_all_calls_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    time = [0.0]
    monkeypatch.setattr("fokker.verification.networks.effort.perf_counter", lambda: time[0])
    effort = Effort()
    for evaluations, seconds in ((10, 30.0), (10, 10.0), (30, 10.0)):
        with effort.counted(evaluations):
            time[0] += seconds
        assert effort.seconds == {30.0: 3.0, 40.0: 1.0, 50.0: 0.5}[time[0]]
    assert (effort.done, effort.left) == (50, math.inf)
    effort.limit(60.0)
    assert effort.left == 20.0
    with pytest.raises(KeyError), effort.counted(7):
        raise KeyError
    assert effort.done == 50


def test_a_lead_by_hand() -> None:
    one = torch.tensor([[1.0, 3.0], [2.0, 2.0]], dtype=torch.float64)
    other = torch.tensor([[2.0, 4.0], [2.0, 6.0]], dtype=torch.float64)
    found = lead(other, one, rows=8)
    # relative: [½, ½] and [0, 2]; means over levels ¼ and 5/4; at each level the variances 0 and 2
    assert found.value == pytest.approx(0.75)
    assert found.standard_error == pytest.approx(max(0.5, math.sqrt(2.0 / 2.0) / 2.0))
    assert found.freedom == 2


@pytest.mark.parametrize("freedom", [7, 31, 10**6])
def test_a_lead_is_significant_with_the_same_probability_for_any_number_of_draws(freedom: int) -> None:
    """Student's quantile that 3.4e-6 exceed."""
    quantile = {7: 11.88, 31: 5.40, 10**6: 4.50}[freedom]
    assert Lead(1.01 * quantile, 1.0, freedom).beyond(0.1)
    assert not Lead(0.99 * quantile, 1.0, freedom).beyond(0.1)
    assert not Lead(0.05, 0.0, freedom).beyond(0.1)


@pytest.mark.slow
def test_the_truth_is_not_dropped_on_few_draws(timed: Callable[[Net, float], Timed]) -> None:
    """24 seeds, with 2 draws at each level first and at least 16 last: no wrong name. A rate of one wrong name in ten
    would be seen with a probability of 92 %."""
    verdicts = []
    for seed in range(24):
        net = timed(DIGITS.net, 0.025)
        chosen = torch.randperm(len(IMAGES.held_out), generator=torch.Generator().manual_seed(seed))[:64]
        data = IMAGES.dequantisation(IMAGES.held_out[chosen], seed=seed)
        verdicts.append(probe(net, data, seed=seed).convention)
    assert set(verdicts) <= {None, TRUTH}
    assert verdicts.count(None) < 6


def test_the_options_of_a_convention_are_read_as_what_they_say() -> None:
    """Every plain convention that is tried, and a shifted path."""
    times = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    every = [*conventions(default_paths(), (1.0, 1000.0), (0.5,)), Convention("v", Shifted(VP(), 0.3), CLOCKS["t"])]
    told = 0
    for convention in every:
        if convention.options is None:
            assert convention.sign < 0 or convention.over_alpha or convention.precondition
            continue
        predicts, path, clock = (option.partition("=")[2] for option in convention.options)
        assert (predicts, read_path(path)) == (convention.predicts, convention.path)
        read = make_clock(convention.path, read_clock(clock, convention.path))
        expected = convention.clock(convention.path, times)
        torch.testing.assert_close(read(times), expected, rtol=1e-12, atol=1e-12)
        told += 1
    assert told == 5 * 5 * 12 + 3 * 5 * 2 + 1


def test_a_finding_prints_its_options_for_a_shell() -> None:
    finding = probe(lambda x, value: MIXTURE.eps(x, 1.0 - value / 1000.0, VP()), MIXTURE.sample(400, 0), paths=[VP()])
    assert finding.options == "--shape=2 --predicts=eps '--path=VP()' '--time=1000*(1-t)'"
    assert finding.as_json()["options"] == finding.options
