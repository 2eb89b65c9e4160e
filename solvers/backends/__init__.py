"""Integrators of other libraries behind `solve`: SciPy, torchdiffeq, torchsde.

They are independent references. Change freely how they are called, never what they compute.
"""

from __future__ import annotations

from .scipy import SciPy as SciPy
from .torch_diffeq import TorchDiffEq as TorchDiffEq
from .torch_sde import TorchSDE as TorchSDE
