"""Drawing samples: published samplers by name, `sample`, `encode`, `decode`, interpolation, annealed Langevin.

The defaults were measured on trained networks that took no part in choosing them; change one only with such a
measurement. The rest may be changed freely.
"""

from __future__ import annotations

from .annealed_langevin import annealed_langevin as annealed_langevin
from .default import default_for as default_for
from .encode import RoundTrip as RoundTrip, decode as decode, encode as encode, round_trip as round_trip
from .imported import import_scheme as import_scheme, multistep_scheme as multistep_scheme
from .interpolate import interpolate as interpolate, slerp as slerp
from .jumps import Jumps as Jumps, as_jumps as as_jumps, plan_jumps as plan_jumps
from .named import PUBLISHED as PUBLISHED, named as named
from .plan import (
    AnySampler as AnySampler,
    Plan as Plan,
    as_sampler as as_sampler,
    default_sampler as default_sampler,
    plan as plan,
    regular_interval as regular_interval,
    resolve as resolve,
    steps as steps,
)
from .replay import table_of as table_of
from .sample import (
    check_network as check_network,
    check_sampled as check_sampled,
    chunk_size as chunk_size,
    conditioned as conditioned,
    sample as sample,
    sample_chunks as sample_chunks,
)
from .sampler import Sampler as Sampler
from .shipped import TABLES as TABLES
