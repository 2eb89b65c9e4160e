"""Where a measurement comes from: the versions, the machine and the time."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["Provenance"]


@dataclass(frozen=True)
class Provenance:
    """Who measured, on what, and when.

    Attributes:
        fokker: the version of this package.
        torch: the version of torch.
        python: the version of Python.
        machine: the model of the processor, or the name of the accelerator.
        threads: the threads of torch.
        measured: the time in UTC, as in 2025-01-31T12:00:00.000Z.
    """

    fokker: str
    torch: str
    python: str
    machine: str
    threads: int
    measured: str

    @classmethod
    def here(cls, device: str = "cpu") -> Provenance:
        """This process, now.

        Args:
            device: where the tensors are, as in "cuda:0".
        """
        machine = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return cls(
            version("fokker"), str(torch.__version__), platform.python_version(), machine, torch.get_num_threads(), now
        )


@cache
def _processor() -> str:
    """The model of the processor, and how many there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # a system without /proc
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count() or 1} processors"
