"""A checkpoint: one safetensors file that contains its whole configuration.

The metadata are one JSON object: the class and arguments of the network and of the path, the kind of prediction, the
clock, and the configuration of the training. Weights are float16 on disk, which moves samples by a few 1e-4 of the
data's range, and float32 after loading. Nothing is ever unpickled.
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

from ...solvers.common import write_whole
from .. import networks
from ..denoiser import EDM, Clock, Denoiser
from ..networks import Network
from ..paths import GaussianPath

__all__ = [
    "build", "build_network", "build_path", "describe_path", "load", "locate", "read", "save_checkpoint", "shipped",
    "write",
]

FORMAT = 2
"""In format 1 the name log-SNR stands for log(α/σ)."""
WEIGHTS = Path(__file__).parent.parent / "weights"
NETWORKS = {name: getattr(networks, name) for name in networks.__all__ if name != "Network"}


def write(file: Path, tensors: dict[str, Tensor], configuration: dict[str, Any]) -> None:
    """Writes tensors and a configuration as one safetensors file, atomically, even if the machine stops.

    Args:
        file: where.
        tensors: by name.
        configuration: values for JSON.
    """
    metadata = {"fokker": json.dumps({"format": FORMAT, **configuration})}
    write_whole(file, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `write` wrote. Raises FileNotFoundError, or ValueError for a file that `write` has not written."""
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
    number = configuration.pop("format", None)
    if number not in (1, FORMAT):
        raise ValueError(f"{file} is of format {number}, but this version reads 1 and {FORMAT}; train it again.")
    return tensors, _of_half_log_snr(configuration) if number == 1 else configuration


def _of_half_log_snr(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration of format 1 as one of format 2: the clock λ gets its name, the bounds of `Cosine` are doubled."""
    moved: dict[str, Any] = {
        key: _of_half_log_snr(value) if isinstance(value, dict) else value for key, value in configuration.items()
    }
    if moved.get("class") == "Cosine":
        moved |= {key: 2.0 * float(moved[key]) for key in ("log_snr_min", "log_snr_max") if key in moved}
    return moved | ({"time": "half_log_snr"} if moved.get("time") == "log_snr" else {})


def build(kinds: dict[str, Any], what: str, configuration: dict[str, Any]) -> Any:
    """The object that a configuration describes.

    Args:
        kinds: the classes to choose from, by their names.
        what: the noun for such an object in an error.
        configuration: {"class": name, argument: value, …}.

    Raises:
        ValueError: for an unknown class, and for arguments that the class does not take.
    """
    arguments = dict(configuration)
    name = arguments.pop("class", None)
    if name not in kinds:
        raise ValueError(f"Unknown class of {what} {name!r}; choose one of {', '.join(kinds)}.")
    try:
        return kinds[name](**arguments)
    except TypeError as error:
        raise ValueError(f"The configuration of the {what} {name} does not fit: {error}.") from None


def build_network(configuration: dict[str, Any]) -> Network:
    """Makes a network of {"class": "UNet", "size": 8, …}. Raises ValueError for unknown classes and arguments."""
    network: Network = build(NETWORKS, "network", configuration)
    return network


def build_path(configuration: dict[str, Any]) -> GaussianPath:
    """Makes a path of {"class": "VP", "beta_max": 20.0}; a path inside a path is such an object too.

    Import the class of a path of your own first. Raises ValueError for unknown classes and arguments.
    """
    built = {name: build_path(value) if isinstance(value, dict) else value for name, value in configuration.items()}
    path: GaussianPath = build(GaussianPath.registered(), "path", built)
    return path


def describe_path(path: GaussianPath) -> dict[str, Any]:
    """The configuration for `build_path`. Raises TypeError for a path that `build_path` cannot make from JSON."""
    names: list[str] = [each.name for each in dataclasses.fields(path)] if dataclasses.is_dataclass(path) else []
    values = {name: getattr(path, name) for name in names}
    nested = {name: describe_path(value) for name, value in values.items() if isinstance(value, GaussianPath)}
    description = {"class": type(path).__name__, **values, **nested}
    try:
        again: GaussianPath | None = build_path(json.loads(json.dumps(description)))
    except (TypeError, ValueError):
        again = None
    if again != path:
        raise TypeError(
            f"Cannot save a {type(path).__name__}; a path that is saved is a frozen dataclass of numbers, sequences of "
            "numbers and paths, and no other path has the name of its class."
        )
    return description


def save_checkpoint(
    file: str | Path,
    net: Network,
    path: GaussianPath,
    *,
    predicts: str,
    time: str = "t",
    precondition: EDM | None = None,
    training: dict[str, Any] | None = None,
) -> None:
    """Writes a checkpoint for `load`, with weights in half precision.

    Args:
        file: where.
        net: a network of this library.
        path: the path on which it was trained.
        predicts: the kind of prediction.
        time: the name of its clock.
        precondition: the frame around the network, if it was trained inside one.
        training: the configuration of the training, which is kept as a record.

    Raises:
        TypeError: a network or a path that `load` could not make again.
    """
    if type(net) not in NETWORKS.values():
        raise TypeError(f"Cannot save a {type(net).__name__}; give one of {', '.join(NETWORKS)}.")
    configuration = {
        "network": {"class": type(net).__name__, **net.arguments},
        "path": describe_path(path),
        "predicts": predicts,
        "time": time,
        "training": training or {},
    }
    if precondition is not None:
        configuration["precondition"] = dataclasses.asdict(precondition)
    write(Path(file), {name: value.half() for name, value in net.state_dict().items()}, configuration)


def shipped() -> list[str]:
    """The names of the trained networks inside the package."""
    return sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))


def locate(name_or_path: str | Path) -> Path:
    """The file of a shipped network by its name, or the given file. Raises FileNotFoundError if there is neither."""
    names = shipped()
    file = WEIGHTS / f"{name_or_path}.safetensors" if str(name_or_path) in names else Path(name_or_path)
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no network {str(name_or_path)!r}; give a file, or one of {', '.join(names)}."
        )
    return file


def load(
    name_or_path: str | Path,
    *,
    path: GaussianPath | None = None,
    predicts: str | None = None,
    time: str | Clock | None = None,
) -> Denoiser:
    """Loads a trained network as a `Denoiser`, in float32, on the CPU, in evaluation mode and without gradients.

    The file knows the path, the clock and the kind of prediction. Arguments that repeat them are compared with the
    file.

    Args:
        name_or_path: the name of a shipped network ("digits-flow"), or a file.
        path: the path that you expect, or None.
        predicts: the kind of prediction that you expect, or None.
        time: the clock that you expect, or None.

    Raises:
        FileNotFoundError: an unknown name or file.
        ValueError: the file is no checkpoint, its weights do not fit its configuration, or it contradicts an argument.
    """
    file = locate(name_or_path)
    tensors, configuration = read(file)
    missing = [key for key in ("network", "path", "predicts", "time") if key not in configuration]
    if missing:
        raise ValueError(f"{file} is no trained network: its configuration lacks {', '.join(missing)}.")
    saved = {**configuration, "path": build_path(configuration["path"])}
    for key, stated in {"path": path, "predicts": predicts, "time": time}.items():
        if stated is not None and stated != saved[key]:
            raise ValueError(
                f"{file} was trained with {key} = {saved[key]!r}, but {key} = {stated!r} was stated; leave {key} out, "
                "or give another file."
            )
    net = build_network(configuration["network"])
    expected = {name: value.shape for name, value in net.state_dict().items()}
    if expected != {name: value.shape for name, value in tensors.items()}:
        raise ValueError(f"{file} holds other weights than its configuration describes; train it again.")
    net.load_state_dict({name: value.to(torch.float32) for name, value in tensors.items()})
    net.eval().requires_grad_(False)
    frame = EDM(**saved["precondition"]) if "precondition" in saved else None
    return Denoiser(net, saved["path"], predicts=saved["predicts"], time=saved["time"], precondition=frame)
