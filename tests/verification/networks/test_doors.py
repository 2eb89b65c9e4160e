"""The doors of audits and probes, and networks that misbehave: each ends in one sentence or in a finding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import LINE

from fokker.generative import VP, CondOT, Denoiser
from fokker.verification import Audit, Finding, audit, probe

PATH, DATA = CondOT(), LINE.sample(64, 0)
EXACT = LINE.denoiser(PATH)


def audited(denoiser: Any = EXACT, data: Any = DATA, **given: Any) -> Audit:
    return audit(denoiser, data, **({"likelihoods": 0} | given))


def probed(net: Any = EXACT.net, data: Any = DATA, **given: Any) -> Finding:
    few = {"paths": [PATH], "scales": [1.0], "sigma_data": [], "samples": 32}
    return probe(net, data, **(few | given))


def of(net: Callable[[Tensor, Tensor], Any]) -> Denoiser:
    return Denoiser(net, PATH, predicts="v")


def raises(*_: object) -> Tensor:
    raise KeyError("nothing")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: audited(LINE), "denoiser is of type Gaussian"),
        (lambda: audited(data=DATA.long()), "data is torch.int64"),
        (lambda: audited(data=DATA * math.nan), "data is nan"),
        (lambda: audited(data=torch.ones_like(DATA)), "all the same"),
        (lambda: audited(trained_on=DATA[:8]), "at least 32 samples like them"),
        (lambda: audited(trained_on=DATA.float()), "trained_on is torch.float32"),
        (lambda: audited(trained_on=DATA / 0.0), "trained_on is inf"),
        (lambda: audited(dequantisation=256), "dequantisation is of type int"),
        (lambda: audited(likelihoods=1), "likelihoods is 1"),
        (lambda: audited(likelihoods=-1), "likelihoods is -1"),
        (lambda: audited(name=None), "name is of type NoneType"),
        (lambda: audited(seed=0.5), "seed is 0.5"),
        (lambda: audited(progress=3), "progress is of type int"),
        (lambda: audited(LINE.denoiser(VP(0.1, 0.2))), "lacks the log-SNR"),
        (lambda: Audit("own", 64, (), ()).of("curls"), "Unknown identity 'curls'; choose one of mean"),
        # networks that misbehave in an audit
        (lambda: audited(of(lambda x, t: x * math.nan)), "prediction of x0 is nan"),
        (lambda: audited(of(lambda x, t: x * 1e200)), "square of the prediction of x0 is inf"),
        (lambda: audited(of(lambda x, t: x[:1])), "return that shape"),
        (lambda: audited(of(lambda x, t: None)), "ended in TypeError: The network returned a NoneType"),
        (lambda: audited(of(raises)), "network at log-SNR -2.44 ended in KeyError: 'nothing'"),
        (lambda: audited(of(lambda x, t, label: x)), "ended in TypeError: .* missing 1 required"),
        # probes
        (lambda: probed("digits-flow"), "net is of type str"),
        (lambda: probed(data=DATA * math.nan), "data is nan"),
        (lambda: probed(data=DATA.to("meta")), "on the device meta"),
        (lambda: probed(paths=[]), "paths is empty"),
        (lambda: probed(paths=["CondOT"]), r"paths\[0\] is of type str"),
        (lambda: probed(scales=[0.0]), r"scales\[0\] is 0"),
        (lambda: probed(sigma_data=[math.nan]), r"sigma_data\[0\] is nan"),
        (lambda: probed(samples=32.5), "samples is 32.5"),
        (lambda: probed(samples=10**12), "samples is 1000000000000, which takes"),
        (lambda: probed(seed="0"), "seed is '0'"),
        (lambda: probed(minutes=0.0), "minutes is 0"),
        (lambda: probed(minutes="2"), "minutes is '2'"),
        (lambda: probed(progress=3), "progress is of type int"),
        (lambda: probed(label=torch.zeros(64)), "label is torch.float32"),
        (lambda: probed(label=[0] * 64), "label is of type list"),
        # networks that misbehave in a probe
        (lambda: probed(lambda x, t: x * math.nan), "answers nothing finite"),
        (lambda: probed(lambda x, t: None), "returned NoneType"),
        (lambda: probed(lambda x, t: x * 1j), r"returned torch.complex128"),
        (lambda: probed(raises), "The network, at the last of all clocks, ended in KeyError: 'nothing'"),
        (lambda: probed(lambda x: x), "ended in TypeError"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


def test_a_network_that_ignores_its_state_has_no_curl_and_is_told_apart() -> None:
    """Where a residual and what it is a share of both vanish, the identity holds; where only the latter does, not."""
    constant = audited(Denoiser(lambda x, t: torch.zeros_like(x), PATH, predicts="x0"))
    assert {entry.value for entry in constant.of("curl")} == {0.0}
    assert not constant.passed
    still = audited(Denoiser(lambda x, t: x, PATH, predicts="score"))
    assert {entry.verdict for entry in still.of("Fokker-Planck")} == {"bad"}


def test_a_network_that_is_noise_is_found_not_to_be_a_denoiser() -> None:
    found = probed(lambda x, t: torch.randn_like(x))
    assert found.convention is None
    assert found.random


def test_numbers_of_every_kind_mean_the_same() -> None:
    expected = probed(samples=32)
    for scales in (np.array([1.0]), torch.tensor([1.0])):
        assert str(probed(scales=scales, samples=np.int64(32), seed=torch.tensor(0))) == str(expected)
