"""Training metrics: one row per step, as CSV and, if wanted, in TensorBoard.

    step, loss, rate, gradient_norm, ema_decay, and the mean loss of the samples in each bin of log(α²/σ²)

Where a network fails depends on the log-SNR. The bins have width two from −8 to 8, and two more cover the rest; a bin
without samples is left empty. After an interruption the rows beyond the step at which training resumes are
removed, so that every step has one row.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...solvers.common import naming, write_whole

__all__ = ["COLUMNS", "EDGES", "Metrics", "loss_by_log_snr"]

EDGES = tuple(float(edge) for edge in range(-8, 9, 2))
_BOUNDS = ["-inf", *(f"{edge:g}" for edge in EDGES), "inf"]
BINS = [f"loss[{low},{high})" for low, high in pairwise(_BOUNDS)]
COLUMNS = ["step", "loss", "rate", "gradient_norm", "ema_decay", *BINS]


def loss_by_log_snr(log_snr: Tensor, loss: Tensor) -> list[float | None]:
    """The mean of the losses (B,) in each bin of log-SNR (B,), lowest first; None for an empty bin."""
    interval = torch.bucketize(log_snr, log_snr.new_tensor(EDGES), right=True)
    count = torch.bincount(interval, minlength=len(BINS))
    total = torch.bincount(interval, weights=loss.double(), minlength=len(BINS))
    pairs = zip(total.tolist(), count.tolist(), strict=True)
    return [value / number if number else None for value, number in pairs]


class Metrics:
    """Appends a row for each step.

    Args:
        file: the CSV file. Rows of steps after `start` are removed from it.
        start: the step from which training goes on.
        tensorboard: a folder that gets the rows as well, or None.

    Raises:
        ValueError: the file has other columns.
        ImportError: TensorBoard is wanted, but not installed.
    """

    def __init__(self, file: Path, start: int = 0, tensorboard: Path | None = None) -> None:
        self._board = None if tensorboard is None else _writer(tensorboard, start + 1)
        write_whole(file, _kept(file, start))
        self._stream = file.open("a", newline="")
        self._rows = csv.writer(self._stream, lineterminator="\n")

    def add(self, step: int, values: Sequence[float], log_snr: Tensor, loss: Tensor) -> None:
        """Writes the row of a step.

        Args:
            step: its number.
            values: loss, rate, gradient_norm and ema_decay.
            log_snr: log(α²/σ²) of each sample, (B,).
            loss: the loss of each sample, (B,).
        """
        row = [*values, *loss_by_log_snr(log_snr, loss)]
        self._rows.writerow([step, *("" if value is None else repr(float(value)) for value in row)])
        if self._board is not None:
            for name, value in zip(COLUMNS[1:], row, strict=True):
                if value is not None:
                    self._board.add_scalar(name.replace("[", "/["), value, step)

    def flush(self) -> None:
        """Writes all rows to the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        self.flush()
        self._stream.close()
        if self._board is not None:
            self._board.close()


def _kept(file: Path, start: int) -> bytes:
    """The header and the rows up to step `start`. An incomplete row can only belong to a later step."""
    header = ",".join(f'"{name}"' if "," in name else name for name in COLUMNS)
    with naming(file):
        lines = file.read_text().splitlines() if start and file.exists() else []
    if lines and lines[0] != header:
        raise ValueError(f"{file} has other columns than {header}; remove it.")
    steps = (line.partition(",")[0] for line in lines[1:])
    rows = [line for line, step in zip(lines[1:], steps, strict=True) if step.isdecimal() and int(step) <= start]
    return "".join(f"{line}\n" for line in [header, *rows]).encode()


def _writer(folder: Path, first: int) -> Any:
    """A writer that begins with step `first` and discards what the folder holds of this and later steps."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError('TensorBoard is not installed: pip install "fokker[train]".') from None
    return SummaryWriter(str(folder), purge_step=first)
