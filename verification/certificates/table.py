"""The problems on which every exported solver is measured.

A solver is measured on equations without a model, and as a sampler on VP, CondOT and VE with every quantity that it can
hold. A solver that takes noise is also measured path by path and in law. A solver that adds noise of its own is
measured by the law of its output, which has the order of the solver inside, and as a process, which has weak order 1.
Adaptive schemes are measured step by step, on a grid.

Every method in `runge_kutta` is measured without an entry here; the first equation of a solver is always a quick one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from torch import Tensor

from ...generative.equations import HOLDS
from ...generative.paths import VE, VP, CondOT, GaussianPath
from ...solvers import (
    DPM_SOLVER_2,
    EDM_HEUN,
    RK4,
    SRA1,
    TRAPEZOID,
    Ancestral,
    Churn,
    Equation,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Halving,
    Heun,
    Langevin,
    LeimkuhlerMatthews,
    Milstein,
    Noise,
    Picard,
    Restart,
    SciPy,
    Semilinear,
    Solver,
    Stepper,
    StochasticHeun,
    TorchDiffEq,
    TorchSDE,
    runge_kutta,
    solve,
)
from .certificate import Certificate
from .convergence import AnyProblem, certify, declared_order
from .problems import CLEAN, NOISY, PROBLEMS, sampling, uniform
from .stochastic_problems import LawProblem, Run, arriving, curved, keeping, reversing

__all__ = ["CLASSICAL", "FIXED_STEP", "PATHS", "STOCHASTIC", "Case", "cases", "default_problems"]

CLASSICAL: list[Solver] = [EulerMaruyama(), Milstein(), StochasticHeun(), SRA1(), LeimkuhlerMatthews()]
ADAMS = [ExponentialAdams(order, corrector=corrector) for order in (1, 2, 3, 4) for corrector in (False, True)]
EXPONENTIAL_RK = [ExponentialRK(order) for order in (2, 3, 4, TRAPEZOID, DPM_SOLVER_2, EDM_HEUN)]

FIXED_STEP: list[Solver] = [
    *(method() for method in runge_kutta.METHODS),
    *CLASSICAL,
    *ADAMS,
    *EXPONENTIAL_RK,
    *(TorchDiffEq(method) for method in TorchDiffEq.FIXED),
    *(Halving(solver) for solver in (Euler(), Heun(), ExponentialRK(3))),
]
"""Every solver and variant that takes any equation on a grid of times."""

STOCHASTIC: list[Solver] = [*CLASSICAL, *ADAMS, *EXPONENTIAL_RK]
"""The solvers among them that take noise."""

BEHIND: list[Solver] = [
    *map(TorchSDE, TorchSDE.METHODS),
    *(Picard(solver, 16, 0.0) for solver in (RK4(), ExponentialRK(2))),
]
"""Solvers of other libraries, and in parallel, that take a grid."""

SCHEMES: list[Solver] = [
    *map(TorchDiffEq, ("adaptive_heun", "fehlberg2", "bosh3", "dopri5", "dopri8")),
    *map(SciPy, SciPy.EXPLICIT),
]
"""Explicit solvers that choose their own steps. An implicit one has no order on a grid that it does not choose."""

EQUAL = {
    "explicit_adams": (362, 512, 724, 1024, 1448),
    "implicit_adams": (45, 64, 90, 128, 181),
    "fixed_adams": (45, 64, 90, 128, 181),
}
"""Methods that need equal steps in t, so many that the explicit one is stable and the iteration of the others ends."""
EIGHTH = (10, 12, 14, 16, 18, 20)
"""Few steps: a method of order 8 reaches the rounding soon."""
FIFTH = (32, 38, 45, 54, 64, 76, 90, 108, 128, 152, 181, 215, 256, 304, 362)
LATE = (161, 181, 203, 228, 256, 287, 322, 362)
"""Methods of order 5 show it shortly before the rounding, on VE from 160 steps on: narrower rungs there."""
QUICK = (8, 16, 32, 64, 128, 256, 512)

INNER: list[Stepper[Semilinear]] = [ADAMS[0], ExponentialRK(2), ExponentialRK(EDM_HEUN), ExponentialRK(3)]

PATHS: list[GaussianPath] = [VP(), CondOT(), VE()]

QUICK_FLOWS: dict[tuple[GaussianPath, str], set[str]] = {
    (VP(), "x0"): {"ExponentialRK(TRAPEZOID)"},
    (VP(), "eps"): {"ExponentialRK(2)"},
    (VP(), "v"): {"ExponentialAdams(2)"},
    (VP(), "velocity"): {
        *("Euler()", "Ralston()", "Dopri5()", "Milstein()", "LeimkuhlerMatthews()"),
        *("ExponentialAdams(3, corrector=True)", "TorchDiffEq('euler')", "TorchDiffEq('heun3')", "Halving(Heun())"),
    },
    (CondOT(), "x0"): {"ExponentialAdams(2, corrector=True)"},
    (CondOT(), "eps"): {"ExponentialAdams(1)", "ExponentialRK(DPM_SOLVER_2)"},
    (CondOT(), "v"): {"ExponentialAdams(4)"},
    (CondOT(), "velocity"): {
        *("Midpoint()", "RK4()", "Tsit5()", "StochasticHeun()", "ExponentialRK(3)"),
        *("TorchDiffEq('midpoint')", "TorchDiffEq('rk4')", "Halving(ExponentialRK(3))"),
    },
    (VE(), "x0"): {"ExponentialAdams(4, corrector=True)"},
    (VE(), "eps"): {"ExponentialAdams(3)"},
    (VE(), "v"): {"ExponentialRK(4)"},
    (VE(), "velocity"): {
        *("Heun()", "Bosh3()", "EulerMaruyama()", "SRA1()", "ExponentialAdams(1, corrector=True)"),
        *("ExponentialRK(EDM_HEUN)", "TorchDiffEq('heun2')", "Halving(Euler())"),
    },
}
"""The solvers that are measured first on the flow of each path with each quantity held."""
QUICK_LAWS: dict[tuple[GaussianPath, str], set[str]] = {
    (VP(), "x0"): {"EulerMaruyama()"},
    (VP(), "eps"): {"SRA1()"},
    (CondOT(), "x0"): {"LeimkuhlerMatthews()"},
    (CondOT(), "eps"): {"Milstein()", "ExponentialAdams(2)", "ExponentialRK(2)"},
    (VE(), "x0"): {"StochasticHeun()"},
    (VE(), "eps"): {"ExponentialAdams(1)"},
}
"""The solvers whose weak order is measured first there."""


@dataclass(frozen=True)
class Case:
    """A solver and a problem on which it is measured.

    Attributes:
        solver: the solver.
        problem: a function that makes the problem.
        quick: whether `fokker verify --quick` measures it.
        made: a function of a grid of times that makes the solver, if the solver depends on them.
        steps: the step counts, as for `certify`.
        name: the solver's name in the certificate; its repr if empty.
    """

    solver: Solver
    problem: Callable[[], AnyProblem]
    quick: bool
    made: Callable[[Tensor], Solver] | None = None
    steps: tuple[int, ...] | None = None
    name: str = ""

    def certificate(self, quick: bool) -> Certificate:
        problem = self.problem()
        method = self.solver if self.made is None else _by_grid(self.made)
        order = declared_order(self.solver, problem)
        name = self.name or repr(self.solver)
        return certify(method, problem, declared=order, steps=self._steps(problem, quick), name=name, apart=not quick)

    def _steps(self, problem: AnyProblem, quick: bool) -> tuple[int, ...] | None:
        """Fewer step counts for a quick law, whose batch has a row for every normal."""
        return QUICK if quick and self.steps is None and isinstance(problem, LawProblem) else self.steps


def default_problems(solver: Solver) -> list[AnyProblem]:
    """The problems for a solver if none are named: its own equation and a flow; with noise, by path and in law."""
    if solver.strong_order is not None and not solver.semilinear:
        return [_curved(), arriving(CondOT(), "x0")]
    own = PROBLEMS["log clock" if solver.semilinear else "ode"]
    return [own, _sampling(CondOT(), "x0" if solver.semilinear else "velocity")]


def cases() -> Iterator[Case]:
    """Every case of every solver."""
    yield from _deterministic()
    yield from _stochastic()
    yield from _renoising()


def _deterministic() -> Iterator[Case]:
    for solver in [*FIXED_STEP, *BEHIND]:
        own = ["log clock", "clock"] if solver.semilinear else list(PROBLEMS)
        for name in own:
            yield Case(solver, partial(PROBLEMS.__getitem__, name), name == own[0])
        holds = list(HOLDS) if solver.semilinear else ["velocity"]
        for path in PATHS:
            for hold in holds:
                quick = repr(solver) in QUICK_FLOWS.get((path, hold), ())
                yield Case(solver, partial(_sampling, path, hold), quick, steps=_rungs(solver, path))
    for method, steps in EQUAL.items():
        for name in ("log clock", "clock"):
            yield Case(TorchDiffEq(method), partial(PROBLEMS.__getitem__, name), name == "clock", steps=steps)
    for solver in SCHEMES:
        few = EIGHTH if solver.order == 8 else None
        yield Case(solver, partial(PROBLEMS.__getitem__, "log clock"), repr(solver) == "SciPy('RK23')", steps=few)
        # torchdiffeq evaluates beyond a step, where VP is no path; and on VE it rounds too early for order 5.
        paths = PATHS if isinstance(solver, SciPy) else [CondOT()] if solver.order == 5 else [CondOT(), VE()]
        for path in paths if few is None else []:
            yield Case(solver, partial(_sampling, path, "velocity"), False, steps=_rungs(solver, path))


def _rungs(solver: Solver, path: GaussianPath) -> tuple[int, ...] | None:
    if solver.order < 5 or solver.semilinear:
        return None
    return LATE if isinstance(path, VE) else FIFTH


def _stochastic() -> Iterator[Case]:
    for solver in [*STOCHASTIC, *map(TorchSDE, TorchSDE.METHODS)]:
        yield Case(solver, _curved, solver in CLASSICAL)
        for path in PATHS:
            for hold in ("x0", "eps"):
                yield Case(solver, partial(arriving, path, hold), repr(solver) in QUICK_LAWS.get((path, hold), ()))
                if not isinstance(solver, TorchSDE):  # driven in t, it does not follow a path in q
                    yield Case(solver, partial(_reversing, path, hold), False)


def _renoising() -> Iterator[Case]:
    for inner in INNER:
        for path in PATHS:
            for hold in HOLDS:
                quick = (path, hold) == (CondOT(), "x0") and inner in INNER[:2]
                kept = partial(keeping, path, hold)
                yield Case(Ancestral(inner, 0.8), kept, quick)
                yield Case(Churn(inner, 2.0), kept, quick)
                restart, name = partial(_restarted, inner), f"Restart({inner!r}, the middle third, 2)"
                yield Case(restart(kept().grid(6)), kept, quick, restart, (12, 24, 48, 96, 192), name)
    span, one = 0.5 * (CLEAN - NOISY), ADAMS[0]  # in λ
    for path in PATHS:
        to = partial(arriving, path)
        yield Case(Ancestral(one, 0.6), partial(to, eta=0.0, solved=0.6), path == CondOT())
        yield Case(Churn(one, 2.0), partial(to, eta=0.0, solved=math.sqrt(2.0 / span)), False)
        for predictor, eta, level, steps, size in (
            (one, 0.0, 0.0, 2, 1.0),
            (one, 1.0, 1.0, 1, 2.0),
            (Ancestral(one), 0.0, 1.0, 1, 2.0),
        ):
            name = f"Langevin({predictor!r}, {steps}, {size:g}/n)"
            made = partial(_corrected, predictor, steps, size)
            problem = partial(to, eta=eta, solved=math.sqrt(level + 2.0 / span))
            yield Case(made(uniform(1)), problem, path == CondOT() and predictor is one, made, name=name)


def _restarted(inner: Stepper[Semilinear], times: Tensor) -> Solver:
    """Two repeats of the middle third of the steps."""
    n = len(times) - 1
    return Restart(inner, times[n // 3 : 2 * n // 3 + 1], 2)


def _corrected(predictor: Stepper[Semilinear], steps: int, size: float, times: Tensor) -> Solver:
    """Langevin steps whose size falls like 1/n: then they solve an equation together with the predictor."""
    return Langevin(predictor, steps, size / (len(times) - 1))


def _by_grid(made: Callable[[Tensor], Solver]) -> Run:
    def run(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        return solve(equation, x, times, made(times), noise).x

    return run


@cache
def _sampling(path: GaussianPath, hold: str) -> AnyProblem:
    return sampling(path, hold)


@cache
def _curved() -> AnyProblem:
    return curved()


@cache
def _reversing(path: GaussianPath, hold: str) -> AnyProblem:
    return reversing(path, hold)
