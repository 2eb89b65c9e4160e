"""torchsde's methods behind our interface: an independent reference for stochastic methods, on the same Brownian paths.

torchsde asks its Brownian motion for the increment over a step from t₀ to t₁ = t₀ + h and, for "srk", for

    U = ∫ (W_s − W_{t₀}) ds = h (W/2 + H),        H = √(h/12) η the space-time Lévy area.

Our noise answers, with W = √h ξ, so that a solve follows a `BrownianTree` path by path. A `Semilinear` equation is
driven in its variance clock q, where ξ and η are standardised. torchsde then gets the intensity g = S √q' and, as in
our `EulerMaruyama`, √h ξ for the increment in t. If q is proportional to t, this is the same path. Otherwise it differs
by O(h^{3/2}) in a step, and no method is of more than strong order 1 for certain.

The steps are those of torchsde's solver classes, taken one by one in our loop. torchsde's own `sdeint` takes equal
steps only, and evaluates the drift once more to learn shapes.

Sources: Li, Wong, Chen and Duvenaud (2020), 2001.01328; Kidger, Foster, Li and Lyons (2021), 2105.13493 (reversible
Heun); Rößler (2010), SIAM J. Numer. Anal. 48 (SRA1, SRID2); torchsde 0.2.6.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
import torchsde
from torch import Tensor
from torchsde._core import base_sde, methods

from ..common import choice, host, matching
from ..equation import SDE, Calculus, Equation, NoiseType, Semilinear
from ..loop import Abilities, Grid, Step, Stepper
from ..noise import Noise

__all__ = ["TorchSDE"]

_ITO: frozenset[Calculus] = frozenset({"ito"})
_STRATONOVICH: frozenset[Calculus] = frozenset({"stratonovich"})
_ADDITIVE: dict[NoiseType, float] = {"additive": 1.0}
_DIAGONAL: dict[NoiseType, float] = {"diagonal": 1.0, "scalar": 1.0}
_GENERAL: dict[NoiseType, float] = {"general": 0.5}


class _Method(NamedTuple):
    """The declarations of a method.

    Attributes:
        order: the order on deterministic equations.
        strong: the strong order by the kind of noise.
        weak: the weak order for additive noise.
        calculi: the calculi that the method takes.
        evaluations: the evaluations of a step; None if they depend on the noise.
    """

    order: int
    strong: dict[NoiseType, float]
    weak: float
    calculi: frozenset[Calculus]
    evaluations: int | None = 1


class TorchSDE(Stepper[Equation]):
    """torchsde's `sdeint`, on a grid of times.

    The Ito methods are "euler" and "srk" (SRA1 for additive noise, SRID2 for diagonal and scalar noise). The
    Stratonovich methods are "midpoint", "heun", "euler_heun", "reversible_heun" and "log_ode". "milstein" takes both
    calculi. With additive noise the two calculi agree, and every method takes it. "diagonal" has torchsde's meaning: a
    component of the diffusion depends on the same component of the state alone. torchsde sees a state of any shape
    (B, ...) as (B, d).

    "srk" needs noise with a space-time area. "log_ode" multiplies general noise with Lévy areas, which our paths do not
    hold: it is refused for general noise, and elsewhere it is "midpoint".

    `METHODS` holds the orders, as measured. torchsde declares the same strong orders, but 0.5 for "reversible_heun"
    with diagonal and scalar noise, where nothing is proven, and weak orders for all kinds of noise (1, and 1.5 for
    "srk"). `strong_order` and `weak_order` are those for additive noise.

    Args:
        method: the name of the method.

    Raises:
        ValueError: the method is unknown.
    """

    METHODS: ClassVar[dict[str, _Method]] = {
        "euler": _Method(1, _ADDITIVE | _GENERAL | {"diagonal": 0.5, "scalar": 0.5}, 1.0, _ITO),
        "milstein": _Method(1, _ADDITIVE | _DIAGONAL, 1.0, _ITO | _STRATONOVICH),
        "srk": _Method(2, {"additive": 1.5, "diagonal": 1.5, "scalar": 1.5}, 2.0, _ITO, None),
        "midpoint": _Method(2, _ADDITIVE | _DIAGONAL | _GENERAL, 1.0, _STRATONOVICH, 2),
        "heun": _Method(2, _ADDITIVE | _DIAGONAL | _GENERAL, 2.0, _STRATONOVICH, 2),
        "euler_heun": _Method(1, _ADDITIVE | _DIAGONAL | _GENERAL, 1.0, _STRATONOVICH),
        "reversible_heun": _Method(2, _ADDITIVE | _DIAGONAL | _GENERAL, 2.0, _STRATONOVICH),
        "log_ode": _Method(2, _ADDITIVE | _DIAGONAL, 1.0, _STRATONOVICH, 2),
    }

    def __init__(self, method: str) -> None:
        choice("torchsde method", method, self.METHODS)
        found = self.METHODS[method]
        self.method, self.evaluations_per_step = method, found.evaluations
        self.abilities = Abilities(
            order=found.order,
            strong_order=found.strong["additive"],
            weak_order=found.weak,
            noises=frozenset(found.strong),
            calculi=found.calculi,
            one_step=method != "reversible_heun",
        )

    def __repr__(self) -> str:
        return f"TorchSDE({self.method!r})"

    def evaluations(self, n: int) -> int | None:
        """None for "srk", which takes 3 evaluations in a step with additive noise, and 10 otherwise."""
        steps = super().evaluations(n)
        return steps + 1 if steps is not None and self.method == "reversible_heun" else steps

    def init(self, equation: Equation, x: Tensor, times: Grid) -> tuple[Tensor, Any]:
        """A tensor of the increments' shape and dtype, and torchsde's own state, which reversible Heun alone has."""
        if not x.numel():
            raise ValueError(f"torchsde takes no state without entries, such as {tuple(x.shape)}; use EulerMaruyama.")
        kind, like = _kind(equation), x
        if kind == "scalar":
            like = x[(slice(None), *(slice(1),) * (x.ndim - 1))]
        if kind == "general" and isinstance(equation, SDE):
            like = x.new_empty(len(x), matching(equation.diffusion(times.t0, x), x).shape[-1])
        solver = self._solver(equation, x, like, None)
        try:
            return like, solver.init_extra_solver_state(_time(times.t0), x.reshape(len(x), -1))
        finally:
            _release(solver)

    def step(
        self, equation: Equation, t0: float, t1: float, x: Tensor, state: tuple[Tensor, Any], noise: Noise | None
    ) -> Step:
        like, extra = state
        solver = self._solver(equation, x, like, noise)
        try:
            y, extra = solver.step(_time(t0), _time(t1), x.reshape(len(x), -1), extra)
        finally:
            _release(solver)
        return Step(y.reshape(x.shape), (like, extra))

    def _solver(self, equation: Equation, x: Tensor, like: Tensor, noise: Noise | None) -> Any:
        """torchsde's solver of the equation, driven by the noise."""
        given: str = equation.calculus if isinstance(equation, SDE) else "ito"
        calculus = given if given in self.calculi else min(self.calculi)
        kind = _kind(equation)
        # What is additive here is diagonal in torchsde, whose additive noise has a (d, m) matrix; but srk has a method
        # of its own for it, which needs no matrix.
        named = "diagonal" if kind == "additive" and self.method != "srk" else kind
        return methods.select(self.method, calculus)(
            sde=base_sde.ForwardSDE(_System(equation, x.shape, named, calculus)),
            bm=_Increments(noise, equation, like, self.method),
            dt=math.inf,
            adaptive=False,
            rtol=0.0,
            atol=0.0,
            dt_min=0.0,
            options={},
        )


def _release(solver: Any) -> None:
    """Let go of torchsde's copy of the equation, which refers to itself, before the garbage is collected."""
    vars(solver.sde).clear()


def _kind(equation: Equation) -> NoiseType:
    """The kind of noise: a semilinear equation has additive noise."""
    return equation.noise if isinstance(equation, SDE) else "additive"


def _time(t: float) -> Tensor:
    return host(t)


class _System:
    """The equation with the attributes and methods that torchsde asks for, on states of shape (B, d)."""

    def __init__(self, equation: Equation, shape: torch.Size, noise_type: str, sde_type: str) -> None:
        self.equation, self.shape = equation, shape
        self.noise_type, self.sde_type = noise_type, sde_type

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        """The drift."""
        return self.equation.drift(t.item(), y.reshape(self.shape)).reshape(y.shape)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        """The diffusion, in the shape of torchsde's kind of noise."""
        if not isinstance(self.equation, SDE | Semilinear) or not self.equation.stochastic:
            return torch.zeros_like(y)
        value = self.equation.diffusion(t.item(), y.reshape(self.shape))
        value = torch.as_tensor(value, dtype=y.dtype, device=y.device)
        if self.noise_type == "general":
            return value
        value = value.expand(self.shape).reshape(y.shape)
        return value.unsqueeze(-1) if self.noise_type == "scalar" else value

    def g_prod(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """The diffusion times a vector of noise."""
        g = self.g(t, y)
        return g * v if g.ndim == 2 else (g @ v.unsqueeze(-1)).squeeze(-1)


class _Increments(torchsde.BaseBrownian):  # type: ignore[misc]
    """Our noise with the call and the attributes of torchsde's BrownianInterval."""

    def __init__(self, noise: Noise | None, equation: Equation, like: Tensor, method: str) -> None:
        self.noise, self.equation, self.like, self.method = noise, equation, like, method

    def __call__(self, ta: Tensor, tb: Tensor, return_U: bool = False, return_A: bool = False) -> Any:
        t0, t1 = ta.item(), tb.item()
        h = t1 - t0
        if self.noise is None:
            increment = area = torch.zeros_like(self.like)
        elif return_U:
            increment, area = self.noise.normal_and_area(t0, t1, self.equation.variance, self.like)
        else:
            increment = self.noise.normal(t0, t1, self.equation.variance, self.like)
        w = math.sqrt(h) * increment.reshape(self.shape)
        if return_U:
            return w, h * (0.5 * w + math.sqrt(h / 12.0) * area.reshape(self.shape))
        return (w, None) if return_A else w  # log_ode multiplies the area only where the noise is general

    def __repr__(self) -> str:
        return f"{self.noise!r} for torchsde"

    @property
    def shape(self) -> tuple[int, int]:
        """(B, d): one row of noise for each sample."""
        return len(self.like), math.prod(self.like.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self.like.dtype

    @property
    def device(self) -> torch.device:
        return self.like.device

    @property
    def levy_area_approximation(self) -> str:
        """The Lévy area that torchsde's method may ask for."""
        return {"srk": "space-time", "log_ode": "davie"}.get(self.method, "none")
