"""Results are not lost: files come first, and a terminal that is closed, full, narrow or without letters is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fokker.benchmarks.commands import verify as commands
from fokker.benchmarks.commands.bench import compare_samplers
from fokker.benchmarks.commands.output import check_outputs, stdout
from fokker.benchmarks.engine import local
from fokker.benchmarks.problems import problem
from fokker.benchmarks.reference import keep, reference
from fokker.cli import main
from fokker.generative import load

FOKKER = [sys.executable, "-m", "fokker.cli"]
CERTIFY = f"{sys.executable} -m fokker.cli certify Heun --json found.json"


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": ""} | variables
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )


def whole(folder: Path) -> bool:
    """Whether the file is there, whole."""
    return bool(json.loads((folder / "found.json").read_text())["certificates"])


def test_streams_that_are_closed(tmp_path: Path) -> None:
    done = shell(f"{CERTIFY} >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert whole(tmp_path)


def test_a_full_stdout_is_one_sentence_and_the_file_is_there(tmp_path: Path) -> None:
    done = shell(f"{CERTIFY} > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, "fokker: No space left on device.\n")
    assert whole(tmp_path)


@pytest.mark.slow
def test_a_full_stderr_and_a_terminal_of_width_0_without_unicode(tmp_path: Path) -> None:
    done = shell(f"{CERTIFY} 2> /dev/full", tmp_path, COLUMNS="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert whole(tmp_path)
    assert "Heun(), " in done.stdout
    assert "as declared (2)" in done.stdout
    assert "written: found.json" in done.stdout
    assert done.stdout.isascii()


def test_ctrl_c_in_a_training_writes_its_state_and_says_where(tmp_path: Path) -> None:
    command = [*FOKKER, "train", "digits-flow", "--out", "net.safetensors", "--metrics"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    rows, deadline = tmp_path / "net.safetensors.csv", time.monotonic() + 60.0
    while not rows.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60.0)
    assert process.returncode == 130
    assert said.startswith("fokker: Stopped at step ")
    assert said.endswith(" of 2400; net.safetensors.state keeps it, and the same again goes on.\n")
    step = int(said.split()[4])
    assert len(rows.read_text().splitlines()) == step + 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.safetensors.csv", "net.safetensors.state"]


def test_a_file_that_fails_after_the_work_does_not_hide_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk may fill up meanwhile."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "found.json")

    monkeypatch.setattr(commands, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        commands.certify_method("Heun", json=tmp_path / "found.json")
    assert "as declared (2)" in capsys.readouterr().out


def test_files_are_written_before_anything_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "found.json"

    def show(*_: Any) -> None:
        assert file.exists()
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(commands, "_print_ladders", show)
    with pytest.raises(BrokenPipeError):
        commands.certify_method("Heun", json=file)
    assert json.loads(file.read_text())["certificates"]


def test_what_is_left_at_the_end_is_written_or_told() -> None:
    """A disk that is full is an error in a sentence. A reader that has seen enough is none."""
    command: Any = {"args": [*FOKKER, "--version"], "env": os.environ | {"PYTHONUNBUFFERED": ""}, "text": True}
    with open("/dev/full", "w") as full:
        done = subprocess.run(**command, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, "fokker: No space left on device.\n")
    reader, stream = os.pipe()
    os.close(reader)
    done = subprocess.run(**command, stdout=stream, stderr=subprocess.PIPE)
    os.close(stream)
    assert (done.returncode, done.stderr) == (1, "")


def test_no_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")):

        def exhausted(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr("fokker.benchmarks.commands.sample.draw", exhausted)
        monkeypatch.setattr(sys, "argv", ["fokker", "sample", "digits-flow"])
        with pytest.raises(SystemExit) as ending:
            main()
        assert ending.value.code == 1
        assert capsys.readouterr().err.startswith("fokker: There is not enough memory; take fewer samples")


def test_a_warning_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an old file, by a command. Shipped networks give none."""
    program = (
        "import sys, warnings; from fokker.command_line import prepare_streams\n"
        "prepare_streams(); warnings.warn('x has no digest; write it anew.')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "fokker: x has no digest; write it anew.\n"
    monkeypatch.chdir(tmp_path)
    load("digits-flow")


def test_outputs_are_tried_and_told_apart(tmp_path: Path) -> None:
    check_outputs(None, tmp_path / "a", tmp_path / "b")
    check_outputs(None, None)
    with pytest.raises(ValueError, match="a cannot hold two results"):
        check_outputs(tmp_path / "a", tmp_path / "b" / ".." / "a")
    with pytest.raises(IsADirectoryError):
        check_outputs(None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_console_is_never_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in (("0", 40), ("7", 40), ("100", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        assert stdout().width == width
    assert stdout(120).width == 120


def test_a_bench_refuses_damage_before_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged reference, a damaged file of results, and a folder that cannot be written; no process is started."""
    gaussian = problem("gaussian")
    monkeypatch.setattr("fokker.benchmarks.work_precision._work", None)

    def bench() -> None:
        compare_samplers([gaussian], ["euler"], [5], folder=tmp_path, samples=2, engine=local(workers=1))

    keep(reference(gaussian, 2, 0), gaussian, 2, 0, folder=tmp_path)
    [file] = (tmp_path / "references").iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{file} is damaged"):
        bench()
    file.unlink()
    (tmp_path / "results.sqlite").write_bytes(os.urandom(9999))
    with pytest.raises(ValueError, match=f"^{tmp_path / 'results.sqlite'} is no file of benchmark results"):
        bench()
    (tmp_path / "results.sqlite").chmod(0o444)
    with pytest.raises(PermissionError, match="is read-only"):
        bench()
