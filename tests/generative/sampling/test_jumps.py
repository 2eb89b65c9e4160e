"""Sampling with a flow map: the jumps, their noise, their marginals, and that samples do not depend on their batch."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import GAUSSIAN, LINE

from fokker.benchmarks import engine
from fokker.benchmarks.commands.sample import draw
from fokker.benchmarks.many import sample_many
from fokker.generative import (
    EDM,
    VE,
    VP,
    CondOT,
    Consistency,
    Cosine,
    FlowMap,
    Jumps,
    grids,
    sample,
    sample_chunks,
)
from fokker.generative.sampling import as_jumps, plan_jumps
from fokker.solvers import standard_normal
from fokker.solvers.noise import extra_normal, per_sample_keys
from fokker.verification.named_networks import named_denoiser

DOUBLE = {"dtype": torch.float64}
PATHS = CondOT(), VP(), VE(), Cosine(), CondOT(sigma_min=0.05)


def elementwise(
    x: torch.Tensor, s: torch.Tensor, t: torch.Tensor, label: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """A network without a matrix product: no rounding of it can depend on the batch."""
    return (x - (0.1 * label + 0.2 * weight)[:, None]).tanh() * (1.0 + s - 0.5 * t)[:, None]


elementwise.shape, elementwise.classes = (2,), 5  # type: ignore[attr-defined]

WEIGHT = torch.tensor([1.0])
FLOW_MAP = FlowMap(elementwise, VP(), predicts="v", label=0, condition={"weight": WEIGHT})


def zero(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("nfe", [1, 2, 4])
def test_exact_jumps_follow_the_exact_flow(path: Any, nfe: int) -> None:
    """Whatever the jumps: the rounding of the map on the line is 1e-13 of states up to 4."""
    x = sample(LINE.map(path), (20, 1), nfe=nfe, seed=3, **DOUBLE)
    noise = path.sigma(0.0) * standard_normal(torch.empty(20, 1, dtype=torch.float64), 3)
    torch.testing.assert_close(x, LINE.flow_map(noise, 0.0, 1.0, path), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_every_step_keeps_the_marginals(path: Any, gamma: float) -> None:
    """From variance α_u² c + σ_u² to α_t² c + σ_t², for all c; as polynomials in c, so that α and σ are enough."""
    planned = plan_jumps(GAUSSIAN.map(path), Jumps(gamma), 5)
    for step, (s, t) in zip(planned.steps, pairwise(planned.times.tolist()), strict=True):
        assert step.s == s < t <= step.u
        assert math.isclose(step.ratio * path.alpha(step.u), path.alpha(t), rel_tol=1e-12, abs_tol=1e-14)
        noisy = step.ratio**2 * path.sigma(step.u) ** 2 + step.deviation**2
        assert math.isclose(noisy, path.sigma(t) ** 2, rel_tol=1e-9, abs_tol=1e-14)
        if gamma == 1.0:
            assert step.u == 1.0
    assert planned.stochastic == (gamma > 0.0)
    assert (planned.steps[-1].u, planned.steps[-1].deviation) == (planned.times[-1], 0.0)


def test_the_noise_of_a_step_is_gamma_times_that_of_its_time() -> None:
    """On VE, where α = 1: the deviation is γ σ_t (Kim et al., algorithm 3)."""
    planned = plan_jumps(GAUSSIAN.map(VE()), Jumps(0.6), 4)
    for step, t in zip(planned.steps[:-1], planned.times[1:-1].tolist(), strict=True):
        assert math.isclose(step.deviation, 0.6 * VE().sigma(t), rel_tol=1e-12)


@pytest.mark.parametrize("path", [VE(), VP()], ids=str)
def test_the_sampler_of_consistency_models(path: Any) -> None:
    """f, α x + σ ξ, and f again: algorithm 1 of Song et al., written out; the noises are the extra normals."""
    f = Consistency(zero, path, predicts="x0", precondition=EDM(0.5))
    found = sample(f, (4, 2), nfe=3, seed=7, sampler=Jumps(1.0, (0.0, 0.3, 0.8, 1.0)), **DOUBLE)
    keys, like = per_sample_keys(7, 4, torch.device("cpu")), torch.empty(4, 2, dtype=torch.float64)
    x = f(path.sigma(0.0) * standard_normal(like, keys), 0.0)
    for i, t in enumerate([0.3, 0.8]):
        x = f(path.alpha(t) * x + path.sigma(t) * extra_normal(keys, i, like), t)
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-14)
    assert torch.equal(sample(f, (4, 2), nfe=2, **DOUBLE), sample(f, (4, 2), nfe=2, sampler="consistency", **DOUBLE))


@pytest.mark.parametrize("sampler", [None, "consistency", Jumps(0.5)], ids=str)
@pytest.mark.parametrize("seed", [4, [5, 6, 7, 8, 9, 10, 11]], ids=["one", "each"])
def test_no_bit_of_a_sample_depends_on_its_chunk(sampler: Any, seed: Any) -> None:
    flow_map = FLOW_MAP.given({"weight": torch.linspace(0.0, 1.0, 7)})
    given = {"nfe": 3, "seed": seed, "sampler": sampler, **DOUBLE}
    labels = [3, 1, 4, 1, 0, 2, 2]
    whole = sample(flow_map, (7, 2), label=labels, **given)
    for chunk in (1, 3):
        assert torch.equal(sample(flow_map, (7, 2), label=labels, chunk=chunk, **given), whole)
    own = flow_map.given(labels).of_rows(torch.arange(7))
    assert torch.equal(torch.cat(list(sample_chunks(own, (7, 2), chunk=2, **given))), whole)


def test_jumps_are_of_equal_length_in_the_share_of_the_data() -> None:
    assert torch.equal(plan_jumps(FLOW_MAP, Jumps(), 3).times, grids.power(VP(), 3, 1.0))
    straight = plan_jumps(FlowMap(elementwise, CondOT(), predicts="v"), Jumps(), 4).times
    torch.testing.assert_close(straight, torch.linspace(0, 1, 5).double())


def test_ends_that_the_network_cannot_reach_are_left_out() -> None:
    """ε-hat says nothing of x₀ at α = 0, and log-SNR is infinite at both ends of the straight path."""
    times = plan_jumps(FlowMap(elementwise, CondOT(), predicts="eps"), Jumps(), 2).times
    assert (CondOT().sigma(times[0].item()) / times[0].item(), times[-1]) == (pytest.approx(80.0), 1.0)
    times = plan_jumps(FlowMap(elementwise, CondOT(), predicts="v", time="log_snr"), Jumps(), 2).times
    assert CondOT().sigma(times[-1].item()) / times[-1].item() == pytest.approx(0.002)
    times = plan_jumps(Consistency(zero, CondOT(), predicts="v", time="log_snr"), Jumps(1.0), 2).times
    assert (CondOT().sigma(times[0].item()) / times[0].item(), times[-1]) == (pytest.approx(80.0), 1.0)


def test_a_flow_map_is_drawn_by_the_command_and_by_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from fokker import CondOT, FlowMap\n\n\ndef net(x, s, t, label):\n    return -x * (1.0 + label[:, None] + "
        "t[:, None])\n\n\nnet.shape, net.classes = (2,), 3\nflow_map = FlowMap(net, CondOT(), predicts='velocity')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    options: Any = {"nfe": 2, "label": None, "guidance": None, "seed": 2}
    draw("mine:flow_map", 6, tmp_path / "here.npy", sampler="consistency", **options)
    from mine import flow_map  # type: ignore[import-not-found]

    labels = torch.arange(6) % 3
    expected = sample(flow_map, (6, 2), nfe=2, label=labels, seed=2, sampler="consistency")
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "here.npy")), expected)
    with engine.local(workers=1) as here:
        found = sample_many(FLOW_MAP, (3, 2), 2, [0, 1, 2], engine=here, sampler=Jumps(1.0))
    assert torch.equal(found, sample(FLOW_MAP, (3, 2), 2, [0, 1, 2], sampler=Jumps(1.0)))
    with pytest.raises(ValueError, match="mine:flow_map is a flow map, which jumps and gives no field"):
        named_denoiser("mine:flow_map")


def test_what_does_not_fit_is_refused() -> None:
    f = Consistency(zero, VE(), predicts="x0", precondition=EDM(0.5))
    with pytest.raises(ValueError, match="jumps to the data alone, which needs gamma = 1"):
        sample(f, (1, 2), nfe=2, sampler=Jumps(0.5))
    with pytest.raises(ValueError, match="nfe = 1 is less than the 2 jumps"):
        sample(FLOW_MAP, (1, 2), nfe=1, sampler=Jumps(0.0, (0, 0.5, 1)))
    with pytest.raises(ValueError, match="sampler is 'heun'; give Jumps"):
        sample(FLOW_MAP, (1, 2), sampler="heun")
    with pytest.raises(TypeError, match="sampler is 3; give Jumps"):
        sample(FLOW_MAP, (1, 2), sampler=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is for flow maps; give a FlowMap"):
        sample(GAUSSIAN.denoiser(VP()), (1, 2), sampler=Jumps())
    with pytest.raises(ValueError, match="A flow map was trained for one guidance"):
        sample(FLOW_MAP, (1, 2), label=1, guidance=2.0)
    for times in ([0.5], [0.5, 0.2], [0.0, 1.5], [0.0, 0.0, 1.0]):
        with pytest.raises(ValueError, match="The times of jumps rise from noise to data"):
            Jumps(times=times)
    assert as_jumps(None, f) == Jumps(1.0)
    assert as_jumps(None, FLOW_MAP) == Jumps()
