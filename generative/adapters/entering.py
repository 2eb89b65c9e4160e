"""A sampler that is entered at a later evaluation: for pipelines that start from a noised image.

The pipeline holds the timesteps, so that the rest of the run keeps the times of all evaluations that are due, and makes
no other ones. The state X is given at the first of them. There are three cases:

    what follows depends on the past through X alone      the rows of the table from there on, with X for what it was
    a multistep method                                    the method anew, on the times that are due; its order grows
                                                          from 1 by corrections, so that the order is 3 at most
    X lies within a step                                  the rest of the step by an exponential Adams method on the
                                                          times that are due, and the table from the next step on

In the third case the value at the start of the next step corrects the state there, so that the error of the entry is
O(h³) at least where the equation has no noise. An evaluation that is due but does not lie ahead (Heun's second one, at
the time of the next step's first) is made, and not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...solvers import ExponentialAdams, Replay, Scheme, Semilinear, Solver, unroll
from ...solvers.scheme import Evaluation, Form, Symbol

__all__ = ["begun", "entered", "without_start_up"]

ROUNDING = 1e-9
"""A coefficient that is smaller, relative to the largest of its row, is the rounding of zero."""
SAME = 1e-12
"""Times that are closer are the same, up to rounding."""
HERE: Form = {("x", 0): 1.0}
"""The initial state of a table."""


def without_start_up(solver: ExponentialAdams) -> ExponentialAdams:
    """The multistep method with one evaluation in every step."""
    return ExponentialAdams(solver.values, corrector=solver.corrector, start_up=False)


def begun(scheme: Scheme) -> Scheme:
    """The table from its first evaluation on, if it draws noise before: the state there has this noise already."""
    return _cut(scheme, 0, 0, scheme.evaluations[0].argument) or scheme


def entered(scheme: Scheme, begin: int, equation: Semilinear, solver: Solver) -> Scheme:
    """The rest of a run, from an evaluation on at which the state is given.

    Args:
        scheme: the table of the whole run, whose times rise.
        begin: the number of the evaluation.
        equation: the equation, for the coefficients of other steps.
        solver: the solver of the run.

    Raises:
        ValueError: a table that cannot be entered there.
    """
    first, end = scheme.evaluations[begin], scheme.times[-1]
    if (rest := _cut(scheme, begin, first.step, first.argument)) is not None:
        return rest
    if isinstance(solver, Replay):
        raise ValueError(f"{scheme.name} is a table whose later evaluations need the earlier ones; start at the first.")
    due = scheme.evaluations[begin:]
    if isinstance(solver, ExponentialAdams):
        return _stretch(due, [end], equation, without_start_up(solver))
    for step in range(first.step + 1, len(scheme.states)):
        stop = next((j for j, each in enumerate(scheme.evaluations) if each.step >= step), scheme.nfe)
        if (rest := _cut(scheme, stop, step, {("x", step): 1.0})) is not None:
            return _with_entry(scheme.evaluations[begin:stop], rest, equation)
    if first.time > end - SAME:
        idle = Scheme(scheme.name, scheme.times[-2:], (HERE,), ())
        return _after(due, idle)
    return _stretch(due, [end], equation, ExponentialAdams(min(len(due), 2), start_up=False))


def _with_entry(due: tuple[Evaluation, ...], rest: Scheme, equation: Semilinear) -> Scheme:
    """The rest of a table, after the evaluations that are due before it."""
    values, (start, following) = min(len(due), 3), rest.times[:2]
    if due[0].time > start - SAME:
        return _after(due, rest)
    head = rest.evaluations[0]
    if head.kind == "field" and head.time == start and head.argument == HERE and not equation.stochastic:
        method = ExponentialAdams(values, corrector=True, start_up=False)
        table = _stretch(due, [start, following], equation, method)
    else:
        table = _stretch(due, [start], equation, ExponentialAdams(values, start_up=False))
    return _joined(table, rest, shared=table.nfe - len(due))


def _after(idle: tuple[Evaluation, ...], rest: Scheme) -> Scheme:
    """The rest of a table after evaluations at its initial state that are not used."""
    places: dict[Symbol, Symbol] = {("N", k): ("N", k + len(idle)) for k in range(rest.nfe)}
    evaluations = (
        *(Evaluation(0, each.time, HERE, each.kind) for each in idle),
        *(_renamed(each, places) for each in rest.evaluations),
    )
    states = tuple(_with_names(state, places) for state in rest.states)
    return Scheme(rest.name, rest.times, states, evaluations, rest.draws)


def _stretch(
    due: tuple[Evaluation, ...], ends: list[float], equation: Semilinear, method: ExponentialAdams
) -> Scheme:
    """A method on the times that are due, as far as they lie ahead, and then to the end.

    With two ends the step to the second one is left out. The evaluation at the first end is then the last one, and the
    state there is corrected by it.
    """
    nodes = [due[0].time]
    for each in due[1:]:
        if nodes[-1] + SAME < each.time < ends[0] - SAME:
            nodes.append(each.time)
    table, steps = unroll(equation, [*nodes, *ends], method), len(nodes)
    made = list(table.evaluations[: steps + len(ends) - 1])
    evaluations: list[Evaluation] = []
    places: dict[Symbol, Symbol] = {}
    for each in due:
        if made and made[0].time == each.time:
            places["N", len(places)] = "N", len(evaluations)
            evaluations.append(_renamed(made.pop(0), places))
        else:
            evaluations.append(replace(evaluations[-1], time=each.time, kind=each.kind))
    for last in made:
        places["N", len(places)] = "N", len(evaluations)
        evaluations.append(_renamed(last, places))
    states = tuple(_with_names(state, places) for state in table.states[:steps])
    draws = tuple(draw for draw in table.draws if draw.step < steps)
    return Scheme(table.name, table.times[: steps + 1], states, tuple(evaluations), draws)


def _cut(scheme: Scheme, begin: int, step: int, known: Form) -> Scheme | None:
    """The rows from an evaluation on, in terms of a known state X; None if they need more of the past.

    Args:
        scheme: the table.
        begin: the number of the first evaluation that is kept.
        step: the number of the step that is under way at X.
        known: X in terms of the past.
    """
    pivot: Symbol = ("x", step)
    if not known.get(pivot):
        return None
    past: set[Symbol] = {pivot, *known, *(("N", k) for k in range(begin))}
    for form in (*scheme.states[:step], *(each.argument for each in scheme.evaluations[:begin])):
        past |= form.keys()
    later = [*scheme.states[step:], *(each.argument for each in scheme.evaluations[begin:])]
    rows = [_in_terms_of(known, pivot, past, form) for form in later]
    whole = [row for row in rows if row is not None]
    if len(whole) < len(rows):
        return None
    drawn = [k for k in range(len(scheme.draws)) if any(("ξ", k) in row for row in whole)]
    if any(scheme.draws[k].kind in ("increment", "area") for k in drawn):
        return None
    places: dict[Symbol, Symbol] = {("x", j): ("x", j - step) for j in range(step, len(scheme.times))}
    places |= {("N", k): ("N", k - begin) for k in range(begin, scheme.nfe)}
    places |= {("ξ", k): ("ξ", j) for j, k in enumerate(drawn)}
    named = [_with_names(row, places) for row in whole]
    states, arguments = named[: len(scheme.states) - step], named[len(scheme.states) - step :]
    evaluations = tuple(
        replace(each, step=each.step - step, argument=argument)
        for each, argument in zip(scheme.evaluations[begin:], arguments, strict=True)
    )
    draws = tuple(replace(scheme.draws[k], step=scheme.draws[k].step - step) for k in drawn)
    return Scheme(scheme.name, scheme.times[step:], tuple(states), evaluations, draws)


def _in_terms_of(known: Form, pivot: Symbol, past: set[Symbol], form: Form) -> Form | None:
    """The form with (X − Σ other terms of X)/a for the pivot, whose name X takes; None if it needs more of the past."""
    share = form.get(pivot, 0.0) / known[pivot]
    left = {symbol: form.get(symbol, 0.0) - share * known.get(symbol, 0.0) for symbol in {**known, **form}}
    largest = max(map(abs, form.values()))
    if any(abs(left[symbol]) > ROUNDING * largest for symbol in left if symbol in past and symbol != pivot):
        return None
    head = {pivot: share} if share else {}
    return head | {symbol: value for symbol, value in left.items() if symbol not in past}


def _joined(first: Scheme, second: Scheme, shared: int) -> Scheme:
    """One table after another. The last `shared` evaluations of the first are the first ones of the second."""
    steps, made, drawn = len(first.states), first.nfe - shared, len(first.draws)
    places: dict[Symbol, Symbol] = {("x", j): ("x", j + steps) for j in range(len(second.times))}
    places |= {("N", k): ("N", k + made) for k in range(second.nfe)}
    places |= {("ξ", k): ("ξ", k + drawn) for k in range(len(second.draws))}
    evaluations = (_renamed(each, places) for each in second.evaluations[shared:])
    return Scheme(
        second.name,
        (*first.times, *second.times[1:]),
        (*first.states, *(_with_names(state, places) for state in second.states)),
        (*first.evaluations, *(replace(each, step=each.step + steps) for each in evaluations)),
        (*first.draws, *(replace(draw, step=draw.step + steps) for draw in second.draws)),
    )


def _renamed(evaluation: Evaluation, places: Mapping[Symbol, Symbol]) -> Evaluation:
    return replace(evaluation, argument=_with_names(evaluation.argument, places))


def _with_names(form: Form, places: Mapping[Symbol, Symbol]) -> Form:
    """The form with other names for some of its symbols."""
    return {places.get(symbol, symbol): value for symbol, value in form.items()}
