"""The search for the convention under which a network denoises best.

All conventions are tried on few draws, whose number is doubled again and again. After each step those that are behind
are dropped (`race`): the lead of the best over them is significant, and exceeds the largest margin. What is left is
tried in the same way on many other draws, so that the selection does not bias the result. Then shifts of the path of
the best convention are tried (`shifts`).

A rival ties with the best convention if the lead of the best is not significant, or below the removable share R of the
best: a slightly wrong convention may serve an imperfect network better, but by no more than its own removable error.

If the time is limited (`Effort`), the doubling ends early. Fewer draws make larger standard errors, so that more rivals
tie: the verdict stays open, but is not wrong more often.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...solvers.common import ended
from .conventions import Convention, views
from .effort import Effort
from .orthogonality import Reference, Share, mean_share, removable
from .race import Lead, lead
from .trials import Trial
from .view import View

__all__ = ["FEWEST", "FIRST", "REMOVABLE", "SPARED", "UNSETTLED", "USUAL", "Key", "Search"]

REMOVABLE = 0.1
"""The largest removable share of a convention that explains the output, and so the largest margin."""
PROMOTED = 30
"""The largest number of calls of the network that are tried on many draws."""
FIRST, FEWEST = 2, 16
"""The least numbers of draws: of the first step, and of a verdict."""
SPARED, USUAL = 8, 4
"""The number of further calls, on many draws, for which time is spared, and the usual one."""
SCREENED, WORTHWHILE = 0.4, 1.2
"""The usual share of the time for few draws; the least factor of draws that is worth a step."""

UNSETTLED = 2.0
"""The number of standard errors by which a share may be off if the time is limited."""

Key = bytes


class Search:
    """The search on one network.

    Args:
        screening: few draws.
        final: many other draws.
        reference: data other than those of both.
        effort: counts the evaluations.

    Attributes:
        names: the conventions of each view of the network, in the order in which they came.
        views: the views.
        scores: the last score of each view on few draws, if it is finite.
        finals: the scores on many draws of those that are not behind.
        draws: the number of these draws at each level.
    """

    def __init__(self, screening: Trial, final: Trial, reference: Reference, effort: Effort) -> None:
        self.screening, self.final, self.reference, self.effort = screening, final, reference, effort
        self.names: dict[Key, list[Convention]] = {}
        self.views: dict[Key, View] = {}
        self.scores: dict[Key, float] = {}
        self.finals: dict[Key, float] = {}
        self.draws = 0
        self._open: list[Key] = []  # not behind on few draws
        self._shares: dict[tuple[Key, int], list[Share]] = {}

    def register(self, candidates: Iterable[Convention]) -> list[Key]:
        """Names the views of candidates. Returns those that are new."""
        new = []
        for convention, view in views(candidates, self.screening.log_snr):
            names = self.names.setdefault(view.whole, [])
            if not names:
                self.views[view.whole] = view
                new.append(view.whole)
            if convention not in names:
                names.append(convention)
        return new

    def key(self, convention: Convention) -> Key | None:
        """The view of one convention; None if the path lacks a level."""
        found = views([convention], self.screening.log_snr)
        self.register([convention])
        return found[0][1].whole if found else None

    def screen(self, new: list[Key], first: int) -> None:
        """Tries views on few draws, at first on `first`. Raises ValueError if no output has been finite so far."""
        keys, allowed = [*self._open, *new], self.effort.done + SCREENED * self.effort.left
        for draws in self.screening.sizes(first):
            cost = self.cost(self.screening, keys, draws)
            calls = self._calls(keys)
            cheaper = cost < self._fewest(len(calls)) and cost + self._fewest(1 + SPARED) <= self.effort.left
            if draws > first and self.effort.done + cost > allowed and not cheaper:
                break
            self._expect(1.5 * cost, f"{len(calls)} ways to ask the network, {draws} draws")
            found = {key: self.screening.score(self.views[key], draws) for key in keys}
            found = {key: score for key, score in found.items() if math.isfinite(score)}
            self.scores |= found
            if not self.scores:
                failure = self.screening.failure
                if failure is not None:
                    raise ValueError(ended("The network, at the last of all clocks,", failure)) from failure
                raise ValueError("The network answers nothing finite for any clock; check it.")
            keys = self._not_behind(self.screening, found, draws, REMOVABLE)
        self._open = sorted(keys, key=self.scores.__getitem__)

    def promote(self) -> None:
        """Tries what is open on many draws, at first on as many as there is time for."""
        first = list(self._calls(self._open))[: self._affordable()]
        keys = [key for key in self._open if self.views[key].call in first]
        if self.finals:
            self.compete(keys, REMOVABLE)
            return
        for size in self.final.sizes(FEWEST):
            draws = size
            calls = self._calls(keys)
            if self.draws and self.cost(self.final, keys, draws) + self.spared(draws) > self.effort.left:
                draws = self._within(self.effort.left, len(calls))
                if draws < WORTHWHILE * self.draws:
                    break
            self._expect(0.0, f"the best {len(calls)} on {draws} draws", len(calls))
            found = {key: self.final.score(self.views[key], draws) for key in keys}
            found = {key: score for key, score in found.items() if math.isfinite(score)}
            keys, self.draws = self._not_behind(self.final, found, draws, REMOVABLE), draws
            self.finals = {key: found[key] for key in keys}
            if draws < size:
                break

    def compete(self, keys: Iterable[Key], margin: float) -> None:
        """Tries views against the best one on many draws, until they are behind by more than the margin."""
        best = self.best
        left = {key: math.inf for key in keys if key not in self.finals}
        for draws in (*(size for size in self.final.sizes(FEWEST) if size < self.draws), self.draws):
            left = {key: self.final.score(self.views[key], draws) for key in left}
            left = {key: score for key, score in left.items() if math.isfinite(score)}
            left = {key: left[key] for key in left if not self.lead(key, best, self.final, draws).beyond(margin)}
        self.finals |= left

    def _not_behind(self, trial: Trial, scores: dict[Key, float], draws: int, margin: float) -> list[Key]:
        if not scores:
            return []
        best = min(scores, key=scores.__getitem__)
        return [key for key in scores if key == best or not self.lead(key, best, trial, draws).beyond(margin)]

    def lead(self, key: Key, best: Key, trial: Trial, draws: int) -> Lead:
        """The lead of the best over another."""
        mine, least = (trial.errors(self.views[each], draws) for each in (key, best))
        return lead(mine, least, trial.rows)

    @property
    def best(self) -> Key:
        return min(self.finals, key=self.finals.__getitem__)

    def compared(self, key: Key, best: Key) -> tuple[Lead, int]:
        """The lead of the best over another on the most draws on which this was tried, and their number."""
        trial = self.final if self.final.draws(self.views[key]) else self.screening
        draws = min(trial.draws(self.views[key]), self.draws) if trial is self.final else trial.draws(self.views[key])
        return self.lead(key, best, trial, draws), draws

    def tried(self, key: Key) -> bool:
        """Whether the network had a finite output for a view on any draws."""
        view = self.views[key]
        return bool(self.final.draws(view) or self.screening.draws(view))

    def shares(self, key: Key) -> list[Share]:
        """R at each level."""
        if (key, self.draws) not in self._shares:
            trial, n = self.final, self.draws
            residual, h = trial.residual(self.views[key], n)
            self._shares[key, n] = [
                removable(residual[k], self.reference.functions(trial.y[k, :n], h[k], rho), min(trial.rows, n))
                for k, rho in enumerate(trial.rho.tolist())
            ]
        return self._shares[key, self.draws]

    def margin(self, best: Key) -> float:
        """The lead that the best must have over a rival that does not tie: R, and on few draws a bound of it."""
        share = mean_share(self.shares(best))
        return max(share.value + UNSETTLED * share.standard_error * self.short, 0.0)

    @property
    def short(self) -> bool:
        """Whether there was time for fewer draws than there are."""
        return self.effort.limited and self.draws < len(self.final)

    def tied(self, best: Key) -> list[Key]:
        """The views that tie with the best on as many draws as they were tried on, best first."""
        margin = self.margin(best)
        keys = [*sorted(self.finals, key=self.finals.__getitem__), *self.untried]
        return [key for key in keys if key == best or not self.compared(key, best)[0].beyond(margin)]

    @property
    def untried(self) -> list[Key]:
        """The views that are not behind on few draws, and for which there was no time, or no room, on many."""
        return [key for key in self._open if not self.final.draws(self.views[key])]

    def cost(self, trial: Trial, keys: Iterable[Key], draws: int) -> int:
        """The evaluations that these views take on so many draws, beyond those that were made."""
        return sum(trial.cost(view, draws) for view in self._calls(keys).values())

    def spared(self, draws: int) -> int:
        """The evaluations of the further calls."""
        return SPARED * len(self.final.rho) * draws

    def _expect(self, ahead: float, what: str, calls: int = 1) -> None:
        """Tells what is done now, ahead of the trial of some calls on many draws, and of the usual shifts."""
        draws = self._within(self.effort.left - ahead, calls)
        self.effort.expect(ahead + len(self.final.rho) * (calls * (draws - self.draws) + USUAL * draws), what)

    def _calls(self, keys: Iterable[Key]) -> dict[bytes, View]:
        """The different calls of the network, each with a view."""
        return {self.views[key].call: self.views[key] for key in keys}

    def _fewest(self, calls: int) -> int:
        """The evaluations of the least trial of some calls on many draws."""
        return len(self.final.rho) * calls * (self.draws or FEWEST)

    def _affordable(self) -> int:
        """The number of calls that are tried on many draws, on the fewest of them for half of the time."""
        return int(max(1.0, min(PROMOTED, 0.5 * self.effort.left / self._fewest(1))))

    def _within(self, left: float, calls: int) -> int:
        """The number of draws on which there is time for some calls and for those that are spared."""
        draws = (left / len(self.final.rho) + calls * self.draws) / (calls + SPARED)
        return self.final.whole(max(draws, FEWEST))
