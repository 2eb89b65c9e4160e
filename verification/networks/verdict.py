"""The verdict of a search, with its evidence. Views that tie with the best are of three kinds:

    near       the rival uses the network in nearly the same way (`alike`)
    shift      the rival differs by a shift of its path: the shifts that tie form an interval
    rival      any other: there is no verdict
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .conventions import Convention
from .finding import Candidate, Finding
from .orthogonality import Share, mean_share
from .search import REMOVABLE, UNSETTLED, Key, Search
from .shifts import movable, shift_of, unmoved
from .view import alike

__all__ = ["finding"]

SHOWN = 8
ASPECTS: tuple[Callable[[Convention], object], ...] = (
    lambda each: each.predicts if each.precondition is None else "F",
    lambda each: each.path,
    lambda each: (each.clock.base, each.clock.falls),
    lambda each: each.over_alpha,
    lambda each: each.sign,
)


def finding(search: Search) -> Finding:
    """The verdict on what was tried."""
    best = search.best
    tied = search.tied(best)
    chosen = _simplest(search, best, tied)
    family = [key for key in tied if _moved_from(search, key, chosen)]
    near = [key for key in tied if key not in family and alike(search.views[chosen], search.views[key])]
    rivals = [key for key in tied if key not in family and key not in near]
    shares = search.shares(chosen)
    worst = max(shares, key=lambda share: share.value)
    explained = worst.value < REMOVABLE
    clear = not search.short or abs(worst.value - REMOVABLE) > UNSETTLED * worst.standard_error
    known = explained and clear and not rivals
    name = search.names[chosen][0]
    shifts = [shift_of(search.names[key][0]) for key in family]
    return Finding(
        convention=name if known else None,
        reason=_reason(search, worst, len(rivals), clear),
        explained=explained,
        settled=not search.short or known or (clear and not explained),
        equivalent=tuple(search.names[chosen][1:]) if known else (),
        near=tuple(search.names[key][0] for key in near) if known else (),
        rivals=tuple(search.names[key][0] for key in (chosen, *rivals)) if explained and rivals else (),
        shift=(min(shifts), max(shifts)) if known and movable(name) else None,
        removable=mean_share(shares),
        levels=tuple(zip(search.final.log_snr.tolist(), shares, strict=True)),
        candidates=_candidates(search, best, chosen),
        tried=sum(map(len, search.names.values())),
        random=search.final.random(search.views[chosen]),
        shape=tuple(search.final.shape),
    )


def _candidates(search: Search, best: Key, chosen: Key) -> tuple[Candidate, ...]:
    """The best views, with one shift of each path, and the best one of every kind, path, clock and frame."""
    leads = {key: search.compared(key, best) for key in search.names if search.tried(key)}
    ranked = sorted(leads, key=lambda key: leads[key][0].value)
    plain = {key: unmoved(search.names[key][0]) for key in ranked}
    firsts = {plain[key]: key for key in [*reversed(ranked), chosen]}
    ranked = [key for key in ranked if firsts[plain[key]] == key]
    kept = set(ranked[:SHOWN])
    for aspect in ASPECTS:
        kept |= set({aspect(plain[key]): key for key in reversed(ranked)}.values())

    def candidate(key: Key) -> Candidate:
        lead, draws = leads[key]
        return Candidate(search.names[key][0], 1.0 + lead.value, lead.standard_error, draws)

    return tuple(candidate(key) for key in ranked if key in kept)


def _moved_from(search: Search, key: Key, other: Key) -> bool:
    """Whether two views are the same or alike except for the shifts of their paths."""
    one, two = (unmoved(search.names[each][0]) for each in (key, other))
    if one == two:
        return True
    mine, others = (each.at(search.final.log_snr) for each in (one, two))
    moved = one.path != search.names[key][0].path
    return moved and mine is not None and others is not None and alike(mine, others)


def _simplest(search: Search, best: Key, tied: Sequence[Key]) -> Key:
    """Of the views that the network cannot tell apart, one without a shift or a scale, and of these the first."""
    order = {key: k for k, key in enumerate(search.names)}
    alike_best = [key for key in tied if _moved_from(search, key, best) or alike(search.views[best], search.views[key])]
    same = [key for key in alike_best if key in search.finals]

    def complexity(key: Key) -> tuple[bool, bool, float]:
        name = search.names[key][0]
        return shift_of(name) != 0.0, name.clock.scale != 1.0, order[key]

    simplest = min(same, key=complexity)
    return best if complexity(simplest)[0] else simplest


def _reason(search: Search, worst: Share, rivals: int, clear: bool) -> str:
    draws = f"{search.draws} draws at each of {len(search.final.rho)} log-SNRs"
    share = f"functions of the noised data remove {100 * worst.value:.0f} %"
    if not clear:
        return (
            f"It is not settled on {draws} whether anything that was tried explains the output: {share} of the best "
            f"one's squared error at one log-SNR, ± {100 * worst.standard_error:.0f}; give more minutes."
        )
    if worst.value >= REMOVABLE:
        return (
            f"Nothing that was tried explains the output: {share} of the best one's squared error at one log-SNR, "
            f"more than {100 * REMOVABLE:.0f} %."
        )
    if rivals:
        missing = "minutes" if search.short else "samples, or other data"
        return f"{rivals + 1} conventions explain the output equally well on {draws}; give more {missing}."
    return f"No other convention explains the output as well, on {draws}."
