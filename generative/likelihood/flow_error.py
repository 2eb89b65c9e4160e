"""How far the solution of a flow moves log p, from a more precise solution.

Let y_i be the states at the nodes and z_i those of the more precise solution from the same data to the noise. With the
same probes v at both,

    log p(y) − log p(z) = log p₀(y_n) − log p₀(z_n) + Σ_i w_i E vᵀ (A(y_i) − A(z_i)) v

has no bias, and scatters little, since the Jacobians differ little. It asks for nothing but the network: the score of a
trained one is not that of the density which its flow makes. Where the samples are noise, the data are those that the
solution ended in, since the value is theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...solvers.noise import Keys
from .along_flow import evaluations, flow_states, traces
from .change_of_variables import ChangeOfVariables
from .clock import Clock
from .hutchinson import Hutchinson
from .trace import Exact, Trace, sum_of

__all__ = ["flow_error"]

PROBES = 2
"""The probes at a node. Their root mean square is taken, which is small by accident less often than their mean."""
TIGHTER, TIGHTEST = 0.1, 20.0
"""The tolerance of the more precise solution, over that of the flow, and at least so many eps."""


@torch.no_grad()
def flow_error(
    change: ChangeOfVariables, clock: Clock, states: Tensor, tolerance: float | None, keys: Keys
) -> tuple[Tensor, Tensor, int]:
    """The error that the solution of the flow leaves in log p.

    Args:
        change: the change of variables of these samples.
        clock: its clock.
        states: those at the nodes of a rule of the clock, (n + 1, B, ...).
        tolerance: that of the solution; None for one step of RK4 from node to node, beside which two are taken.
        keys: of the probes.

    Returns:
        Its size, float64 (B,); the evaluations that it took of each sample, int64 (B,), and the products with its
        Jacobian.
    """
    if not change.to_noise:
        change, clock, states = change.reversed(), clock.reversed(), states.flip(0)
    intervals, batch = len(states) - 1, states.shape[1]
    nodes = clock.nodes(intervals)
    if tolerance is None:
        finer, nfe = flow_states(change, clock, states[0], clock.nodes(2 * intervals).s, None)
        finer = finer[::2]
    else:
        tighter = max(TIGHTER * tolerance, TIGHTEST * change.precision(states))
        finer, nfe = flow_states(change, clock, states[0], nodes.s, tighter)

    few = change.dim <= PROBES
    trace: Trace = Exact(change.dim, intervals + 1) if few else Hutchinson(keys, (PROBES,) * (intervals + 1))
    there, other = (traces(change, nodes.r, each, trace) for each in (states, finer))
    moved = sum_of(nodes.weights, [one - two for one, two in zip(there, other, strict=True)])
    at_noise = [change.log_density(change.leaving(each[-1])) for each in (states, finer)]
    moved = moved + (at_noise[0] - at_noise[1]).nan_to_num(0.0)[:, None]  # nan where a source has no mass
    spent = nfe.per_sample + 2 * evaluations(change, nodes.r, batch)
    return moved.square().mean(1).sqrt(), spent, 2 * change.cost * sum(trace.counts)
