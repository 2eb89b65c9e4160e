"""Where data are Gaussian every flow map is affine, and the loss of each objective has its minimum at the exact one.

Data N(m, s²) have on a path the mean α m and the deviation √(α² s² + σ²), and the flow is affine between them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fokker.generative import VP, CondOT, Cosine, Denoiser, FlowMap
from fokker.generative.paths import GaussianPath, Uniform
from fokker.generative.training.objectives import (
    Adaptive,
    ConsistencyDistillation,
    ConsistencyTraining,
    Lesson,
    MeanFlow,
    Objective,
    ProgressiveDistillation,
    PseudoHuber,
    Square,
    Teacher,
)
from fokker.generative.training.objectives.teacher import share
from fokker.generative.training.weightings import TruncatedSNR
from fokker.solvers import Euler, Heun
from fokker.verification import Gaussian

MEAN, DEVIATION = 0.7, 0.6
LAW = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([[DEVIATION**2]], dtype=torch.float64))
PATHS = [CondOT(), VP(), Cosine(-8.0, 8.0)]


class Affine(nn.Module):
    """The exact flow map, plus a x + b: a student whose parameters are 0 where it is exact."""

    def __init__(self, path: GaussianPath) -> None:
        super().__init__()
        self.path, self.change = path, nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        deviation = [(self.path.alpha(each) ** 2 * DEVIATION**2 + self.path.sigma(each) ** 2).sqrt() for each in (s, t)]
        moved = MEAN * self.path.alpha(t)[:, None] + (deviation[1] / deviation[0])[:, None] * (
            x - MEAN * self.path.alpha(s)[:, None]
        )
        return moved + self.change[0] * x + self.change[1]


def lesson(path: GaussianPath, solver: Any = None, **more: Any) -> Lesson:
    """The exact student, and the exact denoiser as its teacher."""
    student = FlowMap(Affine(path), path, predicts="state")
    teacher = None if solver is None else Teacher(LAW.denoiser(path), solver)
    return Lesson(student, FlowMap(Affine(path), path, predicts="state"), teacher, **more)


def pairs(nodes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Gauss–Hermite nodes for a sample and its noise, (n², 1) each, and their weights: exact to degree 2 n − 1."""
    points, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(nodes))
    weights = weights / weights.sum()
    x0, eps = torch.meshgrid(MEAN + DEVIATION * points, points, indexing="ij")
    return x0.reshape(-1, 1), eps.reshape(-1, 1), torch.outer(weights, weights).flatten()


def gradient(objective: Objective, who: Lesson, *times: float) -> Tensor:
    """That of the expected square of the residual, (2,)."""
    x0, eps, weights = pairs()
    residual = objective.residual(who, x0, eps, *(torch.full_like(weights, time) for time in times))
    return torch.autograd.grad((weights * residual[:, 0].square()).sum(), who.student.net.change)[0]


def residual(objective: Objective, who: Lesson, *times: float) -> Tensor:
    x0, eps, _ = pairs()
    return objective.residual(who, x0, eps, *(torch.full_like(x0[:, 0], time) for time in times)).detach()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_euler_s_method_teaches_steps_of_ddim_and_others_have_their_order(path: GaussianPath) -> None:
    """Each sample has times of its own. Halving a step divides its error by 2^(p+1), up to the next order."""
    s = torch.tensor([0.1, 0.3, 0.55], dtype=torch.float64)
    x, exact = torch.tensor([[-0.4], [0.3], [1.1]], dtype=torch.float64), lesson(path).student
    ddim = LAW.denoiser(path).combination(path.alpha(s + 0.3), path.sigma(s + 0.3), s, x)
    found = Teacher(LAW.denoiser(path), Euler()).step(x, s, s + 0.3)
    torch.testing.assert_close(found, ddim, rtol=1e-12, atol=1e-12)
    for solver, order in ((Euler(), 1), (Heun(), 2)):
        teacher = Teacher(LAW.denoiser(path), solver)
        long, short = ((teacher.step(x, s, s + h) - exact(x, s, s + h)).abs() for h in (1 / 64, 1 / 128))
        torch.testing.assert_close((long / short).log2(), torch.full_like(x, order + 1.0), rtol=0, atol=0.3)
    teacher = Teacher(LAW.denoiser(path), Heun(), 2)
    middle = share(path, s).lerp(share(path, s + 0.3), 0.5)
    twice = Teacher(LAW.denoiser(path), Heun())
    middle = path.time(2.0 * middle.logit())
    expected = twice.step(twice.step(x, s, middle), middle, s + 0.3)
    torch.testing.assert_close(teacher.step(x, s, s + 0.3), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
@pytest.mark.parametrize(("solver", "order"), [(Euler(), 1), (Heun(), 2)], ids=["Euler", "Heun"])
@pytest.mark.parametrize("target", [1.0, 0.7], ids=["data", "before"])
def test_the_exact_map_misses_consistency_by_one_step_s_error(
    path: GaussianPath, solver: Any, order: int, target: float
) -> None:
    """The residual is the solver's error in one step, carried on: O(Δ^{p+1}), a factor 2^{p+1} within a quarter."""
    who, objective = lesson(path, solver), ConsistencyDistillation(anywhere=True)
    long, short = (residual(objective, who, 0.4, 0.4 + h, target).norm() for h in (1 / 16, 1 / 32))
    assert math.log2(long / short) == pytest.approx(order + 1, abs=0.5)


def test_training_without_a_teacher_has_the_gradient_of_distillation_by_ddim() -> None:
    """E[α' x₀ + σ' ε | x_s] is a step of DDIM, and the student is affine: equal up to rounding, not zero."""
    taught = gradient(ConsistencyDistillation(), lesson(CondOT(), Euler()), 0.4, 0.5, 1.0)
    alone = gradient(ConsistencyTraining(), lesson(CondOT()), 0.4, 0.5, 1.0)
    torch.testing.assert_close(alone, taught, rtol=1e-12, atol=1e-14)
    assert taught.norm() > 1e-4


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_the_exact_map_is_what_halving_ends_in(path: GaussianPath) -> None:
    """Two exact jumps are one: rounding, divided by α_t − σ_t α_s/σ_s, at least 0.05 here."""
    objective = ProgressiveDistillation(first=8, rounds=2)
    found = residual(objective, lesson(path, Heun(), step=1, steps=2), 0.25, 0.4, 0.5, 1)
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_rounds_of_halving_keep_the_law_of_the_first_teacher(rounds: int) -> None:
    """For N(0, 1) on α = sin, σ = cos, a step of DDIM over the angle δ scales by cos δ: 2^k of them by cosᵏ.

    A student that scales by this power has the residual 0 in round k, after students that did so: rounding, 1e-12.
    """
    path = Cosine(-math.inf, math.inf)
    denoiser = Gaussian(torch.zeros(1).double(), torch.eye(1).double()).denoiser(path)
    first = 2 ** (rounds - 1)

    def after(number: int) -> FlowMap:
        def net(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
            return (0.5 * math.pi * (t - s) / 2**number).cos()[:, None] ** 2**number * x

        return FlowMap(net, path, predicts="state")

    who = Lesson(after(rounds), after(rounds - 1), Teacher(denoiser, Euler()), rounds - 1, rounds)
    found = residual(ProgressiveDistillation(first=first, rounds=rounds), who, 0.0, 0.5, 1.0, rounds - 1)
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-12)
    wrong = Lesson(after(rounds + 1), after(rounds - 1), Teacher(denoiser, Euler()), rounds - 1, rounds)
    missed = residual(ProgressiveDistillation(first=first, rounds=rounds), wrong, 0.0, 0.5, 1.0, rounds - 1)
    assert missed.abs().max() > 1e-3


def test_rehearsed_steps_stay_what_they_were() -> None:
    """In the second of two rounds, a step of the first round's size is compared with itself: exactly zero."""
    path = CondOT()
    wrong = FlowMap(lambda x, s, t: 2.0 * x, path, predicts="state")
    who = Lesson(wrong, wrong, Teacher(LAW.denoiser(path)), 1, 2)
    objective = ProgressiveDistillation(first=2, rounds=2, rehearse=True)
    assert residual(objective, who, 0.5, 0.75, 1.0, 0).abs().max() < 1e-14
    assert residual(objective, who, 0.0, 0.5, 1.0, 1).abs().max() > 0.1  # twice 2 is not 2


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
@pytest.mark.parametrize("target", [0.7, 1.0])
def test_the_exact_average_velocity_is_stationary_without_a_teacher(path: GaussianPath, target: float) -> None:
    """E[Δ | z] = 0, and the quadrature is exact for the products of degree 2: rounding, 1e-12.

    A student that is off by a = 0.01 has a gradient, which tells that the test sees errors of this size.
    """
    who = lesson(path)
    torch.testing.assert_close(
        gradient(MeanFlow(), who, 0.4, target), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-11
    )
    who.student.net.change.data[0] = 0.01
    assert gradient(MeanFlow(), who, 0.4, target).norm() > 1e-4


def test_where_both_times_are_one_the_exact_denoiser_is_stationary() -> None:
    """There the loss is the regression of flow matching: rounding, 1e-12, at a gradient of order one elsewhere."""
    who, shift = lesson(CondOT()), torch.zeros(1, dtype=torch.float64, requires_grad=True)
    exact = LAW.denoiser(CondOT())
    net = lambda x, s, t: exact.predict("v", s, x) + shift  # noqa: E731
    who = replace(who, student=FlowMap(net, CondOT(), predicts="v"))
    x0, eps, weights = pairs()
    times = torch.full((2, len(x0)), 0.4, dtype=torch.float64)
    loss = (weights * MeanFlow().residual(who, x0, eps, *times)[:, 0].square()).sum()
    torch.testing.assert_close(torch.autograd.grad(loss, shift)[0], torch.zeros(1).double(), rtol=0, atol=1e-12)
    assert loss.item() > 0.1  # the variance of x₀ − ε given z stays


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_with_a_teacher_the_exact_average_velocity_has_no_residual(path: GaussianPath) -> None:
    """Every term is of order one: rounding, 1e-11."""
    found = residual(MeanFlow(), lesson(path, Euler()), 0.3, 0.8)
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-11)


def test_labels_and_weights_reach_the_student_and_its_teacher() -> None:
    """The teacher's velocity is its label, and −1 without one: under the weight w, −(1 − w) + w label."""

    class Labelled(nn.Module):
        null_label = 5

        def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
            return torch.where(label == 5, -1, label)[:, None].to(x) + 0.0 * x

    seen: list[Tensor] = []

    def net(x: Tensor, s: Tensor, t: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        seen.append(weight)
        return (weight * label + weight - 1.0)[:, None] + 0.0 * x

    net.null_label = 5  # type: ignore[attr-defined]
    teacher = Teacher(Denoiser(Labelled(), CondOT(), predicts="velocity"), Heun(), guidance=[1.0, 3.0])
    student = FlowMap(net, CondOT(), predicts="velocity")
    label = torch.arange(64) % 5
    for objective in (ConsistencyDistillation(), ConsistencyDistillation(anywhere=True), MeanFlow(distance=Square())):
        loss = objective.loss(Lesson(student, student, teacher), torch.randn(64, 2).double(), label)
        assert loss.item() < 1e-24
    weights = seen[0]
    assert weights.min() > 1.0
    assert weights.max() < 3.0
    assert weights.min() < 1.3
    assert weights.max() > 2.7  # 64 draws miss a third of 0.15 with probability 0.85^64 = 3e-5


def test_draws_repeat_with_the_generator_and_weights_multiply() -> None:
    who, x0 = lesson(CondOT(), Heun()), torch.randn(16, 1).double()
    for objective in (ConsistencyDistillation(), ProgressiveDistillation(first=4, rounds=1), MeanFlow(equal=0.0)):
        first, second = (
            objective.loss(who, x0, generator=torch.Generator().manual_seed(3)).item() for _ in range(2)
        )
        assert first == second
    objective, seen = ProgressiveDistillation(first=4, rounds=1), []
    plain, weighted = (
        objective.loss(who, x0, generator=torch.Generator().manual_seed(3), weighting=weighting, observe=seen.append)
        for weighting in (None, TruncatedSNR())
    )
    assert weighted.item() > plain.item()
    s = seen[0].t
    torch.testing.assert_close(seen[1].loss, seen[0].loss * torch.clamp((s / (1 - s)) ** 2, min=1.0))


def test_times_are_those_of_the_algorithms() -> None:
    who, u = lesson(CondOT(), Heun(), step=5, steps=9), torch.linspace(0.0, 1.0 - 1e-9, 50).double()
    found = torch.stack(ConsistencyDistillation(levels=5).times(who, u, Uniform(), None), 1).unique(dim=0)
    torch.testing.assert_close(found, torch.tensor([[k / 4, (k + 1) / 4, 1.0] for k in range(4)]).double())
    s, neighbour, t = ConsistencyDistillation(levels=5, anywhere=True).times(who, u, Uniform(), None)
    assert bool((t >= neighbour).all())
    assert bool((t <= 1.0).all())
    assert len(set(t.tolist())) > 1
    s, middle, t, _ = ProgressiveDistillation(first=8, rounds=3).times(who, u, Uniform(), None)  # the second round
    found = torch.stack([s, middle, t], 1).unique(dim=0)
    torch.testing.assert_close(found, torch.tensor([[k, k + 0.5, k + 1.0] for k in range(4)]).double() / 4)
    s, middle, t, played = ProgressiveDistillation(first=8, rounds=3, rehearse=True).times(who, u, Uniform(), None)
    assert set(played.tolist()) == {0, 1}
    torch.testing.assert_close(t - s, 2.0 ** (played - 3.0).double())
    torch.testing.assert_close(middle, (s + t) / 2)
    s, t = MeanFlow(equal=0.5).times(who, torch.rand(1000).double(), Uniform(), torch.Generator().manual_seed(0))
    assert bool((s <= t).all())
    assert abs(float((s == t).double().mean()) - 0.5) < 5 * math.sqrt(0.25 / 1000)  # false alarm 6e-7


def test_levels_and_averages_of_consistency_training_follow_their_schedules() -> None:
    objective = ConsistencyTraining(first=2, last=150, decay=0.9)
    assert [objective.count(k, 100) for k in (0, 50, 100)] == [2, 107, 151]  # √((151² + 2²)/2) = 106.8
    assert [objective.mu(k, 100) for k in (0, 100)] == pytest.approx([0.9, 0.9 ** (2 / 151)])
    net, before = nn.Linear(1, 1), nn.Linear(1, 1)
    weights = before.weight.item(), net.weight.item()
    objective.follow(before, net, net, 1, 100)
    assert before.weight.item() == pytest.approx(0.9 * weights[0] + 0.1 * weights[1])


def test_a_round_ends_with_the_average_as_the_next_teacher() -> None:
    objective, nets = ProgressiveDistillation(first=4, rounds=2), [nn.Linear(1, 1) for _ in range(3)]
    before, net, average = nets
    kept = before.weight.item()
    objective.follow(before, net, average, 4, 10)
    assert before.weight.item() == kept
    objective.follow(before, net, average, 5, 10)
    assert before.weight.item() == average.weight.item()
    assert [objective.part(k, 10) for k in (0, 4, 5, 9)] == [(0, 5), (4, 5), (0, 5), (4, 5)]
    assert [ProgressiveDistillation(first=4, rounds=3).part(k, 10) for k in (3, 4, 6, 7)] == [
        (3, 4), (0, 3), (2, 3), (0, 3),
    ]  # fmt: skip


def test_distances_are_their_formulas() -> None:
    difference = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert Square()(difference).tolist() == [12.5, 0.0]
    assert PseudoHuber(0.5)(difference).tolist() == pytest.approx([math.sqrt(12.75) - 0.5, 0.0])
    assert Adaptive(0.5, 0.25)(difference).tolist() == pytest.approx([12.5 / math.sqrt(12.75), 0.0])
    Adaptive(0.5, 0.25)(difference).sum().backward()
    torch.testing.assert_close(difference.grad, difference.detach() / math.sqrt(12.75) * torch.tensor([[1.0], [0.0]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConsistencyDistillation(levels=1), "levels is 1"),
        (lambda: ConsistencyDistillation(decay=1.0), "decay is 1"),
        (lambda: ConsistencyDistillation(grid="even"), "Unknown grid 'even'"),
        (lambda: ConsistencyTraining(first=3, last=2), "last is 2"),
        (lambda: ProgressiveDistillation(first=6, rounds=3), "6 steps cannot be halved 2 times; give first = 4"),
        (lambda: MeanFlow(equal=1.5), "equal is 1.5"),
        (lambda: PseudoHuber(0.0), "c is 0"),
        (lambda: Adaptive(-1.0), "p is -1"),
        (lambda: Teacher(LAW.denoiser(CondOT()), substeps=0), "substeps is 0"),
        (lambda: Teacher(LAW.denoiser(CondOT()), guidance=[1.0]), "give the least and the largest weight"),
        (lambda: Teacher(LAW.denoiser(CondOT()), guidance=[3.0, 1.0]), "give the smaller weight first"),
        (lambda: Teacher(LAW.denoiser(CondOT()), guidance=[1.0, 3.0]), "needs a teacher that knows labels"),
        (lambda: ConsistencyDistillation().loss(lesson(CondOT()), torch.ones(2, 1).double()), "needs a teacher; give"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("x0", "options", "error", "message"),
    [
        (torch.ones(0, 1), {}, ValueError, "x0"),
        (torch.ones(3, 1), {"label": torch.zeros(2, dtype=torch.int64)}, ValueError, "label is .* for 3 samples"),
        (torch.ones(3, 1), {"label": torch.zeros(3)}, TypeError, "label is"),
        (torch.ones(3, 1), {"label_dropout": 1.0}, ValueError, "label_dropout"),
    ],
)
def test_a_wrong_batch_is_one_sentence(x0: Tensor, options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        MeanFlow().loss(lesson(CondOT()), x0.double(), **options)
