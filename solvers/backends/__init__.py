"""Integrators of other libraries behind `solve`: SciPy, torchdiffeq, torchsde.

They are independent references. How they are called may be changed freely; what they compute may not.
"""

from __future__ import annotations

from .scipy import SciPy as SciPy
from .torch_diffeq import TorchDiffEq as TorchDiffEq
from .torch_sde import TorchSDE as TorchSDE
