"""The command `fokker bench --study`: the default sampler against the published ones."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace

from ..study import RIVALS, Study, development, held_out, study

__all__ = ["run_study"]

SECONDS = 5.0
"""What a case takes at all budgets, on one core, in the mean."""


def run_study(budgets: tuple[int, ...], *, others: bool = False, as_json: bool = False) -> Study:
    """Run the study and print its tables. How long it takes, and the progress bar, go to stderr.

    Args:
        budgets: numbers of network evaluations.
        others: take the problems that took no part in the choice.
        as_json: print the errors as JSON instead.
    """
    cases = held_out() if others else development()
    minutes = SECONDS * len(cases) / 60.0
    print(
        f"{len(cases)} problems, {len(budgets)} budgets, the default and {len(RIVALS)} published samplers: about "
        f"{minutes:.0f} minutes on one core",
        file=sys.stderr,
    )
    found = study(cases, budgets, progress=True)
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        print(found.table(), replace(found, kind="best").table(), sep="\n\n")
    return found
