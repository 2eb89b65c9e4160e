"""An audit under a limit of time, on a clock that only the network moves."""

from __future__ import annotations

import pytest
from torch import Tensor
from toy import MIXTURE

from fokker.generative import CondOT, Denoiser
from fokker.verification.networks import audit

DATA = MIXTURE.sample(400, seed=0)


class Timed:
    """An exact network whose every evaluation takes 50 ms of the audit's time."""

    def __init__(self) -> None:
        self.net = MIXTURE.denoiser(CondOT()).net
        self.evaluations = 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.evaluations += len(x)
        return self.net(x, t)

    def now(self) -> float:
        return 0.05 * self.evaluations


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Timed:
    made = Timed()
    for module in ("fokker.verification.networks.audit_plan", "fokker.generative.likelihood.pilot"):
        monkeypatch.setattr(f"{module}.perf_counter", made.now)
    return made


@pytest.mark.parametrize("minutes", [3.0, 6.0])
def test_an_audit_keeps_its_minutes_and_all_levels(net: Timed, minutes: float) -> None:
    seen: list[tuple[int, int, str]] = []
    denoiser = Denoiser(net, CondOT(), predicts="v")
    found = audit(denoiser, DATA, minutes=minutes, progress=lambda *told: seen.append(told))
    assert 30.0 * minutes < net.now() < 60.0 * minutes
    assert len({entry.log_snr for entry in found.entries}) == 7
    assert 32 <= found.samples < 200
    assert found.exact
    assert [each.what for each in found.likelihoods] == ["held out"]
    assert seen[0] == (0, 0, "network: timing the network")
    done, total, plan = seen[1]
    assert done == 0
    assert plan.startswith(f"network: {found.samples} samples at each log-SNR, ")
    assert " likelihoods, " in plan
    assert "about " in plan
    assert 0.5 * net.now() < total < 60.0 * minutes
    assert [each[0] for each in seen] == sorted(each[0] for each in seen)


def test_without_need_nothing_is_left_out(net: Timed) -> None:
    """Three days are more than all samples and likelihoods take: the audit is that without minutes."""
    denoiser = Denoiser(net, CondOT(), predicts="v")
    limited, whole = audit(denoiser, DATA[:80], minutes=4000.0), audit(denoiser, DATA[:80])
    assert limited.samples == whole.samples == 40
    assert limited.as_json()["entries"] == whole.as_json()["entries"]
    assert [each.nats for each in limited.likelihoods] == [each.nats for each in whole.likelihoods]


def test_too_few_minutes_say_how_many_are_needed(net: Timed) -> None:
    denoiser = Denoiser(net, CondOT(), predicts="v")
    with pytest.raises(ValueError, match=r"minutes is 0.1, but the least audit, of 32 samples .* at least") as failure:
        audit(denoiser, DATA, minutes=0.1, likelihoods=0)
    needed = float(str(failure.value).split()[-1].rstrip("."))
    spent = net.now()
    assert spent < 10.0
    assert audit(denoiser, DATA, minutes=needed, likelihoods=0).samples >= 32
    assert net.now() - spent < 60.0 * needed


def test_minutes_are_checked() -> None:
    denoiser = Denoiser(lambda x, t: x, CondOT(), predicts="v")
    with pytest.raises(ValueError, match="minutes is 0"):
        audit(denoiser, DATA, minutes=0.0)
    with pytest.raises(TypeError, match="minutes is '3'"):
        audit(denoiser, DATA, minutes="3")  # type: ignore[arg-type]
