"""Exponential integrators: the linear part and the clock exactly, the network by interpolation.

For d(x / S) = N dr + dW_q, over a step from s to t,

    x_t = (S_t/S_s) x_s + (G_t − (S_t/S_s) G_s) Σ_j ω_j N_j + √(P_t − (S_t/S_s)² P_s) ξ,

where G = S r is the gain, P = S² q is the power of the noise, and ω are the interpolatory weights (`moments`) of the
values N_j, in log|r| or in r as the clock declares. `ExponentialAdams` interpolates the values at the last `order`
times (predictor). With `corrector` it also interpolates the value at the predicted point, which the next step needs
anyway. The methods have other names elsewhere, which depend on the quantity that is held:

    order 1                     DDIM; with η = 1, DDPM's ancestral sampler
    hold x0, order 2, 3         DPM-Solver++(2M), (3M) with exact weights; with η = 1, SDE-DPM-Solver++
    hold eps                    DPM-Solver multistep, DEIS in log-SNR
    corrector                   UniPC: one order higher
    hold velocity on CondOT     Adams-Bashforth and -Moulton on variable steps

A multistep method is only as good as its first values. While fewer than `order` values are known, a step is corrected
as above, at no further evaluation. Where that is not accurate enough, the step is one of a one-step method of the order
needed (`stages`), unless `start_up` is False: then the error of the first step is O(h³), and the order at most 3. A
time with |log r| = ∞ cannot be a node: it is left out. A step that ends there (σ = 0 with x₀ held) is of order 1, and
exact for a constant N.

Some networks say little at the noise: x₀-hat is ε-hat's error divided by α. With `ahead` the method does not ask there
(see the module `ahead`).

On stochastic equations every value carries the noise of its time, and no method is of a higher weak order than 2. The
one-step methods are not used there.

Sources: Lu et al., DPM-Solver++ (2211.01095); Zhao et al., UniPC (2302.04867); Zhang and Chen, DEIS (2204.13902);
Hochbruck and Ostermann, Exponential multistep methods of Adams-type (2011).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..common import flag, whole
from ..equation import Semilinear
from ..loop import Abilities, Grid, Step, Stepper, combined
from ..noise import Noise
from .ahead import Ahead, plan_ahead
from .stages import run_stages
from .weights import PlannedStep, adams_plan

__all__ = ["ExponentialAdams"]


class _State(NamedTuple):
    """The plan, the number of the next step, the past values of N (newest first), and N at the present if known."""

    plan: tuple[PlannedStep | Ahead, ...]
    number: int = 0
    past: tuple[Tensor, ...] = ()
    present: Tensor | None = None


class ExponentialAdams(Stepper[Semilinear]):
    """The exponential Adams method, optionally corrected.

    The attribute `order` is the order of convergence, one higher with the corrector. A step takes one evaluation. On
    deterministic equations the start-up adds 2 evaluations at order 4 and 8 at order 5.

    Args:
        order: the number of values that are interpolated, 1 … 4.
        corrector: whether a step is corrected by the value at its end.
        start_up: whether a one-step method takes the first steps where the order needs one. Without it every step takes
            one evaluation, and the order is 3 at most.
        ahead: whether the first of several steps takes x₀-hat at its end, so that the network is not evaluated at the
            noise. Then no one-step method starts, n steps take n − 1 evaluations, and the order is 2 at most.

    Raises:
        TypeError: the order is no number, or `corrector`, `start_up` or `ahead` no bool.
        ValueError: the order is not 1, 2, 3 or 4.
    """

    def __init__(self, order: int, *, corrector: bool = False, start_up: bool = True, ahead: bool = False) -> None:
        order, corrector = whole("order", order), flag("corrector", corrector)
        start_up, ahead = flag("start_up", start_up), flag("ahead", ahead)
        if order not in (1, 2, 3, 4):
            raise ValueError(f"ExponentialAdams has orders 1, 2, 3 and 4, but got {order!r}.")
        self.values, self.corrector, self.start_up, self.ahead = order, corrector, start_up, ahead
        reached = min(order + corrector, 2 if ahead else order + corrector if start_up else 3)
        self.abilities = Abilities(
            order=reached,
            strong_order=1.0,
            weak_order=float(min(reached, 2)),
            semilinear=True,
            noises=frozenset({"additive"}),
            one_step=order == 1 and not (corrector or ahead),
        )

    def __repr__(self) -> str:
        corrector = ", corrector=True" if self.corrector else ""
        start = f"{'' if self.start_up else ', start_up=False'}{', ahead=True' if self.ahead else ''}"
        return f"ExponentialAdams({self.values}{corrector}{start})"

    def evaluations(self, n: int) -> int:
        """Exact for deterministic equations on grids of finite log|r|; otherwise the start-up may be shorter."""
        if self.ahead:
            return n - (n > 1)
        if self.order < 4:
            return n
        return n + 2 if self.order == 4 else n + 4 * min(n, 2)

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> _State:
        """The plan of the grid."""
        t = times.times
        if not self.ahead or len(t) == 2:
            return _State(adams_plan(equation, t, self.values, self.corrector, self.start_up and not self.ahead))
        rest = adams_plan(equation, t[1:], self.values, self.corrector, start_up=False)
        return _State((plan_ahead(equation, t[0], t[1]), *rest))

    def step(
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: _State, noise: Noise | None
    ) -> Step:
        plan, number, past, present = state
        planned = plan[number]
        if isinstance(planned, Ahead):
            x1, present = planned.step(equation.field, t1, x)
            return Step(x1, _State(plan, number + 1, (), present))
        values = (equation.field(t0, x) if present is None else present, *past)[: self.values]
        if planned.start_up is not None:
            x1, _ = run_stages(planned.start_up, equation, t0, x, values[0], None)
            return Step(x1, _State(plan, number + 1, values))
        kept = planned.ratio * x
        if planned.noise > 0.0 and noise is not None:
            kept = kept + planned.noise * noise.normal(t0, t1, equation.variance, x)
        x1 = combined(kept, planned.predictor, values)
        if not planned.corrector:
            return Step(x1, _State(plan, number + 1, values))
        present = equation.field(t1, x1)
        return Step(combined(kept, planned.corrector, (present, *values)), _State(plan, number + 1, values, present))
