"""Errata of the tutorial's listings: what they compute.

Each claim measures two things: by how much the printed code fails, and that the corrected form, which is Fokker's own
where there is one, holds. Only the wrong expression of a listing is repeated.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from scipy.stats import chi2
from torch import Tensor

from ....generative.denoiser import Denoiser, Static
from ....generative.discrete import ancestral
from ....generative.equations import flow
from ....generative.paths import CondOT, Cosine, GaussianPath, Shifted, stratified
from ....solvers import ODE, RK4, Euler, WhiteNoise, solve
from ..claim import Bound, Check, Statistical, claim
from ..sources import TUTORIAL
from ..tools.errors import largest, raises
from ..tools.points import STATES, gaussian, grid, point
from ..tools.samplers import response


@claim(
    "E48",
    TUTORIAL["listing of ancestral_sampling_step, clip_to"],
    statement="By default the step clips to [−1, 1], and so silently narrows data that are not inside.",
    formula="printed clip_to = (−1, 1);  none unless asked for",
    erratum=True,
)
def clipping_by_default() -> list[Bound | Check | Statistical]:
    """N(0, 4), 100 steps, 4000 samples. What is clipped to [−1, 1] has at most the deviation 1 (Popoviciu), and 0.755
    is measured. Not clipped, which is the default here, the deviation is that of unit impulses; (n − 1) s²/σ² is χ². A
    deviation that is off by 7 % is found with probability 0.99 even if 100 tests share the level of 1 %."""
    path, n = Cosine(), 4000
    exact = gaussian(0.0, 2.0).denoiser(path)

    def deviation(denoiser: Denoiser) -> float:
        x = torch.randn(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        return float(ancestral(denoiser, x, WhiteNoise(2), grid(100), variance="small").x.std())

    clipped = deviation(Denoiser(exact.net, path, predicts=exact.predicts, threshold=Static(1.0)))
    expected = response(lambda x, noise: ancestral(exact, x, noise, grid(100), variance="small").x).law()[1]
    free = deviation(exact)
    ratio = (n - 1) * (free / expected) ** 2
    p = 2.0 * min(float(chi2.cdf(ratio, n - 1)), float(chi2.sf(ratio, n - 1)))
    return [
        Bound(clipped, 1.0, "printed: the deviation, which should be 2"),
        Statistical(p, n, "a deviation that is off by 7 %", free, expected, "corrected: the deviation"),
    ]


@claim(
    "E50",
    TUTORIAL["listing of runge_kutta_4_step, with sigma_min = 0"],
    statement="Methods with a stage at t = 1 evaluate the field (x₀-hat − x)/(1 − t) there, which is 0/0.",
    formula="printed (x̂ − x)/(1 − t);  α' x̂ + σ' ε̂, finite at t = 1",
    erratum=True,
)
def stage_at_the_end() -> list[Bound | Check]:
    """64 steps, whose times are exact in binary: as printed no number is left. N(0.7, 0.25) has a velocity at t = 1,
    and RK4 ends in 0.7 + x/2 to (4/64)⁴, 2e-5. A point has none there: a network for x₀ is refused, with the reason,
    and Euler's method, which does not evaluate there, ends in the point exactly, to rounding."""
    path, times, data = CondOT(), grid(64), gaussian(0.7, 0.5).denoiser(CondOT())

    def printed(t: float, x: Tensor) -> Tensor:
        return (data.predict("x0", t, x) - x) / (1.0 - torch.tensor(t, dtype=torch.float64))

    spoilt = STATES
    for t0, t1 in pairwise(times.tolist()):
        spoilt, _ = RK4().step(ODE(printed), t0, t1, spoilt, None, None)[:2]
    smooth = solve(flow(data), STATES, times, RK4()).x
    one = flow(point(0.7, path))
    refused = raises(ValueError, lambda: solve(one, STATES, times, RK4()))
    return [
        Bound(float((~spoilt.isfinite()).double().mean()), 1.0, "printed: the share of lost samples", above=True),
        Check(largest(smooth - (0.7 + 0.5 * STATES)), 0.0, 2e-5, "corrected: the error for N(0.7, 0.25)"),
        Check(refused, 1.0, 0.0, "a point, RK4: refused"),
        Check(largest(solve(one, STATES, times, Euler()).x - 0.7), 0.0, 1e-13, "a point, Euler: its distance"),
    ]


@claim(
    "E51",
    TUTORIAL["listing of the stratified times"],
    statement="Stratified times must be taken modulo 1 and then scaled. Taken modulo 1 − ε, they leave a stratum "
    "empty.",
    formula="printed (u + k/B) mod (1 − ε);  (1 − ε) ((u + k/B) mod 1)",
    erratum=True,
)
def modulus_of_the_strata() -> list[Bound | Check]:
    """ε = 0.05, B = 64: the printed times that pass 1 − ε, three of the 64 or four, fall into strata that are taken, so
    that at least one of the 64 strata of [0, 1 − ε) is empty, whatever u. Scaled, every stratum has its time."""
    batch, eps = 64, 0.05
    k = torch.arange(batch, dtype=torch.float64)

    def empty(times: Tensor) -> int:
        return batch - len(set((times * batch / (1.0 - eps)).floor().tolist()))

    printed = min(empty((u + k / batch) % (1.0 - eps)) for u in torch.linspace(0.0, 1.0 / batch, 101)[:-1].tolist())
    generator = torch.Generator().manual_seed(0)
    right = largest(*(empty((1.0 - eps) * stratified(batch, generator, k)) for _ in range(100)))
    return [
        Bound(float(printed), 1.0, "printed: the least number of strata without a time", above=True),
        Check(float(right), 0.0, 0.0, "corrected: the largest"),
    ]


@claim(
    "E52",
    TUTORIAL["listing of CosineNoiseSchedule, with a shift"],
    statement="A shift moves the whole range of the log-SNR, out of the interval that is said to hold it.",
    formula="λ from −15 + 2 log(64/256) to 15 + 2 log(64/256): −17.77 to 12.23",
    erratum=True,
)
def shifted_range() -> list[Bound | Check]:
    """A schedule that is shifted as a whole, as printed, reaches from
    −17.77 to 12.23, in closed form to 1e-12; one that is truncated after the shift keeps its interval, exactly."""
    shift = math.log(64.0 / 256.0)

    def ends(path: GaussianPath) -> tuple[float, float]:
        return path.log_snr(0.0), path.log_snr(1.0)

    (low, high), kept = ends(Shifted(Cosine(), shift)), ends(Cosine(shift=shift))
    return [
        Bound(-15.0 - low, 2.7, "printed: how far below −15 it goes", above=True),
        Check(low, -15.0 + 2.0 * shift, 1e-12, "printed: the lower end"),
        Check(high, 15.0 + 2.0 * shift, 1e-12, "printed: the upper end"),
        Check(kept[0], -15.0, 1e-12, "corrected: the lower end"),
        Check(kept[1], 15.0, 1e-12, "corrected: the upper end"),
    ]


@claim(
    "E54",
    TUTORIAL["listing of generate_samples"],
    statement="The sampler returns the mean at the last noise level, λ = 15, and not x₀.",
    formula="σ = (1 + e^15)^(−½) = 5.5e-4 is left",
    erratum=True,
)
def last_level() -> list[Bound | Check]:
    """The truncated cosine schedule at its clean end, in closed form, to a relative rounding of 1e-9; the schedule
    without truncation ends at σ = 0."""
    return [
        Bound(Cosine().sigma(1.0), 5e-4, "printed: the noise level that is left", above=True),
        Check(Cosine().sigma(1.0) * math.sqrt(1.0 + math.exp(15.0)), 1.0, 1e-9, "printed: over (1 + e^15)^(−½)"),
        Check(float(Cosine(-math.inf, math.inf).sigma(1.0)), 0.0, 1e-15, "corrected: what is left"),
    ]
