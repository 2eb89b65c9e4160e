"""torchdiffeq's `odeint` and `odeint_adjoint` behind our interface: an independent reference for deterministic methods.

torchdiffeq calls back at the start of every step that it tries. These calls give the times and states of its steps, the
evaluations of rejected steps, and the partial solution of a solve that fails.

The adjoint computes the gradient of a loss L of the solution by a second equation that runs backwards beside the first,
for x' = f(t, x, θ) with a = dL/dx,

    a' = −aᵀ ∂f/∂x,        dL/dθ = ∫ aᵀ ∂f/∂θ dt,

so that the steps of the solve are not kept, and the memory does not depend on their number. The gradient is that of the
equation, not of the discrete solution; the two differ by the error of the method. The state runs backwards too, from
each saved time to the one before, and loses digits where the equation contracts strongly. Second derivatives are not
available.

Sources: Chen, Rubanova, Bettencourt and Duvenaud (2018), 1806.07366, section 2 and appendix B; torchdiffeq 0.2.5.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torchdiffeq
from torch import Tensor, nn

from ..common import check_instance, choice, flag, host, widest
from ..loop import Abilities, Adaptive, Grid, Record, Solver, Task, first_nonfinite, nonfinite, sizes, tell
from ..solution import BudgetExhausted, Solution, SolveError

__all__ = ["TorchDiffEq"]

_EQUAL = 1.2e-7
"""Steps count as equal if they are so to one rounding in single precision, in which grids are often made."""


class TorchDiffEq(Solver):
    """torchdiffeq's `odeint`.

    On a grid of times the methods are "euler", "midpoint", "heun2", "heun3", "rk4" (the 3/8 rule), "explicit_adams" and
    "implicit_adams" (also called "fixed_adams"). The Adams methods use up to eleven past slopes with the weights of
    equal steps, after two steps of rk4, and their order is that of the weakest starting step. The explicit one is
    unstable unless the steps are some hundred times shorter than the time scale of the equation. The implicit one
    iterates to torchdiffeq's own tolerances (rtol 1e-7, atol 1e-9 of an increment), or fails after four iterations.

    With `Adaptive` times the methods are "adaptive_heun", "fehlberg2", "bosh3", "dopri5" and "dopri8", under
    torchdiffeq's own controller. The last step ends at the end of the interval. States between steps (`save`) are those
    of torchdiffeq's quartic interpolation, whose error does not follow the tolerance of every method.

    torchdiffeq's "scipy_solver" is not offered: it drops gradients, and reports a failed solve as a finished one. Times
    are rounded to the state's dtype before the field sees them, and are read from the device at every call.

    Args:
        method: the name of the method.
        adjoint: differentiate by the adjoint equation (`odeint_adjoint`).
        parameters: a module or tensors on which the field depends besides the state. The adjoint needs them; give () if
            there are none.

    Raises:
        ValueError: the method is unknown, or an adjoint has no parameters. The solve raises it for a method that does
            not fit the times, and the backward pass for a field that depends on a tensor whose gradient would be lost.
    """

    FIXED: ClassVar[dict[str, tuple[int, int]]] = {
        "euler": (1, 1),
        "midpoint": (2, 2),
        "heun2": (2, 2),
        "heun3": (3, 3),
        "rk4": (4, 4),
    }
    """By method, its order and its evaluations in a step."""
    ADAMS: ClassVar[dict[str, int]] = {"explicit_adams": 4, "implicit_adams": 5, "fixed_adams": 5}
    """By method, its order: that of the first multistep step, a third-order formula used once, or of rk4 used twice."""
    ADAPTIVE: ClassVar[dict[str, int]] = {"adaptive_heun": 2, "fehlberg2": 2, "bosh3": 3, "dopri5": 5, "dopri8": 8}
    """By method, its order."""

    def __init__(
        self, method: str, *, adjoint: bool = False, parameters: nn.Module | Iterable[Tensor] | None = None
    ) -> None:
        orders = {name: order for name, (order, _) in self.FIXED.items()} | self.ADAMS | self.ADAPTIVE
        choice("torchdiffeq method", method, orders)
        if flag("adjoint", adjoint) != (parameters is not None):
            raise ValueError(
                "The adjoint returns the gradients of the tensors that it is given, and only those; write "
                f"TorchDiffEq({method!r}, adjoint=True, parameters=network), or parameters=() if there are none."
            )
        adaptive = method in self.ADAPTIVE
        self.method, self.abilities = method, Abilities(order=orders[method], embedded=adaptive, dense=adaptive)
        given = parameters.parameters() if isinstance(parameters, nn.Module) else parameters
        self.parameters = None if given is None else _tensors(given)

    def __repr__(self) -> str:
        return f"TorchDiffEq({self.method!r}{'' if self.parameters is None else ', adjoint=True'})"

    def evaluations(self, n: int) -> int | None:
        """None for the implicit Adams method, which iterates to its tolerances. Raises ValueError if adaptive."""
        if self.embedded:
            raise ValueError(f"{self.method} chooses its own steps; give it Adaptive(t0, t1, rtol=..., atol=...).")
        if self.method in self.ADAMS:
            return n + 3 * min(n, 2) if self.method == "explicit_adams" else None
        return self.FIXED[self.method][1] * n

    def integrate(self, task: Task) -> Solution:
        if not task.x.numel():
            raise ValueError(f"torchdiffeq takes no state without entries, such as {tuple(task.x.shape)}; use RK4.")
        times, asked = task.times, self._asked(task)
        queries = list(dict.fromkeys((times.t0, *asked, times.t1)))
        ts = torch.tensor(queries, dtype=widest(task.x.device), device=task.x.device)
        sign = math.copysign(1.0, times.t1 - times.t0)  # when a solve runs backwards, its adjoint is asked for times −t
        options: dict[str, Any] = {"method": self.method}
        if isinstance(times, Adaptive):  # a step ends at the end of each interval: no interpolation there
            options |= {"rtol": times.rtol, "atol": times.atol, "options": {"step_t": ts[-1:]} | self._norm(times)}
            adjoint_options: dict[str, Any] = {"step_t": sign * ts}
        else:
            self._check_grid(times)
            options["options"] = {"grid_constructor": _part_of(times.times)}
            adjoint_options = {"grid_constructor": _part_of([sign * t for t in times.times])}
        call = _Call(task, self.parameters, save=not asked)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", _UNCONVERGED)
                if self.parameters is None:
                    xs = torchdiffeq.odeint(call, task.x, ts, **options)
                else:
                    options |= {"adjoint_options": adjoint_options, "adjoint_params": self.parameters}
                    xs = torchdiffeq.odeint_adjoint(call, task.x, ts, **options)
        except BudgetExhausted:
            message = f"max_nfe = {task.ledger.budget} evaluations were spent inside torchdiffeq at t = {call.t:g}"
            raise SolveError(f"{message}; allow more, or ask for less.", call.solution("budget")) from None
        except UserWarning as warning:
            if not str(warning).startswith(_UNCONVERGED):
                raise
            message = f"The iteration of {self.method} did not converge at t = {call.t:g}; take smaller steps."
            raise SolveError(message, call.solution("unconverged")) from None
        except SolveError:
            raise
        except Exception as error:
            tell(error, task.ledger, lambda: (call.solution("failed"), call.t))
            raise
        call.arrive(times.t1, xs[-1])
        solution = call.solution("completed")
        if not asked:
            return solution
        states = xs[[queries.index(t) for t in asked]]
        return replace(solution, ts=host(asked), xs=states)

    def _asked(self, task: Task) -> tuple[float, ...]:
        """The times at which only `odeint` itself can give the states: between its steps, or for the adjoint."""
        times, save = task.times, task.save
        if isinstance(save, tuple):
            return save if self.embedded or self.parameters is not None else ()
        if not save or self.parameters is None:
            return ()
        return times.times if isinstance(times, Grid) else (times.t0, times.t1)

    def _norm(self, times: Adaptive) -> dict[str, Any]:
        """The option of a norm that is not torchdiffeq's own. Raises ValueError for tolerances that it cannot take."""
        if self.parameters is not None and (isinstance(times.rtol, Tensor) or isinstance(times.atol, Tensor)):
            raise ValueError("torchdiffeq's adjoint takes one rtol and one atol for all components; give numbers.")
        return {} if times.norm == "rms" else {"norm": lambda scaled: sizes(times.norm, scaled, False)[0]}

    def _check_grid(self, grid: Grid) -> None:
        """Raise ValueError for an adaptive method, and for an Adams method on unequal steps."""
        self.evaluations(grid.n)
        if self.method not in self.ADAMS:
            return
        equal = torch.linspace(grid.t0, grid.t1, grid.n + 1, dtype=torch.float64, device="cpu").tolist()
        if max(abs(t - e) for t, e in zip(grid.times, equal, strict=True)) > _EQUAL * max(map(abs, grid.times)):
            raise ValueError(
                f"{self.method} has the weights of equal steps, but the steps of this grid differ; give it "
                "torch.linspace(t0, t1, n + 1), or use ExponentialAdams, whose weights follow the grid."
            )


def _tensors(parameters: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The parameters. Raises TypeError for what is no iterable of tensors."""
    found: tuple[Any, ...] = tuple(parameters) if isinstance(parameters, Iterable) else (parameters,)
    for parameter in found:
        check_instance("one of the adjoint's parameters", parameter, Tensor, "a module, or a sequence of tensors")
    return found


_UNCONVERGED = "Functional iteration did not converge"


def _part_of(times: Sequence[float]) -> Callable[[Any, Tensor, Tensor], Tensor]:
    """A function that gives the part of a grid between two of its times, in either direction; the adjoint goes back."""

    def part(_: Any, x: Tensor, ts: Tensor) -> Tensor:
        start, end = ts[0].item(), ts[-1].item()
        inside = [t for t in times if min(start, end) <= t <= max(start, end)]
        return torch.tensor(sorted(inside, reverse=start > end), dtype=ts.dtype, device=ts.device)

    return part


class _Call:
    """The object that torchdiffeq calls for the field and, at the start of each step, for `callback_step`."""

    def __init__(self, task: Task, parameters: tuple[Tensor, ...] | None, *, save: bool) -> None:
        self.task, self.parameters = task, parameters
        self.t, self.x = task.times.t0, task.x
        self.record = Record(task.save if save else False, self.t, self.x)
        self.spent: int | None = None
        self.rejected = 0
        self.last = task.x

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        value = self.task.equation.drift(t.item(), x)
        self.last = value.detach()
        if self.parameters is not None and torch.is_grad_enabled():  # the backward pass
            for stranger in _leaves(value, (x, *self.parameters)):
                raise ValueError(
                    f"The field depends on a tensor of shape {tuple(stranger.shape)} that requires a gradient, but is "
                    "not among the adjoint's parameters; add it to them, or switch its requires_grad off."
                )
        return value

    def callback_step(self, t0: Tensor, x: Tensor, h: Tensor) -> None:
        """Enter the state x at t0, from which a step of length h is about to be tried."""
        h.detach_()  # the first step depends on x, but the field takes t as a number: half a derivative would be wrong
        t, ledger = t0.item(), self.task.ledger
        if t != self.t:
            self.arrive(t, x)
        elif self.spent is not None:  # the step from here was tried before
            ledger.rejected += ledger.forward - self.spent
            self.rejected += 1
        self.spent = ledger.forward
        if t + h.item() == t:
            finite = torch.isfinite(self.last).all()
            what, status = ("singular or discontinuous", "underflow") if finite else ("not finite", "nonfinite")
            message = f"torchdiffeq's step size fell to {h.item():.1e} at t = {t:g}: the field is {what} there"
            remedy = "or the tolerance is below the rounding of the state's dtype; end earlier, or loosen it."
            raise SolveError(f"{message}, {remedy}", self.solution(status))

    def arrive(self, t: float, x: Tensor) -> None:
        """Enter a step that has ended in x at t."""
        if (index := first_nonfinite(x)) is not None:
            raise SolveError(nonfinite(index, self.record.steps + 1, self.t, t), self.solution("nonfinite"))
        self.t, self.x = t, x
        self.record.add(t, x)
        self.task.progress.reach(t)

    def solution(self, status: str) -> Solution:
        """The solution until now, with this status."""
        return self.record.solution(self.x, self.rejected, status)


def _leaves(value: Tensor, known: Iterable[Tensor]) -> Iterator[Tensor]:
    """The leaves of the graph of `value` to which a way leads that does not pass through `known` tensors."""
    ends = {torch.autograd.graph.get_gradient_edge(tensor).node for tensor in known if tensor.requires_grad}
    nodes, seen = [value.grad_fn], set(ends)
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        nodes.extend(following for following, _ in node.next_functions)
