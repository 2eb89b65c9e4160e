"""What a likelihood takes, on a clock that only the network moves."""

from __future__ import annotations

import pytest
from torch import Tensor
from toy import MIXTURE

from fokker.generative import CondOT, Denoiser
from fokker.generative.likelihood import LikelihoodTime, time_likelihood
from fokker.solvers import Adaptive

TIMES = Adaptive(1.0, 0.0, rtol=1e-3, atol=1e-3)
X = MIXTURE.sample(100, seed=0)


def test_the_cost_of_probes_by_hand() -> None:
    """100 evaluations and 20 products of 0.1 s: 12 s with one probe, 14 with two; two fit into 15 s."""
    cost = LikelihoodTime(100.0, 20.0, 0.1)
    assert cost.of(1) == pytest.approx(12.0)
    assert cost.of(2) == pytest.approx(14.0)
    assert [cost.probes(seconds) for seconds in (11.0, 12.5, 15.0)] == [0, 1, 2]


@pytest.mark.parametrize(("seconds", "samples"), [(1.0, 1), (1e3, 8), (1e5, 64)])
def test_a_quick_likelihood_is_timed_on_more_samples(
    seconds: float, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 ms an evaluation, and about 200 evaluations a sample: 2 s, 16 s, 128 s, of which 3 % of the time is short."""
    spent, sizes = [0], []

    def net(x: Tensor, t: Tensor) -> Tensor:
        spent[0] += len(x)
        sizes.append(len(x))
        return MIXTURE.velocity(x, t, CondOT())

    monkeypatch.setattr("fokker.generative.likelihood.timing.perf_counter", lambda: 0.01 * spent[0])
    cost = time_likelihood(Denoiser(net, CondOT(), predicts="velocity"), X, TIMES, seconds)
    assert max(size for size in sizes if size <= 64) >= samples
    assert 0.3 * cost.of(1) < 0.01 * cost.evaluations < cost.of(1)
    assert cost.evaluations > 50
