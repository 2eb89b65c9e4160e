"""The command `fokker tune`: a sampler of few evaluations for a network, as a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..problems import Problem
from ..tuning import Tuned, tune
from .output import check_outputs, stdout

__all__ = ["fit"]


def fit(
    problem: Problem,
    nfe: int,
    out: Path,
    *,
    guidance: Sequence[float] | None = None,
    folder: Path | None = None,
    **settings: Any,
) -> Tuned:
    """Tune, print the errors, and write the table, with progress on stderr.

    Args:
        problem: the network.
        nfe: the evaluations of its field.
        out: the file of the table, which ends in .json.
        guidance: weights of classifier-free guidance.
        folder: keeps every step.
        settings: as for `tune`.

    Raises:
        TypeError, ValueError, ArithmeticError: as `tune`, or a file of another kind.
        OSError: the file cannot be written, before any work.
    """
    if out.suffix != ".json":
        raise ValueError(f"--out is {out}, but a table is a file FILE.json; name it {out.with_suffix('.json')}.")
    check_outputs(out)
    try:
        found = tune(problem, nfe=nfe, guidance=guidance, folder=folder, progress=True, **settings)
    except KeyboardInterrupt:
        kept = f"{folder} keeps what is finished, the same command goes on"
        lost = "nothing is kept; with --folder FOLDER the same command goes on where it was stopped"
        print(f"stopped; {lost if folder is None else kept}", file=sys.stderr)
        raise
    found.save(out)
    stdout().print(found)
    print(f'written: {out}; sample(denoiser, shape, {nfe}, sampler="{out}") takes it')
    return found
