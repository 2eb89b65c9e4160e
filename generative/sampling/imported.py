"""Multistep weights that were learned elsewhere, as a table.

Searched and learned samplers (GITS, LD3, UniPC's kin and others) are published as n + 1 times and a lower triangular
matrix. With the held quantity N_j at the j-th time, z = x/S and the clock r of its equation (`equations.holds`), a step
is

    z_{i+1} = z_i + h_i Σ_{j ≤ i} w_ij N_j,        h_i = r_{i+1} − r_i,

or without the factor h_i, if the weights are absolute. For "eps" z is x/α and r is σ/α, so that this is the form of
EDM and of k-diffusion, x + (σ_{i+1} − σ_i) Σ w_ij d_j. Weights of a consistent method sum to 1 in every row.

Source of the form: Zhang and Chen, DEIS (2204.13902), section 4; of searched grids: Chen et al., GITS (2405.11326).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...solvers import Scheme
from ...solvers.common import (
    Array,
    array,
    check_instance,
    choice,
    flag,
    host,
    is_file,
    naming,
    reals,
    shown,
)
from ...solvers.scheme import Evaluation, Form
from ..denoiser import Denoiser, check_denoiser
from ..equations import HOLDS, flow
from ..paths import GaussianPath
from .replay import check_asked, of_scheme

__all__ = ["CLOCKS", "import_scheme", "multistep_scheme"]

CLOCKS = ("t", "sigma/alpha", "log_snr")
"""What the times of a file are: those of the path, σ/α, or log α²/σ²."""
STATED = ("hold", "clock", "absolute")


def multistep_scheme(
    denoiser: Denoiser,
    times: Tensor | Sequence[float],
    weights: Tensor | Sequence[Sequence[float]],
    *,
    hold: str = "eps",
    clock: str = "t",
    absolute: bool = False,
    name: str = "multistep weights",
) -> Scheme:
    """The table of a multistep method with these weights, for `sample(denoiser, ..., sampler=scheme)`.

    Args:
        denoiser: the network, of which the path and the prediction count.
        times: n + 1 of them, from noise to data.
        weights: w_ij, (n, n), lower triangular: row i makes step i of the values until then.
        hold: what the values are: "eps", "x0", "velocity" or "v" (see `flow`).
        clock: what the times are: "t" of the path, "sigma/alpha", which falls to 0 at the data, or "log_snr", which
            rises.
        absolute: whether the weights hold the length of their step in the clock of the hold.
        name: for people.

    Returns:
        A table of n steps with one evaluation each.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: the times do not lead from noise to data, the weights are not lower triangular, (n, n) and finite,
            or the hold has no scale or no value at one of the times.

    Example:
        >>> denoiser = load("digits-flow")
        >>> scheme = multistep_scheme(denoiser, [80.0, 2.0, 0.5, 0.0], torch.eye(3), clock="sigma/alpha")
        >>> same(scheme, unroll(flow(denoiser, "eps"), scheme.times, ExponentialAdams(1)))  # Euler's method in σ/α
        Comparison(difference='', step=None, term=None)
    """
    check_denoiser(denoiser)
    choice("hold", hold, HOLDS)
    absolute = flag("absolute", absolute)
    check_instance("name", name, str, "a name for people")
    t = _times(denoiser.path, times, choice("clock", clock, CLOCKS))
    w = _weights(weights, len(t) - 1)
    equation = flow(denoiser, hold)
    equation.clock.check_times(t[0], t[-1])
    with np.errstate(all="ignore"):
        scale, gain = (array(each(host(t))) for each in (equation.clock.scale, equation.clock.gain))
    for i, t_i in enumerate(t):
        if not (0.0 < scale[i] < math.inf or (i == len(t) - 1 and scale[i] == 0.0 and not absolute)):
            raise ValueError(f"The equation that holds {hold} has no scale at t = {t_i:g}; take times away from there.")
    states: list[Form] = []
    calls: list[Evaluation] = []
    for i in range(len(t) - 1):
        ratio = float(scale[i + 1] / scale[i])
        length = float(scale[i + 1]) if absolute else float(gain[i + 1]) - ratio * float(gain[i])
        row = {("N", j): length * float(w[i, j]) for j in range(i + 1)}
        states.append({symbol: value for symbol, value in {("x", i): ratio, **row}.items() if value} or {("x", i): 0.0})
        basis = None if equation.basis is None else equation.basis(t[i])
        calls.append(Evaluation(i, t[i], {("x", i): 1.0}, "field", basis))
    scheme = Scheme(name, t, tuple(states), tuple(calls), (), {"hold": hold})
    check_asked(denoiser, of_scheme(scheme), scheme)
    return scheme


def import_scheme(
    file: str | Path,
    denoiser: Denoiser,
    *,
    hold: str | None = None,
    clock: str | None = None,
    absolute: bool | None = None,
) -> Scheme:
    """The table of the times and the weights in a file, as `multistep_scheme` makes it.

    The file is JSON, {"times": [...], "weights": [[...], ...]}, or safetensors with these two tensors. It may also
    state "hold", "clock" and "absolute", JSON beside the lists, safetensors as texts in its metadata.

    Args:
        file: FILE.json or FILE.safetensors.
        denoiser: the network.
        hold: as for `multistep_scheme`, where the file does not state it; None is "eps".
        clock: the same; None is "t".
        absolute: the same; None is False.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError, ValueError: the file has no times and weights, it states something else than an argument, or as
            `multistep_scheme` raises.
    """
    check_instance("file", file, (str, Path), "the name of a file")
    check_denoiser(denoiser)
    file = Path(file)
    if not is_file(file):
        raise FileNotFoundError(f"There is no file {shown(str(file))} with times and weights.")
    given = {"hold": hold, "clock": clock, "absolute": absolute}
    with naming(file):
        found = _content(file)
        stated = {key: found[key] for key in STATED if key in found}
        for key, value in given.items():
            if value is not None and stated.setdefault(key, value) != value:
                raise ValueError(f"it states {key} = {stated[key]!r}, but {key} = {value!r} was given; leave it out.")
        return multistep_scheme(denoiser, found["times"], found["weights"], name=file.stem, **stated)


def _content(file: Path) -> dict[str, Any]:
    """What a file holds: times, weights, and what it states of them."""
    found: Any
    try:
        if file.suffix.lower() == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  # it is no mapping
                found = {**(opened.metadata() or {}), **tensors}
            if "absolute" in found:
                found["absolute"] = {"true": True, "false": False}[str(found["absolute"]).lower()]
        else:
            found = json.loads(file.read_bytes())
    except (ValueError, KeyError, RecursionError, SafetensorError) as error:
        reason = str(error).partition(". ")[0].removesuffix(".")
        raise ValueError(f"it holds no times and weights ({reason}); write JSON or safetensors.") from None
    missing = [key for key in ("times", "weights") if not isinstance(found, dict) or key not in found]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}; write {{'times': [...], 'weights': [[...], ...]}}.")
    return dict(found)


def _times(path: GaussianPath, times: Any, clock: str) -> tuple[float, ...]:
    """The times of the path."""
    values = reals("times", times)
    if clock != "t":
        level = clock == "sigma/alpha"
        if level and min(values, default=0.0) < 0.0:
            raise ValueError(f"times are levels σ/α, but one of them is {min(values):g}; they fall to 0 at the data.")
        snr = [(math.inf if value == 0.0 else -2.0 * math.log(value)) if level else value for value in values]
        values = tuple(1.0 if each == math.inf else float(path.time(each)) for each in snr)
    if len(values) < 2 or any(after <= before for before, after in pairwise(values)):
        raise ValueError(f"The {len(values)} times must be two at least and lead from noise to data; sort them.")
    return values


def _weights(weights: Any, n: int) -> Array:
    """The weights, float64 (n, n). Raises an error unless they are lower triangular and finite."""
    rows = weights.unbind() if isinstance(weights, Tensor) and weights.ndim == 2 else weights
    if isinstance(rows, str | bytes) or not hasattr(rows, "__len__") or len(rows) != n:
        count = f" but {len(rows)}" if hasattr(rows, "__len__") else ""
        raise ValueError(f"weights must have {n} rows for {n + 1} times,{count or ' and are no rows'}; give (n, n).")
    found = [reals(f"weights[{i}]", row) for i, row in enumerate(rows)]
    for i, row in enumerate(found):
        if len(row) != n:
            raise ValueError(f"weights[{i}] has {len(row)} numbers, but there are {n} steps; fill it up with zeros.")
        for j in range(i + 1, n):
            if row[j] != 0.0:
                raise ValueError(f"weights[{i}][{j}] is {row[j]:g}, but step {i} knows no value of step {j}; it is 0.")
    return np.array(found, dtype=np.float64)
