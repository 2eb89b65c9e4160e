"""Finds the convention of a network from its answers to noised data, or says that they do not tell.

Every convention (`conventions`) makes a denoiser of the network. At a given log-SNR the noised data y = x₀ + ρ ε are
the same for all of them. Among all functions of y the conditional mean E[x₀ | y] has the least squared error. So a
network that learned it has this error under its own convention, and a larger one under a convention with another kind,
clock, path or scale of the input. Two measurements decide:

    lead        the lead of the best convention over a rival: the mean of e_rival − e_best in units of the error itself,
                on the same x₀ and ε, with its standard error over samples
    removable   the share R of the best convention's error that simple functions of y remove (`orthogonality`): 0 for an
                exact network under its own convention, whatever the data

There is no verdict if R exceeds 10 % at any level, because no convention explains the output, nor if a rival ties that
is not another name of the same convention (`search`, `verdict`).

The time of an evaluation is measured first. If all draws take longer than there is time for, fewer are made. Leads and
shares then have larger standard errors. A lead that is not significant, or below R and two standard errors of it, is a
tie, and a share within two standard errors of 10 % is open, so that the verdict is "not settled" rather than wrong. The
probability that a rival beats the truth by chance is 3e-6 for each rival and each number of draws, however many draws
there are. The least effort is 2 draws at each level for every way to ask the network, and 16 for the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from ...generative.paths import GaussianPath
from ...generative.sampling import check_network
from ...solvers.common import check_callable, check_instance, check_memory, host, real, reals, whole
from .clean_samples import check_probed
from .conventions import conventions, default_paths
from .effort import Effort
from .finding import Finding
from .orthogonality import Reference
from .plan import plan
from .search import FIRST, Search
from .shifts import try_shifts
from .trials import Trial
from .verdict import finding

__all__ = ["probe"]

LEVELS = (-4.0, -2.5, -1.0, 0.5, 2.0, 3.5, 5.0)
"""The log-SNRs at which data of unit deviation are noised."""
FEWEST_SAMPLES = 32
MINUTES, MOST_MINUTES = 2.0, 1e5
"""The time of a probe unless it is given, and the largest that is taken."""


def probe(
    net: Callable[..., Tensor],
    data: Tensor,
    *,
    label: Tensor | None = None,
    paths: Sequence[GaussianPath] | None = None,
    scales: Sequence[float] = (1.0, 1000.0),
    sigma_data: Sequence[float] = (0.5, 1.0),
    samples: int | None = None,
    seed: int = 0,
    minutes: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Finding:
    """Finds what a network predicts, on which path and clock, and how its input is scaled.

    Args:
        net: the network in evaluation mode. It takes states (B, …) and its clock (B,), both in the dtype of its weights
            or else of the data, and labels (B,) if there are any, and returns the states' shape.
        data: clean samples (M, …) on the network's device, scaled as in training, at least 32. One half is noised, the
            other gives the functions that estimate the removable share.
        label: the labels of the samples, (M,).
        paths: the paths to try; None for `default_paths`.
        scales: factors of the clock t to try.
        sigma_data: those of EDM's preconditioning to try, beside the data's own deviation.
        samples: the number of draws for the verdict at each of seven log-SNRs; None for 512, or more in less than eight
            dimensions.
        seed: draws the noise.
        minutes: how long it may take. None is as long as `samples` take if they are given, and else 2, or longer if the
            least effort takes longer.
        progress: called as progress(done, total, what), in evaluations of the network; total is 0 while it is unknown.

    Raises:
        TypeError: arguments of another kind.
        ValueError: the data cannot be used or do not fit the network, numbers are out of range, the minutes are too few
            for the least effort, or the network accepts no clock: it raises errors or returns nothing finite, whatever
            it is given.

    Source: the rows of predictions, Salimans and Ho (2202.00512), section 4; Karras et al. (2206.00364), eq. 7.
    """
    check_callable("net", net, "a network, net(x, time) or net(x, time, label)")
    check_probed(data, label, FEWEST_SAMPLES)
    check_network(net, data)
    dim = data[0].numel()
    many = max(512, 4096 // dim) if samples is None else whole("samples", samples, 1)
    if many < FEWEST_SAMPLES:
        raise ValueError(f"samples is {samples}; give {FEWEST_SAMPLES} at least.")
    check_memory("samples", many, 8 * len(LEVELS) * many * dim)
    seed = whole("seed", seed)
    tried = default_paths() if paths is None else _paths(paths)
    scales = [real(f"scales[{i}]", scale, above=0.0) for i, scale in enumerate(reals("scales", scales))]
    spreads = [real(f"sigma_data[{i}]", one, 1e-30, 1e30) for i, one in enumerate(reals("sigma_data", sigma_data))]
    minutes = None if minutes is None else real("minutes", minutes, above=0.0, high=MOST_MINUTES)
    if progress is not None:
        check_callable("progress", progress, "a function of two numbers and a text")
    effort = Effort(progress)
    held, other = data[0::2], data[1::2]
    deviation = float((data.double() - data.double().mean(0)).square().mean().sqrt())
    log_snr = host(LEVELS) - 2.0 * host(deviation).log()
    told = None if label is None else label[0::2]

    def trial(count: int, seed: int) -> Trial:
        rows = min(len(held), count)
        return Trial(net, held[:rows], None if told is None else told[:rows], log_snr, -(-count // rows), seed, effort)

    few = max(16, min(256, 1024 // dim))
    search = Search(trial(few, seed), trial(many, seed + 1), Reference(other.double().cpu().flatten(1)), effort)
    keys = search.register(conventions(tried, scales, [*spreads, float(f"{deviation:.2g}")]))
    within = math.inf if minutes is None and samples is not None else 60.0 * (minutes or MINUTES)
    first = plan(search, keys, max(FIRST, few // 8), within, extend=minutes is None)
    search.screen(keys, first)
    search.promote()
    try_shifts(search, first)
    return finding(search)


def _paths(paths: Sequence[GaussianPath]) -> Sequence[GaussianPath]:
    check_instance("paths", paths, (list, tuple), "a list of paths, such as [CondOT()]")
    if not paths:
        raise ValueError("paths is empty; give at least one path, or None for the usual ones.")
    for i, path in enumerate(paths):
        check_instance(f"paths[{i}]", path, GaussianPath, "a Gaussian path, such as CondOT()")
    return paths
