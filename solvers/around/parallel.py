"""Parallel in time: all steps of a window are taken at once, and repeated until the states no longer change.

A method x_{i+1} = Φ_i(x_i) is the fixed point of

    x_{i+1} ← Φ_i(x_i) + Σ_{j<i} (Φ_j(x_j) − x_{j+1}),

where every Φ_j acts on the previous iterate, and each stage of all of them is one call of the field (Picard). After k
sweeps the first k states are final. The window moves on past states that are final, or whose last change is below
`tolerance` times the local error of discretisation. That error is estimated from the p-th differences along the window
of the field's first value in each step, where p is the order of the method,

    e_i = |γ_i| |∇^p N_i| / (2^p (p + 1)!),        γ_i the sum of the weights of the field in step i,

which is the p-th Taylor term integrated over a step about its middle. A tolerance of 0.1 therefore adds less than a
tenth to the error that the steps make anyway.

Source: Shih et al., Parallel Sampling of Diffusion Models (2305.16317), algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common import MANY, matching, real, truth, whole
from ..equation import Semilinear
from ..loop import Adaptive, Record, Solver, Stepper, Task, columns, first_nonfinite, nonfinite, spent, tell
from ..scheme import ProgramStep, Scheme, Symbol, normals, unroll
from ..solution import BudgetExhausted, Solution, SolveError

__all__ = ["Picard"]


class Picard(Solver):
    """A one-step solver that takes several steps at a time.

    The field is called with one time a sample, float64 of shape (B,) on the host, and with up to `window` copies of the
    batch. `Solution.nfe` counts all evaluations, and `nfe.depth` the calls one after the other. All samples of a batch
    make the same sweeps, as many as the slowest of them needs.

    Args:
        solver: the one-step solver.
        window: the number of steps at a time, at least 1.
        tolerance: the tolerance of the iteration, in units of the discretisation error. With 0 the result is the
            sequential one to the last bit, if the field does not mix samples.

    Raises:
        TypeError: the solver is none of ours, or a number is none.
        ValueError: the solver looks back, the window is below one step, or the tolerance is negative.
    """

    def __init__(self, solver: Stepper[Any], window: int, tolerance: float = 0.1) -> None:
        if not isinstance(solver, Stepper) or not solver.one_step:
            raise ValueError(f"Picard needs a solver whose steps do not look back, but got {solver!r}; use Euler().")
        self.solver = solver
        self.window, self.tolerance = whole("window", window, 1, MANY), real("tolerance", tolerance, 0.0)
        self.abilities = replace(solver.abilities, embedded=False, dense=False, one_step=False, timewise=False)

    def __repr__(self) -> str:
        return f"Picard({self.solver!r}, window={self.window}, tolerance={self.tolerance:g})"

    def integrate(self, task: Task) -> Solution:
        if isinstance(task.times, Adaptive):
            raise ValueError("Picard takes a grid of times.")
        times, n = task.times.times, task.times.n
        scheme = unroll(task.equation, times, self.solver)
        sweep = _Sweep(task, scheme)
        record, x, begin = Record(task.save, times[0], task.x), task.x, 0
        states = [x] * (min(self.window, n) + 1)  # at the window's times, guessed beyond the first
        try:
            while begin < n:
                ends = sweep.ends(begin, states[:-1])
                moved = _moved(states, ends)
                final = self._final(states, moved, sweep.errors(begin, len(ends), self.order))
                if (trouble := first_nonfinite(moved[1])) is not None:  # later ones have not settled
                    message = nonfinite(trouble, begin + 1, times[begin], times[begin + 1])
                    raise SolveError(message, record.solution(x, 0, "nonfinite"))
                for k in range(1, final + 1):
                    record.add(times[begin + k], moved[k])
                begin, x = begin + final, moved[final]
                states = moved[final:]
                states += [states[-1]] * (min(self.window, n - begin) + 1 - len(states))
                task.progress.reach(times[begin])
        except BudgetExhausted:
            message = spent(task.ledger.budget, None, times[begin], None, None)
            raise SolveError(message, record.solution(x, 0, "budget")) from None
        except SolveError:
            raise
        except Exception as error:
            tell(error, task.ledger, lambda: (record.solution(x, 0, "failed"), times[begin]))
            raise
        finally:
            task.ledger.copies = 1
        return record.solution(x, 0, "completed")

    def _final(self, states: list[Tensor], moved: list[Tensor], errors: Tensor) -> int:
        """The number of states after the window's first one that are final, which is at least one."""
        changes = torch.stack([new - old for new, old in zip(moved[1:], states[1:], strict=True)])
        size, allowed = (part.unsqueeze(-1).flatten(2).square().mean(2).sqrt() for part in (changes, errors))
        unsettled = (~(size <= self.tolerance * allowed)).any(1)
        some = truth(unsettled.any())
        if some is None:
            raise ValueError(
                f"{self!r} sweeps until the numbers of the states are settled, but under vmap a state has none of its "
                "own; give the whole batch as x."
            )
        return max(1, int(unsettled.int().argmax()) if some else len(unsettled))


def _moved(states: list[Tensor], ends: list[Tensor]) -> list[Tensor]:
    """The next iterate: the end of every step, plus the changes of the steps before it."""
    moved, shift = [states[0], ends[0]], ends[0] - states[1]
    for end, old in zip(ends[1:], states[2:], strict=True):
        moved.append(end + shift)
        shift = shift + (end - old)
    return moved


class _Sweep:
    """Takes the steps of a window at once, by the scheme of the method. Normals are drawn once a step, in order."""

    def __init__(self, task: Task, scheme: Scheme) -> None:
        self.task, self.scheme = task, scheme
        self.drawn = 0
        self.normals: dict[Symbol, Tensor] = {}
        self.slopes: list[Tensor] = []

    def ends(self, begin: int, states: Sequence[Tensor]) -> list[Tensor]:
        """The ends of the steps from number `begin` on, given the states at their starts."""
        steps = self.scheme.program[begin : begin + len(states)]
        self._draw(begin, steps)
        kept = self.normals | {("x", begin + i): state for i, state in enumerate(states)}
        for stage in range(max(len(step.evaluations) for step in steps)):
            asked: dict[str, list[tuple[float, Tensor, Symbol]]] = {}
            for step in steps:
                for kind, time, argument, place in step.evaluations[stage : stage + 1]:
                    asked.setdefault(kind, []).append((time, argument.value(kept), place))
            for kind, requests in asked.items():
                times, arguments, places = zip(*requests, strict=True)
                kept.update(zip(places, self._values(kind, times, arguments), strict=True))
        self.slopes = [kept[step.evaluations[0][-1]] for step in steps]
        return [step.state.value(kept) for step in steps]

    def errors(self, begin: int, count: int, order: int) -> Tensor:
        """The local errors of the steps of the last sweep, (count, B, ...); zero if count ≤ order."""
        values = torch.stack(self.slopes).detach()
        if count <= order:
            return torch.zeros_like(values)
        forms = self.scheme.states[begin : begin + count]
        gains = [sum(value for (kind, _), value in form.items() if kind == "N") for form in forms]
        differences = values.diff(n=order, dim=0)
        differences = torch.cat([differences, differences[-1:].expand(order, *differences.shape[1:])])
        share = np.abs(gains) / (2**order * math.factorial(order + 1))
        return differences * matching(columns(share, values), values)

    def _values(self, kind: str, times: Sequence[float], arguments: Sequence[Tensor]) -> Sequence[Tensor]:
        """The values of the field (or the score) at several states of every sample, in one call."""
        task, copies, batch = self.task, len(times), len(self.task.x)
        equation = task.equation.of_rows(torch.arange(batch, device="cpu").repeat(copies))
        field = equation.field
        if kind == "score" and isinstance(equation, Semilinear) and equation.score is not None:
            field = equation.score
        task.ledger.copies = copies
        states = torch.cat(list(arguments))
        return field(columns(np.repeat(times, batch), states), states).chunk(copies)

    def _draw(self, begin: int, steps: Sequence[ProgramStep]) -> None:
        """Draw the normals of the steps that are new in the window, and drop those of the steps that have left it."""
        noise = self.task.noise
        first = min((symbol[1] for step in steps for draw, places in step.draws for symbol in places), default=0)
        self.normals = {symbol: value for symbol, value in self.normals.items() if symbol[1] >= first}
        if noise is None:
            return
        for step in steps[max(self.drawn - begin, 0) :]:
            for draw, places in step.draws:
                self.normals.update(zip(places, normals(draw, noise, self.task.equation, self.task.x), strict=True))
        self.drawn = begin + len(steps)
