"""Measure the order of a method from its errors, and compare it with the order that the method declares.

    certify(Heun())                                                 its own problem, its declared order
    certify(ExponentialAdams(3), sampling(VP(), "x0"))              the flow of a mixture
    certify(SRA1(), curved())                                       strong order, on shared Brownian paths
    certify(ExponentialRK(2), arriving(CondOT(), "eps"))            weak order, from exact laws
    certify("dpm++2m")                                              a published sampler
    certify(function_sampler(sample_dpmpp_2m))                      a sampler of another library
    certify(lambda equation, x, times, noise: ..., declared=2)      anyone's code

The errors of a ladder of step counts are fitted as `ladder` says, and judged as `certificate` does.

On deterministic problems a certificate also tells which step limits the order. The first step, or the last one, is
replaced by the exact flow (the method still makes its own evaluations there), and the order of the other steps is
measured. A multistep method that starts with an Euler step, for example, shows order 2, and its full order with an
exact first step. An early stop leaves a bias, whatever the order; it is reported separately.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...generative.adapters import FunctionSampler, NotFinite
from ...generative.paths import CondOT
from ...generative.sampling import Sampler, named
from ...solvers import SolveError, Solver, Stepper
from ...solvers.common import check_callable, check_finite, check_instance, flag, real
from ..oracles import Law
from ..statistics import local_slopes, rms
from .certificate import STALLED, Certificate, Judged, elsewhere
from .ladder import ABOVE, POINTS, fitted, floors, rising
from .problems import PROBLEMS, Problem, sampling
from .running import ExactStep, checked, run_of
from .samplers import Precision, SamplerRun, cases_of, ladder_of, precision_of
from .stochastic_problems import GROUPS, LawProblem, PathProblem, Run, keeping

__all__ = ["AnyProblem", "certify", "declared_order"]

SETTLED = 0.04
"""The ladder ends early if as many local slopes as make a range lie within this of each other."""
LADDER = (8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024)
PATH_LADDER = (16, 32, 64, 128, 256)
METHOD = "a solver such as Heun(), a sampler or its name, or a function (equation, x, times, noise)"
OF_SAMPLERS = (SolveError, NotFinite)
"""What runs raise whose steps are too long."""

AnyProblem = Problem | PathProblem | LawProblem


def certify(
    method: Solver | Sampler | FunctionSampler | str | Run,
    problem: AnyProblem | None = None,
    *,
    declared: float | None = None,
    steps: Sequence[int] | None = None,
    name: str = "",
    apart: bool = True,
) -> Certificate:
    """Measure the order of a solver, a published sampler or any code.

    Args:
        method: a solver; a row of `named`, or its name; a `FunctionSampler`; or a function (equation, x, times, noise)
            -> the state at the last time, with noise None on deterministic problems.
        problem: by default the solver's own equation, the sampler's flow on CondOT or on the path of a scheduler (for a
            stochastic sampler, the law of its output), or the logistic equation for code.
        declared: the order to judge by; the one that the solver declares if None.
        steps: the step counts; by default from 8 to at most 1024 (from 16 to 256 on random paths).
        name: the method's name in the certificate.
        apart: measure the order with the first step and with the last step exact, too; three times the work.

    Raises:
        TypeError: arguments of another kind.
        ValueError: for step counts that do not rise or are fewer than four, for code that raises an error or does not
            return a state, and as the method itself raises for an equation that does not fit.
    """
    if isinstance(method, str):
        method = named(method)
    if isinstance(method, Sampler):
        row, method = method, method.solver
        given: AnyProblem = (
            keeping(CondOT(), row.hold, row.eta)
            if row.stochastic
            else sampling(CondOT(), row.hold, logarithmic=row.logarithmic)
        )
        problem, name = given if problem is None else problem, name or row.name
    usual: tuple[int, ...] = LADDER
    precision = Precision()
    if isinstance(method, FunctionSampler):
        name, usual, precision = name or method.name, ladder_of(method) or LADDER, precision_of(method)
        if problem is None:
            method, problem = cases_of(method)[0]
        method = SamplerRun(method)
    if not isinstance(method, Solver):
        check_callable("method", method, METHOD)
    if problem is None:
        problem = PROBLEMS["log clock" if isinstance(method, Solver) and method.semilinear else "ode"]
    check_instance("problem", problem, (Problem, PathProblem, LawProblem), "a problem, such as PROBLEMS['ode']")
    check_instance("name", name, str, "a name")
    usual = PATH_LADDER if isinstance(problem, PathProblem) else usual
    ladder = usual if steps is None else rising(steps)
    if declared is None and isinstance(method, Solver):
        declared = declared_order(method, problem)
    declared = None if declared is None else real("declared", declared, above=0.0)
    title = name or (repr(method) if isinstance(method, Solver) else getattr(method, "__name__", repr(method)))
    return _Measurement(method, problem, declared, title, ladder, flag("apart", apart), precision).certificate()


def declared_order(solver: Solver, problem: AnyProblem) -> float | None:
    """The order that a solver declares on a problem of this kind."""
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
        precision: Precision,
    ) -> None:
        self.method, self.problem, self.declared, self.name = method, problem, declared, name
        self.precision = precision
        self.ladder, self.apart = ladder, apart
        own = isinstance(method, SamplerRun)  # which checks what it runs
        self.run: Run = run_of(method) if isinstance(method, Solver) else method if own else checked(method, name)
        self.exact = _flat(problem.exact(problem.x) if isinstance(problem, Problem) else problem.exact)
        check_finite(f"The exact solution of {problem.name}", self.exact)
        self.size = rms(self.exact)

    def certificate(self) -> Certificate:
        repeated = self._differs()
        steps, outcomes = self._climb(self.run)
        errors = [rms(outcome - self.exact) for outcome in outcomes]
        floor = self._floors(steps, errors)
        fit = fitted(steps, errors, floor, self._groups(outcomes))
        bias, limit = self._stalled(steps, outcomes, errors, floor)
        first, last = self._apart()
        judged = Judged(self.declared, fit, steps, first, last)
        verdict, reason = judged.verdict()
        if bias is not None:
            verdict, reason = "fail", elsewhere(bias, limit) + self._where(outcomes[-1])
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
        """Two runs from the same states that differ, in a sentence; None if they agree."""
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
            except OF_SAMPLERS:
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
        rounding = floors(steps, errors, self.size, self.precision.eps, self.precision.most)
        return [max(each, self.precision.left * self.size) for each in rounding]

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
        first, last = (self._fitted(run_of(ExactStep(solver, problem, which))) for which in (0, -1))
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
        if len(errors) < POINTS or errors[-1] < (ABOVE if self.precision.left else self.precision.most) * floor[-1]:
            return None, None
        if not max(local_slopes(steps, errors)[-2:]) < STALLED:
            return None, None
        changes = [rms(after - before) for before, after in pairwise(outcomes)]
        fit = fitted(steps[:-1], changes, floor[:-1])
        return errors[-1], None if fit is None else fit.slope

    def _where(self, outcome: Tensor) -> str:
        """The part of a law, mean or variance, that is wrong."""
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
