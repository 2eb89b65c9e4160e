"""`fokker verify`, `fokker certify` and `fokker probe`: names of methods, verdicts as exit codes, files, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import MIXTURE

from fokker.cli import main
from fokker.generative.sampling import PUBLISHED
from fokker.solvers import EDM_HEUN, RK4, ExponentialAdams, ExponentialRK, Heun, Picard
from fokker.verification.certificates import method


def fokker(*arguments: str) -> int:
    """Runs the command in this process; its exit status."""
    kept = sys.argv
    sys.argv = ["fokker", *arguments]
    try:
        with pytest.raises(SystemExit) as ending:
            main()
    finally:
        sys.argv = kept
    return int(ending.value.code or 0)


@pytest.fixture(autouse=True)
def _threads() -> Any:
    """The commands set the number of threads; here it is put back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own."""
    (tmp_path / "mine.py").write_text(
        "from itertools import pairwise\n\n\n"
        "def euler(equation, x, times, noise):\n"
        "    for s, t in pairwise(times.tolist()):\n"
        "        x = x + (t - s) * equation.drift(s, x)\n"
        "    return x\n\n\n"
        "def in_place(equation, x, times, noise):\n    x += euler(equation, x, times, noise) - x\n    return x\n\n\n"
        "def first(equation, x, times, noise):\n    return x[:1]\n\n\n"
        "def nothing(equation, x, times, noise):\n    pass\n\n\n"
        "def infinite(equation, x, times, noise):\n    return x / 0.0\n\n\n"
        "def net(x, t):\n    return x / (1 + t[:, None])\n\n\nnumber = 3\n"
    )
    np.save(tmp_path / "whole.npy", np.arange(100).reshape(50, 2))
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(500, 2)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield "mine"
    sys.modules.pop("mine", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heun()", Heun()),
        ("Heun", Heun()),
        ("ExponentialAdams(3, corrector=True)", ExponentialAdams(3, corrector=True)),
        ("Picard(RK4(), 16, 0.0)", Picard(RK4(), 16, 0.0)),
        ("ExponentialRK(EDM_HEUN)", ExponentialRK(EDM_HEUN)),
    ],
)
def test_a_solver_is_read_from_its_expression(text: str, expected: object) -> None:
    assert repr(method(text)) == repr(expected)


def test_a_published_sampler_and_a_function_of_ones_own(mine: str) -> None:
    assert method("dpm++2m") is PUBLISHED["dpm++2m"]
    function: Any = method("mine:euler")
    assert function.__name__ == "euler"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Foo(3)", "There is no method 'Foo'"),
        ("Heun(", "cannot be read"),
        ("3", "is no method"),
        ("Heun(__import__('os'))", "There is no method '__import__'"),
        ("Heun(open)", "There is no method 'open'"),
        ("ExponentialAdams(1 + 2)", "neither a known name nor a literal"),
        ("ExponentialAdams(7)", "has orders 1, 2, 3 and 4"),
        ("ExponentialAdams(3, corector=True)", "cannot be made: .*unexpected keyword argument 'corector'"),
        ("ExponentialAdams", "cannot be made: .*missing 1 required positional argument: 'order'"),
        ("dpm++2n", r"There is no method 'dpm\+\+2n' \(dpm\+\+2s or dpm\+\+2m\?\)"),
        ("json:nothing", "has no 'nothing'"),
        ("mine:number", "is of type int; give a function"),
        ("mine:net", r"takes \(x, t\); it must take \(equation, x, times, noise\)"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str, mine: str) -> None:
    with pytest.raises(ValueError, match=message):
        method(text)


def test_certify_prints_the_ladder_and_writes_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mine: str
) -> None:
    files = tmp_path / "found.json", tmp_path / "found.html"
    assert fokker("certify", "mine:euler", "--declared", "1", "--json", str(files[0]), "--html", str(files[1])) == 0
    out = capsys.readouterr().out
    assert "local order" in out
    assert "as declared (1)" in out
    assert json.loads(files[0].read_text())["certificates"][0]["method"] == "mine:euler"
    assert "<svg" in files[1].read_text()


def test_a_false_order_exits_with_one(capsys: pytest.CaptureFixture[str], mine: str) -> None:
    assert fokker("certify", "mine:euler", "--declared", "2") == 1
    assert "below the declared 2" in capsys.readouterr().out


def test_code_that_writes_into_its_state_is_certified(capsys: pytest.CaptureFixture[str], mine: str) -> None:
    assert fokker("certify", "mine:in_place", "--declared", "1") == 0
    assert "as declared (1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("first", 2, "mine:first returned torch.float64 of shape (1, 7); it must return the last state, torch"),
        ("nothing", 2, "mine:nothing returned NoneType; it must return the last state, torch.float64 of (9, 7)."),
        ("infinite", 1, "No run on the ladder ended in finite numbers."),
    ],
)
def test_code_that_returns_no_state_is_told_so(
    name: str, status: int, message: str, capsys: pytest.CaptureFixture[str], mine: str
) -> None:
    assert fokker("certify", f"mine:{name}") == status
    assert message in "".join(capsys.readouterr())


def test_certify_of_a_stochastic_solver_measures_paths_and_laws(capsys: pytest.CaptureFixture[str]) -> None:
    assert fokker("certify", "EulerMaruyama") == 0
    out = capsys.readouterr().out
    assert "(strong)" in out
    assert "(weak)" in out


def test_verify_of_one_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.json"
    assert fokker("verify", "--claim", "A013", "--claim", "E02", "--json", str(file)) == 0
    out = capsys.readouterr().out
    assert "A013" in out
    assert "claims: 2 pass" in out
    assert [claim["verdict"] for claim in json.loads(file.read_text())["claims"]] == ["pass", "pass"]


def test_probe_names_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    (tmp_path / "other.py").write_text(
        "from toy import MIXTURE\nfrom fokker.generative import CondOT\n\n\n"
        "def net(x, t):\n    return MIXTURE.velocity(x, t, CondOT())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    np.save(tmp_path / "data.npy", MIXTURE.sample(1000, 0).numpy())
    assert fokker("probe", "other:net", "--data", str(tmp_path / "data.npy"), "--json", str(tmp_path / "p.json")) == 0
    sys.modules.pop("other", None)
    out, err = capsys.readouterr()
    assert "verdict: velocity on CondOT(), clock t" in out
    assert 'Denoiser(net, path, predicts="velocity", time="t")' in out
    assert "\nfokker bench other:net --shape=2 --predicts=velocity '--path=CondOT()' --time=t\n" in out
    assert "73 ways to ask a network that takes" in err
    assert err.count("\n") == 1
    assert json.loads((tmp_path / "p.json").read_text())["verdict"] == "velocity on CondOT(), clock t"


def test_an_audit_is_written_and_fails_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], mine: str,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    (tmp_path / "exact.py").write_text(
        "from toy import MIXTURE\nfrom fokker.generative import CondOT\n\ndenoiser = MIXTURE.denoiser(CondOT())\n"
    )
    np.save(tmp_path / "data.npy", MIXTURE.sample(400, 0).numpy())
    data, file = str(tmp_path / "data.npy"), tmp_path / "audit.json"
    assert fokker("verify", "--model", "exact:denoiser", "--data", data, "--json", str(file)) == 0
    sys.modules.pop("exact", None)
    out = capsys.readouterr().out
    assert "exact:denoiser, 200 samples at each log-SNR" in out
    assert "held out: " in out
    found = json.loads(file.read_text())
    assert found["claims"] == []
    assert found["audits"][0]["exact"] is True


def test_an_audit_in_minutes_says_its_plan_first(
    capsys: pytest.CaptureFixture[str], mine: str, tmp_path: Path
) -> None:
    (tmp_path / "exact.py").write_text(
        "from toy import MIXTURE\nfrom fokker.generative import CondOT\n\ndenoiser = MIXTURE.denoiser(CondOT())\n"
    )
    np.save(tmp_path / "data.npy", MIXTURE.sample(128, 0).numpy())
    assert fokker("verify", "--model", "exact:denoiser", "--data", "data.npy", "--minutes", "60") == 0
    sys.modules.pop("exact", None)
    out, err = capsys.readouterr()
    plan = "64 samples at each log-SNR, 16 likelihoods, about "
    assert err.startswith(f"fokker: exact:denoiser: {plan}")
    assert "exact:denoiser, 64 samples at each log-SNR" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "--claim", "A999"], "Unknown claim 'A999'"),
        (["verify", "--chapter", "x"], "Unknown chapter 'x'"),
        (["verify", "--model", "nothing"], "nothing"),
        (["verify", "--model", "digits-flow", "--quick"], "--model audits a network alone"),
        (["verify", "--data", "digits"], "name the network with --model"),
        (["verify", "--minutes", "3"], "--minutes limits the audit of a network"),
        (["probe", "digits-flow", "--minutes", "0"], "greater than or equal to 0.01"),
        (["certify", "Foo"], "There is no method 'Foo'"),
        (["probe", "mine:number", "--data", "x.npy"], "or a network, net(x, time)"),
        (["probe", "mine:net"], "give the data, a name or a file"),
        (["sample", "mine:net"], "mine:net is a network, which does not say what it predicts"),
        (["evaluate", "mine:net"], "mine:net is a network, which does not say what it predicts"),
        (["probe", "mine:net", "--data", "x.npy"], "There is no data 'x.npy'"),
        (["probe", "mine:net", "--data", "whole.npy"], "whole.npy holds torch.int64; write the samples as floats"),
        (["probe", "digits-flow", "--data", "points.npy"], "samples have shape (2,), but the network's have (1, 8, 8)"),
        (["verify", "--model", "digits-flow", "--data", "points.npy"], "have shape (2,), but the network's have (1, 8"),
        (["verify", "--json", "."], "'.' is a directory"),
        (["probe", "nomodule:net", "--data", "digits"], "There is no module 'nomodule', neither installed nor in"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], mine: str
) -> None:
    assert fokker(*arguments) in (1, 2)
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
