"""How far the default sampler is from the best published one, problem by problem and budget by budget.

Every sampler runs as `sample` runs it, from the same noises, on its own grid and between its own ends. The error is the
root mean square of the difference to the reference over noises and components: of all noises, and of the 99 % with the
least. A few noises near a separatrix of a mixture may carry most of the square, and then the first ranks by luck. A
ratio below one: the default is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative import Sampler, flow, named
from ...generative.equations import grids
from ...generative.sampling import default_for, plan, regular_interval
from ...solvers import ExponentialAdams, solve
from ...solvers.common import Progress
from .cases import Case, development

__all__ = ["NFE", "RIVALS", "Error", "Study", "study"]

NFE = (4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
RIVALS = ("ddim", "dpm++2m", "unipc", "deis", "ipndm", "euler", "edm-heun", "flow-euler", "flow-heun")
"""The published samplers; Euler's and Heun's methods on the grid of EDM and on that of flow matching."""
LIMIT = 1.25
KEPT = 0.99


class Error(NamedTuple):
    """The root mean squares over all noises, and over the 99 % with the least error."""

    rms: float
    best: float


@dataclass(frozen=True)
class Study:
    """The errors of the default and of the published samplers.

    Args:
        nfe: the budgets.
        errors: by the name of the case, the name of the sampler ("default" for ours) and the budget; a sampler that
            cannot run there is left out.
        kind: "rms" or "best", which of the errors the ratios are of.
    """

    nfe: tuple[int, ...]
    errors: dict[str, dict[str, dict[int, Error]]] = field(repr=False)
    kind: str = "rms"

    def error(self, case: str, sampler: str, nfe: int) -> float:
        """The error of a sampler."""
        found: float = getattr(self.errors[case][sampler][nfe], self.kind)
        return found

    def ratio(self, case: str, nfe: int) -> float:
        """The error of the default over that of the best published sampler; nan where none of them ran."""
        ran = [name for name, row in self.errors[case].items() if name != "default" and nfe in row]
        best = min((self.error(case, name, nfe) for name in ran), default=math.nan)
        return self.error(case, "default", nfe) / best

    def over_the_best_one(self, nfe: int) -> float:
        """The geometric mean of the default's errors over that of the published sampler that has the least one."""
        ours = _mean(self.error(case, "default", nfe) for case in self.errors)
        means = [
            _mean(self.error(case, name, nfe) for case in self.errors)
            for name in RIVALS
            if all(nfe in rows.get(name, {}) for rows in self.errors.values())
        ]
        return ours / min(means, default=math.nan)

    def missed(self) -> list[tuple[str, int, float]]:
        """The cells in which the default is worse than 1.25 times the best published sampler."""
        cells = [(case, nfe, self.ratio(case, nfe)) for case in self.errors for nfe in self.nfe]
        return [cell for cell in cells if cell[2] > LIMIT]

    def table(self) -> str:
        """The error over that of the best published sampler: a line for each case, and the geometric means."""
        rows = {case: [self.ratio(case, nfe) for nfe in self.nfe] for case in self.errors}
        columns = list(zip(*rows.values(), strict=True))
        rows["geometric mean"] = [_mean(value for value in column if value > 0.0) for column in columns]
        rows["over the best single one"] = [self.over_the_best_one(nfe) for nfe in self.nfe]
        width = max(map(len, rows))
        head = "rms error" if self.kind == "rms" else "rms error of the best 99 %"
        lines = [f"{head:{width}}" + "".join(f"{nfe:>7}" for nfe in self.nfe)]
        lines += [f"{case:{width}}" + "".join(f"{value:7.2f}" for value in row) for case, row in rows.items()]
        return "\n".join([*lines, f"{len(self.missed())} of {len(self.errors) * len(self.nfe)} above {LIMIT:g}"])


def study(
    cases: Sequence[Callable[[], Case]] | None = None,
    nfe: Sequence[int] = NFE,
    *,
    progress: bool = False,
) -> Study:
    """Compare the default sampler with the published ones.

    Args:
        cases: functions that make the problems; by default those of `development`.
        nfe: the budgets.
        progress: show a progress bar on stderr.
    """
    made = development() if cases is None else list(cases)
    errors: dict[str, dict[str, dict[int, Error]]] = {}
    with Progress(0.0, len(made), progress) as bar:
        for done, make in enumerate(made, 1):
            case = make()
            errors[case.name] = _measured(case, nfe)
            bar.reach(done)
    return Study(tuple(nfe), errors)


@torch.no_grad()
def _measured(case: Case, nfe: Sequence[int]) -> dict[str, dict[int, Error]]:
    """The errors of every sampler at every budget."""
    reference, noise = _reference(case), case.noise()
    rows: dict[str, dict[int, Error]] = {name: {} for name in ("default", *RIVALS)}
    for name, row in rows.items():
        for budget in nfe:
            sampler = named(name) if name != "default" else default_for(case.denoiser, budget // case.denoiser.cost)
            try:
                made = plan(case.denoiser, sampler, budget)
                found = made.solve(case.denoiser.path.sigma(made.times[0].item()) * noise).x
            except ValueError:  # too few evaluations, or a drift that is infinite at an end
                continue
            squares = (found - reference).square().flatten(1).mean(1).sort().values
            kept = squares[: max(1, round(KEPT * len(squares)))]
            row[budget] = Error(squares.mean().sqrt().item(), kept.mean().sqrt().item())
    return rows


def _reference(case: Case) -> Tensor:
    """The end of the flow, by a method of fourth order on many steps."""
    denoiser = case.exact or case.denoiser
    early = 0.2 if denoiser.predicts == "eps" else 0.0
    sampler = Sampler(ExponentialAdams(4, corrector=True))
    start, end = regular_interval(denoiser, sampler, both_ways=False)
    steps = 1000 if len(case.shape) == 1 else 400
    times = grids.power(denoiser.path, steps, 2.0, early, t0=start, t1=end)
    return solve(flow(denoiser), denoiser.path.sigma(start) * case.noise(), times, sampler.solver).x


def _mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan
