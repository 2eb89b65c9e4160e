"""Tensors and a configuration in one safetensors file, with a digest of both. Nothing is ever unpickled.

The metadata of the file are one JSON object: the number of the format, the digest and the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...solvers.common import UNSEALED, check_seal, is_file, naming, sealed, warn_unsealed, write_whole

__all__ = ["Stored", "read", "stored", "write"]

FORMAT = 3
"""In format 1 the name log-SNR stands for log(α/σ). Files of formats 1 and 2 have no digest."""


@dataclass(frozen=True)
class Stored:
    """What a file says, before its tensors are read.

    Attributes:
        file: its path.
        configuration: as it was given to `write`.
        shapes: the shapes of its tensors, by name.
    """

    file: Path
    configuration: dict[str, Any]
    shapes: dict[str, torch.Size]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name."""
        with _opened(self.file) as stream:
            return {name: stream.get_tensor(name) for name in self.shapes}


def write(file: Path, tensors: dict[str, Tensor], configuration: dict[str, Any]) -> None:
    """Writes tensors and a configuration as one safetensors file, atomically, even if the machine stops.

    Args:
        file: where.
        tensors: by name.
        configuration: values for JSON.
    """
    metadata = {"fokker": json.dumps({"format": FORMAT, "sha256": UNSEALED, **configuration})}
    write_whole(file, sealed(save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)))


def read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads the tensors and the configuration that `write` wrote.

    Warns of a file that was written before files had digests.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: `write` has not written it, or it is damaged.
    """
    found = stored(file)
    return found.tensors(), found.configuration


def stored(file: Path) -> Stored:
    """What a file says of its tensors, which stay on the disk. Warns and raises as `read`."""
    if not is_file(file):
        raise FileNotFoundError(f"There is no checkpoint {file}.")
    content = file.read_bytes()
    with _opened(file) as stream:
        metadata = stream.metadata() or {}
        shapes = {name: torch.Size(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118
    try:
        configuration: Any = json.loads(metadata["fokker"])
    except (KeyError, ValueError, RecursionError):
        configuration = None
    if not isinstance(configuration, dict):
        raise ValueError(f"{file} carries no Fokker configuration; give one that Fokker wrote.")
    number, digest = configuration.pop("format", None), configuration.pop("sha256", None)
    if digest is not None or number == FORMAT:
        check_seal(file, content, digest)
    if number not in (1, 2, FORMAT):
        raise ValueError(f"{file} is of format {number}, but this version reads 1 to {FORMAT}; train it again.")
    if number != FORMAT:
        warn_unsealed(file, "training.write(file, *training.read(file))")
    with naming(file):
        return Stored(file, _of_half_log_snr(configuration) if number == 1 else configuration, shapes)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The file as one of tensors. Raises ValueError for one that is not."""
    try:
        with safe_open(file, framework="pt") as stream:
            yield stream
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is no safetensors file ({error}); give one that Fokker wrote.") from None


def _of_half_log_snr(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration of format 1 as one of format 2: the clock λ gets its name, the bounds of `Cosine` are doubled."""
    moved: dict[str, Any] = {
        key: _of_half_log_snr(value) if isinstance(value, dict) else value for key, value in configuration.items()
    }
    if moved.get("class") == "Cosine":
        moved |= {key: 2.0 * float(moved[key]) for key in ("log_snr_min", "log_snr_max") if key in moved}
    return moved | ({"time": "half_log_snr"} if moved.get("time") == "log_snr" else {})
