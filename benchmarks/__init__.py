"""Work-precision: network evaluations against error, on any network.

    bench(denoiser, shape)        which sampler is the most accurate at each number of evaluations, and how sure is that
    tune(denoiser, shape, nfe)    a table of coefficients that is fitted to the network
    tune_noise(denoiser, shape)   a stochastic one, whose amounts of noise are

The keys of stored rows are the interface: a run must find what an earlier one measured. Tables and pictures may be
changed by whoever looks at them.
"""

from __future__ import annotations

from .bench import bench as bench
from .noise_tuning import TunedLaw as TunedLaw, tune_noise as tune_noise
from .problems import Problem as Problem, problem_of as problem_of
from .results import Recommendation as Recommendation, Result as Result, Standing as Standing
from .tuning import Tuned as Tuned, tune as tune
