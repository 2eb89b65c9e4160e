"""The main job in three lines of Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker import bench
from fokker.benchmarks.engine import local
from fokker.benchmarks.problems import problem
from fokker.generative import CFG, VP, CondOT, Denoiser
from fokker.verification import Gaussian

COV = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64)
DATA = Gaussian(torch.tensor([0.3, -0.4], dtype=torch.float64), COV)
QUICK: dict[str, Any] = {"samplers": ["default", "ddim"], "samples": 4, "nfe": [5, 10]}


def test_a_network_is_compared_and_the_engine_of_the_caller_stays_open() -> None:
    with local(1) as engine:
        first = bench(DATA.denoiser(VP()), (2,), engine=engine, **QUICK)
        again = bench(DATA.denoiser(VP()), (2,), engine=engine, **QUICK)
    assert [row.error for row in first.rows] == [row.error for row in again.rows]
    assert first.best(10).best[0].solver == "default"
    assert first.recommend(10).sample == "x = sample(denoiser, (n, 2), nfe=10)"


def test_processes_and_this_process_find_the_same() -> None:
    """A network that is a lambda travels to the workers."""
    denoiser = Denoiser(lambda x, t: -x / (2.0 - t[:, None]), CondOT(), predicts="velocity")
    with local(2) as engine:
        apart = bench(denoiser, (2,), engine=engine, **QUICK)
    with local(1) as engine:
        here = bench(denoiser, (2,), engine=engine, **QUICK)
    assert [(row.cell, row.error) for row in apart.rows] == [(row.cell, row.error) for row in here.rows]


def test_labels_and_guidance_reach_the_network() -> None:
    """Each call of a guided network is two evaluations."""

    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return 0.1 * label[:, None] - x

    net.null_label = 5  # type: ignore[attr-defined]
    both = Denoiser(net, CondOT(), predicts="velocity")
    with local(1) as engine:
        guided = bench(both, (2,), [10], label=3, guidance=2.0, engine=engine, samples=2, samplers=["ddim"])
        by_hand = bench(CFG(both.given(3), 2.0), (2,), [10], engine=engine, samples=2, samplers=["ddim"])
        plain = bench(both, (2,), [10], label=3, engine=engine, samples=2, samplers=["ddim"])
    assert [row.error for row in guided.rows] == [row.error for row in by_hand.rows]
    assert {row.steps for row in guided.rows} == {5}
    assert {row.steps for row in plain.rows} == {10}
    assert guided.key.digest != plain.key.digest


def test_a_rough_network_is_ranked_above_the_floor(tmp_path: Path) -> None:
    """White errors of a percent: no two solutions agree, and nothing below three floors is ranked."""

    def net(x: Tensor, time: Tensor) -> Tensor:
        exact = DATA.denoiser(CondOT()).predict("velocity", float(time[0]), x)
        bits = (x.double().sum(1) * 1e9 + time * 7e8).sin() * 1e4
        return exact + 0.02 * (bits - bits.round())[:, None]

    rough = Denoiser(net, CondOT(), predicts="velocity")
    with local(1) as engine:
        found = bench(rough, (2,), [5, 100], engine=engine, samples=16, samplers=["ddim", "default"], folder=tmp_path)
    assert not found.reference.settled
    assert found.best(100).floored
    assert "error is that of the reference solution" in found.recommend(100).doubts[0]
    assert not found.best(5).floored
    assert "≈" in found.table()


def test_too_few_minutes_are_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["fokker.benchmarks.bench"], "compare", None)
    with pytest.raises(ValueError, match="too few"), local(1) as engine:
        bench(problem("digits"), nfe=[100], minutes=1e-4, engine=engine)
