"""Anyone's log p(x) of a flow, measured where log p has a closed form.

    certify_log_prob(lambda velocity, x, seed: ..., 16)          log p, or (log p, standard error)

The function gets the exact velocity of a Gaussian and of a mixture (`exact_fields`), their samples and a seed. What is
measured of its values, and how, is in `log_prob_statistics`; a wrong value is compared with the mistakes that people
make (`log_prob_faults`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...solvers.common import check_callable, check_instance, choice, real, whole, wholes
from .exact_fields import ExactField, exact_fields
from .log_prob_certificate import LogProbCertificate, LogProbFinding
from .log_prob_faults import typical_fault
from .log_prob_function import LogProbFunction
from .log_prob_statistics import ROUNDING, bias, change, coverage, falling, independence, spread

__all__ = ["FORMS_OF_FIELDS", "certify_log_prob"]

FORMS_OF_FIELDS = ("velocity", "denoiser")
MOST = 1024
"""The largest dimension: a covariance has d² numbers."""
PROBES = (1, 8)
"""The numbers of probes between which the variance falls."""
FAR = 30.0
"""The distance of an extreme sample, in standard deviations of every component."""


def certify_log_prob(
    function: Callable[..., Any],
    dim: int,
    *,
    form: str = "velocity",
    shape: Sequence[int] | None = None,
    points: int = 32,
    seeds: int = 32,
    tolerance: float = 0.05,
    seed: int = 0,
    name: str = "",
    progress: Callable[[int, int, str], None] | None = None,
) -> LogProbCertificate:
    """Measure a function that computes log p(x) of a flow, on laws whose log p is known.

    The path is CondOT: noise N(0, I) at t = 0, data at t = 1, dx/dt = velocity(x, t).

    Args:
        function: function(velocity, x, seed) -> log p, (B,), or (log p, standard error). velocity(x, t) is a module
            without parameters. It takes states (B, ...) and one time, or one time a sample. If the function has a
            parameter `probes`, it is also called with numbers of probes. torch's generator is seeded before each call.
        dim: d, the number of components of a sample, at most 1024.
        form: what the function gets: "velocity", or "denoiser" for a `Denoiser`.
        shape: the shape of a sample; vectors if None, and then also (1, √d, √d) where d is a square.
        points: the number of samples of each law.
        seeds: the number of seeds, where the values depend on them.
        tolerance: the error that may remain of steps, in nats.
        seed: of the samples, and the first of the seeds.
        name: the function's name in the certificate.
        progress: called as progress(done, total, what).

    Returns:
        The certificate. It prints as text.

    Raises:
        TypeError: arguments of another kind.
        ValueError: numbers out of range, and for a function that raises an error or returns anything else.

    Example:
        >>> def standard(velocity, x, seed):  # forgets that the flow changes volumes
        ...     return torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
        >>> certify_log_prob(standard, 2).passed
        False
    """
    check_callable("function", function, "a function (velocity, x, seed) -> log p")
    dim = whole("dim", dim, 1, MOST)
    form = choice("form", form, FORMS_OF_FIELDS)
    points, seeds = whole("points", points, 4, 10**4), whole("seeds", seeds, 8, 10**4)
    tolerance, seed = real("tolerance", tolerance, above=0.0, high=1e6), whole("seed", seed, 0, 2**62)
    check_instance("name", name, str, "a name")
    if progress is not None:
        check_callable("progress", progress, "a function of two numbers and a text")
    sizes = (dim,) if shape is None else wholes("shape", shape, 1)
    if math.prod(sizes) != dim:
        raise ValueError(
            f"shape is {sizes}, which has {math.prod(sizes)} components, but dim is {dim}; change one of them."
        )
    called = LogProbFunction(function, form, name or getattr(function, "__name__", type(function).__name__))
    fields = exact_fields(dim, points, seed)
    measured = _Measurement(called, fields, sizes, range(seed, seed + seeds), tolerance)
    return measured.certificate(also_images=shape is None, told=progress or (lambda done, total, what: None))


class _Measurement:
    """A function on the two laws."""

    def __init__(
        self,
        called: LogProbFunction,
        fields: tuple[ExactField, ExactField],
        shape: tuple[int, ...],
        seeds: range,
        tolerance: float,
    ) -> None:
        self.called, self.fields, self.shape, self.seeds, self.tolerance = called, fields, shape, seeds, tolerance
        self.found: dict[str, Tensor] = {}

    def certificate(self, also_images: bool, told: Callable[[int, int, str], None]) -> LogProbCertificate:
        """Everything, in turn."""
        gaussian = self.fields[0]
        side = math.isqrt(gaussian.dim)
        findings = self.repeated()
        stages: dict[str, Callable[[], list[LogProbFinding]]] = {
            f"errors, {field.name}": partial(self.errors, field) for field in self.fields
        }
        stages["typical faults"] = self.fault
        if self.called.takes_probes and self.random:
            stages["numbers of probes"] = self.probes
        stages |= {"batches": self.batches, "float32": self.single}
        if also_images and side > 1 and side**2 == gaussian.dim:
            stages["images"] = partial(self.images, (1, side, side))
        for done, (what, measure) in enumerate(stages.items()):
            told(done, len(stages), what)
            findings += measure()
        told(len(stages), len(stages), "done")
        return LogProbCertificate(
            self.called.name, gaussian.dim, self.shape, len(gaussian.x), len(self.seeds), self.tolerance,
            tuple(findings),
        )  # fmt: skip

    def repeated(self) -> list[LogProbFinding]:
        """Whether the values depend on the seed, which decides on the number of seeds, and on nothing else."""
        field = self.fields[0]
        first, again = (self.called(field, self.given(field.x), self.seeds[0])[0] for _ in range(2))
        other, _ = self.called(field, self.given(field.x), self.seeds[1])
        scale = ROUNDING * (1.0 + first.abs())
        apart = (first - again).abs()
        if bool((apart > scale).any()):
            said = f"Two calls with one seed differ by up to {apart.max().item():.2g} nats."
            return [LogProbFinding("spread", field.name, "note", f"{said} Draw all random numbers from the seed.")]
        if bool(((first - other).abs() <= scale).all()):
            self.seeds = self.seeds[:1]
        return []

    def errors(self, field: ExactField) -> list[LogProbFinding]:
        """Bias, and with random numbers their spread and their independence; error bars."""
        errors, stderr = self.runs(field)
        self.found[field.name] = errors
        findings = [bias(field.name, errors, self.tolerance)]
        if not bool(errors.isfinite().all()):
            return findings
        if self.random:
            findings.append(spread(field.name, errors))
        if self.random and field is self.fields[0]:  # where all samples have one Jacobian
            findings.append(independence(field.name, errors))
        if stderr is not None and bool((stderr > 0.0).any()):
            findings.append(coverage(field.name, errors, stderr))
        return findings

    def fault(self) -> list[LogProbFinding]:
        """The typical fault that the values show, if any."""
        errors = [self.found[field.name] for field in self.fields]
        if not all(bool(each.isfinite().all()) for each in errors):
            return []
        noise = max(each.std(0).max().item() for each in errors) / math.sqrt(len(self.seeds)) if self.random else 0.0
        values = [field.truth + each.mean(0) for field, each in zip(self.fields, errors, strict=True)]
        if max(each.mean(0).abs().max().item() for each in errors) <= self.tolerance:
            return []
        said = typical_fault(self.fields, values, noise)
        return [] if said is None else [LogProbFinding("fault", "both", "fail", f"{said[0].upper()}{said[1:]}.")]

    def probes(self) -> list[LogProbFinding]:
        """The bias with several probes, and how the variance falls."""
        field = self.fields[0]
        errors = tuple(self.runs(field, probes)[0] for probes in PROBES)
        last = bias(field.name, errors[-1], self.tolerance, "bias", f"With {PROBES[-1]} probes")
        return [last] if last.verdict == "fail" else [last, falling(field.name, PROBES, errors)]

    def batches(self) -> list[LogProbFinding]:
        """A sample alone, in the reverse order, and with an extreme neighbour in place of the last one."""
        field = self.fields[1]
        mean, cov = field.law.moments()
        extreme = torch.cat([field.x[:-1], (mean + FAR * cov.diagonal().sqrt())[None]])

        def moved(x: Tensor, back: Callable[[Tensor], Tensor], kept: slice) -> Tensor:
            return torch.stack(
                [
                    back(self.called(field, self.given(x), seed)[0]) - (field.truth + self.found[field.name][k])[kept]
                    for k, seed in enumerate(self.seeds)
                ]
            )

        return [
            change(field.name, changes, self.tolerance, what)
            for what, changes in (
                ("Alone", moved(field.x[:1], lambda value: value, slice(0, 1))),
                ("In the reverse order", moved(field.x.flip(0), lambda value: value.flip(0), slice(None))),
                (f"Beside a sample {FAR:.0f} deviations away", moved(extreme, lambda value: value[:-1], slice(-1))),
            )
        ]

    def single(self) -> list[LogProbFinding]:
        """Samples in float32."""
        return self.tried("dtype", self.shape, torch.float32, "With float32 samples", "fail")

    def images(self, shape: tuple[int, ...]) -> list[LogProbFinding]:
        """Samples of another shape."""
        return self.tried("shape", shape, torch.float64, f"With samples of the shape {shape}", "note")

    def tried(
        self, about: str, shape: tuple[int, ...], dtype: torch.dtype, what: str, refused: str
    ) -> list[LogProbFinding]:
        """The bias for samples of another kind, which the function may refuse."""
        field = self.fields[0]
        try:
            errors, _ = self.runs(field, shape=shape, dtype=dtype)
        except ValueError as error:
            return [LogProbFinding(about, field.name, refused, f"{what} there is no value. {error}")]
        return [bias(field.name, errors, self.tolerance, about, what)]

    @property
    def random(self) -> bool:
        return len(self.seeds) > 1

    def runs(
        self,
        field: ExactField,
        probes: int | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[Tensor, Tensor | None]:
        """Errors of every seed and the function's own standard errors, (S, B)."""
        x = self.given(field.x, shape).to(dtype)
        truth = field.law.log_prob(x.double().flatten(1))
        runs = [self.called(field, x, seed, probes) for seed in self.seeds]
        errors = torch.stack([value - truth for value, _ in runs])
        bars = [bar for _, bar in runs if bar is not None]
        return errors, torch.stack(bars) if len(bars) == len(runs) else None

    def given(self, x: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        return x.reshape(-1, *(self.shape if shape is None else shape))
