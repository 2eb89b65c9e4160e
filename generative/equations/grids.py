"""Grids: functions from a path and a number of steps to increasing times, noise to data.

`uniform` and `quadratic` are spaced in t, `log_snr` in λ = log(α/σ), and `karras` in (σ/α)^{1/ρ}. These two cannot
reach an end of the path with an infinite log-SNR by their own spacing. The spacing then runs between σ/α = 80 and
σ/α = 0.002 (EDM's bounds). The noisiest time is moved to the end itself, and one last step goes from the cleanest time
to the end, as EDM's does.

`power` is spaced in the share of the data, r = α/(α + σ), which is t on the straight path. The probability flow is the
same curve on every path up to its scale and its clock, and so are the steps of this grid.

Every grid is called as grid(path, n, t0=..., t1=...):

    path    a `GaussianPath`
    n       the number of steps
    t0      the first time, where the noise is; 0 by default
    t1      the last time, where the data are; 1 by default

It returns n + 1 times, float64, of which the first and the last are exactly t0 and t1. It raises TypeError for what is
no path or no number, and ValueError for n < 1 or above a million, and for times that do not rise or lie beyond 1.

Sources: Karras et al. (2206.00364), eq. 5; Lu et al. (2206.00927), section 3.3; Song et al., DDIM (2010.02502),
appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ...solvers.common import MANY, check_instance, host, real, whole
from ..paths import GaussianPath, exp

__all__ = ["karras", "log_snr", "power", "quadratic", "uniform"]

NOISIEST, CLEANEST = 80.0, 0.002
"""The levels σ/α that replace those of an end where σ/α is infinite or zero."""
LARGEST, HALVINGS = 350.0, 64
"""λ where σ or α is zero, and how often the interval of λ is halved to find a level."""
EARLIEST = -1e6
"""The least time that is taken for one."""


def uniform(path: GaussianPath, n: int, *, t0: float = 0.0, t1: float = 1.0) -> Tensor:
    """n steps of equal length in t.

    Example:
        >>> uniform(CondOT(), 4)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000], dtype=torch.float64)
    """
    n, t0, t1 = _checked(path, n, t0, t1)
    return _pinned(torch.linspace(t0, t1, n + 1, dtype=torch.float64, device="cpu"), t0, t1)


def quadratic(path: GaussianPath, n: int, *, t0: float = 0.0, t1: float = 1.0) -> Tensor:
    """n steps of equal length in √(1 − t), dense near the data."""
    n, t0, t1 = _checked(path, n, t0, t1)
    roots = torch.linspace(math.sqrt(1.0 - t0), math.sqrt(1.0 - t1), n + 1, dtype=torch.float64, device="cpu")
    return _pinned(1.0 - roots**2, t0, t1)


def log_snr(path: GaussianPath, n: int, *, t0: float = 0.0, t1: float = 1.0) -> Tensor:
    """n steps of equal length in log-SNR."""
    return _spaced(path, n, t0, t1, forward=lambda level: -math.log(level), backward=lambda lam: lam)


def karras(path: GaussianPath, n: int, rho: float = 7.0, *, t0: float = 0.0, t1: float = 1.0) -> Tensor:
    """n steps of equal length in (σ/α)^{1/ρ}.

    Args:
        path: the path.
        n: the number of steps.
        rho: ρ, from 1 to a million; larger values put more steps near the data. Where it is large, the steps are those
            of `log_snr`.
        t0: the first time.
        t1: the last time.

    Raises:
        ValueError: rho is out of range, or as for every grid.
    """
    rho = real("rho", rho, 1.0, 1e6)
    return _spaced(
        path, n, t0, t1, forward=lambda level: level ** (1.0 / rho), backward=lambda root: -rho * root.log()
    )


def power(
    path: GaussianPath, n: int, p: float = 2.0, early: float = 0.0, *, t0: float = 0.0, t1: float = 1.0
) -> Tensor:
    """n steps of equal length in early · log r − (1 − r)^{1/p}, with r = α/(α + σ), on every path at the same r.

    Args:
        path: the path.
        n: the number of steps.
        p: from 1 to 10; larger values put more steps near the data. On the straight path 2 gives `quadratic`.
        early: from 0 to 100; larger values put more steps near the noise. Where it is not 0 and α = 0 at t0, the
            spacing starts at σ/α = 80, and the first time is moved to t0.
        t0: the first time.
        t1: the last time.

    Raises:
        ValueError: p or early is out of range, or as for every grid.

    Example:
        >>> power(CondOT(), 4)
        tensor([0.0000, 0.4375, 0.7500, 0.9375, 1.0000], dtype=torch.float64)
    """
    n, t0, t1 = _checked(path, n, t0, t1)
    p, early = real("p", p, 1.0, 10.0), real("early", early, 0.0, 100.0)
    noisiest, cleanest = path.half_log_snr(t0), path.half_log_snr(t1)
    noisiest = max(noisiest, -math.log(NOISIEST) if early and noisiest == -math.inf else -LARGEST)
    ends = host([noisiest, min(cleanest, LARGEST)])

    def place(lam: Tensor) -> Tensor:
        """log r is the logarithm of the logistic function at λ, and log(1 − r) that at −λ."""
        return early * logsigmoid(lam) - (logsigmoid(-lam) / p).exp()

    first, last = place(ends).tolist()
    places = torch.linspace(first, last, n + 1, dtype=torch.float64, device="cpu")
    below, above = ends[:1].expand(n + 1), ends[1:].expand(n + 1)
    for _ in range(HALVINGS):
        middle = 0.5 * (below + above)
        short = place(middle) < places
        below, above = torch.where(short, middle, below), torch.where(short, above, middle)
    return _pinned(path.time(below + above), t0, t1)


def _spaced(
    path: GaussianPath,
    n: int,
    t0: float,
    t1: float,
    forward: Callable[[float], float],
    backward: Callable[[Tensor], Tensor],
) -> Tensor:
    """Times uniformly spaced in forward(σ/α); `backward` gives λ at such a value."""
    n, t0, t1 = _checked(path, n, t0, t1)
    noisiest, cleanest = path.half_log_snr(t0), path.half_log_snr(t1)
    appended = cleanest == math.inf
    first = NOISIEST if noisiest == -math.inf else exp(-noisiest)
    last = CLEANEST if appended else exp(-cleanest)
    if not last < first < math.inf:
        raise ValueError(f"The levels of noise at t0 = {t0:g} and t1 = {t1:g} leave nothing to space; move them apart.")
    levels = torch.linspace(forward(first), forward(last), n + 1 - appended, dtype=torch.float64, device="cpu")
    times = path.time(2.0 * backward(levels))
    return _pinned(torch.cat([times, times.new_tensor([t1])]) if appended else times, t0, t1)


def _pinned(times: Tensor, t0: float, t1: float) -> Tensor:
    """The ends exactly, without rounding."""
    times[0], times[-1] = t0, t1
    return times


def _checked(path: GaussianPath, n: int, t0: float, t1: float) -> tuple[int, float, float]:
    check_instance("path", path, GaussianPath, "a path, as in grids.uniform(CondOT(), 20)")
    n, t0, t1 = whole("n", n, 1, MANY), real("t0", t0, EARLIEST), real("t1", t1)
    if not t0 < t1 <= 1.0:
        raise ValueError(f"A grid runs from noise to data, t0 < t1 <= 1, but got t0 = {t0} and t1 = {t1}.")
    return n, t0, t1
