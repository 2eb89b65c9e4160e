"""The same configuration gives the same bits, interrupted, killed or not; and training learns something."""

from __future__ import annotations

import csv
import dataclasses
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from fokker.generative.denoiser import EDM
from fokker.generative.training import (
    Images,
    Training,
    data,
    exclusive,
    load,
    read,
    regression_loss,
    sheets,
    train,
    write,
)
from fokker.generative.training.checkpoint import build_network, build_path, shipped
from fokker.generative.training.exclusive import Interruption
from fokker.generative.training.metrics import BINS
from fokker.generative.training.sheets import contact_sheet
from fokker.generative.training.train import CONFIGS, configurations

module = import_module("fokker.generative.training.train")


def two_classes() -> Images:
    """2×2 images, one class dark and one bright."""
    levels = torch.tensor([0, 3]).repeat(20)[:, None, None, None].expand(40, 1, 2, 2).contiguous()
    label = torch.tensor([0, 1]).repeat(20)
    return Images(levels, label, levels, label, levels=4, classes=2)


with pytest.MonkeyPatch.context() as patch:
    patch.setitem(data.DATASETS, "tiny", two_classes)
    TINY = Training(
        data="tiny",
        predicts="velocity",
        network={"class": "MLP", "dim": 4, "width": 16, "depth": 1, "classes": 2},
        path={"class": "CondOT"},
        steps=10,
        batch=32,
        learning_rate=1e-2,
        warmup=2,
    )


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.DATASETS, "tiny", two_classes)


def bits(file: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in read(file)[0].items()}


def test_the_same_configuration_gives_the_same_bits(tmp_path: Path) -> None:
    first, second = (train(TINY, tmp_path / name / "net.safetensors") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    other = train(dataclasses.replace(TINY, seed=1), tmp_path / "c")
    assert bits(other) != bits(first)


def test_an_interrupted_training_continues_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TINY, tmp_path / "whole", every=4)
    calls = 0

    def fails_at_the_seventh(*args: Any, **options: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return regression_loss(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "regression_loss", fails_at_the_seventh)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, tmp_path / "parts", every=4)
    assert not (tmp_path / "parts").exists()
    parts = train(TINY, tmp_path / "parts", every=4)
    assert parts.read_bytes() == whole.read_bytes()
    assert bits(tmp_path / "parts.state") == bits(tmp_path / "whole.state")


def test_a_finished_training_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = train(TINY, tmp_path / "net").read_bytes()
    monkeypatch.setattr(module, "regression_loss", None)
    assert train(TINY, tmp_path / "net").read_bytes() == before


def test_a_state_of_another_configuration_is_refused(tmp_path: Path) -> None:
    train(TINY, tmp_path / "net")
    with pytest.raises(ValueError, match="belongs to another configuration"):
        train(dataclasses.replace(TINY, steps=20), tmp_path / "net")


def test_training_learns_the_classes(tmp_path: Path) -> None:
    """The denoised middle of a noisy image is dark for class 0 and bright for class 1."""
    denoiser = load(train(dataclasses.replace(TINY, steps=300), tmp_path / "net"))
    x0 = denoiser.given([0, 1]).predict("x0", 0.1, torch.zeros(2, 1, 2, 2))
    torch.testing.assert_close(x0.mean(dim=(1, 2, 3)), torch.tensor([-0.75, 0.75]), rtol=0, atol=0.1)


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> torch.Tensor:
        return torch.nan * regression_loss(*args, **options)

    monkeypatch.setattr(module, "regression_loss", broken)
    with pytest.raises(FloatingPointError, match="nan at step 0; lower learning_rate"):
        train(TINY, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_the_rate_warms_up_and_decays_to_zero() -> None:
    training = dataclasses.replace(TINY, steps=1000, warmup=10, learning_rate=1.0)
    assert training.rate(0) == pytest.approx(0.1)
    assert training.rate(500) == pytest.approx(0.5)
    assert training.rate(1000) == pytest.approx(0.0, abs=1e-12)


def test_every_committed_configuration_can_be_built() -> None:
    names = configurations()
    assert {"digits-flow", "digits-eps", "digits-rough", "digits-eps-rough", "mnist-flow", "mnist-eps"} <= set(names)
    for name in names:
        training = Training.read(name)
        assert training == Training.read(CONFIGS / f"{name}.toml")
        build_network(training.network)
        build_path(training.path)


def test_the_stress_case_differs_from_digits_flow_in_its_top_frequency_alone() -> None:
    smooth, rough = Training.read("digits-flow"), Training.read("digits-rough")
    network = {**smooth.network, "top_frequency": 1000.0}
    assert dataclasses.replace(smooth, network=network) == rough


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_network_has_the_committed_configuration(name: str) -> None:
    model, training = load(name), Training.read(name)
    assert model.net.arguments == build_network(training.network).arguments
    assert type(model.net).__name__ == training.network["class"]
    assert model.path == build_path(training.path)
    assert model.predicts == training.predicts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = ", "is no TOML file"),
        ("step = 5", "unknown keys step; valid: data, predicts"),
        ('data = "digits"', "lacks the keys batch, learning_rate, network, path, predicts, steps"),
    ],
)
def test_files_that_are_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        Training.read(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("batch = 0", "batch is 0, but must be"),
        ('steps = "many"', "steps is 'many', but must be"),
        ('predicts = "noise"', "choose one of x0"),
        ("learning_rate = nan", "learning_rate is nan, but must be"),
    ],
)
def test_a_wrong_value_names_the_file_and_the_field(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    text = (CONFIGS / "digits-flow.toml").read_text()
    name = line.partition(" ")[0]
    file.write_text("\n".join(line if each.startswith(f"{name} ") else each for each in text.splitlines()))
    with pytest.raises(ValueError, match=f"^{file}: .*{message}"):
        Training.read(file)


def test_an_unknown_name_lists_the_committed_ones() -> None:
    with pytest.raises(FileNotFoundError, match="digits-flow"):
        Training.read("digits")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"ema": 1.0}, "ema is 1, but must be"),
        ({"batch": "many"}, "batch is 'many'"),
        ({"label_dropout": -3.0}, "label_dropout is -3, but must be"),
        ({"stratify": 1}, "stratify is 1, but must be True or False"),
        ({"importance": 1}, "bins is 1, but must be a whole number from 2"),
        ({"autocast": "half"}, "Unknown autocast 'half'; choose one of bfloat16"),
        ({"weighting": "SNR"}, "weighting is 'SNR'; give a class and its arguments"),
        ({"weighting": {"class": "Snr"}}, "Unknown class of weighting 'Snr'; choose one of Unweighted, SNR"),
        ({"times": {"class": "Uniform", "stop": 1}}, "configuration of the times Uniform does not fit"),
        ({"ema": {"class": "PowerLaw", "sigma_rel": 0.5}}, "sigma_rel is 0.5"),
        ({"predicts": "score"}, "The loss of score on .* is infinite"),
        ({"weighting": {"class": "Likelihood"}}, "The loss of velocity on .* is infinite"),
        ({"predicts": "noise"}, "choose one of x0"),
        ({"data": 3}, "Unknown data 3; choose one of digits, mnist"),
        ({"steps": 2.5}, "steps is 2.5, but must be a whole number from 1"),
        ({"steps": True}, "steps is True, but must be a whole number"),
        ({"batch": 10**12}, "batch is 1000000000000, but must be a whole number from 1 to 1000000"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": 10**30}, "seed is 1000000000000000000000000000000, but must be"),
        ({"warmup": "x"}, "warmup is 'x'"),
        ({"importance": "x"}, "importance is 'x'"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"learning_rate": "x"}, "learning_rate is 'x'"),
        ({"label_dropout": float("nan")}, "label_dropout is nan"),
        ({"autocast": ["bfloat16"]}, "Unknown autocast"),
        ({"predicts": ["x0"]}, "choose one of x0"),
        ({"network": "MLP"}, "network is 'MLP'; give a class and its arguments"),
        ({"network": {"class": "MLP", "dim": "4"}}, "network MLP does not fit: dim is '4'"),
        ({"path": {"class": "VP", "beta_max": "x"}}, "path VP does not fit: beta_max is 'x'"),
        ({"weighting": {"class": "MinSNR", "gamma": "x"}}, "weighting MinSNR does not fit"),
        ({"precondition": {"class": "EDM"}}, "A preconditioned network predicts x0"),
        ({"precondition": {"class": "EDM", "sigma_data": -1.0}, "predicts": "x0"}, "sigma_data > 0"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_it_is_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        dataclasses.replace(TINY, **change)


CHOICES: dict[str, dict[str, Any]] = {
    "weighting": {"weighting": {"class": "MinSNR", "gamma": 5.0}},
    "times": {"times": {"class": "LogitNormal", "mean": 0.5}},
    "independent": {"stratify": False},
    "importance": {"importance": 4},
    "power law": {"ema": {"class": "PowerLaw", "sigma_rel": 0.2}},
    "bfloat16": {"autocast": "bfloat16"},
}


@pytest.mark.parametrize("change", CHOICES.values(), ids=CHOICES)
def test_every_choice_matters_and_survives_an_interruption(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = dataclasses.replace(TINY, **change)
    whole = train(training, tmp_path / "whole", every=4)
    assert bits(whole) != bits(train(TINY, tmp_path / "plain"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "write", stops_after(1, module.write))
        with pytest.raises(KeyboardInterrupt):
            train(training, tmp_path / "parts", every=4)
    train(training, tmp_path / "parts", every=4)
    assert bits(tmp_path / "parts.state") == bits(tmp_path / "whole.state")


def stops_after(count: int, function: Any) -> Any:
    """The function, which is interrupted once it has been called so often."""
    calls = 0

    def stopping(*args: Any) -> None:
        nonlocal calls
        function(*args)
        calls += 1
        if calls == count:
            raise KeyboardInterrupt

    return stopping


def test_a_record_leaves_out_what_was_not_chosen() -> None:
    """So that the checkpoints of old configurations stay the same, byte for byte."""
    assert set(TINY.record()) == {
        "data", "predicts", "network", "path", "steps", "batch", "learning_rate", "warmup", "ema", "label_dropout",
        "seed",
    }
    for change in CHOICES.values():
        assert dataclasses.replace(TINY, **change).record() == {**TINY.record(), **change}


KILLED = """
import json, os, signal, sys
import torch
from importlib import import_module
from fokker.generative.training import data
from fokker.solvers.common import files

module = import_module('fokker.generative.training.train')
when, number, file, record = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
label = torch.arange(40) % 2
levels = (3 * label)[:, None, None, None].expand(40, 1, 2, 2)
data.DATASETS["tiny"] = lambda: data.Images(levels, label, levels, label, levels=4, classes=2)
torch.set_num_threads(1)
calls = 0

def kills(function):
    def counted(*args, **options):
        global calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    return counted

if when == "step":
    module.regression_loss = kills(module.regression_loss)
else:  # the bytes are in the temporary file, which does not yet have its name
    files.os.replace = kills(files.os.replace)
module.train(module.Training(**record), file, every=3, metrics=True, sheet_every=5)
"""


def killed(when: str, number: int, folder: Path) -> None:
    """A process that trains and is killed at its `number`-th step, or during its `number`-th write."""
    command = [sys.executable, "-c", KILLED, when, str(number), str(folder / "net"), json.dumps(TINY.record())]
    ended = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=100)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_a_training_that_is_killed_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Killed in step 6 with a state of step 3, then while the state of step 6 is written.

    The second process writes the rows, the sheet of step 5 and the state: its third write.
    """
    whole = train(TINY, tmp_path / "whole" / "net", every=3, metrics=True, sheet_every=5)
    parts = tmp_path / "parts"
    killed("step", 6, parts)
    assert int(read(parts / "net.state")[0]["step"]) == 3
    killed("write", 3, parts)
    assert int(read(parts / "net.state")[0]["step"]) == 3
    assert [file for file in parts.iterdir() if file.name.startswith(".fokker-")]
    assert train(TINY, parts / "net", every=3, metrics=True, sheet_every=5).read_bytes() == whole.read_bytes()
    assert (parts / "net.csv").read_bytes() == (whole.parent / "net.csv").read_bytes()
    names = sorted(file.name for file in (whole.parent / "net.sheets").iterdir())
    assert names == ["00.png", "05.png", "10.png"]
    for name in names:
        assert (parts / "net.sheets" / name).read_bytes() == (whole.parent / "net.sheets" / name).read_bytes()
    assert not [file for file in parts.iterdir() if file.name.startswith(".fokker-")]


def test_ctrl_c_writes_the_state_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that is interrupted is finished, and the training goes on as if nothing had happened."""
    whole = train(TINY, tmp_path / "whole")
    calls = 0

    def interrupted(*args: Any, **options: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 7:
            signal.raise_signal(signal.SIGINT)
        return regression_loss(*args, **options)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(module, "regression_loss", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            train(TINY, tmp_path / "parts", metrics=True)
    state = tmp_path / "parts.state"
    assert str(raised.value) == f"Stopped at step 7 of 10; {state} keeps it, and the same again goes on."
    assert int(read(state)[0]["step"]) == 7
    assert len((tmp_path / "parts.csv").read_text().splitlines()) == 8
    assert signal.getsignal(signal.SIGINT) is before
    assert train(TINY, tmp_path / "parts").read_bytes() == whole.read_bytes()
    assert bits(state) == bits(tmp_path / "whole.state")


def test_a_second_ctrl_c_does_not_wait() -> None:
    with Interruption() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_stays_what_it_is_where_it_is_ignored_and_in_other_threads(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop.asked
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, TINY, tmp_path / "net").result().exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_two_trainings_do_not_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is refused, in this process and in another one, and leaves the files alone."""
    file, refused = tmp_path / "net", []
    other = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import exclusive\n"
        "try:\n    with exclusive.alone(Path(sys.argv[2]), Path(sys.argv[2] + '.lock')): print('alone')\n"
        "except BlockingIOError as error: print(error)\n"
    )

    def another() -> str:
        command = [sys.executable, "-c", other, str(Path(exclusive.__file__).parent), str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def contested(*args: Any, **options: Any) -> torch.Tensor:
        if not refused:
            with pytest.raises(BlockingIOError) as raised:
                train(TINY, file)
            refused.extend([str(raised.value), another()])
        return regression_loss(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "regression_loss", contested)
        train(TINY, file)
    assert refused == [f"Another training writes {file}; wait for its end, or write elsewhere."] * 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net", "net.state"]
    assert another() == "alone"


def test_the_lock_of_a_killed_training_is_none(tmp_path: Path) -> None:
    file = tmp_path / "net"
    (tmp_path / "net.lock").touch()
    train(TINY, file)
    assert not (tmp_path / "net.lock").exists()


@pytest.mark.parametrize("name", ["net", "net.state"])
def test_files_that_cannot_be_written_are_refused_before_any_step(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "regression_loss", None)
    (tmp_path / name).touch()
    (tmp_path / name).chmod(0o444)
    with pytest.raises(PermissionError) as raised:
        train(TINY, tmp_path / "net")
    assert raised.value.filename == str(tmp_path / name)
    for file in (tmp_path, Path("/dev/null")):
        with pytest.raises(ValueError, match=f"{file} is a folder or a device; a training writes a file"):
            train(TINY, file)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("net.stem.weight"), "net.stem.weight does not fit"),
        (lambda tensors: tensors.update({"net.stem.weight": torch.zeros(3)}), "net.stem.weight does not fit"),
        (lambda tensors: tensors.update({"other": torch.zeros(3)}), "other does not fit"),
        (lambda tensors: tensors.update({"adam.0.exp_avg": torch.zeros(3)}), "adam.0.exp_avg does not fit"),
        (lambda tensors: tensors.update({"adam.x.y": torch.zeros(3)}), "adam.x.y does not fit"),
        (lambda tensors: tensors.update({"step": torch.tensor(3.0)}), "step does not fit"),
        (lambda tensors: tensors.update({"step": torch.tensor(-3)}), "step is -3, but must be a whole number >= 0"),
        (lambda tensors: tensors.update({"generator": torch.zeros(9, dtype=torch.uint8)}), "generator does not fit"),
        (lambda tensors: tensors["generator"].zero_(), "It holds no state of a generator"),
    ],
)
def test_a_state_that_is_none_of_this_training(change: Any, message: str, tmp_path: Path) -> None:
    train(TINY, tmp_path / "net")
    tensors, record = read(tmp_path / "net.state")
    change(tensors)
    write(tmp_path / "net.state", tensors, record)
    with pytest.raises(ValueError, match=f"^{tmp_path / 'net.state'}: .*{message}"):
        train(TINY, tmp_path / "net")


def test_what_is_seen_does_not_change_what_is_trained(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    plain = train(TINY, tmp_path / "plain")
    seen = train(TINY, tmp_path / "seen", metrics=True, tensorboard=True, sheet_every=3)
    assert plain.read_bytes() == seen.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "plain", "plain.state", "seen", "seen.csv", "seen.sheets", "seen.state", "seen.tensorboard",
    ]


def test_rows_say_what_happened(tmp_path: Path) -> None:
    """The loss of a row is the mean over its bins, the rate and the decay those of their formulas."""
    train(TINY, tmp_path / "net", metrics=True)
    with (tmp_path / "net.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == list(range(1, 11))
    for step, row in enumerate(rows, 1):
        assert float(row["rate"]) == TINY.rate(step - 1)
        assert float(row["ema_decay"]) == min(0.999, step / (step + 9))
        assert float(row["gradient_norm"]) > 0.0
        losses = [float(row[name]) for name in BINS if row[name]]
        assert min(losses) <= float(row["loss"]) <= max(losses)


def test_sheets_show_the_average_drawing_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, np.ndarray] = {}

    def capture(images: np.ndarray, rows: list[str], columns: list[str], file: Path) -> None:
        assert (len(rows), columns) == (4, ["0", "1"])
        drawn[file.name] = images

    monkeypatch.setattr(sheets, "contact_sheet", capture)
    train(dataclasses.replace(TINY, steps=300), tmp_path / "net", sheet_every=300)
    assert sorted(drawn) == ["000.png", "300.png"]
    dark, bright = drawn["300.png"].transpose(1, 0, 2, 3)
    assert dark.shape == (4, 2, 2)
    assert dark.mean() < -0.5
    assert bright.mean() > 0.5


def test_sheets_are_drawn_from_the_average_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict[str, torch.Tensor]] = []

    def capture(file: Path, denoiser: Any, *rest: Any) -> None:
        drawn.append({name: value.half() for name, value in denoiser.net.state_dict().items()})

    monkeypatch.setattr(sheets, "draw_sheet", capture)
    kept, _ = read(train(TINY, tmp_path / "net", sheet_every=10))
    first, last = drawn
    assert all(torch.equal(last[name], value) for name, value in kept.items())
    assert not all(torch.equal(first[name], value) for name, value in kept.items())


def test_a_contact_sheet_has_every_image_in_its_place(tmp_path: Path) -> None:
    """The grey levels of six images of one level each, where their middles lie in the picture, and white between them.

    matplotlib rounds a level to one of 256 colours, up to 1/256 away, and a colour to one of 256 bytes, up to 0.5/255.
    """
    levels = np.linspace(-1.0, 0.5, 6).reshape(2, 3)
    file = tmp_path / "sheet.png"
    contact_sheet(np.broadcast_to(levels[:, :, None, None], (2, 3, 8, 8)), ["", ""], ["", "", ""], file)
    picture = imread(file)[:, :, 0]
    height, width = picture.shape
    # in inches: the margins are 0.2 left, 0.15 right, 0.3 above, 0.1 below; a column is 0.62 wide, a row as high
    scale = width / (0.2 + 3 * 0.62 + 0.15)
    assert height == pytest.approx(scale * (0.3 + 2 * 0.62 + 0.1), abs=1.0)
    for row, column in np.ndindex(2, 3):
        y, x = scale * (0.3 + 0.62 * (row + 0.5)), scale * (0.2 + 0.62 * (column + 0.5))
        assert picture[int(y), int(x)] == pytest.approx(0.5 * (levels[row, column] + 1.0), abs=1.5 / 255)
    for column in (1, 2):
        edge = picture[int(scale * (0.3 + 0.31)), :][int(scale * (0.2 + 0.62 * column)) + np.arange(-6, 7)]
        assert edge.max() == 1.0


def test_half_precision_learns_and_keeps_its_state_in_float32(tmp_path: Path) -> None:
    """The mean loss of the last 50 of 150 steps is within 2 % of float32's, and below half of that at the start."""
    means = {}
    for name, autocast in (("full", None), ("half", "bfloat16")):
        training = dataclasses.replace(TINY, steps=150, autocast=autocast)
        train(training, tmp_path / name, metrics=True)
        with (tmp_path / f"{name}.csv").open(newline="") as stream:
            losses = [float(row["loss"]) for row in csv.DictReader(stream)]
        means[name] = sum(losses[100:]) / 50
        assert means[name] < 0.5 * losses[0]
    assert means["half"] == pytest.approx(means["full"], rel=0.02)
    kept = {value.dtype for value in read(tmp_path / "half.state")[0].values()}
    floating = {dtype for dtype in kept if dtype.is_floating_point}
    assert floating == {torch.float32}


def test_a_network_without_classes_is_trained_without_labels(tmp_path: Path) -> None:
    network = {**TINY.network, "classes": 0}
    assert train(dataclasses.replace(TINY, network=network), tmp_path / "net").exists()


def test_a_network_of_too_few_classes_is_refused(tmp_path: Path) -> None:
    network = {**TINY.network, "classes": 1}
    with pytest.raises(ValueError, match="knows 1 classes, but tiny has 2; give classes = 2, or 0"):
        train(dataclasses.replace(TINY, network=network), tmp_path / "net")


def test_a_network_for_images_of_another_size_is_refused(tmp_path: Path) -> None:
    network = {"class": "UNet", "size": 4, "width": 8, "classes": 2}
    with pytest.raises(ValueError, match=r"of shape \(1, 4, 4\), but those of tiny have \(1, 2, 2\)"):
        train(dataclasses.replace(TINY, network=network), tmp_path / "net")


def test_a_transformer_takes_a_few_steps_on_the_digits(tmp_path: Path) -> None:
    training = dataclasses.replace(Training.read("digits-dit"), steps=3, batch=16)
    denoiser = load(train(training, tmp_path / "net"))
    assert type(denoiser.net).__name__ == "DiT"
    assert denoiser.given(3).predict("x0", 0.5, torch.zeros(2, 1, 8, 8)).isfinite().all()


def test_a_network_inside_the_frame_learns_and_is_loaded_inside_it(tmp_path: Path) -> None:
    """The digits with the frame take a few steps; the two classes are told apart as without it."""
    few = dataclasses.replace(Training.read("digits-edm"), steps=3, batch=16)
    assert load(train(few, tmp_path / "few")).precondition == EDM(0.7)
    training = dataclasses.replace(
        TINY, steps=300, predicts="x0", path={"class": "VE"}, times={"class": "LogitNormal", "mean": -1.0},
        precondition={"class": "EDM", "sigma_data": 0.8},
    )
    denoiser = load(train(training, tmp_path / "net", sheet_every=300))
    x0 = denoiser.given([0, 1]).predict("x0", 0.96, torch.zeros(2, 1, 2, 2))  # at sigma = 3.2
    torch.testing.assert_close(x0.mean(dim=(1, 2, 3)), torch.tensor([-0.75, 0.75]), rtol=0, atol=0.1)
