"""The exact law of a sampler's output for Gaussian data, without any sampling.

The denoiser of Gaussian data is affine in x. A whole sampler is then affine in its start and in its normals:

    x₁ = A x_T + Σ_k C_k ξ_k + b,        x_T ~ N(m, P), ξ_k ~ N(0, I)    ⟹    x₁ ~ N(A m + b, A P Aᵀ + Σ_k C_k C_kᵀ).

A is the response to unit vectors in place of x_T, and C_k is the response to unit vectors in place of ξ_k. Both are
computed in one of two ways. A method with a table (`Scheme`) is evaluated with the affine map of the field at each of
its evaluations. Any other code runs once on the unit vectors, each a row of one batch.

From the law follow the weak order of a sampler, whether it keeps the marginals, and the error that a wrong prior or an
early stop adds (`error_budget`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...solvers import Equation, Noise, Scheme, Semilinear, Solver, Stepper, solve, unroll
from ...solvers.common import check_callable, check_finite, check_floating, check_instance, check_memory, real, whole
from ...solvers.scheme import Form, Symbol
from ..oracles import Gaussian, Law, law_of

__all__ = ["ImpulseResponse", "Impulses", "impulse_response"]

Run = Callable[[Tensor, Noise], Tensor]

AFFINE = 1e-9
"""A sampler is not affine if it is off the affine map by more than this part of the largest response."""


@dataclass(frozen=True)
class ImpulseResponse:
    """x₁ = matrix x_T + Σ_k noises_k ξ_k + offset: matrix (d, d), noises (K, d, d), offset (d,), float64."""

    matrix: Tensor
    noises: Tensor
    offset: Tensor

    def law(self, prior: Law | Gaussian) -> Law:
        """The law of the output, exactly, for x_T from `prior` and normals from N(0, I).

        Raises TypeError for what is no Gaussian law, and ValueError for one of another dimension or dtype.
        """
        mean, cov = law_of(prior)
        self._check("prior", mean)
        noise = (self.noises @ self.noises.mT).sum(0)
        return Law(self.matrix @ mean + self.offset, self.matrix @ cov @ self.matrix.mT + noise)

    def __call__(self, x: Tensor, normals: Sequence[Tensor] = ()) -> Tensor:
        """The output from x (B, d) with these normals, each (B, d).

        Raises TypeError for what is no tensor of floats, and ValueError for another number, shape or dtype.
        """
        check_instance("normals", normals, Sequence, "a list of tensors")
        if len(normals) != len(self.noises):
            raise ValueError(f"There are {len(normals)} normals, but the sampler draws {len(self.noises)}.")
        for name, value in (("x", x), *((f"normals[{k}]", xi) for k, xi in enumerate(normals))):
            self._check(name, value)
        kicked = sum((xi @ kick.mT for kick, xi in zip(self.noises, normals, strict=True)), torch.zeros_like(x))
        return x @ self.matrix.mT + kicked + self.offset

    def _check(self, name: str, value: Tensor) -> None:
        check_floating(name, value)
        if value.shape[-1:] != self.offset.shape or value.dtype != self.offset.dtype:
            raise ValueError(
                f"{name} is {value.dtype} of shape {tuple(value.shape)}, but this response is {self.offset.dtype} in "
                f"{len(self.offset)} dimensions."
            )
        check_finite(name, value)


class Impulses:
    """A `Noise` of unit vectors: component j of the k-th normal is 1 in row 1 + d + k d + j of the batch (rows, d).

    Row 0 is for the offset and the d rows after it are for the start; they get no noise. Raises ValueError where an
    extra normal is asked for twice.

    Args:
        probe: give the last row every normal, with ½ and −½ in turn in all components.

    Attributes:
        drawn: the number of normals so far.
        asked: the times of the normals that belong to a step.
        extras: the indices of the other normals.
    """

    replays = False

    def __init__(self, *, probe: bool = False) -> None:
        self.probe, self.drawn = probe, 0
        self.asked: list[tuple[float, float]] = []
        self.extras: set[int] = set()

    def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
        self.asked.append((t0, t1))
        return self.next(like)

    def normal_and_area(self, t0: float, t1: float, clock: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.normal(t0, t1, clock, like), self.next(like)

    def extra(self, index: int, like: Tensor) -> Tensor:
        if index < 0 or index in self.extras:
            raise ValueError(f"The extra normal {index} was asked for twice, or has no number; each may be used once.")
        self.extras.add(index)
        return self.next(like)

    def next(self, like: Tensor) -> Tensor:
        """The next normal, whatever it is for: of the shape (rows, d) of `like`."""
        impulse, d = torch.zeros_like(like), like.shape[1]
        impulse[1 + d + self.drawn * d :][:d].fill_diagonal_(1.0)
        if self.probe:
            impulse[-1] = 0.5 * (-1.0) ** self.drawn
        self.drawn += 1
        return impulse


def impulse_response(
    sampler: Solver | Scheme | Run,
    equation: Equation | None = None,
    times: Tensor | Sequence[float] | None = None,
    *,
    dim: int,
    rounding: float = AFFINE,
) -> ImpulseResponse:
    """The affine map of a sampler of Gaussian data, for states (B, dim) in float64.

    Args:
        sampler: a solver; the `Scheme` of a method; or any code as a function (x, noise) -> x₁. The code draws by
            `noise.next(x)`, or as a solver does, and treats each row of x, (B, dim), separately.
        equation: the equation that a solver or a scheme solves.
        times: the times of a solver's steps.
        dim: the dimension of a state.
        rounding: how far code may be off an affine map, in parts of its largest response; more than the default where
            it computes in float32.

    Raises:
        ValueError: for a field or a sampler that is not affine, or whose output has another shape or is not finite; the
            denoiser of Gaussian data is affine.
        TypeError: for a scheme or a solver without an equation, for a solver without times, and for what is no sampler.
    """
    dim, rounding = whole("dim", dim, 1), real("rounding", rounding, above=0.0)
    check_memory("dim", dim, 8 * dim**2)
    if isinstance(sampler, Scheme | Solver):
        if not isinstance(equation, Equation):
            raise TypeError(f"A sampler's response depends on what it solves, but the equation is {equation!r}.")
        if isinstance(sampler, Scheme):
            return _of_table(sampler, equation, dim)
        if times is None:
            raise TypeError(f"{sampler!r} needs an equation and times: impulse_response(solver, equation, times).")
        if isinstance(sampler, Stepper) and (scheme := _table(sampler, equation, times)) is not None:
            return _of_table(scheme, equation, dim)
        return _of_runs(lambda x, noise: solve(equation, x, times, sampler, noise).x, dim)
    check_callable("sampler", sampler, "a solver, a Scheme, or a function of x and a noise")
    return _of_runs(sampler, dim, rounding)


def _table(solver: Stepper[Any], equation: Equation, times: Tensor | Sequence[float]) -> Scheme | None:
    """The method as a table; None where its steps are not linear forms."""
    try:
        return unroll(equation, times, solver)
    except TypeError:
        return None


def _of_runs(run: Run, dim: int, rounding: float = AFFINE) -> ImpulseResponse:
    """From one run on unit vectors, after a dry one that counts the normals."""
    dry = Impulses()
    x = torch.zeros(1 + dim, dim, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        _check_output("The sampler", run(x, dry), x)
    check_memory("The number of normals", dry.drawn, 4 * dry.drawn * dim**2)
    x = torch.zeros(2 + dim + dry.drawn * dim, dim, dtype=torch.float64, device="cpu")
    x[1 : 1 + dim].fill_diagonal_(1.0)
    x[-1] = 0.7
    noise = Impulses(probe=True)
    with torch.no_grad():
        out = _check_output("The sampler", run(x, noise), x)
    if noise.drawn != dry.drawn:
        raise ValueError(f"The sampler drew {dry.drawn} normals at first and {noise.drawn} now; it must draw as many.")
    response = out - out[0]
    found = ImpulseResponse(
        response[1 : 1 + dim].mT, response[1 + dim : -1].reshape(dry.drawn, dim, dim).mT, out[0].clone()
    )
    normals = [torch.full((1, dim), 0.5 * (-1.0) ** k, dtype=torch.float64, device="cpu") for k in range(dry.drawn)]
    _check_affine("The sampler", found(x[-1:], normals)[0], out[-1], out, rounding)
    return found


def _of_table(scheme: Scheme, equation: Equation, dim: int) -> ImpulseResponse:
    """From the table: every symbol as its coefficients of (x_T, 1, ξ₁, …), of shape (dim, columns)."""
    fields = {"field": equation.field}
    if isinstance(equation, Semilinear) and equation.score is not None:
        fields["score"] = equation.score
    width = dim + 1 + dim * len(scheme.draws)
    eye = torch.eye(width, dtype=torch.float64, device="cpu")
    known: dict[Symbol, Tensor] = {("x", 0): eye[:dim]}
    known |= {("ξ", k): eye[dim + 1 + k * dim :][:dim] for k in range(len(scheme.draws))}

    def made(form: Form) -> Tensor:
        return sum((value * known[symbol] for symbol, value in form.items()), torch.zeros_like(eye[:dim]))

    following = 0
    for i, state in enumerate(scheme.states):
        while following < scheme.nfe and scheme.evaluations[following].step == i:
            evaluation = scheme.evaluations[following]
            if evaluation.kind not in fields:
                raise ValueError(f"{scheme.name} needs a score; give an equation that has one, as flow(denoiser) has.")
            slope, level = _affine(fields[evaluation.kind], evaluation.time, dim)
            value = slope @ made(evaluation.argument)
            value[:, dim] += level
            known["N", following] = value
            following += 1
        known["x", i + 1] = made(state)
    end = known["x", len(scheme.states)]
    noises = end[:, dim + 1 :].reshape(dim, len(scheme.draws), dim).permute(1, 0, 2)
    return ImpulseResponse(end[:, :dim].clone(), noises.contiguous(), end[:, dim].clone())


def _affine(field: Callable[[Any, Tensor], Tensor], t: float, dim: int) -> tuple[Tensor, Tensor]:
    """(A, b) of a field A x + b at one time. Raises ValueError where it is not affine."""
    x = torch.zeros(2 + dim, dim, dtype=torch.float64, device="cpu")
    x[1 : 1 + dim].fill_diagonal_(1.0)
    x[-1] = 0.7
    with torch.no_grad():
        out = _check_output(f"The field at t = {t:g}", field(t, x), x)
    slope, level = (out[1 : 1 + dim] - out[0]).mT, out[0]
    _check_affine(f"The field at t = {t:g}", slope @ x[-1] + level, out[-1], out)
    return slope, level


def _check_output(what: str, out: Tensor, x: Tensor) -> Tensor:
    if not isinstance(out, Tensor) or out.shape != x.shape or out.dtype != x.dtype:
        given = f"{out.dtype} of shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise ValueError(f"{what} returned {given} for states {x.dtype} of shape {tuple(x.shape)}; return the same.")
    check_finite(f"What {what[0].lower()}{what[1:]} returned", out)
    return out


def _check_affine(what: str, expected: Tensor, found: Tensor, out: Tensor, rounding: float = AFFINE) -> None:
    gap, size = (expected - found).abs().max().item(), out.abs().max().item()
    if not gap <= rounding * size:
        raise ValueError(
            f"{what} is off an affine map by {gap:.3g}, but a law follows from unit impulses only where everything is "
            "affine; use the denoiser of Gaussian data, without a threshold."
        )
