"""A checkpoint: one file of tensors that contains its whole configuration.

The configuration has the class and arguments of the network and of the path, the kind of prediction, the clock, and the
configuration of the training. Weights are float16 on disk, which moves samples by a few 1e-4 of the data's range, and
float32 after loading.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...solvers.common import check_finite, check_memory, is_file, naming, shown
from .. import networks
from ..denoiser import EDM, Clock, Denoiser
from ..flow_maps import FlowMap
from ..networks import Network, TwoTimes
from ..paths import GaussianPath
from .tensor_file import stored, write

__all__ = [
    "build", "build_network", "build_path", "describe_path", "load", "locate", "save_checkpoint", "shipped",
    "training_record",
]

WEIGHTS = Path(__file__).parent.parent / "weights"
NETWORKS = {name: getattr(networks, name) for name in networks.__all__ if name != "Network"}


def build(kinds: dict[str, Any], what: str, configuration: dict[str, Any]) -> Any:
    """The object that a configuration describes.

    Args:
        kinds: the classes to choose from, by their names.
        what: the noun for such an object in an error.
        configuration: {"class": name, argument: value, …}.

    Raises:
        ValueError: for an unknown class, and for arguments that the class does not take.
    """
    if not isinstance(configuration, dict):
        raise ValueError(f'The {what} is {configuration!r}; give a class and its arguments, {{"class": ...}}.')
    arguments = dict(configuration)
    name = arguments.pop("class", None)
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"Unknown class of {what} {name!r}; choose one of {', '.join(kinds)}.")
    try:
        return kinds[name](**arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        said = str(error).partition("\n")[0].removesuffix(".")
        raise ValueError(f"The configuration of the {what} {name} does not fit: {said}.") from None


def build_network(configuration: dict[str, Any]) -> Network:
    """Makes a network of {"class": "UNet", "size": 8, …}. Raises ValueError for unknown classes and arguments."""
    network: Network = build(NETWORKS, "network", configuration)
    return network


def build_path(configuration: dict[str, Any]) -> GaussianPath:
    """Makes a path of {"class": "VP", "beta_max": 20.0}; a path inside a path is such an object too.

    Import the class of a path of your own first. Raises ValueError for unknown classes and arguments.
    """
    if isinstance(configuration, dict):
        configuration = {
            name: build_path(value) if isinstance(value, dict) else value for name, value in configuration.items()
        }
    path: GaussianPath = build(GaussianPath.registered(), "path", configuration)
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
        ValueError: a weight that is not finite in half precision.
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
    weights = {name: value.half() for name, value in net.state_dict().items()}
    _check_weights(weights)
    write(Path(file), weights, configuration)


def shipped() -> list[str]:
    """The names of the trained networks inside the package."""
    return sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))


def locate(name_or_path: str | Path) -> Path:
    """The file of a shipped network by its name, or the given file. Raises FileNotFoundError if there is neither."""
    names = shipped()
    file = WEIGHTS / f"{name_or_path}.safetensors" if str(name_or_path) in names else Path(name_or_path)
    if not is_file(file):
        raise FileNotFoundError(
            f"There is no network {shown(str(name_or_path))}; give a file, or one of {', '.join(names)}."
        )
    return file


def load(
    name_or_path: str | Path,
    *,
    path: GaussianPath | None = None,
    predicts: str | None = None,
    time: str | Clock | None = None,
) -> Denoiser | FlowMap:
    """Loads a trained network as a `Denoiser`, in float32, on the CPU, in evaluation mode and without gradients.

    A network of two times is loaded as a `FlowMap`.

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
    found = stored(locate(name_or_path))
    missing = [key for key in ("network", "path", "predicts", "time") if key not in found.configuration]
    if missing:
        raise ValueError(f"{found.file} is no trained network: its configuration lacks {', '.join(missing)}.")
    with naming(found.file), torch.device("cpu"):
        for key in ("predicts", "time"):
            if not isinstance(found.configuration[key], str):
                raise ValueError(f"{key} is {found.configuration[key]!r}, but must be a name; train it again.")
        saved = {**found.configuration, "path": build_path(found.configuration["path"])}
        for key, stated in {"path": path, "predicts": predicts, "time": time}.items():
            if stated is not None and stated != saved[key]:
                raise ValueError(
                    f"It was trained with {key} = {saved[key]!r}, but {key} = {shown(stated)} was stated; leave {key} "
                    "out, or give another file."
                )
        frame = _frame(saved["precondition"]) if "precondition" in saved else None
        _check_shapes(saved["network"], found.shapes)
        tensors = found.tensors()
        _check_weights(tensors)
        net = build_network(saved["network"])
        net.load_state_dict({name: value.to(torch.float32) for name, value in tensors.items()})
        net.eval().requires_grad_(False)
        kind = FlowMap if isinstance(net, TwoTimes) else Denoiser
        return kind(net, saved["path"], predicts=saved["predicts"], time=saved["time"], precondition=frame)


def training_record(name_or_path: str | Path) -> dict[str, Any]:
    """How a network was trained, as its file says; empty if it does not say. Raises as `load` for no such file."""
    found = stored(locate(name_or_path))
    record: Any = found.configuration.get("training", {})
    if not isinstance(record, dict):
        raise ValueError(f"{found.file}: training is {record!r}, but must be an object; train it again.")
    return record


def _frame(configuration: Any) -> EDM:
    if not isinstance(configuration, dict):
        raise ValueError(f"precondition is {configuration!r}, but must be the arguments of EDM.")
    frame: EDM = build({"EDM": EDM}, "precondition", {**configuration, "class": "EDM"})
    return frame


def _check_shapes(configuration: Any, shapes: Mapping[str, torch.Size]) -> None:
    """Raise ValueError unless a file holds the weights of the network that it describes, before they take memory."""
    with torch.device("meta"):
        net = build_network(configuration)
    if {name: value.shape for name, value in net.state_dict().items()} != dict(shapes):
        raise ValueError("It holds other weights than its configuration describes; train it again.")
    sample = math.prod(net.shape)
    check_memory("the size of a sample", sample, max([sample, *(each.numel() for each in net.buffers())]))


def _check_weights(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for a weight that is no floating-point number, or is not finite."""
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise ValueError(f"The weight {name} is {value.dtype}, but must be of a floating-point dtype.")
        check_finite(f"The weight {name}", value)
