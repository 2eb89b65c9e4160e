"""Exactness: oracles against which every solver and sampler is measured."""

from __future__ import annotations

from .guided import GaussianClasses as GaussianClasses, guided_law as guided_law
from .oracles import Gaussian as Gaussian, GaussianMixture as GaussianMixture
from .ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
