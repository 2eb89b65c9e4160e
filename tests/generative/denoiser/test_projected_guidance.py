"""A rule of guidance that is written from outside: `CFG.combine` is all that a subclass overrides.

The rule is projected guidance (Sadat et al., APG, 2410.02416), without momentum and without a bound on the difference.
With D = x₀(c) − x₀(∅), split into D_∥ along x₀(c) and D_⊥ orthogonal to it,

    x₀ = x₀(c) + (w − 1) (D_⊥ + η D_∥).
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import CFG, VP, CondOT, Denoiser, GaussianPath, sample
from fokker.generative.denoiser import KINDS, Static

PATH: GaussianPath = VP()
LABELS = torch.tensor([1, 2, 3, 1, 3, 2])
WEIGHTS = torch.tensor([0.0, 1.0, 2.0, 3.5, -1.0, 7.0], dtype=torch.float64)
TIMES = torch.tensor([0.15, 0.3, 0.5, 0.6, 0.7, 0.9], dtype=torch.float64)
X = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Projected(CFG):
    """Guidance of which the part along the conditional x₀ is scaled by η."""

    def __init__(self, denoiser: Denoiser, weight: float | Tensor, eta: float, **options: Any) -> None:
        super().__init__(denoiser, weight, **options)
        self.eta = eta

    def combine(self, t: float | Tensor, x: Tensor, unconditional: Tensor, conditional: Tensor) -> Tensor:
        x0, axes = self.from_output("x0", t, x, conditional), tuple(range(1, x.ndim))
        step = x0 - self.from_output("x0", t, x, unconditional)
        along = (step * x0).sum(axes, keepdim=True) / x0.square().sum(axes, keepdim=True) * x0
        guided = x0 + (self.weight_for(x) - 1.0) * (step - along + self.eta * along)
        return self.to_output("x0", t, x, guided)


def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    level = (1.0 + label).reshape(-1, 1, 1) * time.reshape(-1, 1, 1)
    return torch.sin(x * level + label.reshape(-1, 1, 1))


def made(path: GaussianPath = PATH, predicts: str = "eps", **options: Any) -> Denoiser:
    return Denoiser(net, path, predicts=predicts, label=LABELS, **options)


def by_hand(path: GaussianPath, predicts: str, weight: float, eta: float, t: float, x: Tensor, label: int) -> Tensor:
    """The guided x₀ of one sample, (2, 3)."""

    def x0(label: int) -> Tensor:
        y = net(x[None], torch.tensor([t], dtype=torch.float64), torch.tensor([label]))[0].flatten()
        state = x.flatten()
        match predicts:
            case "x0":
                return y
            case "eps":
                return (state - path.sigma(t) * y) / path.alpha(t)
            case "v":  # on a variance-preserving path
                return path.alpha(t) * state - path.sigma(t) * y
            case _:  # the velocity of CondOT
                return state + (1.0 - t) * y

    conditional, difference = x0(label), x0(label) - x0(0)
    unit = conditional / math.sqrt(float(conditional @ conditional))
    parallel = (difference @ unit) * unit
    return (conditional + (weight - 1.0) * (difference - parallel + eta * parallel)).reshape(2, 3)


CASES: list[tuple[GaussianPath, str]] = [(VP(), "x0"), (VP(), "eps"), (VP(), "v"), (CondOT(), "velocity")]


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("path", "predicts"), CASES, ids=str)
def test_it_is_the_formula(path: GaussianPath, predicts: str, eta: float) -> None:
    """With a weight for each sample, at one time, at a time for each sample, and for samples picked from the batch."""
    guided, index = Projected(made(path, predicts), WEIGHTS, eta, null=0), torch.tensor([5, 2, 2, 0])
    for t in (0.6, TIMES):
        times = TIMES.tolist() if isinstance(t, Tensor) else [t] * 6
        rows = [
            by_hand(path, predicts, w, eta, at, x, label)
            for w, at, x, label in zip(WEIGHTS.tolist(), times, X, LABELS.tolist(), strict=True)
        ]
        expected = torch.stack(rows)
        torch.testing.assert_close(guided.predict("x0", t, X), expected, rtol=1e-12, atol=1e-12)
        some = guided.of_rows(index).predict("x0", t[index] if isinstance(t, Tensor) else t, X[index])
        torch.testing.assert_close(some, expected[index], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("predicts", KINDS)
def test_without_a_change_of_the_parallel_part_it_is_classifier_free_guidance(predicts: str) -> None:
    denoiser = made(predicts=predicts)
    plain, projected = CFG(denoiser, WEIGHTS, null=0), Projected(denoiser, WEIGHTS, 1.0, null=0)
    for t in (0.6, TIMES):
        torch.testing.assert_close(projected.output(t, X), plain.output(t, X), rtol=1e-12, atol=1e-12)
        other = Projected(denoiser, WEIGHTS, 0.0, null=0).output(t, X)
        assert (other - plain.output(t, X)).abs().max() > 0.1


def test_the_rule_sees_exactly_the_samples_that_are_guided() -> None:
    """Their times, states, weights and outputs; outside of the interval it is not called."""
    seen: list[tuple[Any, ...]] = []

    class Spy(Projected):
        def combine(self, t: float | Tensor, x: Tensor, unconditional: Tensor, conditional: Tensor) -> Tensor:
            seen.append((t, x, self.weight, unconditional, conditional))
            return super().combine(t, x, unconditional, conditional)

    denoiser = made()
    guided = Spy(denoiser, WEIGHTS, 0.3, null=0, interval=(0.4, 0.65), interval_in="t")
    output, index = guided.output(TIMES, X), torch.tensor([2, 3])
    unconditional, conditional = denoiser.given(0).output(TIMES, X), denoiser.output(TIMES, X)
    (t, x, weight, plain, labelled) = seen.pop()
    assert torch.equal(t, TIMES[index])
    assert torch.equal(x, X[index])
    assert torch.equal(weight, WEIGHTS[index])
    torch.testing.assert_close(plain, unconditional[index], rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(labelled, conditional[index], rtol=1e-14, atol=1e-14)
    x0 = guided.predict("x0", TIMES, X)
    for i in range(6):
        if i in index:
            expected = by_hand(PATH, "eps", WEIGHTS[i].item(), 0.3, TIMES[i].item(), X[i], LABELS[i].item())
            torch.testing.assert_close(x0[i], expected, rtol=1e-12, atol=1e-12)
        else:
            torch.testing.assert_close(output[i], conditional[i], rtol=1e-14, atol=1e-14)
    assert guided.evaluations(TIMES).tolist() == [1, 1, 2, 2, 1, 1]
    seen.clear()
    assert torch.equal(guided.output(0.8, X), denoiser.output(0.8, X))
    assert torch.equal(guided.output(TIMES[4:].repeat(3), X), denoiser.output(TIMES[4:].repeat(3), X))
    assert not seen
    guided.output(0.5, X)
    assert seen[0][0] == 0.5
    assert torch.equal(seen[0][1], X)


def test_the_threshold_is_applied_to_the_guided_sample() -> None:
    free, limited = (Projected(made(threshold=limit), WEIGHTS, 0.3, null=0) for limit in (None, Static(0.5)))
    expected = free.predict("x0", 0.6, X).clamp(-0.5, 0.5)
    torch.testing.assert_close(limited.predict("x0", 0.6, X), expected, rtol=1e-12, atol=1e-12)


def test_it_can_be_guided_itself() -> None:
    """Without a label both branches of the inner guidance are one, so that its output is that of the network."""
    inner, t = Projected(made(), WEIGHTS, 0.3, null=0), 0.6
    outer = CFG(inner, WEIGHTS.flip(0), null=0).output(t, X)
    weight, plain = WEIGHTS.flip(0).reshape(-1, 1, 1), made().given(0).output(t, X)
    expected = (1.0 - weight) * plain + weight * inner.output(t, X)
    torch.testing.assert_close(outer, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m"])
def test_it_samples(sampler: str) -> None:
    """As the network that makes the guided x₀ by hand does, with one evaluation in place of two."""
    eta = 0.3

    def guided(x: Tensor, time: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        columns = (column.tolist() for column in (weight, time, label))
        rows = [by_hand(PATH, "eps", w, eta, t, one, c) for w, t, c, one in zip(*columns, x, strict=True)]
        return torch.stack(rows)

    projected = Projected(made(), WEIGHTS, eta, null=0)
    written = Denoiser(guided, PATH, predicts="x0", label=LABELS, condition={"weight": WEIGHTS})
    options: dict[str, Any] = {"seed": 3, "sampler": sampler, "dtype": torch.float64}
    found = sample(projected, (6, 2, 3), 16, chunk=4, **options)
    torch.testing.assert_close(found, sample(written, (6, 2, 3), 8, **options), rtol=1e-10, atol=1e-10)
