"""The command line: killed runs resume, bad input is one sentence, and nothing is half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from fokker.cli import main

COMMAND = [sys.executable, "-m", "fokker.cli"]


def fokker(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the command in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["fokker", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


def _alive(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def rows(file: Path) -> list[tuple[object, ...]]:
    """The keys and errors of all rows in a file of results, if it is there yet."""
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT solver, grid, budget, error, errors FROM rows").fetchall()
    except sqlite3.OperationalError:
        return []


def test_a_killed_run_resumes_and_has_every_row_once(tmp_path: Path) -> None:
    solvers = ("heun", "exp-adams-3-x0")
    arguments = ["bench", "ring", "--samples", "16"]
    arguments += [word for solver in solvers for word in ("--sampler", solver)]
    file = tmp_path / "bench-results" / "results.sqlite"
    process = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 200
    while len(rows(file)) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = rows(file)
    expected = len(solvers) * 4 * 8  # grids, budgets
    assert 5 <= len(before) < expected
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process.pid)  # the workers noticed

    finished = subprocess.run(
        [*COMMAND, *arguments, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    after = rows(file)
    assert set(before) <= set(after)
    assert len(after) == expected
    assert max(Counter(row[:3] for row in after).values()) == 1
    [found] = json.loads(finished.stdout)["results"]
    assert len(found["rows"]) == expected
    assert [best["budget"] for best in found["best"]] == [5, 8, 10, 15, 20, 30, 50, 100]
    assert (tmp_path / "bench-results" / "work_precision.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bench", "rings"], "There is no problem or network 'rings' (ring?)"),
        (["bench", "gaussian", "--sampler", "hein"], "Unknown sampler 'hein'; choose one of default, euler, midpoint,"),
        (["bench", "gaussian", "--sampler", "ddpm"], "ddpm draws noise, so that it has no pathwise error"),
        (["bench", "gaussian", "--law", "--sampler", "hein"], "Unknown sampler 'hein'"),
        (["bench", "gaussian", "--law", "--noise-levels", "ddim"], "leave one of them out"),
        (["bench", "gaussian", "--noise-levels", "hein"], "Unknown family"),
        (["bench", "digits", "--minutes", "0.011"], "0.011 min are too few"),
        (["bench", "digits", "--label", "11"], "11"),
        (["bench", "gaussian", "--engine", "dask"], "Unknown engine 'dask'"),
        (["bench", "gaussian", "--address", "here:1"], "belongs to a cluster"),
        (["bench", "math:sin", "--shape", "2", "--predicts", "eps"], "path"),
        (["bench", "--compare", "here", "there"], "There is no ledger here"),
        (["bench", "--nfe", "0"], "'--nfe'"),
        (["bench", "ring", "--sampler", "rk4", "--nfe", "3"], "makes a step with 3 evaluations"),
        (["bench", "--samples", "1"], "'--samples'"),
        (["bench", "--seed", "one"], "'--seed'"),
        (["bench", "--quick"], "No such option"),
        (["bunch"], "No such command"),
        (["train", "letters"], "digits-flow"),
        (["sample", "letters"], "digits-flow"),
        (["sample", "digits-flow", "--label", "10"], "from 0 to 9"),
        (["sample", "digits-flow", "--out", "samples.jpg"], "must end in .png"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fokker(arguments, monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fokker: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_is_one_line(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal has written ^C on the line, which is ended first."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fokker.benchmarks.commands.likelihood.measure_likelihood", stopped)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: terminal)
    assert fokker(["likelihood", "digits-flow"], monkeypatch) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "\nfokker: Interrupted.\n" if terminal else "fokker: Interrupted.\n")


def test_two_runs_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "gaussian", "--sampler", "ddim", "--nfe", "5", "--samples", "4", "--out"]
    assert fokker([*words, str(tmp_path / "before")], monkeypatch) == 0
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    capsys.readouterr()
    assert fokker(["bench", "--compare", str(tmp_path / "before"), str(tmp_path / "after")], monkeypatch) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.endswith("0 of 4 results changed beyond their intervals; 0 are new, 0 are gone.")


def test_the_law_of_a_function_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It draws noise, so that it has no pathwise error, and what is said then works."""
    (tmp_path / "noisy_sampler.py").write_text(
        "import torch\n\n"
        "def step(denoiser, x, times, noise):\n"
        "    return denoiser.predict('x0', float(times[0]), x) + 0.1 * torch.randn_like(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["bench", "gaussian", "--nfe", "5", "--sampler", "noisy_sampler:step"]
    assert fokker(words, monkeypatch) == 2
    assert "compare its law, with --law" in capsys.readouterr().err
    assert fokker([*words, "--law"], monkeypatch) == 0
    assert "noisy_sampler:step" in capsys.readouterr().out


@pytest.mark.slow
def test_several_scans_are_one_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "gaussian", "--noise-levels", "ddim", "--noise-levels", "ddpm", "--nfe", "5", "--json", "--out"]
    assert fokker([*words, str(tmp_path)], monkeypatch) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["family"] for each in found["results"]] == ["ddim", "ddpm"]
    assert all(Path(file).is_file() for file in found["files"])


def test_samples_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a" / "b.png"
    words = ["sample", "digits-flow", "--samples", "12", "--nfe", "4", "--out", str(file)]
    assert fokker(words, monkeypatch) == 0
    assert file.read_bytes().startswith(b"\x89PNG")


def test_help_and_version_do_not_import_torch(tmp_path: Path) -> None:
    for option in ("--help", "--version"):
        program = (
            "import sys, fokker.cli\n"
            f"sys.argv = ['fokker', {option!r}]\n"
            "try: fokker.cli.main()\n"
            "finally: assert not {'torch', 'matplotlib', 'numpy', 'rich'} & set(sys.modules)\n"
        )
        finished = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert finished.returncode == 0, finished.stderr
        assert "fokker" in finished.stdout
