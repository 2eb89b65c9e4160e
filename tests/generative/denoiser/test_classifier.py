"""Guidance by a classifier: with the exact one it is Bayes' rule, and classifier-free guidance in other words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN, MIXTURE, PATHS, states

from fokker.generative import CFG, VP, CondOT, Denoiser, GaussianPath, flow
from fokker.generative.denoiser import KINDS, AutoGuidance, ClassifierGuidance, Static
from fokker.solvers import RK4, ExponentialAdams, solve
from fokker.verification import Gaussian
from fokker.verification.oracles import GaussianClasses

FAR = Gaussian(torch.tensor([0.3, -1.5], dtype=torch.float64), 0.2 * torch.eye(2, dtype=torch.float64))
CLASSES = GaussianClasses([MIXTURE, FAR, GAUSSIAN])
LABELS = torch.tensor([0, 1, 2, 0, 1, 0, 2, 2])
TIMES = torch.linspace(0.1, 0.9, 8, dtype=torch.float64)
X = states(VP(), 0.5)


def guided(path: GaussianPath, weight: Any, label: Any = LABELS, predicts: str = "v") -> ClassifierGuidance:
    def net(x: Tensor, time: Tensor) -> Tensor:
        return getattr(CLASSES.population, predicts)(x, time, path)

    return ClassifierGuidance(Denoiser(net, path, predicts=predicts), CLASSES.classifier(path), weight, label)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("predicts", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_bayes_rule_gives_the_class_in_every_kind(path: GaussianPath, predicts: str, kind: str) -> None:
    for t in (0.2, 0.5, 0.8):
        x = states(path, t)
        expected = getattr(CLASSES.given(LABELS), kind)(x, t, path)
        predicted = guided(path, 1.0, predicts=predicts).predict(kind, t, x)
        assert (predicted - expected).norm() < 1e-9 * (x.norm() + expected.norm())


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0, torch.linspace(-1.0, 4.0, 8, dtype=torch.float64)])
def test_the_exact_classifier_guides_as_classifier_free_guidance_does(weight: Any) -> None:
    """(1 − w) y + w y_c = y + w (y_c − y), at a time for each sample."""
    free = CFG(CLASSES.denoiser(VP()).given(LABELS), weight)
    for t in (0.5, TIMES):
        torch.testing.assert_close(guided(VP(), weight).output(t, X), free.output(t, X), rtol=1e-10, atol=1e-10)


def test_the_guided_sample_and_the_corrected_mean_of_a_step() -> None:
    """x₀-hat = (x + σ² (s + w g))/α: what is put into the mean of a step back (2105.05233, algorithm 1)."""
    path, t, weight = VP(), 0.4, 2.5
    score = CLASSES.population.score(X, t, path)
    gradient = CLASSES.given(LABELS).score(X, t, path) - score
    expected = (X + path.sigma(t) ** 2 * (score + weight * gradient)) / path.alpha(t)
    torch.testing.assert_close(guided(path, weight).predict("x0", t, X), expected, rtol=1e-10, atol=1e-10)
    limited = guided(path, weight)
    limited.threshold = Static(0.5)
    torch.testing.assert_close(limited.predict("x0", t, X), expected.clamp(-0.5, 0.5), rtol=1e-10, atol=1e-10)


def test_a_sample_is_the_same_alone_and_in_a_batch() -> None:
    weights, index = torch.linspace(-1.0, 4.0, 8, dtype=torch.float64), torch.tensor([7, 2, 2, 0])
    together = guided(VP(), weights).predict("eps", TIMES, X)
    some = guided(VP(), weights).of_rows(index).predict("eps", TIMES[index], X[index])
    torch.testing.assert_close(some, together[index], rtol=1e-11, atol=1e-11)
    for i in range(8):
        alone = guided(VP(), weights[i].item(), LABELS[i].item()).predict("eps", TIMES[i].item(), X[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-11, atol=1e-11)


def test_the_classifier_sees_its_clock_and_its_labels() -> None:
    seen: list[Any] = []

    def log_prob(x: Tensor, time: Tensor, *label: Tensor) -> Tensor:
        seen.append((time, *label))
        return -x.square().sum(1)

    plain = Denoiser(lambda x, time: x, VP(), predicts="eps", time=lambda t: 1000.0 * t)
    ClassifierGuidance(plain, log_prob, 1.0, time="log_snr").output(0.5, X)
    torch.testing.assert_close(seen[-1], (torch.full((8,), VP().log_snr(0.5), dtype=torch.float64),))
    ClassifierGuidance(plain, log_prob, 1.0).given(3).output(0.5, X)
    assert seen[-1][0].tolist() == [0.5] * 8
    assert seen[-1][1].tolist() == [3] * 8

    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        seen.append(label)
        return x

    conditional = Denoiser(net, VP(), predicts="eps", label=0)
    ClassifierGuidance(conditional, log_prob, 1.0).given(2).output(0.5, X)
    assert seen[-2].tolist() == seen[-1][1].tolist() == [2] * 8


def test_guidance_of_both_kinds_commutes() -> None:
    """Outside, the classifier's gradient enters both branches of weights 1 − w and w, and so once."""
    denoiser, log_prob = CLASSES.denoiser(VP()).given(LABELS), CLASSES.classifier(VP())
    one = ClassifierGuidance(CFG(denoiser, 2.0), log_prob, 1.5, LABELS)
    other = CFG(ClassifierGuidance(denoiser, log_prob, 1.5, LABELS), 2.0)
    torch.testing.assert_close(one.output(0.5, X), other.output(0.5, X), rtol=1e-11, atol=1e-11)
    auto = AutoGuidance(ClassifierGuidance(denoiser, log_prob, 1.0, LABELS), denoiser, 1.5)
    expected = ClassifierGuidance(denoiser, log_prob, 1.5, LABELS)
    torch.testing.assert_close(auto.output(0.5, X), expected.output(0.5, X), rtol=1e-11, atol=1e-11)


def test_evaluations_are_the_network_s_and_the_classifier_is_called_once_a_call() -> None:
    counts = {"net": 0, "classifier": 0}

    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        counts["net"] += len(x)
        return x

    def log_prob(x: Tensor, time: Tensor) -> Tensor:
        counts["classifier"] += len(x)
        return -x.square().sum(1)

    conditional = Denoiser(net, VP(), predicts="eps", label=1)
    for denoiser, cost in ((conditional, 1), (CFG(conditional, 2.0, null=0), 2)):
        counts.update(net=0, classifier=0)
        nfe = solve(flow(ClassifierGuidance(denoiser, log_prob, 1.0), "x0"), X, [0.0, 0.3, 0.6], RK4()).nfe
        assert (int(nfe), nfe.depth, nfe.branches) == (8 * cost, 8, cost)
        assert counts == {"net": 8 * 8 * cost, "classifier": 8 * nfe.depth}


@pytest.mark.parametrize("inference", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_guidance_needs_no_graph(inference: Any) -> None:
    expected = guided(VP(), 2.0).output(0.5, X)
    with inference():
        assert torch.equal(guided(VP(), 2.0).output(0.5, X), expected)
        solved = solve(flow(guided(VP(), 2.0), "x0"), X, [0.2, 0.5, 0.8], ExponentialAdams(2)).x
    assert not solved.requires_grad


def test_derivatives_go_through() -> None:
    """The gradient of the classifier is differentiated again, forwards and backwards."""
    direction = torch.cos(X)

    def predict(x: Tensor) -> Tensor:
        return guided(VP(), 2.0).predict("velocity", 0.6, x)

    _, forward = torch.func.jvp(predict, (X,), (direction,))
    x = X.clone().requires_grad_()
    backward = torch.autograd.grad(predict(x).sum(), x)[0]
    assert (backward * direction).sum().item() == pytest.approx(forward.sum().item(), rel=1e-9)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(predict(dual)).tangent
    torch.testing.assert_close(tangent, forward, rtol=1e-12, atol=1e-12)
    h = 1e-5
    difference = (predict(X + h * direction) - predict(X - h * direction)) / (2.0 * h)
    torch.testing.assert_close(forward, difference, rtol=1e-6, atol=1e-6)
    strength = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    learned = ClassifierGuidance(MIXTURE.denoiser(VP()), lambda x, time: -strength * x.square().sum(1), 1.0)
    slope = torch.autograd.grad(learned.predict("score", 0.5, X).sum(), strength)[0]
    assert slope.item() == pytest.approx(-2.0 * X.sum().item(), rel=1e-10)


def test_at_the_ends() -> None:
    """At α = 0 the gradient has no weight that is finite but for eps and the score; at σ = 0 it has none for x0."""
    x = states(CondOT(), 0.0)
    for predicts in ("x0", "v", "velocity"):
        with pytest.raises(ValueError, match=f"{predicts} by its gradient over alpha, which is 0 at t = 0; start"):
            guided(CondOT(), 1.0, predicts=predicts).output(0.0, x)
    expected = CLASSES.given(LABELS).eps(x, 0.0, CondOT())
    torch.testing.assert_close(guided(CondOT(), 1.0, predicts="eps").output(0.0, x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(guided(CondOT(), 5.0, predicts="x0").output(1.0, x), x, rtol=1e-12, atol=1e-12)


def test_bad_classifiers_are_refused() -> None:
    denoiser = MIXTURE.denoiser(VP())
    with pytest.raises(ValueError, match=r"log_prob returned shape \(8, 1\) for 8 samples"):
        ClassifierGuidance(denoiser, lambda x, time: x[:, :1], 1.0).output(0.5, X)
    with pytest.raises(ValueError, match="label -1 is negative"):
        ClassifierGuidance(denoiser, lambda x, time, label: x[:, 0], 1.0, -1)
    with pytest.raises(ValueError, match="Unknown clock 's'"):
        ClassifierGuidance(denoiser, lambda x, time: x[:, 0], 1.0, time="s")
