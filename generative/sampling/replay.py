"""A table of coefficients as a sampler: on its own times, with the quantity that its file says it holds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ...solvers import Replay, Scheme
from ...solvers.common import choice, naming, real, whole
from ..denoiser import Denoiser, network_digest
from ..equations import HOLDS, LARGEST_ETA, Held
from ..paths import GaussianPath
from .sampler import Sampler

__all__ = ["TableTimes", "check_asked", "is_table_file", "of_file", "of_scheme", "table_of", "warn_of_another_network"]


@dataclass(frozen=True)
class TableTimes:
    """The grid of a table: its own times, and no others.

    Args:
        times: from noise to data.
    """

    times: tuple[float, ...]

    def __call__(self, path: GaussianPath, n: int, *, t0: float | None = None, t1: float | None = None) -> Tensor:
        """The times, float64 (n + 1,). Raises ValueError for another number of steps, and for another interval."""
        own = len(self.times) - 1, self.times[0], self.times[-1]
        asked = whole("n", n), own[1] if t0 is None else real("t0", t0), own[2] if t1 is None else real("t1", t1)
        if asked != own:
            raise ValueError(
                f"The table has {_steps(own)}, but {_steps(asked)} were asked for; leave its steps and its ends as "
                "they are."
            )
        return torch.tensor(self.times, dtype=torch.float64, device="cpu")


def _steps(asked: tuple[int, float, float]) -> str:
    n, t0, t1 = asked
    return f"{n} step{'' if n == 1 else 's'} from t = {t0:g} to t = {t1:g}"


def is_table_file(sampler: object) -> bool:
    """Whether this names a file of a table: it ends in .json."""
    return isinstance(sampler, str | Path) and str(sampler).lower().endswith(".json")


def of_file(file: str | Path) -> Sampler:
    """The sampler of the table in a file. Raises as `Scheme.load` and `of_scheme`."""
    scheme = Scheme.load(file)
    with naming(Path(file)):
        return of_scheme(scheme)


def of_scheme(scheme: Scheme) -> Sampler:
    """The sampler that takes the steps of a table.

    `about` says what its equation holds ("hold", by default the velocity), and η of its noise ("eta", by default 0).

    Args:
        scheme: the table, with times from noise to data.

    Raises:
        ValueError: it goes from data to noise, or `about` says what no equation is.
    """
    told: Mapping[str, object] = scheme.about
    hold = choice("about['hold']", str(told.get("hold", "velocity")), HOLDS)
    eta = real("about['eta']", told.get("eta", 0.0), 0.0, LARGEST_ETA)
    first, last = scheme.times[0], scheme.times[-1]
    if last < first:
        raise ValueError(f"{scheme.name} goes from t = {first:g} to t = {last:g}, but samples go from noise to data.")
    if not eta and any(draw.kind != "extra" for draw in scheme.draws):
        raise ValueError(f"{scheme.name} is for an equation with noise; say of which η: about = {{'eta': 1.0}}.")
    return Sampler(Replay(scheme), hold, eta, TableTimes(scheme.times), name=scheme.name)


def table_of(sampler: Sampler) -> Scheme | None:
    """The table whose steps a sampler takes; None for a method that can take any steps."""
    return sampler.solver.scheme if isinstance(sampler.solver, Replay) else None


def check_asked(denoiser: Denoiser, sampler: Sampler, scheme: Scheme) -> None:
    """Raise ValueError if the denoiser cannot be asked at a time of the table's evaluations."""
    field = cast(Held, sampler.equation(denoiser).field)
    for evaluation in scheme.evaluations:
        if evaluation.kind == "field" and not field.exists(evaluation.time):
            raise ValueError(
                f"{scheme.name} asks for the {sampler.hold} at t = {evaluation.time:g}, where the network, which "
                f"predicts {denoiser.predicts}, does not determine it; take a table that starts later."
            )


def warn_of_another_network(denoiser: Denoiser, scheme: Scheme) -> None:
    """Warn of a table whose `about` has the digest of another network."""
    made_for = scheme.about.get("network")
    if isinstance(made_for, str) and made_for != network_digest(denoiser):
        name = scheme.about.get("network_name", made_for)
        warnings.warn(
            f"{scheme.name} was made for another network, {name}; on this one its error is not known.", stacklevel=4
        )
