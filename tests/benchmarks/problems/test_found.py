"""Problems by the name of a network, as the command takes it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fokker.benchmarks.problems import find_problem, problem
from fokker.generative import Table, linear_betas, load
from fokker.generative.networks import UNet
from fokker.generative.training.checkpoint import save_checkpoint
from fokker.solvers import Heun, solve

MODULE = '''
import torch
from torch import Tensor, nn
from fokker.generative import CondOT, Denoiser
import my_helpers


class Net(nn.Module):
    classes = 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, time: Tensor, label: Tensor, push: Tensor | None = None) -> Tensor:
        y = my_helpers.scaled(x, self.scale) + label.view(-1, *(1,) * (x.ndim - 1))
        return y if push is None else y + push


def net(x, time):
    return 0.5 * x + time[:, None]


def two(x, time, text, added):
    return x + text + added["size"]


def made():
    return Denoiser(Net(), CondOT(), predicts="velocity")
'''
HELPERS = "def scaled(x, scale):\n    return scale * x\n"
ON = {"predicts": "velocity", "path": "CondOT()"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the modules my_networks and my_helpers."""
    (tmp_path / "my_networks.py").write_text(MODULE)
    (tmp_path / "my_helpers.py").write_text(HELPERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("my_networks", "my_helpers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_a_built_in_problem_is_found_by_its_name() -> None:
    assert find_problem("ring") is problem("ring")
    assert find_problem("digits", shape="1x8x8") is problem("digits")
    guided = find_problem("digits", label=3, guidance=2.0)
    assert (guided.name, guided.classes, guided.samples, guided.shape) == ("digits", 0, 10, (1, 8, 8))
    assert guided.denoiser.cost == 2
    assert guided.digest != problem("digits").digest


def test_a_shipped_network_is_its_built_in_problem() -> None:
    found = find_problem("digits-flow")
    assert found.name == "digits-flow"
    assert found.digest == problem("digits").digest
    assert load("digits-flow").net(torch.zeros(1, 1, 8, 8), torch.zeros(1)).dtype == torch.float32  # type: ignore[attr-defined]


def test_a_checkpoint_says_everything(tmp_path: Path) -> None:
    file = tmp_path / "mine.v2.safetensors"
    save_checkpoint(file, UNet(8, classes=4, width=8), Table(linear_betas(100)), predicts="eps", time="index")
    found = find_problem(str(file))
    assert (found.name, found.shape, found.classes) == ("mine.v2", (1, 8, 8), 4)
    assert found.noise(2, 0).dtype == torch.float64
    assert next(found.denoiser.net.parameters()).dtype == torch.float32  # type: ignore[attr-defined]
    assert find_problem(str(file), label=2).classes == 0


@pytest.mark.parametrize("text", ["my_networks:net", "my_networks:made"])
def test_a_network_of_a_module_travels_to_where_the_module_is_not(folder: Path, text: str) -> None:
    chosen = find_problem(text, shape="2", **(ON if text.endswith("net") else {}))
    file, x = folder / "problem", chosen.noise(3, seed=0)
    file.write_bytes(pickle.dumps((chosen, x)))
    code = (
        "import pickle, sys; problem, x = pickle.load(open(sys.argv[1], 'rb')); print(problem.digest); "
        "pickle.dump(problem.equation(3).drift(0.5, x), open(sys.argv[1], 'wb'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == chosen.digest
    assert torch.equal(pickle.loads(file.read_bytes()), chosen.equation(3).drift(0.5, x))  # noqa: S301  # our own


def test_the_code_of_a_helper_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_problem("my_networks:made", shape="2").digest
    assert find_problem("my_networks:made", shape=[2]).digest == before
    for name in ("my_networks", "my_helpers"):
        monkeypatch.delitem(sys.modules, name)
    (folder / "my_helpers.py").write_text(HELPERS.replace("scale * x", "scale * x.tanh()"))
    assert find_problem("my_networks:made", shape="2").digest != before


def test_conditions_are_read_from_files(folder: Path) -> None:
    push = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    np.save(folder / "push.npy", push.numpy())
    save_file({"push": push}, folder / "push.safetensors")
    save_file({"push": push, "negative.push": torch.zeros(1, 2)}, folder / "both.safetensors")
    one = find_problem("my_networks:made", shape="2", label=0, condition="push.npy")
    other = find_problem("my_networks:made", shape="2", label=0, condition=Path("push.safetensors"))
    assert one.digest == other.digest
    assert one.samples == one.rows == 2
    guided = find_problem("my_networks:made", shape="2", label=0, condition="both.safetensors", guidance=3.0)
    x = one.noise(2, 0)
    plain = find_problem("my_networks:made", shape="2", label=0).labelled(2)
    torch.testing.assert_close(guided.labelled(2).output(0.5, x), plain.output(0.5, x) + 3.0 * push)
    nested = {"text": torch.ones(1, 2), "added.size": torch.full((1, 2), 2.0)}
    save_file(nested, folder / "nested.safetensors")
    found = find_problem("my_networks:two", shape="2", condition="nested.safetensors", **ON)
    torch.testing.assert_close(found.labelled(2).output(0.5, x), x + 3.0)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("rings", {}, r"There is no problem or network 'rings' \(ring\?\); give a file"),
        ("digits-flw", {}, r"'digits-flw' \(digits-flow"),
        ("", {}, "There is no problem or network ''"),
        (3, {}, "network is of type int"),
        ("ring", {"path": "VP()"}, r"The problem 'ring' knows its network, and its shape \(2,\); leave out --path"),
        ("ring", {"shape": "3"}, "leave out --shape"),
        ("ring", {"label": 1}, "does not take"),
        ("digits", {"label": 11}, "knows the labels 0 to 10, its null_label, but got 11"),
        ("my_networks:net", ON, "does not say the shape of a sample; give it, as --shape 3x32x32"),
        ("my_networks:net", {"shape": "2"}, "does not say what it predicts"),
        ("my_networks:net", ON | {"shape": "2xx"}, "The shape is '2xx'; write the shape of one sample"),
        ("my_networks:net", ON | {"shape": "0x2"}, "The shape is '0x2'"),
        ("my_networks:net", ON | {"shape": "2", "guidance": 2.0}, "guidance needs a class or a condition"),
        ("my_networks:net", ON | {"shape": "2", "condition": "none.npy"}, "There is no file none.npy"),
        ("my_networks:net", ON | {"shape": "2", "condition": "push.npy"}, "an argument that the network does not take"),
        ("my_networks:two", ON | {"shape": "2", "condition": "push.npy"}, "of text, added; write a .safetensors"),
        ("my_networks:made", {"shape": "2", "condition": "my_networks.py"}, "it is neither .npy nor .safetensors"),
        ("my_networks:made", {"shape": "2", "condition": "bad.safetensors"}, "bad.safetensors holds no condition"),
        ("my_networks:made", {"shape": "2", "condition": "bad.npy"}, "bad.npy holds no condition"),
        ("my_networks:made", {"shape": "2", "condition": "nan.npy"}, r"The array in nan.npy is nan at \[0, 1\]"),
        ("my_networks:made", {"shape": "2", "condition": "number.npy"}, "holds a number without rows"),
        ("my_networks:made", {"shape": "2", "condition": "clash.safetensors"}, "has 'push' as a tensor"),
        ("my_networks:made", {"shape": "2", "label": 3}, "The network knows the labels 0 to 2, but got 3"),
        ("my_networks:made", {"shape": "3", "condition": "push.npy"}, "fails at t = 0 for samples of shape"),
        ("my_networks:made", {"shape": "2", "guidance": 2.0}, "declares no null_label"),
        ("ring", {"condition": "push.npy"}, "which it has none|does not take"),
    ],
)
def test_bad_input_ends_in_a_sentence(folder: Path, text: Any, options: dict[str, Any], message: str) -> None:
    np.save(folder / "push.npy", np.ones((1, 2), np.float32))
    np.save(folder / "nan.npy", np.array([[0.0, np.nan]]))
    np.save(folder / "number.npy", np.float32(1.0))
    np.save(folder / "bad.npy", np.array([None]))
    (folder / "bad.safetensors").write_bytes(b"no tensors")
    save_file({"push": torch.ones(1, 2), "push.a": torch.ones(1, 2)}, folder / "clash.safetensors")
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message) as failure:
        find_problem(text, **options)
    assert "\n" not in str(failure.value)


def test_a_folder_of_diffusers_is_solved(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        mid_block_type=None, norm_num_groups=4, cross_attention_dim=6, attention_head_dim=4,
    )  # fmt: skip
    model.save_pretrained(tmp_path / "saved" / "unet")
    diffusers.DDIMScheduler(clip_sample=False).save_pretrained(tmp_path / "saved" / "scheduler")
    texts = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "texts.npy", texts.numpy())
    with pytest.raises(ValueError, match="saved fails at t = 0 for samples of shape"):
        find_problem(str(tmp_path / "saved"))
    chosen = find_problem(str(tmp_path / "saved"), condition=tmp_path / "texts.npy")
    assert (chosen.name, chosen.shape, chosen.samples, chosen.start, chosen.end) == ("saved", (2, 8, 8), 3, 0.0, 1.0)
    with torch.no_grad():
        x = solve(chosen.equation(3), chosen.noise(3, 0), [0.0, 0.5, 1.0], Heun()).x
        few = solve(chosen.equation(2), chosen.noise(2, 0), [0.0, 0.5, 1.0], Heun()).x
    assert x.isfinite().all()
    torch.testing.assert_close(x[:2], few, rtol=1e-4, atol=1e-4)
    again = pickle.loads(pickle.dumps(chosen))  # noqa: S301  # our own
    assert again.digest == chosen.digest
    (tmp_path / "saved").rename(tmp_path / "moved")
    assert find_problem(str(tmp_path / "moved"), condition=tmp_path / "texts.npy").digest == chosen.digest
