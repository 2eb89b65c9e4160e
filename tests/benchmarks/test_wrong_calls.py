"""Every command with wrong values: one sentence that names what is wrong, status 2, no traceback, no file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.main import get_command

from fokker.cli import app, main
from fokker.generative import CondOT
from fokker.generative.networks import MLP
from fokker.generative.training import read, write
from fokker.generative.training.checkpoint import save_checkpoint
from fokker.solvers.common import files

WHOLE = ["", "x", "nan", "inf", "-1", "1.5", "1e300"]
NUMBER = ["", "x", "nan", "inf", "-inf", "-1", "1e300"]
HUGE = str(10**30)
SAMPLE = ["sample", "digits-flow", "--samples", "2", "--nfe", "2"]
EVALUATE = ["evaluate", "digits-flow", "--samples", "20", "--nfe", "2"]
LIKELIHOOD = ["likelihood", "digits-flow", "--images", "2"]
TUNE = ["tune", "ring", "--samples", "16", "--out", "tuned.json"]
BENCH = ["bench", "ring", "--sampler", "euler"]
TRAIN = ["train", "config.toml", "--steps", "2"]
CONFIG = """
data = "digits"
predicts = "velocity"
steps = 2
batch = 2
learning_rate = 1e-3
[path]
class = "CondOT"
[network]
class = "UNet"
size = 8
width = 8
classes = 10
"""


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with files of every wrong kind."""
    folder, before = tmp_path_factory.mktemp("wrong"), Path.cwd()
    os.chdir(folder)
    threads, sys.dont_write_bytecode = torch.get_num_threads(), True
    (folder / "config.toml").write_text(CONFIG)
    (folder / "empty").touch()
    (folder / "garbage").write_bytes(np.random.default_rng(0).bytes(300))
    (folder / "folder").mkdir()
    (folder / "readonly").write_text("old")
    (folder / "readonly").chmod(0o444)
    for suffix in (".npy", ".safetensors", ".toml"):
        (folder / f"empty{suffix}").touch()
        (folder / f"garbage{suffix}").write_bytes((folder / "garbage").read_bytes())
    points = np.random.default_rng(0).normal(size=(100, 2))
    arrays = {
        "points": points, "nan": np.where(points > 2.0, np.nan, points), "whole": np.ones((100, 2), dtype=int),
        "one": points[:1], "scalar": np.array(1.0), "text": np.array(["a"]), "complex": points + 0j,
        "objects": np.array([{}]), "grey": np.arange(12).reshape(6, 2), "below": np.arange(12).reshape(6, 2) - 1,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    save_file({"x": torch.ones(2)}, folder / "other.safetensors")
    save_file({"shift": torch.ones(7, 2)}, folder / "seven.safetensors")
    save_file({"shift": torch.ones(1, 2)}, folder / "shift.safetensors")
    (folder / "wrong_calls_mine.py").write_text(
        "number = 3\ndef net(x, t):\n    return x\n"
        "def moved(x, t, shift):\n    return x + shift\n"
        "def log_prob(velocity, x, seed):\n    return -x.square().sum(1)\n"
        "def mean(velocity, x, seed):\n    return x.mean()\n"
        "def nothing_at_all(velocity, x, seed):\n    pass\n"
        "def raising(velocity, x, seed):\n    return 1 / 0\n"
    )
    save_checkpoint(folder / "network", MLP(2, width=8, depth=1), CondOT(), predicts="velocity")
    tensors, configuration = read(folder / "network")
    for name, change in {
        "list": {"network": []}, "path": {"path": "CondOT"}, "training": {"training": "digits"},
        "kind": {"predicts": "noise"}, "size": {"network": {"class": "MLP", "dim": 2, "width": 10**9}},
    }.items():
        write(folder / f"network-{name}", tensors, configuration | change)
    write(folder / "network-nan", {**tensors, "head.bias": torch.full((2,), torch.nan).half()}, configuration)
    flipped = bytearray((folder / "network").read_bytes())
    flipped[-5] ^= 1
    (folder / "network-flipped").write_bytes(flipped)
    yield folder
    os.chdir(before)
    torch.set_num_threads(threads)
    sys.dont_write_bytecode = False


def configured(line: str) -> list[str]:
    """A call of `train` with one line of the configuration changed."""
    name = "wrong.toml"
    key = line.partition(" = ")[0]
    kept = [each for each in CONFIG.strip().splitlines() if not each.startswith(f"{key} = ")]
    place = len(kept) if key in ("size", "width", "classes") else 0
    Path(name).write_text("\n".join([*kept[:place], line, *kept[place:]]))
    return ["train", name]


NETWORKS = [
    ("nothing", "There is no network 'nothing'"),
    ("", "There is no network ''"),
    ("folder", "The folder folder has no unet/config.json"),
    ("empty", "empty is no safetensors file"),
    ("garbage", "garbage is no safetensors file"),
    ("readonly/below", "There is no network 'readonly/below'"),
    ("other.safetensors", "other.safetensors carries no Fokker configuration"),
    ("network-list", "network-list: The network is []"),
    ("network-path", "network-path: The path is 'CondOT'"),
    ("network-kind", "network-kind: Unknown kind of prediction 'noise'"),
    ("network-size", "network-size: The configuration of the network MLP does not fit: width is 1000000000"),
    ("network-nan", "network-nan: The weight head.bias is nan at [0]"),
    ("network-flipped", "network-flipped is damaged"),
]
DATA = [
    ("nothing", "There is no data 'nothing'"),
    ("folder", "There is no data 'folder'"),
    ("garbage", "garbage is neither .npy nor .safetensors"),
    ("empty.npy", "empty.npy holds no numbers"),
    ("garbage.npy", "garbage.npy holds no numbers"),
    ("empty.safetensors", "empty.safetensors holds no numbers"),
    ("garbage.safetensors", "garbage.safetensors holds no numbers"),
    ("other.safetensors", 'other.safetensors holds x; call the samples "data"'),
    ("nan.npy", "nan.npy is nan at ["),
    ("whole.npy", "whole.npy holds torch.int64"),
    ("scalar.npy", "scalar.npy has the shape ()"),
    ("text.npy", "text.npy holds no numbers"),
    ("complex.npy", "complex.npy holds torch.complex128"),
    ("objects.npy", "objects.npy holds no numbers"),
]
OUTPUTS = [
    ("folder", "folder"),
    ("readonly", "readonly: is read-only"),
    ("readonly/below", "readonly is a file, no folder"),
    ("/proc/fokker/x", "/proc/fokker/x"),
    ("x" * 300, "File name too long"),
]
FIELDS = [
    ('steps = "2"', "steps is '2'"),
    ("steps = 0", "steps is 0"),
    ("batch = -1", "batch is -1"),
    ("batch = 100000000000", "batch is 100000000000"),
    ("learning_rate = nan", "learning_rate is nan"),
    ("learning_rate = 1e300", "learning_rate is 1e+300"),
    ('data = "letters"', "Unknown data 'letters'; choose one of digits, mnist"),
    ('data = ["digits"]', "Unknown data ['digits']; choose one of digits, mnist"),
    ('predicts = "noise"', "Unknown kind of prediction 'noise'"),
    ("predicts = 3", "Unknown kind of prediction 3"),
    ("size = 9", "size 9 must be a multiple"),
    ("size = 16", "The network takes samples of shape (1, 16, 16)"),
    ('width = "8"', "width is '8'"),
    ("classes = 1", "The network knows 1 classes"),
    ("ema = nan", "ema is nan"),
    ("seed = 1.5", "seed is 1.5"),
    ("stratify = 1", "stratify is 1"),
    ("importance = 1", "bins is 1"),
    ('autocast = "float16"', "Unknown autocast 'float16'"),
    ('weighting = "SNR"', "weighting is 'SNR'"),
    ("colour = 3", "unknown keys colour"),
]
MINE = ["probe", "wrong_calls_mine:net", "--data", "points.npy"]
AUDIT = ["verify", "--model", "digits-flow"]
CLAIM = ["verify", "--claim", "A013"]
METHODS = [
    ("", "There is no method ''"),
    ("Heun(", "'Heun(' cannot be read"),
    ("Foo", "There is no method 'Foo'"),
    ("Picard(Heun(), -1)", "window is -1"),
    ("wrong_calls_mine:number", "is of type int"),
    ("wrong_calls_mine:nothing", "has no 'nothing'"),
    (":f", "':f'"),
    ("nomodule:f", "There is no module 'nomodule'"),
]
OPTIONS = [
    ("eta", "The option 'eta' must be NAME=VALUE"),
    ("=1", "must be NAME=VALUE"),
    ("churn=1", "DDIMScheduler has no option churn; its configuration has"),
    ("clip_sample=true", "clips x0-hat, after which nothing is exact"),
    ("beta_schedule=circular", "beta_schedule = 'circular' is not known here"),
]
OF_BENCH = [
    ("--form", "numpy", "Unknown form 'numpy'"),
    ("--minutes", "nan", "--minutes"),
    ("--shape", "3", "The problem 'ring' knows its network"),
    ("--condition", "nowhere.npy", "There is no file nowhere.npy"),
    ("--predicts", "eps", "leave out --predicts"),
    ("--path", "VP()", "leave out --path"),
    ("--time", "t", "leave out --time"),
    ("--label", "3", "label"),
    ("--guidance", "2", "guidance needs a class or a condition"),
    ("--noise-levels", "heun", "Unknown family"),
    ("--engine", "slurm", "Unknown engine 'slurm'"),
    ("--address", "host:1", "belongs to a cluster"),
]
OF_LIKELIHOOD = [
    (["--error", "1", "--error-of-mean", "1"], "--error and --error-of-mean exclude each other"),
    (["--levels", "4"], "knows its grey levels; leave out --levels"),
    (["--trace", "coloured", "--data", "points.npy"], "shape"),
    (["--label", "11"], "label"),
    (["--guidance", "2"], "--guidance needs a class or a condition"),
    (["--condition", "nowhere.npy"], "There is no file nowhere.npy"),
    (["--predicts", "eps"], "predicts"),
    (["--path", "VP()"], "path"),
    (["--time", "1-t"], "time"),
    (["--minutes", "0.01", "--trace", "exact", "--error", "1e-4"], "minutes is 0.01, but two samples take longer"),
]
OF_POINTS = [
    (["--data", "points.npy", "--levels", "4"], "points.npy holds torch.float64, but levels are integers"),
    (["--data", "whole.npy", "--levels", "1000000000"], "--levels"),
    (["--data", "points.npy", "--draws", "2"], "--draws is for grey levels"),
    (["--data", "points.npy", "--trace", "coloured"], "has no pixels to colour"),
    (["--data", "points.npy", "--label", "1"], "label"),
    (["--data", "grey.npy", "--levels", "4"], "grey.npy holds levels from 0 to 11, but --levels 4 are 0 … 3; give --l"),
    (["--data", "below.npy", "--levels", "16"], "below.npy holds levels from -1 to 10, but --levels 16 are 0 … 15; sh"),
    (["--data", "one.npy"], "one.npy holds one sample; a standard error needs two"),
]
BARE = ["--data", "points.npy", "--predicts", "velocity", "--path", "CondOT()"]
MOVED = ["likelihood", "wrong_calls_mine:moved", *BARE, "--condition"]
OF_MOVED = [
    (["seven.safetensors"], "shift in seven.safetensors has 7 rows for 100 samples"),
    (["shift.safetensors", "--guidance", "2"], "wrong_calls_mine:moved declares no null_label"),
]
LOG_PROB = ["certify-likelihood", "wrong_calls_mine:log_prob"]
NUMBERS = {  # of options: the calls that take them, and wrong values of their kind
    "--nfe": ([SAMPLE, EVALUATE, BENCH, TUNE], [*WHOLE, "0", HUGE]),
    "--samples": ([SAMPLE, EVALUATE, BENCH, TUNE], [*WHOLE, "0", HUGE]),
    "--seed": ([SAMPLE, EVALUATE, LIKELIHOOD, BENCH, TRAIN, LOG_PROB, TUNE], WHOLE),
    "--label": ([SAMPLE, LIKELIHOOD], WHOLE),
    "--levels": ([LIKELIHOOD], [*WHOLE, "1", HUGE]),
    "--draws": ([LIKELIHOOD], [*WHOLE, "0", HUGE]),
    "--error": ([LIKELIHOOD], [*NUMBER, "0"]),
    "--error-of-mean": ([LIKELIHOOD], [*NUMBER, "0"]),
    "--images": ([LIKELIHOOD], [*WHOLE, "1", HUGE]),
    "--probes": ([LIKELIHOOD], [*WHOLE, "0", HUGE]),
    "--steps": ([TRAIN], [*WHOLE, "0", HUGE]),
    "--sheet-every": ([TRAIN], WHOLE),
    "--guidance": ([SAMPLE, EVALUATE, LIKELIHOOD, TUNE], NUMBER),
    "--tolerance": ([LOG_PROB], [*NUMBER, "0"]),
    "--dim": ([LOG_PROB], [*WHOLE, "0", HUGE]),
    "--declared": ([["certify", "Heun"]], NUMBER),
    "--minutes": ([LIKELIHOOD, MINE, AUDIT, BENCH, TUNE], [*NUMBER, "0"]),
}
COMMANDS = [
    *("bench", "tune", "train", "sample", "evaluate", "likelihood", "verify", "probe", "certify", "certify-likelihood"),
]
ON_A_NETWORK = [["sample"], ["evaluate"], ["likelihood"], ["probe"], ["verify", "--model"]]
CERTIFY = ["certify", "Heun"]
OF_LOG_PROB = [
    ("", "'' is no name of an object"),
    ("log_prob", "'log_prob' is no name of an object"),
    ("nomodule:f", "There is no module 'nomodule'"),
    ("wrong_calls_mine:nothing", "has no 'nothing'"),
    ("wrong_calls_mine:number", "is of type int; give a function (velocity, x, seed)"),
    ("wrong_calls_mine:net", "net takes (x, t); it must take (velocity, x, seed)"),
    ("wrong_calls_mine:mean", "mean returned torch.float64 of the shape () for 32 samples"),
    ("wrong_calls_mine:nothing_at_all", "nothing_at_all returned a NoneType for 32 samples"),
    ("wrong_calls_mine:raising", "raising ended in ZeroDivisionError"),
]
WRITING = [
    [*MINE, "--json"],
    [*LOG_PROB, "--json"],
    *([*call, option] for call in (CLAIM, AUDIT, CERTIFY) for option in ("--json", "--html")),
]


def table() -> Iterator[tuple[list[str], str]]:
    """Wrong calls, each with what its sentence says."""
    for option, (calls, values) in NUMBERS.items():
        yield from (([*call, option, value], option) for call in calls for value in values)
    yield from (([*call, "--samples", "1"], "--samples") for call in (EVALUATE, BENCH))
    yield [*TRAIN, "--seed", HUGE], "seed is 1000"
    yield [*SAMPLE, "--label", "10"], "from 0 to 9"
    yield [*SAMPLE, "--sampler", "nothing"], "Unknown sampler 'nothing'"
    yield [*SAMPLE, "--sampler", "none.json"], "There is no file 'none.json'"
    yield from (([*TUNE, option, value], said) for option, value, said in OF_BENCH[2:8])
    yield [*TUNE, "--folder", "readonly"], "--folder"
    yield [*TUNE, "--free", "grid"], "Unknown free 'grid'; choose one of all, times, schedule, coefficients"
    yield [*TUNE, "--sampler", "nothing"], "Unknown sampler 'nothing'"
    yield [*TUNE, "--sampler", "ddim"], "ddim draws no noise"
    yield [*TUNE, "--sampler", "restart"], "restart is no sampler that `sample` takes"
    yield [*TUNE, "--sampler", "ddpm", "--free", "times"], "Unknown free 'times'; choose one of all, noise"
    yield [*TUNE, "--sampler", "ddpm"], "samples is 16, but must be a whole number from 40"
    yield [*TUNE, "--sampler", "ddpm", "--minutes", "1"], "--minutes is for errors of paths"
    yield [*TUNE, "--sampler", "ddpm", "--guidance", "1", "--guidance", "2"], "takes one weight of --guidance"
    yield ["tune", "ring", "--sampler", "ddpm", "--out", "tuned.txt"], "name it tuned.json"
    yield [*TUNE, "--objective", "l1"], "Unknown objective 'l1'"
    yield [*TUNE, "--guidance", "2"], "null_label"
    yield [*TUNE, "--each"], "give two weights or more"
    yield [*TUNE, "--each", "--guidance", "2", "--guidance", "2"], "give two weights or more"
    yield [*TUNE, "--curve=4"], "--curve"
    yield ["tune", "ring", "--out", "tuned.txt"], "name it tuned.json"
    yield [*SAMPLE, "--samples", "100000"], "samples is 100000, but must be a whole number from 1 to 6000"
    yield from (([*LIKELIHOOD, "--trace", value], "trace") for value in ("", "EXACT"))
    yield from (([*LIKELIHOOD, *words], said) for words, said in OF_LIKELIHOOD)
    yield from ((["likelihood", "network", "--data", data], said) for data, said in DATA)
    yield from ((["likelihood", "network", *words], said) for words, said in OF_POINTS)
    yield from (([*MOVED, *words], said) for words, said in OF_MOVED)
    yield ["likelihood", "network"], "does not say that it was trained on"
    yield from (([*call, network], said) for call in ON_A_NETWORK for network, said in NETWORKS)
    yield ["sample", "network"], "which are no images"
    yield ["evaluate", "network"], "does not say that it was trained on"
    for call in (["probe"], ["verify", "--model"]):
        yield [*call, "network"], "does not say what it was trained on"
    for call in (["evaluate"], ["likelihood"], ["probe"], ["verify", "--model"]):
        yield [*call, "network-training"], "network-training: training is 'digits', but must be an object"
    for call in (MINE[:2], [*AUDIT[:2], "network"]):
        yield from (([*call, "--data", data], said) for data, said in DATA)
    yield from (([*call, file], said) for call in WRITING for file, said in OUTPUTS)
    yield from (([*TRAIN, "--out", file], said) for file, said in OUTPUTS)
    yield from (([*BENCH, "--out", file], said) for file, said in OUTPUTS[1:] if file != "readonly")
    yield from (([*SAMPLE, "--out", f"{file}/a.png"], said) for file, said in OUTPUTS[1:] if file != "readonly")
    yield [*BENCH, "--out", "readonly"], "readonly is a file, no folder"
    yield [*SAMPLE, "--out", "samples.jpg"], "must end in .png"
    for call in (SAMPLE, LIKELIHOOD):
        yield [*call, "--engine", "slurm"], "Unknown engine 'slurm'"
        yield [*call, "--engine", "ray", "--address", "nowhere"], "address is 'nowhere', but must be HOST:PORT"
        yield [*call, "--address", "host:1"], "belongs to a cluster"
    yield [*SAMPLE, "--count", "0"], "--count"
    yield [*CLAIM, "--json", "a", "--html", "a"], "a cannot hold two results"
    yield [*TRAIN, "--out", "/dev/null"], "/dev/null is a folder or a device"
    yield from ((["train", name], name) for name in ("nothing", "folder", "empty.toml", "garbage.toml", "network"))
    for name in ("", "rings", "folder"):
        yield ["bench", name], "There is no problem or network" if name != "folder" else "folder"
        yield ["bench", "ring", "--sampler", name], "Unknown sampler"
        yield ["verify", "--claim", name], "Unknown claim"
        yield ["verify", "--chapter", name], "Unknown chapter"
    yield from ((["certify", name], said) for name, said in METHODS)
    yield ["certify", "wrong_calls_mine:net", "--form", "euler"], "Unknown form 'euler'; choose one of equation, fokker"
    yield ["certify", "wrong_calls_mine:net", "--form", "fokker"], "net takes (x, t), and not (denoiser, x, times"
    yield [*CERTIFY, "--form", "fokker"], "Heun takes no form and no options"
    yield ["certify", "digits-flow", "--teacher", "digits-flow"], "digits-flow is a denoiser, which does not jump"
    yield ["certify", "digits-flow-map", "--teacher", "digits-flow-map"], "digits-flow-map is a flow map, which jumps"
    yield ["certify", "digits-flow-map", "--teacher", "nothing"], "There is no network 'nothing'"
    yield [*CERTIFY, "--teacher", "digits-flow", "--form", "fokker"], "A flow map has no order; leave out --form"
    yield from ((["certify", "diffusers:DDIMScheduler", "--option", each], said) for each, said in OPTIONS)
    yield from ((["certify-likelihood", name], said) for name, said in OF_LOG_PROB)
    yield [*LOG_PROB, "--form", "score"], "Unknown form 'score'; choose one of velocity, denoiser"
    yield [*LOG_PROB, "--shape", "4,4"], "The shape '4,4' must be sizes of axes"
    yield [*LOG_PROB, "--shape", "3x3"], "shape is (3, 3), which has 9 components, but dim is 16"
    yield from (([command, "--colour"], "No such option") for command in COMMANDS)
    for call in (EVALUATE, LIKELIHOOD):
        yield [*call, "--data", "cifar"], "cifar"
    yield ["bench", "--compare", "nowhere", "garbage"], "There is no ledger nowhere"
    yield from (([*BENCH, option, value], said) for option, value, said in OF_BENCH)
    yield from (([command], "Missing argument") for command in COMMANDS if command not in ("bench", "verify"))
    yield ["bunch"], "No such command"


def ended(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the command in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["fokker", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


def check(
    arguments: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert ended(arguments, monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fokker: ")
    assert err.count("\n") == 1
    assert said in err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("arguments", "said"), [pytest.param(*each, id=" ".join(each[0])[:80]) for each in table()])
def test_a_wrong_call_is_one_sentence(
    arguments: list[str],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check(arguments, said, folder, monkeypatch, capsys)


def test_every_option_of_every_command_is_in_the_table() -> None:
    """A flag has no wrong value."""
    tried = {(words[0], word) for words, _ in table() for word in words}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.is_flag:
                assert (name, parameter.opts[0]) in tried


@pytest.mark.parametrize(("line", "said"), FIELDS)
def test_a_wrong_field_is_one_sentence_with_the_file(
    line: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = configured(line)
    check([*call, "--out", "net"], said, folder, monkeypatch, capsys)


@pytest.mark.parametrize("outputs", [["--json", "a.json"], ["--html", "a.html"]])
def test_a_full_disk_is_told_before_the_work(
    outputs: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(files.FileIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "FileIO", Full)
    monkeypatch.setattr("fokker.benchmarks.commands.verify.method", None)
    check(["certify", "Heun", *outputs], f"{outputs[1]}: No space left on device", folder, monkeypatch, capsys)
    monkeypatch.setattr(import_module("fokker.generative.training.train"), "regression_loss", None)
    check([*TRAIN, "--out", "net"], "net: No space left on device", folder, monkeypatch, capsys)
    monkeypatch.setattr("fokker.benchmarks.commands.sample.named_model", None)
    check([*SAMPLE, "--out", "a.png"], "a.png: No space left on device", folder, monkeypatch, capsys)
