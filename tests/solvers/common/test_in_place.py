"""A field or a network that changes its state in place is named, however it does so; one that copies first is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fokker.generative import CFG, CondOT, Denoiser, flow, sample
from fokker.generative.denoiser import EDM, ClassifierGuidance
from fokker.generative.likelihood import log_likelihood
from fokker.solvers import ODE, SDE, Adaptive, Dopri5, Euler, EulerMaruyama, ExponentialAdams, WhiteNoise, solve

START = torch.full((2, 3), 1.1, dtype=torch.float64)


def scaled(x: Tensor) -> Tensor:
    return x.mul_(2.0)


def through_a_view(x: Tensor) -> Tensor:
    x.flatten()[0] = 0.0
    return x.clone()


def through_rows(x: Tensor) -> Tensor:
    x[1:] += 1.0
    return 0.0 * x


def detached(x: Tensor) -> Tensor:
    x.detach().clamp_(-1.0, 1.0)
    return x + 0.0


CHANGES: list[Callable[[Tensor], Tensor]] = [scaled, through_a_view, through_rows, detached]
each_change = pytest.mark.parametrize("change", CHANGES)


@each_change
@pytest.mark.parametrize("inference", [False, True], ids=["", "inference mode"])
def test_a_field_that_changes_its_state_is_named(change: Callable[[Tensor], Tensor], inference: bool) -> None:
    field = ODE(lambda t, x: change(x))
    for times in ([0.0, 1.0], Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3)):
        with torch.inference_mode(inference):
            x = START.clone()
            with pytest.raises(ValueError, match=r"field changed its state in place.*let it begin with x = x\.clone"):
                solve(field, x, times, Dopri5())
    noisy = SDE(lambda t, x: change(x), lambda t, x: 1.0, noise="additive")
    with pytest.raises(ValueError, match="changed its state in place"):
        solve(noisy, START.clone(), [0.0, 1.0], EulerMaruyama(), WhiteNoise(0))


def test_a_later_call_is_watched_too() -> None:
    late = ODE(lambda t, x: -x if t < 0.5 else scaled(x))
    with pytest.raises(ValueError, match="changed its state in place"):
        solve(late, START.clone(), [0.0, 0.25, 0.5, 0.75], Euler())


@each_change
def test_a_network_that_changes_its_state_is_named(change: Callable[[Tensor], Tensor]) -> None:
    denoiser = Denoiser(lambda x, time: change(x), CondOT(), predicts="velocity")
    labelled = Denoiser(lambda x, time, label: change(x), CondOT(), predicts="velocity", label=1)
    for kind in ("velocity", "x0"):
        with pytest.raises(ValueError, match="network changed its state in place"):
            denoiser.predict(kind, 0.5, START.clone())
    with pytest.raises(ValueError, match="network changed its state in place"):
        solve(flow(denoiser), START.clone(), [0.0, 0.5], ExponentialAdams(1))
    with pytest.raises(ValueError, match="network changed its state in place"):
        log_likelihood(denoiser, START.clone(), times=(0.9, 0.1))
    with pytest.raises(ValueError, match="network changed its state in place"):
        sample(CFG(labelled, 2.0, null=0), (2, 3), nfe=4)


@each_change
def test_a_classifier_that_changes_its_state_is_named(change: Callable[[Tensor], Tensor]) -> None:
    denoiser = Denoiser(lambda x, time: -x, CondOT(), predicts="velocity")
    guided = ClassifierGuidance(denoiser, lambda x, time: change(x).sum(1), 2.0)
    with pytest.raises(ValueError, match="The classifier changed its state in place"):
        guided.output(0.5, START.clone())


def test_a_network_may_change_its_own_copy() -> None:
    """Its clone, and the copy that it gets where the dtype or the frame asks for one."""
    cloning = ODE(lambda t, x: x.clone().mul_(-1.0))
    torch.testing.assert_close(solve(cloning, START, [0.0, 0.1], Euler()).x, 0.9 * START)

    class InPlace(nn.Linear):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return super().forward(x.mul_(2.0))

    class Copying(nn.Linear):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return super().forward(2.0 * x)

    for options in ({"predicts": "velocity"}, {"predicts": "x0", "precondition": EDM()}):
        torch.manual_seed(0)
        first = Denoiser(InPlace(3, 3), CondOT(), **options)
        torch.manual_seed(0)
        second = Denoiser(Copying(3, 3), CondOT(), **options)
        x = START.clone()
        assert torch.equal(first.predict("x0", 0.5, x), second.predict("x0", 0.5, x))
        assert torch.equal(x, START)
