"""Learned networks plugged into the equations: paths, predictions, guidance, sampling, training."""

from . import grids as grids
from .checkpoint import load as load
from .denoiser import Denoiser as Denoiser
from .guidance import CFG as CFG
from .path import VE as VE
from .path import VP as VP
from .path import CondOT as CondOT
from .path import Cosine as Cosine
from .path import GaussianPath as GaussianPath
from .process import flow as flow
from .process import reverse_sde as reverse_sde
from .sample import sample as sample
