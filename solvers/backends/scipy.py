"""SciPy's initial-value solvers behind our interface: independent references, implicit ones among them.

The steps are those of `scipy.integrate.solve_ivp`. They are taken one by one from SciPy's solver classes, so that a
solve that fails keeps its states. SciPy sees all samples of a batch as one float64 vector on the CPU, whatever the
state's dtype and device; the field sees the state's own. An implicit method evaluates the field once for every
component of the batch to difference a Jacobian. These calls are counted like all others.

Sources: Virtanen et al. (2020), Nature Methods 17; Bogacki and Shampine (1989); Dormand and Prince (1980); Hairer,
Nørsett and Wanner, Solving ODEs I (DOP853); Hairer and Wanner, Solving ODEs II (Radau IIA); Shampine and Reichelt
(1997) (BDF); Petzold (1983) (LSODA).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ClassVar, Literal, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import integrate
from torch import Tensor

from ..common import choice
from ..field import Time
from ..loop import Abilities, Adaptive, Record, Solver, Task, first_nonfinite, place, tell
from ..solution import BudgetExhausted, Solution, SolveError

__all__ = ["SciPy"]

Array = NDArray[np.float64]
_LEAST_RTOL = 100.0 * float(np.finfo(np.float64).eps)


class SciPy(Solver):
    """SciPy's `solve_ivp`, with `Adaptive` times.

    Step sizes and the meaning of rtol and atol are SciPy's; atol may be a tensor. So is the interpolation between steps
    (`save`), for which DOP853 takes three further evaluations in a step. The number of rejected steps is not known. A
    field that is not finite ends the solve at once, and so does a step that is lost in the rounding of t: some of these
    methods would otherwise never end, or report a success.

    Args:
        method: "RK23", "RK45" or "DOP853", which are explicit; "Radau" or "BDF", which are implicit, for stiff
            equations; or "LSODA", which changes between the two kinds.

    Raises:
        ValueError: the method is unknown. The solve raises it for a grid of times, for an rtol below 2.2e-14, which
            SciPy would replace, for an rtol of each component or a norm, which it does not take, for an implicit method
            on a state that is not float64, and where a gradient is wanted, since none flows through SciPy.
    """

    EXPLICIT: ClassVar[dict[str, int]] = {"RK23": 3, "RK45": 5, "DOP853": 8}
    """By method, its order."""
    IMPLICIT: ClassVar[dict[str, int]] = {"Radau": 5, "BDF": 5, "LSODA": 12}
    """By method, its order; for BDF and LSODA, which change their order during the solve, the highest."""
    METHODS: ClassVar[dict[str, int]] = EXPLICIT | IMPLICIT

    def __init__(self, method: str) -> None:
        self.method = choice("SciPy method", method, self.METHODS)
        self.abilities = Abilities(order=self.METHODS[method], embedded=True, dense=True)

    def __repr__(self) -> str:
        return f"SciPy({self.method!r})"

    def evaluations(self, n: int) -> NoReturn:
        """Raises ValueError: SciPy's methods take no grid."""
        raise ValueError(f"{self.method} chooses its own steps; give it Adaptive(t0, t1, rtol=..., atol=...).")

    def integrate(self, task: Task) -> Solution:
        times, field, x = task.times, _Field(task), task.x.detach()
        if not isinstance(times, Adaptive):
            self.evaluations(times.n)
        if times.norm != "rms":
            raise ValueError("SciPy measures errors by its own norm, which is 'rms'; leave norm out, or use Dopri5.")
        if not isinstance(times.rtol, float):
            raise ValueError("SciPy takes one rtol for all components; give a number, or an atol of each.")
        if times.rtol < _LEAST_RTOL:
            raise ValueError(f"SciPy takes no rtol below {_LEAST_RTOL:.1e}, but got {times.rtol:g}; loosen it.")
        if x.dtype != torch.float64 and self.method in self.IMPLICIT:
            raise ValueError(
                f"{self.method} differences a Jacobian by increments that a field of {x.dtype} does not see; give x in "
                "float64, or use RK45."
            )
        record = Record(task.save, times.t0, x)
        atol = times.atol if isinstance(times.atol, float) else _vector(times.atol.expand(x.shape))
        tolerances = {"rtol": times.rtol, "atol": atol}
        solver = None
        try:
            solver = getattr(integrate, self.method)(field, times.t0, _vector(x), times.t1, **tolerances)
            while solver.status == "running":
                message = solver.step()
                if solver.status == "failed" or solver.t == solver.t_old:
                    said = message or "The step size is lost in the rounding of t."
                    raise _Stop(f"SciPy's {self.method} stopped at t = {solver.t:g}: {said}", "underflow")
                x = field.state(solver.y)
                record.add(solver.t, x, field.between(cache(solver.dense_output)))
                task.progress.reach(solver.t)
        except BudgetExhausted:
            said = f"max_nfe = {task.ledger.budget} evaluations were spent inside SciPy at t = {record.reached[-1]:g}"
            raise SolveError(f"{said}; allow more, or ask for less.", record.solution(x, 0, "budget")) from None
        except _Stop as stop:
            said = f"{stop}; end earlier, or change the tolerance."
            raise SolveError(said, record.solution(x, 0, stop.status)) from None
        except Exception as error:
            tell(error, task.ledger, lambda: (record.solution(x, 0, "failed"), record.reached[-1]))
            raise
        finally:
            if solver is not None:
                vars(solver).clear()  # it refers to itself, and would keep its states until the garbage is collected
        return record.solution(x, 0, "completed")


class _Stop(Exception):
    """Ends SciPy's solve with a message and a status."""

    def __init__(self, message: str, status: Literal["nonfinite", "underflow"]) -> None:
        super().__init__(message.rstrip("."))
        self.status = status


class _Field:
    """The field as a function of float64 vectors of the whole batch."""

    def __init__(self, task: Task) -> None:
        self.drift, self.shape = task.equation.drift, task.x.shape
        self.like, self.differentiated = task.x.new_empty(0), task.x.requires_grad

    def __call__(self, t: float, y: Array) -> Array:
        value = self.drift(float(t), self.state(y))
        if torch.is_grad_enabled() and (self.differentiated or value.requires_grad):
            raise ValueError("No gradient flows through SciPy; solve under torch.no_grad(), or use TorchDiffEq.")
        if (index := first_nonfinite(value)) is not None:
            what = f"The field is not finite at t = {t:g} (first: {place(index)}), where SciPy asked for it"
            raise _Stop(what, "nonfinite")
        return _vector(value)

    def state(self, y: Array) -> Tensor:
        """The state that the vector holds, in the shape, dtype and device of the task's."""
        return torch.from_numpy(y.copy()).to(self.like).reshape(self.shape)

    def between(self, dense: Callable[[], Callable[[Time], Array]]) -> Callable[[Time], Tensor]:
        """The state as a function of a time within a step, by SciPy's interpolation, made on the first call."""
        return lambda t: self.state(dense()(t))


def _vector(x: Tensor) -> Array:
    """A copy of the state as a float64 vector."""
    vector: Array = x.detach().reshape(-1).cpu().double().numpy().copy()
    return vector
