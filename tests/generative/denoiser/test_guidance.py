"""Guidance against exact classes, of which the guided law is known in closed form.

Data N(0, S²) without a label and N(m, s²) with one: guidance with weight w carries N(0, 1) to standard deviation
S^{1−w} s^w, whatever the schedule, and to a mean that does not depend on it either.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN, MIXTURE, PATHS, states

from fokker.generative import CFG, VP, CondOT, Cosine, Denoiser, GaussianPath, flow, reverse_sde
from fokker.generative.denoiser import KINDS, AutoGuidance, Static
from fokker.solvers import Adaptive, Dopri5, solve
from fokker.verification import Gaussian
from fokker.verification.oracles import GaussianClasses, guided_law

FAR = Gaussian(torch.tensor([0.3, -1.5], dtype=torch.float64), 0.2 * torch.eye(2, dtype=torch.float64))
CLASSES = GaussianClasses([MIXTURE, FAR, GAUSSIAN])
NULL = CLASSES.null_label
LABELS = torch.tensor([0, 1, 2, 3, 1, 0, 3, 2])
TIMES = torch.linspace(0.1, 0.9, 8, dtype=torch.float64)
PATH = CondOT()
X = states(PATH, 0.4)


def normal(mean: float, deviation: float) -> Gaussian:
    return Gaussian(torch.tensor([mean], dtype=torch.float64), torch.tensor([[deviation**2]], dtype=torch.float64))


def conditional(path: GaussianPath = PATH, label: Any = LABELS) -> Denoiser:
    return CLASSES.denoiser(path).given(label)


def network(x: Tensor, time: Tensor, label: Tensor, context: Tensor) -> Tensor:
    """Of images, with a label, and a context that has a row for each sample."""
    level = (time * (1.0 + label)).reshape(-1, 1, 1, 1)
    return torch.sin(x * level + context.reshape(-1, 2, 1, 1))


IMAGES = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CONTEXT, EMPTY = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def imaging(label: Any = (0, 1, 2, 3, 1), **options: Any) -> Denoiser:
    return Denoiser(network, VP(), predicts="eps", label=label, condition={"context": CONTEXT}, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_guidance_commutes_with_conversions(path: GaussianPath, kind: str) -> None:
    """(1 − w) y(∅) + w y(c) in every kind, whatever the network predicts; w = 0 and w = 1 are the branches."""
    x, t = states(path, 0.4), 0.4
    plain, labelled = (conditional(path, label).predict(kind, t, x) for label in (NULL, LABELS))
    for weight, expected in ((0.0, plain), (1.0, labelled), (2.5, plain + 2.5 * (labelled - plain))):
        for source in KINDS:

            def net(x: Tensor, time: Tensor, label: Tensor, source: str = source) -> Tensor:
                return getattr(CLASSES.given(label), source)(x, time, path)

            guided = CFG(Denoiser(net, path, predicts=source, label=LABELS), weight, null=NULL).predict(kind, t, x)
            assert (guided - expected).norm() < 1e-9 * (x.norm() + expected.norm())


def test_weights_zero_and_one_are_the_branches_to_the_bit() -> None:
    for weight, label in ((0.0, NULL), (1.0, LABELS)):
        assert torch.equal(CFG(conditional(), weight).output(0.4, X), conditional(label=label).output(0.4, X))


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("path", [CondOT(), Cosine(-math.inf, math.inf), VP()], ids=repr)
def test_the_guided_law_of_gaussian_classes(path: GaussianPath, weight: float) -> None:
    """The flow is affine: from 0 and ±σ it gives mean and deviation. Solved in its clock, the angle, to σ = 0."""
    population, one = normal(0.0, 2.0), normal(1.5, 1.0)
    denoiser = GaussianClasses([one], population=population).denoiser(path).given(0)
    equation = flow(CFG(denoiser, weight), hold="v")
    t0 = float(path.time(-8.0))
    start = equation.clock.r(torch.tensor([t0], dtype=torch.float64)).item()
    scale = math.hypot(path.alpha(t0), path.sigma(t0))
    z = path.sigma(t0) / scale * torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    ends = solve(equation.in_clock(), z, Adaptive(start, math.pi / 2.0, rtol=1e-11, atol=1e-11), Dopri5()).x
    law = guided_law(population, one, weight, -8.0)
    torch.testing.assert_close(ends[1:] - ends[:-1], law.covs.sqrt()[0].expand(2, 1), rtol=1e-8, atol=0.0)
    torch.testing.assert_close(ends[1], law.means[0], rtol=1e-8, atol=1e-8)


def test_the_guided_field_is_not_that_of_the_tilted_law() -> None:
    """For p = N(0, 4), p_c = N(0, 1) and w = 2 the tilted law is N(0, 4/7); at α = σ = 1/2 the guided score of x is
    −(2/(1/2) − 1/(5/4)) x = −3.2 x, that of the noised tilted law −x/(11/28)."""
    path, x = CondOT(), torch.tensor([[1.0]], dtype=torch.float64)
    denoiser = GaussianClasses([normal(0.0, 1.0)], population=normal(0.0, 2.0)).denoiser(path).given(0)
    assert CFG(denoiser, 2.0).predict("score", 0.5, x).item() == pytest.approx(-3.2, rel=1e-12)
    tilted = normal(0.0, math.sqrt(4.0 / 7.0))
    assert tilted.score(x, 0.5, path).item() == pytest.approx(-28.0 / 11.0, rel=1e-12)


@pytest.mark.parametrize("weight", [1.0, 2.0])
@pytest.mark.parametrize("hold", ["x0", "eps"])
def test_a_stochastic_equation_guides_velocity_and_score_alike(weight: float, hold: str) -> None:
    path, t, eta = VP(), 0.6, 0.8
    x = states(path, t)
    drift = reverse_sde(CFG(conditional(path), weight), eta, hold).drift(t, x)
    velocity, score = (
        (1.0 - weight) * conditional(path, NULL).predict(kind, t, x) + weight * conditional(path).predict(kind, t, x)
        for kind in ("velocity", "score")
    )
    expected = velocity + (eta * path.sigma(t)) ** 2 * path.d_half_log_snr(t) * score
    torch.testing.assert_close(drift, expected, rtol=1e-9, atol=1e-9)


def test_a_threshold_acts_on_the_guided_sample() -> None:
    """And there guidance does not commute: clipping after is not clipping before."""
    weight, limit = 3.0, Static(0.6)
    plain, labelled = (conditional(label=label).predict("x0", 0.4, X) for label in (NULL, LABELS))
    clipped = Denoiser(conditional().net, CondOT(), predicts="v", label=LABELS, threshold=limit)
    guided = CFG(clipped, weight)
    expected = limit(plain + weight * (labelled - plain))
    torch.testing.assert_close(guided.predict("x0", 0.4, X), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(guided.predict("eps", 0.4, X), (X - 0.4 * expected) / 0.6, rtol=1e-12, atol=1e-12)
    before = limit(plain) + weight * (limit(labelled) - limit(plain))
    assert (expected - before).abs().max() > 0.5
    assert not guided.smooth
    assert CFG(conditional(), weight).smooth


def test_a_negative_label_is_the_swapped_pair() -> None:
    """(1 − w) y(b) + w y(a) is guidance from a to b with weight 1 − w; b may differ from sample to sample."""
    for weight in (0.0, 1.0, 3.5):
        for negative in (2, LABELS.flip(0)):
            there = CFG(conditional(), weight, negative=negative)
            back = CFG(conditional(label=negative), 1.0 - weight, negative=LABELS)
            torch.testing.assert_close(there.output(0.4, X), back.output(0.4, X), rtol=1e-12, atol=1e-12)
            index = torch.tensor([5, 0, 5])
            some = there.of_rows(index).output(0.4, X[index])
            torch.testing.assert_close(some, there.output(0.4, X)[index], rtol=1e-13, atol=1e-13)
    assert torch.equal(
        CFG(conditional(), 2.0, negative=NULL).output(0.4, X), CFG(conditional(), 2.0, null=NULL).output(0.4, X)
    )


@pytest.mark.parametrize("empty", [EMPTY, EMPTY[:1]], ids=["each", "one"])
def test_a_negative_condition(empty: Tensor) -> None:
    denoiser = imaging()
    guided = CFG(denoiser, 2.5, negative={"context": empty}).output(0.5, IMAGES)
    plain, labelled = denoiser.given({"context": empty}).output(0.5, IMAGES), denoiser.output(0.5, IMAGES)
    torch.testing.assert_close(guided, plain + 2.5 * (labelled - plain), rtol=1e-13, atol=1e-13)


def test_nested_conditions_are_joined() -> None:
    def net(x: Tensor, time: Tensor, added: dict[str, Tensor], text: Tensor) -> Tensor:
        return torch.sin(x * added["size"] + added["pooled"] * text)

    x, text, empty = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).reshape(3, 4, 1).unbind(1)[:3]
    added = {"pooled": text + 1.0, "size": torch.tensor([[2.0]], dtype=torch.float64)}
    denoiser = Denoiser(net, VP(), predicts="eps", condition={"added": added, "text": text})
    guided = CFG(denoiser, 3.0, negative={"added": {"pooled": empty}}).output(0.5, x)
    labelled, plain = torch.sin(2.0 * x + (text + 1.0) * text), torch.sin(2.0 * x + empty * text)
    torch.testing.assert_close(guided, plain + 3.0 * (labelled - plain), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("phi", [0.0, 0.3, 1.0])
def test_rescaling_brings_the_deviation_back(phi: float) -> None:
    """Section 3.4 of 2305.08891, sample by sample."""
    labelled, plain = imaging().output(0.5, IMAGES), imaging(0).output(0.5, IMAGES)
    guided = CFG(imaging(), 4.0, null=0, rescale=phi).output(0.5, IMAGES)
    for i in range(5):
        straight = plain[i] + 4.0 * (labelled[i] - plain[i])
        rescaled = straight * labelled[i].std() / straight.std()
        torch.testing.assert_close(guided[i], phi * rescaled + (1.0 - phi) * straight, rtol=1e-12, atol=1e-12)
        if phi == 1.0:
            assert guided[i].std().item() == pytest.approx(labelled[i].std().item(), rel=1e-12)


def test_rescaling_leaves_a_constant_output_as_it_is() -> None:
    """Where its standard deviation is zero there is nothing to divide by."""
    denoiser = Denoiser(lambda x, t, y: 0.0 * x + 1.0 + y[:, None], VP(), predicts="eps", label=1)
    found = CFG(denoiser, 2.0, null=0, rescale=0.7).output(0.5, X)
    assert torch.equal(found, torch.full_like(X, 3.0))


def test_weights_per_sample() -> None:
    weights = torch.tensor([0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 7.0, 1.5])
    for guide in (CFG, lambda denoiser, weight: AutoGuidance(denoiser, conditional(label=0), weight)):
        together = guide(conditional(), weights).output(0.4, X)
        for i in range(8):
            alone = guide(conditional(label=LABELS[i].item()), weights[i].item()).output(0.4, X[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


def test_a_weight_can_be_learned() -> None:
    """∂ỹ/∂w = y(c) − y(∅)."""
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    output = CFG(conditional(), weight).output(0.4, X)
    plain, labelled = (conditional(label=label).output(0.4, X) for label in (NULL, LABELS))
    torch.testing.assert_close(output, 2.0 * labelled - plain, rtol=1e-12, atol=1e-12)
    slope = torch.autograd.grad(output.sum(), weight)[0]
    torch.testing.assert_close(slope, (labelled - plain).sum(), rtol=1e-12, atol=1e-12)


def test_a_learned_variance_is_the_conditional_one() -> None:
    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return torch.cat([torch.sin(x + label[:, None]), torch.cos(x + label[:, None])], dim=1)

    guided = CFG(Denoiser(net, VP(), predicts="eps", label=LABELS, learned_variance=True), 2.0, null=9)
    output, variance = guided.output_and_variance(0.5, X)
    assert torch.equal(variance, torch.cos(X + LABELS[:, None]))
    expected = torch.sin(X + 9.0) + 2.0 * (torch.sin(X + LABELS[:, None]) - torch.sin(X + 9.0))
    torch.testing.assert_close(output, expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(guided.output(0.5, X), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shape", [(5,), (1,), (5, 2), (1, 2, 1, 1), (5, 1, 3, 1), (1, 1, 3), (5, 2, 3, 3)])
def test_a_weight_for_each_part_of_a_sample(shape: tuple[int, ...]) -> None:
    """The axes of a weight are the first of the state: each component has the weight that stands there."""
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    each = weight.reshape(*shape, *(1,) * (4 - len(shape))).expand(5, 2, 3, 3)
    plain, labelled = (imaging(label).output(0.5, IMAGES) for label in ((4,) * 5, (0, 1, 2, 3, 1)))
    guided = CFG(imaging(), weight, null=4)
    expected = (1.0 - each) * plain + each * labelled
    torch.testing.assert_close(guided.output(0.5, IMAGES), expected, rtol=1e-14, atol=1e-14)
    index = torch.tensor([3, 0, 3])
    torch.testing.assert_close(guided.of_rows(index).output(0.5, IMAGES[index]), expected[index])
    auto = AutoGuidance(imaging(), imaging((4,) * 5), weight)
    torch.testing.assert_close(auto.output(0.5, IMAGES), expected, rtol=1e-14, atol=1e-14)


def test_a_weight_a_frame_inside_an_interval() -> None:
    """The samples inside take their own rows of the weight."""
    weight, times = torch.rand(5, 1, 3, 1, dtype=torch.float64), torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    everywhere = CFG(imaging(), weight, null=4)
    inside = CFG(imaging(), weight, null=4, interval=(times[1].item(), times[3].item()), interval_in="t")
    expected = imaging().output(times, IMAGES)
    expected[1:4] = everywhere.output(times, IMAGES)[1:4]
    torch.testing.assert_close(inside.output(times, IMAGES), expected, rtol=1e-14, atol=1e-14)


def test_bad_guidance_is_refused() -> None:
    denoiser = Denoiser(network, VP(), predicts="eps")
    with pytest.raises(ValueError, match="needs a conditional denoiser"):
        CFG(denoiser, 2.0, null=4)
    with pytest.raises(ValueError, match="needs a conditional denoiser"):
        CFG(denoiser.given(1), 2.0, null=4).given(None)
    with pytest.raises(ValueError, match="'context' has no tensor of the denoiser's condition to stand in for"):
        CFG(imaging(), 2.0, negative={"context": EMPTY}).given({"context": "text"})
    with pytest.raises(ValueError, match="declares no null_label"):
        CFG(denoiser.given(1), 2.0)
    with pytest.raises(ValueError, match="negative stands in place of null"):
        CFG(denoiser.given(1), 2.0, null=4, negative=2)
    with pytest.raises(ValueError, match="label -2 is negative"):
        CFG(denoiser.given(1), 2.0, negative=-2)
    with pytest.raises(ValueError, match=r"'text' has no tensor .* some of its own: context"):
        CFG(imaging(), 2.0, negative={"text": EMPTY})
    with pytest.raises(ValueError, match=r"'context' has rows of shape \(3,\), but those that it stands in for \(2,\)"):
        CFG(imaging(), 2.0, negative={"context": torch.zeros(5, 3)})
    with pytest.raises(ValueError, match="negative 'context' has 3 rows for 5 samples"):
        CFG(imaging(), 2.0, negative={"context": EMPTY[:3]}).output(0.5, IMAGES)
    for weight in (math.nan, torch.tensor([1.0, math.inf])):
        with pytest.raises(ValueError, match="finite"):
            CFG(imaging(), weight, null=4)
    with pytest.raises(TypeError, match=r"weight is torch\.int64, but must be of a floating-point dtype"):
        CFG(imaging(), torch.ones(5, dtype=torch.int64), null=4)
    for wrong in (torch.ones(5, 3), torch.ones(1, 1, 3, 3, 1)):
        with pytest.raises(ValueError, match=r"does not broadcast to a state of shape \(5, 2, 3, 3\)"):
            CFG(imaging(), wrong, null=4).output(0.5, IMAGES)
    with pytest.raises(ValueError, match="weight has 4 rows for 5 samples"):
        CFG(imaging(), torch.ones(4), null=4).output(0.5, IMAGES)
    with pytest.raises(ValueError, match=r"interval must be \(low, high\)"):
        CFG(imaging(), 2.0, null=4, interval=(1.0, -1.0))
    with pytest.raises(ValueError, match=r"rescale is .*, but must be a finite number from 0 to 1"):
        CFG(imaging(), 2.0, null=4, rescale=1.5)
    with pytest.raises(ValueError, match="which has one component"):
        CFG(Denoiser(lambda x, t, y: x, VP(), predicts="eps", label=1), 2.0, null=0, rescale=1.0).output(0.5, X[:, :1])
    with pytest.raises(ValueError, match="guide along one path"):
        AutoGuidance(MIXTURE.denoiser(VP()), MIXTURE.denoiser(CondOT()), 2.0)
