"""Certificates of order: what a solver declares of itself, against what its errors show.

    certify(Heun())                                                 its own problem, its declared order
    certify(ExponentialAdams(3), sampling(VP(), "x0"))              the flow of a mixture
    certify(SRA1(), curved())                                       strong order, on shared Brownian paths
    certify(ExponentialRK(2), arriving(CondOT(), "eps"))            weak order, from exact laws
    certify("dpm++2m")                                              a published sampler
    certify(lambda equation, x, times, noise: ..., declared=2)      anyone's code

The errors of a ladder of step counts are fitted as `ladder` says, and judged: an order p is declared, and found is the
interval I of the slope.

    pass         the slope is within 0.15 of p, or p within I, and I is no wider than ± 0.25
    fail         all of I is more than 0.15 below p; or the errors stop falling where rounding cannot be the reason;
                 or two runs from the same states differ
    higher       all of I is more than 0.15 above p
    undecided    there is no range in which local slopes agree, or I is too wide

What limits a method is told apart on deterministic problems: with the first step, or the last one, taken by the exact
flow instead (the method still makes its own evaluations there), the order that is found is that of the rest. A
multistep method that starts with Euler's step is of order 2, and of its own order but for the start. What a solve that
stops early leaves is a bias and no matter of order: it is reported apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..generative.named import Published, named
from ..generative.path import CondOT
from ..solvers import Adaptive, Equation, Noise, SolveError, Solver, Step, Stepper, solve
from ..solvers.stepping import Grid
from .gaussian_laws import Law
from .ladder import POINTS, ROUNDING_AT_MOST, Fit, fitted, floors, local_slopes, rms
from .problems import PROBLEMS, Problem, sampling
from .stochastic_problems import GROUPS, LawProblem, PathProblem, Run, keeping

__all__ = ["AnyProblem", "Certificate", "certify", "declared_order"]

TOLERANCE, WIDEST = 0.15, 0.25
"""Of a slope, and of the half of its interval; orders lie at least ½ apart."""
SETTLED = 0.04
"""A ladder need not go on where so many local slopes as make a range lie within this of each other."""
STALLED = 0.3
"""Errors with a smaller slope have stopped falling: the lowest order is ½."""
LADDER = (8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024)
PATH_LADDER = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Certificate:
    """The errors of a method on a ladder of step counts, and what they say of its order.

    kind: "deterministic", "strong" (root mean square over shared Brownian paths), "weak" (the law of the process, in
    its mean and variance) or "law" (of the marginals). errors, floors: by `steps`. order, interval: the slope and its
    95 % interval over `asymptotic`, the first and the last step count of the range; None if there is none.
    first_exact, last_exact: the order with that step taken exactly, where that can be done. early_stop: the distance
    between the exact state where the solve ends and that at the end of the path. bias: the error at which a method
    that converges to something else stops, and limit_order, the order with which it gets there. verdict: "pass",
    "fail", "higher" or "undecided", and the `reason` in a sentence.
    """

    method: str
    problem: str
    kind: str
    declared: float | None
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    floors: tuple[float, ...]
    local_slopes: tuple[float, ...]
    asymptotic: tuple[int, int] | None
    order: float | None
    interval: tuple[float, float] | None
    first_exact: float | None
    last_exact: float | None
    early_stop: float | None
    bias: float | None
    limit_order: float | None
    verdict: str
    reason: str

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"

    def as_json(self) -> dict[str, Any]:
        """Its fields by name, of numbers, strings, lists and None alone."""
        fields = asdict(self) | {"local_slopes": [s if math.isfinite(s) else None for s in self.local_slopes]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def __str__(self) -> str:
        return f"{self.verdict:9}  {self.method} on {self.problem} ({self.kind}): {self.reason}"


AnyProblem = Problem | PathProblem | LawProblem


def certify(
    method: Solver | Published | str | Run,
    problem: AnyProblem | None = None,
    *,
    declared: float | None = None,
    steps: Sequence[int] | None = None,
    name: str = "",
    apart: bool = True,
) -> Certificate:
    """Measure the order of a solver, a published sampler (a row of `named`, or its name) or any code.

    Code is a function (equation, x, times, noise) -> the state at the last time, with noise None on deterministic
    problems. problem: by default the solver's own, the sampler's flow on CondOT (or, where it is stochastic, the law of
    its output), and the logistic equation for code. declared: the order to judge by, if it is not to be read off the
    solver. steps: the ladder; by default from 8, as far as there is something to see, to 1024 (256 on random paths).
    apart: tell start-up and end apart, which takes three times as long.

    Raises ValueError for a ladder that does not rise or has fewer than four rungs, and what the method itself raises of
    an equation that does not fit.
    """
    if isinstance(method, str):
        method = named(method)
    if isinstance(method, Published):
        row, method = method, method.solver
        given: AnyProblem = (
            keeping(CondOT(), row.hold, row.eta)
            if row.stochastic
            else sampling(CondOT(), row.hold, logarithmic=row.logarithmic)
        )
        problem, name = given if problem is None else problem, name or row.name
    if problem is None:
        problem = PROBLEMS["log clock" if isinstance(method, Solver) and method.semilinear else "ode"]
    ladder = tuple(steps or (PATH_LADDER if isinstance(problem, PathProblem) else LADDER))
    if len(ladder) < POINTS or any(a >= b for a, b in pairwise(ladder)):
        raise ValueError(f"A ladder has at least {POINTS} step counts that rise, but got {list(ladder)}.")
    if declared is None and isinstance(method, Solver):
        declared = declared_order(method, problem)
    title = name or (repr(method) if isinstance(method, Solver) else getattr(method, "__name__", repr(method)))
    return _Measurement(method, problem, declared, title, ladder, apart).certificate()


def declared_order(solver: Solver, problem: AnyProblem) -> float | None:
    """What a solver declares of its order on a problem of this kind."""
    if isinstance(problem, Problem):
        return float(solver.order)
    if isinstance(problem, PathProblem):
        return solver.strong_order
    if problem.kind == "law" and not problem.equation.stochastic:
        return float(solver.order)  # it adds noise that keeps the marginals
    return solver.weak_order


class _Measurement:
    """One method on one problem."""

    def __init__(
        self,
        method: Solver | Run,
        problem: AnyProblem,
        declared: float | None,
        name: str,
        ladder: tuple[int, ...],
        apart: bool,
    ) -> None:
        self.method, self.problem, self.declared, self.name = method, problem, declared, name
        self.ladder, self.apart = ladder, apart
        self.run: Run = _run_of(method) if isinstance(method, Solver) else method
        self.exact = _flat(problem.exact(problem.x) if isinstance(problem, Problem) else problem.exact)
        self.size = rms(self.exact)

    def certificate(self) -> Certificate:
        repeated = self._differs()
        steps, outcomes = self._climb(self.run)
        errors = [rms(outcome - self.exact) for outcome in outcomes]
        floor = self._floors(steps, errors)
        fit = fitted(steps, errors, floor, self._groups(outcomes))
        bias, limit = self._stalled(steps, outcomes, errors, floor)
        first, last = self._apart()
        judged = _Judged(self.declared, fit, steps, first, last)
        verdict, reason = judged.verdict()
        if bias is not None:
            verdict, reason = "fail", _elsewhere(bias, limit) + self._where(outcomes[-1])
        if repeated is not None:
            verdict, reason = "fail", repeated
        return Certificate(
            self.name, self.problem.name, self._kind(), self.declared, tuple(steps), tuple(errors), tuple(floor),
            tuple(local_slopes(steps, errors)),
            None if fit is None else (steps[fit.first], steps[fit.last]),
            None if fit is None else fit.slope,
            None if fit is None else (fit.slope - fit.half_width, fit.slope + fit.half_width),
            first, last, self._early_stop(), bias, limit, verdict, reason,
        )  # fmt: skip

    def _kind(self) -> str:
        if isinstance(self.problem, LawProblem):
            return self.problem.kind
        return "strong" if isinstance(self.problem, PathProblem) else "deterministic"

    def _outcome(self, run: Run, n: int) -> Tensor:
        problem = self.problem
        with torch.no_grad():
            if isinstance(problem, Problem):
                return run(problem.equation, problem.x, problem.grid(n), None)
            return _flat(problem.outcome(run, n))

    def _differs(self) -> str | None:
        """What is wrong with a method that is no function of its arguments."""
        try:
            one, two = (self._outcome(self.run, self.ladder[0]) for _ in range(2))
        except (SolveError, ValueError):
            return None  # steps that are too long; or the error of a field that is not affine, which comes again
        if torch.equal(one, two) or not (one - two).isfinite().all():
            return None
        return (
            f"Two runs from the same states and noise differ by {rms(one - two):.2g}: the field is not a function of t "
            "and x; draw what is random once, before the solve."
        )

    def _climb(self, run: Run) -> tuple[list[int], list[Tensor]]:
        """Outcomes as far up the ladder as there is something to see; none of steps that are too long."""
        steps: list[int] = []
        outcomes: list[Tensor] = []
        for n in self.ladder:
            try:
                outcome = self._outcome(run, n)
            except SolveError:
                continue
            if not math.isfinite(rms(outcome)):
                continue
            steps.append(n)
            outcomes.append(outcome)
            errors = [rms(each - self.exact) for each in outcomes]
            slopes = local_slopes(steps, errors)[1 - POINTS - 1 :]
            if errors[-1] < self._floors(steps, errors)[-1] * 2.0:
                break
            if n >= 64 and len(slopes) == POINTS and max(slopes) - min(slopes) < SETTLED and min(slopes) > STALLED:
                break
        return steps, outcomes

    def _floors(self, steps: Sequence[int], errors: Sequence[float]) -> list[float]:
        return floors(steps, errors, self.size, torch.finfo(self.exact.dtype).eps)

    def _groups(self, outcomes: Sequence[Tensor]) -> Any:
        """Errors by groups of paths, where they are random."""
        if not isinstance(self.problem, PathProblem) or not outcomes:
            return None
        errors = torch.stack([outcome - self.exact for outcome in outcomes])
        return errors.reshape(len(outcomes), -1, GROUPS).square().mean(1).sqrt().numpy()

    def _fitted(self, run: Run) -> float | None:
        steps, outcomes = self._climb(run)
        errors = [rms(outcome - self.exact) for outcome in outcomes]
        fit = fitted(steps, errors, self._floors(steps, errors))
        return None if fit is None else fit.slope

    def _apart(self) -> tuple[float | None, float | None]:
        """The order with the first step taken exactly, and with the last."""
        problem, solver = self.problem, self.method
        if not self.apart or not isinstance(problem, Problem) or not isinstance(solver, Stepper):
            return None, None
        first, last = (self._fitted(_run_of(_ExactStep(solver, problem, which))) for which in (0, -1))
        return first, last

    def _early_stop(self) -> float | None:
        problem = self.problem
        if not isinstance(problem, Problem) or problem.end is None:
            return None
        return rms(problem.exact(problem.x, problem.end) - self.exact)

    def _stalled(
        self, steps: list[int], outcomes: list[Tensor], errors: list[float], floor: list[float]
    ) -> tuple[float | None, float | None]:
        """The error that stays, and the order with which outcomes approach their own limit."""
        if len(errors) < POINTS or errors[-1] < ROUNDING_AT_MOST * floor[-1]:
            return None, None
        if not max(local_slopes(steps, errors)[-2:]) < STALLED:
            return None, None
        changes = [rms(after - before) for before, after in pairwise(outcomes)]
        fit = fitted(steps[:-1], changes, floor[:-1])
        return errors[-1], None if fit is None else fit.slope

    def _where(self, outcome: Tensor) -> str:
        """Which part of a law is wrong."""
        if not isinstance(self.problem, LawProblem):
            return ""
        dim = len(self.problem.exact.mean)
        gap = outcome - self.exact
        off_mean, off_cov = rms(gap[:dim]), rms(gap[dim:])
        if off_mean > 0.05 * off_cov:
            return " Its mean is off."
        ratio = outcome[dim:].sum() / self.exact[dim:].sum()
        return f" Its mean is right, but its variance is {ratio.item():.3g} times the exact one: the noise is off."


def _flat(outcome: Tensor | Law) -> Tensor:
    """The numbers that are compared; of a law its mean and its covariance."""
    return torch.cat([outcome.mean, outcome.cov.flatten()]) if isinstance(outcome, Law) else outcome


def _run_of(solver: Solver) -> Run:
    """A solver as a function. Adaptive schemes alone take each step of the grid by itself, whatever its error."""

    def run(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        if not _on_grids(solver):
            for t0, t1 in zip(times.tolist(), times.tolist()[1:], strict=False):
                step = solve(equation, x, Adaptive(t0, t1, rtol=ANY, atol=ANY), solver)
                if step.accepted != 1:
                    raise SolveError("A step was divided.", step)
                x = step.x
            return x
        return solve(equation, x, times, solver, noise).x

    return run


ANY = 300.0
"""A tolerance that every step meets."""


def _on_grids(solver: Solver) -> bool:
    try:
        solver.evaluations(1)
    except ValueError:
        return False
    return True


class _ExactStep(Stepper):
    """A method one of whose steps, the first (0) or the last (−1), ends where the exact flow does."""

    def __init__(self, solver: Stepper, problem: Problem, which: int) -> None:
        self.solver, self.problem, self.which = solver, problem, which
        self.order, self.semilinear = solver.order, solver.semilinear

    def evaluations(self, n: int) -> int | None:
        return self.solver.evaluations(n)

    def init(self, equation: Equation, x: Tensor, times: Grid | Adaptive) -> Any:
        ends = times.times[:2] if self.which == 0 else times.times[-2:]  # type: ignore[union-attr]  # as `certify` gives
        return ends, self.solver.init(equation, x, times)

    def step(self, equation: Equation, t0: Any, t1: Any, x: Tensor, state: Any, noise: Noise | None) -> Step:
        ends, inner = state
        step = self.solver.step(equation, t0, t1, x, inner, noise)
        return Step(self.problem.flow(x, t0, t1) if (t0, t1) == ends else step.x, (ends, step.state))


@dataclass(frozen=True)
class _Judged:
    """What a fit says of a declared order."""

    declared: float | None
    fit: Fit | None
    steps: Sequence[int]
    first: float | None
    last: float | None

    def verdict(self) -> tuple[str, str]:
        if (fit := self.fit) is None:
            return "undecided", "The errors show no range in which their local slopes agree above the rounding."
        found = (
            f"Order {fit.slope:.2f} ± {fit.half_width:.2f} over {self.steps[fit.first]} to {self.steps[fit.last]} steps"
        )
        if (order := self.declared) is None:
            return "undecided", f"{found}; no order is declared."
        if fit.slope + fit.half_width < order - TOLERANCE:
            return "fail", f"{found}, below the declared {order:g}.{self._limits(fit, order)}"
        if fit.slope - fit.half_width > order + TOLERANCE:
            return "higher", f"{found}, above the declared {order:g}."
        if fit.half_width <= WIDEST and abs(fit.slope - order) <= max(TOLERANCE, fit.half_width):
            return "pass", f"{found}, as declared ({order:g})."
        return "undecided", f"{found}, which does not settle the declared {order:g}."

    def _limits(self, fit: Fit, order: float) -> str:
        """Which step is to blame."""
        for rest, what in ((self.first, "first"), (self.last, "last")):
            if rest is not None and rest > fit.slope + 0.5:
                which = "start-up" if what == "first" else "last step"
                return f" With its {what} step exact it is of order {rest:.2f}: the {which} limits it."
        return ""


def _elsewhere(bias: float, limit: float | None) -> str:
    if limit is None or limit < STALLED:
        return f"The errors stop falling at {bias:.3g}, which is no rounding: the method does not converge."
    return (
        f"The method converges, with order {limit:.2f}, but to something else: its errors stop falling at {bias:.3g}, "
        "which is no rounding."
    )
