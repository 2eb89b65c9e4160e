"""Learned networks plugged into the equations: paths, predictions, guidance, sampling, training."""

from . import grids as grids
from .checkpoint import load as load
from .denoiser import Denoiser as Denoiser
from .guidance import CFG as CFG
from .named import named as named
from .path import VE as VE, VP as VP, CondOT as CondOT, Cosine as Cosine, GaussianPath as GaussianPath
from .process import flow as flow, reverse_sde as reverse_sde
from .sample import sample as sample
