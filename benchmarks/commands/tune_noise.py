"""The command `fokker tune --sampler NAME`: the noise of a stochastic sampler for a network, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..noise_tuning import TunedLaw, tune_noise
from ..problems import Problem
from .output import check_outputs, stdout

__all__ = ["fit_noise"]


def fit_noise(problem: Problem, nfe: int, out: Path, **settings: Any) -> TunedLaw:
    """Tune, print the errors of the laws, and write the table, with progress on stderr.

    Args:
        problem: the network.
        nfe: the evaluations of the network.
        out: the file of the table, which ends in .json.
        settings: as for `tune_noise`.

    Raises:
        TypeError, ValueError: as `tune_noise`, or a file of another kind.
        OSError: the file cannot be written, before any work.
    """
    if out.suffix != ".json":
        raise ValueError(f"--out is {out}, but a table is a file FILE.json; name it {out.with_suffix('.json')}.")
    check_outputs(out)
    found = tune_noise(problem, nfe=nfe, progress=True, **settings)
    found.save(out)
    stdout().print(found.table())
    print(f'written: {out}; sample(denoiser, shape, {nfe}, sampler="{out}") takes it')
    return found
