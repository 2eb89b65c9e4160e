"""Problems of any denoiser: their ends, their noise, their labels and conditions, and that they travel whole."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from doors import GRADIENT, PAIR, check_refusals
from torch import Tensor, nn
from toy import GAUSSIAN

from fokker.benchmarks.problems import Problem, problem, problem_of, seconds_of_a_call
from fokker.generative import (
    CFG,
    EDM,
    VE,
    VP,
    CondOT,
    Cosine,
    Denoiser,
    GaussianPath,
    Polynomial,
    Shifted,
    SubVP,
    Table,
    linear_betas,
    squared_cosine_betas,
    zero_terminal_snr,
)  # fmt: skip
from fokker.solvers import Heun, solve


def toy(path: GaussianPath, predicts: str, **options: Any) -> Problem:
    return problem_of(Denoiser(lambda x, time, label=None: 0.5 * x, path, predicts=predicts, **options), (2,))


WEIGHTS = PAIR, GRADIENT
"""Weights of guidance, one a sample or one for all."""
ZERO = Table(zero_terminal_snr(linear_betas(1000)))


@pytest.mark.parametrize(
    ("path", "predicts", "level"),
    [
        (VP(), "eps", math.exp(-VP().half_log_snr(0.0))),
        (VE(), "x0", 80.0),
        (CondOT(), "velocity", math.inf),
        (CondOT(), "x0", math.inf),
        (CondOT(), "eps", 80.0),
        (CondOT(), "score", 80.0),
        (Cosine(), "eps", math.exp(7.5)),
        (Cosine(-math.inf, math.inf), "eps", 80.0),
        (Cosine(-math.inf, math.inf), "v", math.inf),
        (ZERO, "eps", 80.0),
        (ZERO, "v", math.inf),
        (Polynomial(2.0), "velocity", 80.0),  # at rest: the velocity there says nothing about x0
    ],
)
def test_a_problem_starts_where_every_sampler_can(path: GaussianPath, predicts: str, level: float) -> None:
    chosen = toy(path, predicts)
    alpha, sigma = path.alpha(chosen.start), path.sigma(chosen.start)
    assert (sigma / alpha if alpha else math.inf) == pytest.approx(level, rel=1e-9)
    raw = problem_of(GAUSSIAN.denoiser(CondOT()), (2,)).noise(3, seed=1)
    torch.testing.assert_close(chosen.noise(3, seed=1), sigma * raw, rtol=1e-15, atol=0.0)


@pytest.mark.parametrize(
    ("path", "predicts", "end"),
    [
        (VP(), "eps", VP().time(12.0)),
        (VP(), "velocity", VP().time(12.0)),  # which is infinite at 1, whatever the network says
        (Shifted(VP(), 0.5), "v", Shifted(VP(), 0.5).time(12.0)),
        (SubVP(), "velocity", 1.0),
        (CondOT(), "velocity", 1.0),
        (CondOT(), "eps", 1.0),
        (CondOT(), "x0", CondOT().time(12.0)),
        (CondOT(), "score", CondOT().time(12.0)),
        (CondOT(0.01), "x0", 1.0),
        (Cosine(), "x0", 1.0),
        (Cosine(-math.inf, math.inf), "v", 1.0),
        (VE(), "eps", 1.0),
        (VE(), "x0", VE().time(12.0)),
        (Table(linear_betas(100)), "eps", 1.0),
        (Table(squared_cosine_betas(100)), "x0", Table(squared_cosine_betas(100)).time(12.0)),
    ],
)
def test_a_problem_ends_where_dx_dt_exists(path: GaussianPath, predicts: str, end: float) -> None:
    chosen = toy(path, predicts)
    assert chosen.end == pytest.approx(end, abs=1e-15)
    assert chosen.equation(2).drift(chosen.end, torch.ones(2, 2).double()).isfinite().all()


def test_a_framed_network_ends_where_it_says_something() -> None:
    chosen = toy(VE(), "x0", precondition=EDM())
    assert chosen.end == VE().time(12.0)


class Net(nn.Module):
    """A network with labels and a condition, in float32."""

    classes, null_label = 3, 3

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.table, self.gain = nn.Linear(2, 2), nn.Embedding(4, 2), 1.0

    def forward(self, x: Tensor, time: Tensor, label: Tensor, push: Tensor | None = None) -> Tensor:
        y = self.gain * self.layer(x) + self.table(label) + time[:, None]
        return y if push is None else y + push


def net(**options: Any) -> Denoiser:
    return Denoiser(Net().requires_grad_(False), CondOT(), predicts="velocity", **options)


def test_labels_are_dealt_out_in_turn_unless_there_is_one() -> None:
    dealt, one = problem_of(net(), (2,)), problem_of(net(), (2,), label=1)
    assert (dealt.classes, one.classes) == (3, 0)
    assert torch.equal(dealt.labelled(5).conditions.label, torch.tensor([0, 1, 2, 0, 1]))  # type: ignore[arg-type]
    assert one.labelled(5).label == 1
    x = dealt.noise(4, seed=0)
    assert x.dtype == torch.float64
    torch.testing.assert_close(dealt.equation(4).drift(0.5, x)[1], one.equation(4).drift(0.5, x)[1])


def test_guidance_follows_the_dealt_labels() -> None:
    guided = problem_of(net(), (2,), guidance=2.0)
    expected = CFG(net(label=torch.tensor([0, 1, 2, 0])), 2.0)
    x = guided.noise(4, seed=0)
    torch.testing.assert_close(guided.labelled(4).output(0.5, x), expected.output(0.5, x))


def test_conditions_go_with_their_noises() -> None:
    push = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    chosen = problem_of(net(), (2,), label=[0, 1, 2], condition={"push": push})
    assert (chosen.samples, chosen.classes, chosen.rows) == (3, 0, 3)
    x = chosen.noise(3, seed=0)
    few = chosen.equation(2).drift(0.5, x[:2])
    torch.testing.assert_close(few, chosen.equation(3).drift(0.5, x)[:2])
    with pytest.raises(ValueError, match=r"for 3 samples, but there are 4 initial noises; ask for 3"):
        chosen.labelled(4)


def test_a_sample_of_a_conditioned_problem_is_solved() -> None:
    push, none = {"push": torch.ones(1, 2)}, {"push": torch.zeros(1, 2)}
    chosen = problem_of(net(), (2,), label=2, condition=push, guidance=1.5, negative=none)
    assert chosen.samples == 64
    times = [chosen.start, 0.5, chosen.end]
    assert solve(chosen.equation(4), chosen.noise(4, 0), times, Heun()).x.isfinite().all()


class Broken(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.layer = what, nn.Linear(2, 2)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        match self.what:
            case "shape":
                return x[:, :1]
            case "late":
                return x / (1.0 - time[:, None])
            case "dropout":
                return x + torch.randn_like(x)
        return self.layer(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: problem_of(3, (2,)), "denoiser is of type int"),
        (lambda: problem_of(net(), 2), "shape is 2, but must be a sequence of whole numbers"),
        (lambda: problem_of(net(), (0,)), r"shape\[0\] is 0, but must be a whole number >= 1"),
        (lambda: problem_of(net(), (2,), label=4), "knows the labels 0 to 2, and 3 for none, but got 4"),
        (lambda: problem_of(net(), (2,), label=1, classes=3), "label says which class all samples have"),
        (lambda: problem_of(net(), (2,), classes=9), "knows the labels 0 to 2"),
        (lambda: problem_of(net(), (2,), label=[0, 1], samples=3), "have 2 rows, but there are 3 initial noises"),
        (lambda: problem_of(net(), (2,), condition=[1]), "condition is of type list; give a mapping"),
        (lambda: problem_of(net(), (2,), condition={"pull": 1}), "which its signature .* does not take"),
        (
            lambda: problem_of(net(), (2,), label=0, condition={"push": torch.ones(2, 3)}),
            r"network fails at t = 0 for samples of shape \(2,\), with RuntimeError: The size of tensor",
        ),
        (lambda: problem_of(net(), (3,)), r"fails at t = 0 for samples of shape \(3,\), with RuntimeError: mat1"),
        (lambda: toy(VP(), "eps", condition={"a": torch.ones(2)}), "does not take"),
        (lambda: problem_of(broken("shape"), (2,)), r"returned shape \(2, 1\) for a state of shape \(2, 2\)"),
        (lambda: problem_of(broken("late"), (2,), name="mine"), "mine at t = 1, .* returns what is not finite"),
        (lambda: problem_of(broken("dropout"), (2,)), r"answers one question in two ways; .* net.eval\(\)"),
        (lambda: problem_of(broken(""), (2,), guidance=2.0), "guidance needs a class or a condition"),
        (lambda: seconds_of_a_call(problem("ring"), 0), "samples is 0"),
        (lambda: seconds_of_a_call("ring", 1), "problem is of type str"),
    ],
)
def test_bad_input_ends_in_a_sentence(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


def test_arguments_of_another_kind_are_refused() -> None:
    def call(name: str) -> Any:
        return lambda value: problem_of(net(), (2,), **{name: value})

    for name in ("samples", "classes"):
        check_refusals(name, "whole", call(name), but=(None,))
    check_refusals("guidance|weight", "real", call("guidance"), but=(None, *WEIGHTS))
    check_refusals("name", "object", call("name"), but=("x",))
    check_refusals("condition", "object", call("condition"), but=(None,))
    check_refusals("samples", "whole", lambda value: seconds_of_a_call(problem("ring"), value))


def broken(what: str) -> Denoiser:
    return Denoiser(Broken(what), CondOT(), predicts="velocity")


def test_the_error_of_a_network_is_the_cause() -> None:
    with pytest.raises(ValueError, match="mat1") as failure:
        problem_of(net(), (3,))
    assert isinstance(failure.value.__cause__, RuntimeError)


def test_a_call_is_timed() -> None:
    assert 0.0 < seconds_of_a_call(problem("ring"), 8) < 1.0


def test_a_copy_leaves_the_classes_as_they_are() -> None:
    chosen, forward = problem_of(net(), (2,)), Net.forward
    for other in (pickle.loads(pickle.dumps(chosen)), copy.copy(chosen), copy.deepcopy(chosen)):  # noqa: S301  # our own
        assert type(other.denoiser.net) is Net
        assert Net.forward is forward
        with torch.no_grad():
            other.denoiser.net.layer.weight.zero_()
    assert chosen.denoiser.net.layer.weight.any()  # type: ignore[attr-defined]


READ = """
import pickle, sys
problem, x = pickle.load(open(sys.argv[1], "rb"))
print(problem.digest)
pickle.dump(problem.equation(3).drift(0.5, x), open(sys.argv[1], "wb"))
"""


@pytest.mark.parametrize("kind", ["lambda", "module here", "built in"])
def test_a_problem_travels_whole(kind: str, tmp_path: Path) -> None:
    """Also to a process that does not find this module."""
    scale = torch.tensor(0.25)
    made = {
        "lambda": lambda: toy(CondOT(), "velocity"),
        "module here": lambda: problem_of(
            Denoiser(lambda x, time: scale * x, CondOT(), predicts="velocity"), (2,), name="scaled"
        ),
        "built in": lambda: problem("ring"),
    }
    chosen = made[kind]()
    x, file = chosen.noise(3, seed=0), tmp_path / "problem"
    file.write_bytes(pickle.dumps((chosen, x)))
    done = subprocess.run([sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == chosen.digest
    assert torch.equal(pickle.loads(file.read_bytes()), chosen.equation(3).drift(0.5, x))  # noqa: S301  # our own
