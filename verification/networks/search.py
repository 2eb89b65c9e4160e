"""The search for the convention under which a network denoises best.

All conventions are tried on few draws. The ten best views of the network are tried on many other draws, so that their
selection does not bias the result. Then the best convention with the clock t is tried with shifts of its path, λ(t) +
shift (`Shifted`), in steps of 0.1 and 0.02; large shifts are tried, too, if nothing else explains the output.

A rival ties with the best convention if the lead, the mean of (e_rival − e_best)/E e_best over the same x₀ and ε, is
below 4.5 standard errors or below the removable share R of the best: a slightly wrong convention may serve an imperfect
network better, but by no more than its own removable error. There are three kinds of ties:

    near       the rival uses the network in nearly the same way (`alike`)
    shift      the rival differs by a shift of its path: the shifts that tie form an interval
    rival      any other: there is no verdict
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ...generative.paths import Shifted
from ...solvers.common import ended
from .conventions import Convention, views
from .finding import Candidate, Finding
from .orthogonality import Reference, Share, removable, standard_error
from .trials import Trial
from .view import View, alike

__all__ = ["REMOVABLE", "Search"]

FINALISTS, DOUBTFUL = 10, 30
"""The number of views that are tried on many draws: the best ones, and those that tie with them on few draws."""
DEVIATIONS = 4.5
"""A one-sided probability of 3e-6, for a thousand rivals."""
REMOVABLE = 0.1
HOPELESS = math.log(2.0)
"""A convention with more than twice the least error on few draws does not tie, whatever the spread."""
FAR = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
STEPS = (0.1, 0.02)
SHOWN = 8
ASPECTS: tuple[Callable[[Convention], object], ...] = (
    lambda each: each.predicts if each.precondition is None else "F",
    lambda each: each.path,
    lambda each: (each.clock.base, each.clock.falls),
    lambda each: each.over_alpha,
    lambda each: each.sign,
)

Key = bytes


class Search:
    """The search on one network.

    Args:
        screening: few draws.
        final: many other draws.
        reference: data other than those of both.
    """

    def __init__(self, screening: Trial, final: Trial, reference: Reference) -> None:
        self.screening, self.final, self.reference = screening, final, reference
        self._names: dict[Key, list[Convention]] = {}  # in the order in which they came
        self._views: dict[Key, View] = {}
        self._scores: dict[Key, float] = {}  # of those that are finite, on few draws
        self._finals: dict[Key, float] = {}  # and on many
        self._shares: dict[Key, list[Share]] = {}

    def add(self, candidates: Iterable[Convention]) -> None:
        """Tries candidates on few draws. Raises ValueError if no output has been finite so far."""
        new = []
        for convention, view in views(candidates, self.screening.log_snr):
            names = self._names.setdefault(view.whole, [])
            if not names:
                self._views[view.whole] = view
                new.append(view.whole)
            if convention not in names:
                names.append(convention)
        self._scores |= self._tried(self.screening, new)
        if not self._scores:
            failure = self.screening.failure
            if failure is not None:
                raise ValueError(ended("The network, at the last of all clocks,", failure)) from failure
            raise ValueError("The network answers nothing finite for any clock; check it.")

    def _tried(self, trial: Trial, keys: Iterable[Key]) -> dict[Key, float]:
        """The mean over levels of the logarithm of the mean error, for the views where it is finite."""
        scores = {key: trial.score(self._views[key]) for key in keys}
        return {key: score for key, score in scores.items() if math.isfinite(score)}

    def shift(self) -> None:
        """Tries shifts of the best plain convention with the clock t; of all if no convention explains the output."""
        if max(share.value for share in self._removable(self._best())) >= REMOVABLE:
            plain = [names[0] for names in self._names.values() if _movable(names[0])]
            self.add(moved for each in plain for far in FAR if (moved := _moved(each, far)))
        for step in STEPS:
            best = next((self._names[key][0] for key in self._ranked() if _movable(self._names[key][0])), None)
            if best is not None:
                self.add(moved for k in range(-5, 6) if k and (moved := _moved(best, step * k)))

    def _ranked(self) -> list[Key]:
        return sorted(self._scores, key=self._scores.__getitem__)

    def _promote(self, keys: Iterable[Key], most: int) -> None:
        """Tries the first views of the network, at most `most`, on many draws."""
        keys = list(keys)
        calls = set(list(dict.fromkeys(self._views[key].call for key in keys))[:most])
        self._finals |= self._tried(
            self.final, [key for key in keys if self._views[key].call in calls and key not in self._finals]
        )

    def _best(self) -> Key:
        self._promote(self._ranked(), FINALISTS)
        return min(self._finals, key=self._finals.__getitem__)

    def _removable(self, key: Key) -> list[Share]:
        """R at each level."""
        if key not in self._shares:
            view, trial = self._views[key], self.final
            residual, h = trial.residual(view, trial.output(view))
            self._shares[key] = [
                removable(residual[k], self.reference.functions(trial.y[k], h[k], rho), trial.rows)
                for k, rho in enumerate(trial.rho.tolist())
            ]
        return self._shares[key]

    def _compared(self, key: Key, best: Key) -> Candidate:
        trial = self.final if key in self._finals else self.screening
        mine, least = trial.errors(self._views[key]), trial.errors(self._views[best])
        lead = ((mine - least) / least.mean(1, keepdim=True)).mean(0)
        error = standard_error(lead, trial.rows)
        return Candidate(self._names[key][0], 1.0 + float(lead.mean()), error, len(lead))

    def _tied(self, best: Key) -> list[Key]:
        margin = max(_mean(self._removable(best)).value, 0.0)
        least = self._scores[best] + HOPELESS
        near = (key for key in self._ranked() if self._scores[key] < least or key in self._finals)

        def ties(each: Candidate) -> bool:
            return each.lead < max(DEVIATIONS * each.standard_error, margin)

        return [key for key in near if key == best or ties(self._compared(key, best))]

    def finding(self) -> Finding:
        """The verdict, after the conventions that tie on few draws have been tried on many."""
        self._promote(self._tied(self._best()), DOUBTFUL)
        best = self._best()
        tied = self._tied(best)
        chosen = self._simplest(best, tied)
        family = [key for key in tied if self._moved_from(key, chosen)]
        near = [key for key in tied if key not in family and alike(self._views[chosen], self._views[key])]
        rivals = [key for key in tied if key not in family and key not in near]
        shares = self._removable(chosen)
        explained = max(share.value for share in shares) < REMOVABLE
        known = explained and not rivals
        name = self._names[chosen][0]
        shifts = [_shift_of(self._names[key][0]) for key in family]
        return Finding(
            convention=name if known else None,
            reason=_reason(shares, explained, len(rivals), len(self.final.x0)),
            explained=explained,
            equivalent=tuple(self._names[chosen][1:]) if known else (),
            near=tuple(self._names[key][0] for key in near) if known else (),
            rivals=tuple(self._names[key][0] for key in (chosen, *rivals)) if explained and rivals else (),
            shift=(min(shifts), max(shifts)) if known and _movable(name) else None,
            removable=_mean(shares),
            levels=tuple(zip(self.final.log_snr.tolist(), shares, strict=True)),
            candidates=tuple(self._compared(key, best) for key in self._shown(chosen)),
            tried=sum(map(len, self._names.values())),
            random=self.final.random(self._views[chosen]),
        )

    def _shown(self, chosen: Key) -> list[Key]:
        """The best views, with one shift of each path, and the best one of every kind, path, clock and frame."""
        ranked = sorted(self._finals, key=self._finals.__getitem__)
        ranked += [key for key in self._ranked() if key not in self._finals]
        firsts = {_unmoved(self._names[key][0]): key for key in [*reversed(ranked), chosen]}
        ranked = [key for key in ranked if firsts[_unmoved(self._names[key][0])] == key]
        kept = set(ranked[:SHOWN])
        for aspect in ASPECTS:
            kept |= set({aspect(_unmoved(self._names[key][0])): key for key in reversed(ranked)}.values())
        return [key for key in ranked if key in kept]

    def _moved_from(self, key: Key, other: Key) -> bool:
        """Whether two views are the same or alike except for the shifts of their paths."""
        one, two = (_unmoved(self._names[each][0]) for each in (key, other))
        if one == two:
            return True
        mine, others = (each.at(self.final.log_snr) for each in (one, two))
        moved = one.path != self._names[key][0].path
        return moved and mine is not None and others is not None and alike(mine, others)

    def _simplest(self, best: Key, tied: Sequence[Key]) -> Key:
        """Of the views that the network cannot tell apart, one without a shift or a scale, and of these the first."""
        order = {key: k for k, key in enumerate(self._names)}
        same = [key for key in tied if self._moved_from(key, best) or alike(self._views[best], self._views[key])]

        def complexity(key: Key) -> tuple[bool, bool, float]:
            name = self._names[key][0]
            return _shift_of(name) != 0.0, name.clock.scale != 1.0, order[key]

        simplest = min(same, key=complexity)
        return best if complexity(simplest)[0] else simplest


def _mean(shares: list[Share]) -> Share:
    variance = sum(each.standard_error**2 for each in shares)
    return Share(sum(each.value for each in shares) / len(shares), variance**0.5 / len(shares))


def _movable(convention: Convention) -> bool:
    """Whether shifts are tried: for a plain network whose clock is t."""
    return convention.clock.base == "t" and not convention.over_alpha and convention.precondition is None


def _moved(convention: Convention, shift: float) -> Convention | None:
    """The convention with a further shift of its path; None if the path does not continue that far."""
    shift = round(_shift_of(convention) + shift, 2)
    plain = _unmoved(convention)
    try:
        return replace(plain, path=Shifted(plain.path, shift)) if shift else plain
    except ValueError:
        return None


def _unmoved(convention: Convention) -> Convention:
    path = convention.path
    return replace(convention, path=path.path) if isinstance(path, Shifted) else convention


def _shift_of(convention: Convention) -> float:
    return convention.path.shift if isinstance(convention.path, Shifted) else 0.0


def _reason(shares: list[Share], explained: bool, rivals: int, draws: int) -> str:
    if not explained:
        worst = 100 * max(share.value for share in shares)
        return (
            f"Nothing that was tried explains the output: functions of the noised data remove {worst:.0f} % of the "
            f"best one's squared error at one log-SNR, more than {100 * REMOVABLE:.0f} %."
        )
    if rivals:
        return f"{rivals + 1} conventions explain the output equally well; give more samples, or other data."
    return f"No other convention explains the output as well, on {draws} draws at each of {len(shares)} log-SNRs."
