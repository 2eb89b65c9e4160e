"""A checkpoint is one safetensors file that carries its whole configuration, and so stands alone.

The metadata holds one JSON object: the class and arguments of the network and of the path, what the network
predicts and on which clock, and how it was trained. Weights are float16 on disk, which moves samples by a few
1e-4 of the data's range, and float32 after loading. Nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..solvers.files import write_whole
from . import networks, path as paths
from .denoiser import Denoiser
from .networks import Network
from .path import GaussianPath

__all__ = ["build_network", "build_path", "load", "locate", "read", "save_checkpoint", "shipped", "write"]

FORMAT = 1
WEIGHTS = Path(__file__).parent / "weights"
NETWORKS = {name: getattr(networks, name) for name in networks.__all__ if name != "Network"}
PATHS = {name: getattr(paths, name) for name in paths.__all__ if name != "GaussianPath"}


def write(file: Path, tensors: dict[str, Tensor], configuration: dict[str, Any]) -> None:
    """Tensors and configuration as one safetensors file, whole or not at all, even if the machine stops."""
    metadata = {"fokker": json.dumps({"format": FORMAT, **configuration})}
    write_whole(file, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write` wrote. Raises FileNotFoundError, or ValueError for a file that is not one of ours."""
    if not file.is_file():
        raise FileNotFoundError(f"There is no checkpoint {file}.")
    try:
        with safe_open(file, framework="pt") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is no safetensors file ({error}); give one that Fokker wrote.") from None
    try:
        configuration: dict[str, Any] = json.loads(metadata["fokker"])
    except (KeyError, json.JSONDecodeError):
        raise ValueError(f"{file} carries no Fokker configuration; give one that Fokker wrote.") from None
    if configuration.pop("format", None) != FORMAT:
        raise ValueError(f"{file} is not of format {FORMAT}, which this version reads; train it again.")
    return tensors, configuration


def _build(kinds: dict[str, Any], what: str, configuration: dict[str, Any]) -> Any:
    arguments = dict(configuration)
    name = arguments.pop("class", None)
    if name not in kinds:
        raise ValueError(f"Unknown class of {what} {name!r}; choose one of {', '.join(kinds)}.")
    try:
        return kinds[name](**arguments)
    except TypeError as error:
        raise ValueError(f"The configuration of the {what} {name} does not fit: {error}.") from None


def build_network(configuration: dict[str, Any]) -> Network:
    """{"class": "UNet", "size": 8, …} to a network. Raises ValueError for unknown classes and arguments."""
    network: Network = _build(NETWORKS, "network", configuration)
    return network


def build_path(configuration: dict[str, Any]) -> GaussianPath:
    """{"class": "VP", "beta_max": 20.0} to a path. Raises ValueError for unknown classes and arguments."""
    path: GaussianPath = _build(PATHS, "path", configuration)
    return path


def save_checkpoint(
    file: str | Path,
    net: Network,
    path: GaussianPath,
    *,
    predicts: str,
    time: str = "t",
    training: dict[str, Any] | None = None,
) -> None:
    """Writes what `load` reads: one of our networks, in half precision, and all that it takes to use it.

    `training` is kept as a record. Raises TypeError for a network or a path of another make.
    """
    for kind, thing in ((NETWORKS, net), (PATHS, path)):
        if type(thing) not in kind.values():
            raise TypeError(f"Cannot save a {type(thing).__name__}; give one of {', '.join(kind)}.")
    configuration = {
        "network": {"class": type(net).__name__, **net.arguments},
        "path": {"class": type(path).__name__, **dataclasses.asdict(path)},  # type: ignore[call-overload]
        "predicts": predicts,
        "time": time,
        "training": training or {},
    }
    write(Path(file), {name: value.half() for name, value in net.state_dict().items()}, configuration)


def shipped() -> list[str]:
    """The names of the trained networks inside the package."""
    return sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))


def locate(name_or_path: str | Path) -> Path:
    """The file of a shipped network, or the file itself. Raises FileNotFoundError if there is neither."""
    names = shipped()
    file = WEIGHTS / f"{name_or_path}.safetensors" if str(name_or_path) in names else Path(name_or_path)
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no network {str(name_or_path)!r}; give a file, or one of {', '.join(names)}."
        )
    return file


def load(name_or_path: str | Path) -> Denoiser:
    """A trained network as a Denoiser, by the name of a shipped one ("digits-flow") or from a file.

    The network is in float32, on the CPU, in evaluation mode and without gradients. Raises FileNotFoundError
    for an unknown name or file, ValueError for a file that is no checkpoint or whose weights do not fit its
    configuration.
    """
    file = locate(name_or_path)
    tensors, configuration = read(file)
    missing = [key for key in ("network", "path", "predicts", "time") if key not in configuration]
    if missing:
        raise ValueError(f"{file} is no trained network: its configuration lacks {', '.join(missing)}.")
    net = build_network(configuration["network"])
    expected = {name: value.shape for name, value in net.state_dict().items()}
    if expected != {name: value.shape for name, value in tensors.items()}:
        raise ValueError(f"{file} holds other weights than its configuration describes; train it again.")
    net.load_state_dict({name: value.to(torch.float32) for name, value in tensors.items()})
    net.eval().requires_grad_(False)
    return Denoiser(
        net, build_path(configuration["path"]), predicts=configuration["predicts"], time=configuration["time"]
    )
