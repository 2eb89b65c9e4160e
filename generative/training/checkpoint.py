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

from ...solvers.common import write_whole
from .. import networks
from ..denoiser import EDM, Clock, Denoiser
from ..networks import Network
from ..paths import VE, VP, CondOT, Cosine, GaussianPath, GeometricVE, Polynomial, Shifted, SubVP, Table

__all__ = [
    "build_network", "build_path", "describe_path", "load", "locate", "read", "save_checkpoint", "shipped", "write",
]

FORMAT = 2
"""Format 1 differs where it writes log(α/σ) and calls it log-SNR."""
WEIGHTS = Path(__file__).parent.parent / "weights"
NETWORKS = {name: getattr(networks, name) for name in networks.__all__ if name != "Network"}
PATHS: dict[str, type[GaussianPath]] = {
    kind.__name__: kind for kind in (CondOT, Cosine, VP, VE, SubVP, Polynomial, GeometricVE, Table, Shifted)
}


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
    number = configuration.pop("format", None)
    if number not in (1, FORMAT):
        raise ValueError(f"{file} is of format {number}, but this version reads 1 and {FORMAT}; train it again.")
    return tensors, _of_half_log_snr(configuration) if number == 1 else configuration


def _of_half_log_snr(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration of format 1 in the words of format 2: the clock λ by its name, the bounds of `Cosine` doubled."""
    moved: dict[str, Any] = {
        key: _of_half_log_snr(value) if isinstance(value, dict) else value for key, value in configuration.items()
    }
    if moved.get("class") == "Cosine":
        moved |= {key: 2.0 * float(moved[key]) for key in ("log_snr_min", "log_snr_max") if key in moved}
    return moved | ({"time": "half_log_snr"} if moved.get("time") == "log_snr" else {})


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
    """{"class": "VP", "beta_max": 20.0} to a path; a path inside a path is such an object too.

    Raises ValueError for unknown classes and arguments.
    """
    built = {name: build_path(value) if isinstance(value, dict) else value for name, value in configuration.items()}
    path: GaussianPath = _build(PATHS, "path", built)
    return path


def describe_path(path: GaussianPath) -> dict[str, Any]:
    """What `build_path` takes. Raises TypeError for a path of another make."""
    _check_make(PATHS, path)
    values = {each.name: getattr(path, each.name) for each in dataclasses.fields(path)}  # type: ignore[arg-type]
    nested = {name: describe_path(value) for name, value in values.items() if isinstance(value, GaussianPath)}
    return {"class": type(path).__name__, **values, **nested}


def _check_make(kinds: dict[str, Any], thing: object) -> None:
    if type(thing) not in kinds.values():
        raise TypeError(f"Cannot save a {type(thing).__name__}; give one of {', '.join(kinds)}.")


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
    """Writes what `load` reads: one of our networks, in half precision, and all that it takes to use it.

    `precondition` is what the network was trained inside; `training` is kept as a record. Raises TypeError for a
    network or a path of another make.
    """
    _check_make(NETWORKS, net)
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
    """The file of a shipped network, or the file itself. Raises FileNotFoundError if there is neither."""
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
    """A trained network as a Denoiser, by the name of a shipped one ("digits-flow") or from a file.

    The network is in float32, on the CPU, in evaluation mode and without gradients. The file says on which path and
    clock the network was trained and what it predicts; what is stated here as well is compared with it.

    Raises FileNotFoundError for an unknown name or file, ValueError for a file that is no checkpoint or whose weights
    do not fit its configuration, and for a statement that contradicts the file.
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
