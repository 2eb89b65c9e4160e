"""The account of a likelihood is what the network saw."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN, MIXTURE, random_mixture

from fokker.generative import CFG, VP, CondOT, Denoiser, log_likelihood, plan_likelihood
from fokker.generative.likelihood.change_of_variables import ProbabilityFlow
from fokker.verification.oracles import GaussianClasses

CLASSES = GaussianClasses([MIXTURE, GAUSSIAN])


class Counting:
    """A network that counts the states of its calls, and products that count directions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, denoiser: Denoiser) -> None:
        self.rows = self.products = 0
        self.net = denoiser.net
        self.null_label = getattr(denoiser.net, "null_label", None)
        linearised = ProbabilityFlow._linearised

        def counted(change: ProbabilityFlow, *arguments: Any) -> Any:
            before = self.rows
            value, products = linearised(change, *arguments)
            states = self.rows - before

            def pulled(directions: Tensor) -> Tensor:
                self.products += states * len(directions)
                return products(directions)

            return value, pulled

        monkeypatch.setattr(ProbabilityFlow, "_linearised", counted)

    def __call__(self, x: Tensor, *others: Any) -> Tensor:
        self.rows += len(x)
        output: Tensor = self.net(x, *others)
        return output


@pytest.mark.parametrize("trace", ["exact", "orthogonal", "hutchinson", "hutch++"])
@pytest.mark.parametrize("guidance", [None, {}, {"interval": (-1.0, 1.5)}], ids=["plain", "guided", "interval"])
@pytest.mark.parametrize("how", [{"error": 1e-2}, {"nodes": 9}], ids=["adaptive", "fixed"])
def test_the_account_is_what_the_network_saw(
    trace: str, guidance: dict[str, Any] | None, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states of all its calls, those of the error's estimate and of `prior_mismatch` too, and the directions in
    which it was differentiated; given a plan.
    """
    path = VP()
    model = GaussianClasses([random_mixture(4), random_mixture(4)])
    net = Counting(monkeypatch, model.denoiser(path).given(0))
    denoiser = Denoiser(net, path, predicts="v", label=torch.tensor([0, 1, 0]))
    if guidance is not None:
        denoiser = CFG(denoiser, 1.5, **guidance)
    x = random_mixture(4).sample(3, 1)
    plan = plan_likelihood(denoiser, x, trace=trace, probes=None if trace == "exact" else 2, **how)
    net.rows = net.products = 0
    result = log_likelihood(denoiser, x, plan)
    if "interval" in (guidance or {}):  # samples at different times: a call counts as its costliest one
        assert net.rows <= result.nfe.total
        assert net.products <= 3 * result.nfe.vjp
    else:
        assert net.rows == result.nfe.total
        if trace == "exact" and "error" in how:
            assert result.nfe.vjp <= net.products <= 3 * result.nfe.vjp
        else:
            assert net.products == 3 * result.nfe.vjp
    assert result.nfe == int(result.nfe.per_sample.max())
    assert result.nfe.branches == denoiser.cost
    assert result.nfe.jvp == 0


def test_guidance_costs_twice_as_much() -> None:
    x = MIXTURE.sample(2, 1)
    plain = CLASSES.denoiser(CondOT()).given(0)
    one, two = (log_likelihood(d, x, nodes=9) for d in (plain, CFG(plain, 2.0)))
    within_one = log_likelihood(CFG(plain, 2.0, interval=(-0.5, 0.5)), x, nodes=9)
    assert (two.nfe, two.nfe.vjp) == (2 * int(one.nfe), 2 * one.nfe.vjp)
    assert two.nfe.depth == one.nfe.depth
    assert one.nfe < within_one.nfe < two.nfe
