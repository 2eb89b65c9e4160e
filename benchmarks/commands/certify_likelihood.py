"""The command `fokker certify-likelihood`: someone's log p(x), measured where log p is known."""

from __future__ import annotations

import re
from json import dumps
from pathlib import Path

from rich.text import Text

from ...solvers.common import Progress, write_whole
from ...verification.certificates import certify_log_prob
from ...verification.import_named import import_named
from .output import check_outputs, stdout

__all__ = ["certify_function"]

COLOURS = {"pass": "green", "note": "", "fail": "red"}


def certify_function(
    name: str,
    dim: int,
    *,
    form: str = "velocity",
    shape: str | None = None,
    tolerance: float = 0.05,
    seed: int = 0,
    json: Path | None = None,
) -> bool:
    """Measure a function that computes log p(x), with progress on stderr and the certificate on stdout.

    Args:
        name: of the function, as package.module:name.
        dim: the number of components of a sample.
        form: what the function gets, as for `certify_log_prob`.
        shape: the shape of a sample, as 1x4x4.
        tolerance: the error that may remain of steps, in nats.
        seed: of all random numbers.
        json: write the certificate into this file as JSON.

    Returns:
        Whether nothing fails.

    Raises:
        ValueError: as `import_named` and `certify_log_prob`, or a shape that is none.
        OSError: the file cannot be written, before any work.
    """
    check_outputs(json)
    if shape is not None and not re.fullmatch(r"\d{1,6}(x\d{1,6})*", shape):
        raise ValueError(f"The shape {shape!r} must be sizes of axes, such as 1x4x4.")
    function = import_named(name)
    if not callable(function):
        raise ValueError(f"{name} is of type {type(function).__name__}; give a function ({form}, x, seed) -> log p.")
    sizes = None if shape is None else tuple(map(int, shape.split("x")))
    bar = Progress(0.0, 0.0, True, "starting")

    def show(done: int, total: int, what: str) -> None:
        bar.end = total
        bar.reach(done, f"{done}/{total} {what:24}")

    with bar:
        found = certify_log_prob(
            function, dim, form=form, shape=sizes, tolerance=tolerance, seed=seed, name=name, progress=show
        )
    try:
        if json is not None:
            write_whole(json, f"{dumps(found.as_json(), ensure_ascii=False, indent=1)}\n".encode())
    finally:
        lines = str(found).splitlines()
        for line, verdict in zip(lines, [found.verdict, *(each.verdict for each in found.findings)], strict=True):
            stdout().print(Text(line, COLOURS[verdict]), soft_wrap=True)
    if json is not None:
        print(f"written: {json}")
    return found.passed
