"""Parallel in time: all steps of a window at once, again and again, until nothing changes.

A method x_{i+1} = Φ_i(x_i) is the fixed point of

    x_{i+1} ← Φ_i(x_i) + Σ_{j<i} (Φ_j(x_j) − x_{j+1}),

with every Φ_j at the previous iterate, all of them in one call of the field for each of their stages (Picard). After k
sweeps the first k states are final. The window slides on over states that are final, or whose last change is below
`tolerance` times the local error of discretisation, which is estimated by the p-th differences of the field's values
along the window, those of the first evaluation of each step, p the order of the method,

    e_i = |γ_i| |∇^p N_i| / (2^p (p + 1)!),        γ_i the sum of the weights of the field in step i,

the p-th Taylor term integrated over a step about its middle: a tolerance of 0.1 adds less than a tenth to the error
that the steps make anyway.

Source: Shih et al., Parallel Sampling of Diffusion Models (2305.16317), algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..equation import Semilinear
from ..loop import Adaptive, Record, Solver, Stepper, Task, columns, first_nonfinite, nonfinite, spent
from ..scheme import ProgramStep, Scheme, Symbol, normals, unroll
from ..solution import BudgetExhausted, Solution, SolveError

__all__ = ["Picard"]


class Picard(Solver):
    """A one-step solver, `window` steps at a time.

    tolerance: of the iteration, in units of the discretisation error; 0 gives the sequential result to the last bit (of
    a field that does not mix samples). The field is called with one time a sample (see `Equation`), and up to `window`
    copies of the batch. `Solution.nfe` is all work, `nfe.depth` the number of calls one after the other. Samples of a
    batch share their sweeps, of which the slowest decides.

    Raises ValueError for a solver that looks back, a window below one step and a negative tolerance.
    """

    def __init__(self, solver: Stepper, window: int, tolerance: float = 0.1) -> None:
        if not isinstance(solver, Stepper) or not solver.one_step:
            raise ValueError(f"Picard needs a solver whose steps do not look back, but got {solver!r}; use Euler().")
        if window < 1 or not 0.0 <= tolerance < math.inf:
            raise ValueError(f"Picard needs a window >= 1 and a tolerance >= 0, but got {window} and {tolerance}.")
        self.solver, self.window, self.tolerance = solver, window, tolerance
        self.order, self.strong_order, self.weak_order = solver.order, solver.strong_order, solver.weak_order
        self.semilinear, self.noises, self.calculi = solver.semilinear, solver.noises, solver.calculi
        self.draws = solver.draws

    def __repr__(self) -> str:
        return f"Picard({self.solver!r}, window={self.window}, tolerance={self.tolerance:g})"

    def evaluations(self, n: int) -> None:
        """None: each step is evaluated until it has converged."""

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
        finally:
            task.ledger.copies = 1
        return record.solution(x, 0, "completed")

    def _final(self, states: list[Tensor], moved: list[Tensor], errors: Tensor) -> int:
        """How many of the window's states after the first are final: one always is."""
        changes = torch.stack([new - old for new, old in zip(moved[1:], states[1:], strict=True)])
        size, allowed = (part.flatten(2).square().mean(2).sqrt() for part in (changes, errors))
        unsettled = (~(size <= self.tolerance * allowed)).any(1)
        return max(1, int(unsettled.int().argmax()) if unsettled.any() else len(unsettled))


def _moved(states: list[Tensor], ends: list[Tensor]) -> list[Tensor]:
    """The next iterate: every step's end, shifted by what the steps before it were off."""
    moved, shift = [states[0], ends[0]], ends[0] - states[1]
    for end, old in zip(ends[1:], states[2:], strict=True):
        moved.append(end + shift)
        shift = shift + (end - old)
    return moved


class _Sweep:
    """Takes the steps of a window at once, by the scheme of the method; normals are drawn once a step, in order."""

    def __init__(self, task: Task, scheme: Scheme) -> None:
        self.task, self.scheme = task, scheme
        self.drawn = 0
        self.normals: dict[Symbol, Tensor] = {}
        self.slopes: list[Tensor] = []

    def ends(self, begin: int, states: Sequence[Tensor]) -> list[Tensor]:
        """The ends of the steps from begin on, from the states at their starts."""
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
        """The local errors of the steps of the last sweep; zero where the window is too short to tell."""
        values = torch.stack(self.slopes).detach()
        if count <= order:
            return torch.zeros_like(values)
        forms = self.scheme.states[begin : begin + count]
        gains = [sum(value for (kind, _), value in form.items() if kind == "N") for form in forms]
        differences = values.diff(n=order, dim=0)
        differences = torch.cat([differences, differences[-1:].expand(order, *differences.shape[1:])])
        share = np.abs(gains) / (2**order * math.factorial(order + 1))
        return differences * columns(share, values).to(values)

    def _values(self, kind: str, times: Sequence[float], arguments: Sequence[Tensor]) -> Sequence[Tensor]:
        """The field (or the score) at several states of every sample, in one call."""
        task, copies, batch = self.task, len(times), len(self.task.x)
        equation = task.equation.of_rows(torch.arange(batch).repeat(copies))
        field = equation.field
        if kind == "score" and isinstance(equation, Semilinear) and equation.score is not None:
            field = equation.score
        task.ledger.copies = copies
        states = torch.cat(list(arguments))
        return field(columns(np.repeat(times, batch), states), states).chunk(copies)

    def _draw(self, begin: int, steps: Sequence[ProgramStep]) -> None:
        """The normals of the steps that are new in the window; those of the steps that have left it are dropped."""
        noise = self.task.noise
        first = min((symbol[1] for step in steps for draw, places in step.draws for symbol in places), default=0)
        self.normals = {symbol: value for symbol, value in self.normals.items() if symbol[1] >= first}
        if noise is None:
            return
        for step in steps[max(self.drawn - begin, 0) :]:
            for draw, places in step.draws:
                self.normals.update(zip(places, normals(draw, noise, self.task.equation, self.task.x), strict=True))
        self.drawn = begin + len(steps)
