"""Runs the verification: claims, certificates, audits and more as independent jobs, here or in worker processes.

A job is measured with a generator of its own, so that its outcome does not depend on where it runs or what ran before.
Only the statistical checks are judged together, when all are in: Holm's procedure needs every p-value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from ...solvers.common import check_callable, check_instance, flag
from ..certificates import PATHS, Certificate, cases, uncertified
from ..claims import CATALOGUE, Claim, Measurement, judged, measured
from ..laws import equivalences
from ..networks import audit_checkpoint
from .report import Report

__all__ = ["Told", "chosen", "verify"]

AUDITED = ("digits-flow", "digits-eps", "digits-rough")
"""Shipped networks that the whole run audits."""
Told = Callable[[int, int, str], None]
"""progress(done, total, what was done last)."""
Job = tuple[str, Callable[[], Any]]
"""A name, and what is measured under it."""
Run = Callable[[Callable[[Job], Any], list[Job]], Iterable[tuple[Job, Any]]]
"""run(work, jobs): each job with work(job), in any order."""


def chosen(names: Sequence[str] = (), chapters: Sequence[str] = (), *, quick: bool = False) -> list[Claim]:
    """The claims of these names and of these chapters, in the order of their ids; all if nothing is named.

    Args:
        names: names of claims, or their ids. Capitals do not matter, and -, _ and a space are one.
        chapters: names of modules that state claims, written as freely.
        quick: whether slow claims are left out.

    Raises:
        TypeError: for what is no list of names.
        ValueError: for an unknown name or chapter, and where `quick` leaves nothing.
    """
    quick = flag("quick", quick)
    for key, given in (("names", names), ("chapters", chapters)):
        check_instance(key, given, (list, tuple), 'a list of names, such as ["A001"]')
        for i, name in enumerate(given):
            check_instance(f"{key}[{i}]", name, str, "a name")
    catalogue = sorted(CATALOGUE.values(), key=lambda claim: claim.order)
    known = list(dict.fromkeys(claim.chapter for claim in catalogue))
    wanted = [_plain(name) for name in chapters]
    for name in wanted:
        if name not in known:
            raise ValueError(f"Unknown chapter {name!r}; choose one of {', '.join(known)}.")
    keys = {_plain(key): claim.id for claim in catalogue for key in (claim.id, claim.name)}
    for name in names:
        if _plain(name) not in keys:
            raise ValueError(f"Unknown claim {name!r}; {_ends(catalogue)}.")
    ids = {keys[_plain(name)] for name in names}
    named = [c for c in catalogue if not (names or chapters) or c.id in ids or c.chapter in wanted]
    left = [c for c in named if not (quick and c.slow)]
    if not left:
        raise ValueError(f"Only slow claims are chosen ({', '.join(c.id for c in named)}); run without --quick.")
    return left


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _ends(catalogue: Sequence[Claim]) -> str:
    return f"the catalogue goes from {catalogue[0].id} to {catalogue[-1].id}, and the report has the names"


def verify(
    names: Sequence[str] = (),
    chapters: Sequence[str] = (),
    *,
    quick: bool = False,
    run: Run | None = None,
    progress: Told | None = None,
) -> Report:
    """The report on the whole or, if claims or chapters are named, on these alone.

    Args:
        names: names or ids of claims.
        chapters: names of chapters.
        quick: leave out slow claims and audits, and measure only a few certificates a solver.
        run: what runs the jobs, such as `run` of a benchmark engine, in processes that know the catalogue that the
            package states; without it they run here.
        progress: called after each job.

    Raises:
        ValueError: as `chosen` does.
    """
    start = time.perf_counter()
    if run is not None:
        check_callable("run", run, "a function of a function and a list of jobs")
    if progress is not None:
        check_callable("progress", progress, "a function of two numbers and a name")
    claims = chosen(names, chapters, quick=quick)
    table = () if names or chapters else enumerate(cases())
    networks = () if quick or names or chapters else AUDITED
    jobs: dict[str, Callable[[], Any]] = {f"audit {name}": partial(audit_checkpoint, name) for name in networks}
    jobs |= {
        f"certificate {index}": partial(_certificate, index, quick) for index, case in table if case.quick or not quick
    }
    certificates = [name for name in jobs if name.startswith("certificate")]
    paths = () if names or chapters else PATHS
    jobs |= {f"equivalences {path}": partial(equivalences, path) for path in paths}
    jobs |= {claim.id: partial(_measured, claim.id) for claim in sorted(claims, key=lambda claim: not claim.slow)}
    results: dict[str, Any] = {}
    finished = (run or _in_turn)(_result, list(jobs.items()))
    check_instance("What run returns", finished, Iterable, "each job with its result")
    for (name, _), result in finished:
        results[name] = result
        if progress is not None:
            progress(len(results), len(jobs), name)
    if missing := jobs.keys() - results.keys():
        raise ValueError(f"run gave no result of {min(missing)!r}; it must give each job with its result.")
    made = [results[name] for name in certificates]
    return Report(
        outcomes=judged(claims, [results[claim.id] for claim in claims]),
        certificates=made,
        uncertified={} if names or chapters else uncertified(made),
        equivalences=[results[f"equivalences {path}"] for path in paths],
        audits=[results[f"audit {name}"] for name in networks],
        quick=quick,
        seconds=time.perf_counter() - start,
    )


def _certificate(index: int, quick: bool) -> Certificate:
    """The certificate of a case, which is given by its place: its equations do not travel between processes."""
    case = next(islice(cases(), index, None))
    try:
        return case.certificate(quick)
    except Exception as error:  # of one method: the others are measured all the same
        return Certificate.broken(case.name or repr(case.solver), case.problem().name, error)


def _measured(id: str) -> Measurement:
    """A claim, measured. It is given by its id, because its function may not travel between processes."""
    return measured(CATALOGUE[id])


def _in_turn(work: Callable[[Job], Any], jobs: list[Job]) -> Iterator[tuple[Job, Any]]:
    for job in jobs:
        yield job, work(job)


def _result(job: Job) -> Any:
    """What a job returns; what it raises names the job."""
    name, measure = job
    try:
        return measure()
    except Exception as error:
        error.add_note(f"The job was {name!r}.")
        raise
