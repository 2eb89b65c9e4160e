"""DDPM's discrete chain: its steps, its bound in bits/dim, and the losses that the bound implies.

Everything here follows from the posterior of a step. The formulas may be rewritten as long as the numbers stay.
"""

from __future__ import annotations

from .bound import Bound as Bound, variational_bound as variational_bound
from .chain import ancestral as ancestral, posterior as posterior
from .losses import bound_loss as bound_loss, hybrid_loss as hybrid_loss
