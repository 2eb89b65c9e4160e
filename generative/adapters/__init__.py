"""Networks of other libraries as denoisers, their samplers as ours, and our samplers as schedulers of diffusers.

    from_diffusers(model, scheduler)     diffusers: any model with the configuration of any of its Gaussian schedulers
    from_velocity(net, path)             flow_matching, torchcfm, and velocity fields of either order of arguments
    from_k_diffusion(denoiser)           k-diffusion: denoisers D(x, σ)
    FokkerScheduler                      a sampler as a diffusers scheduler
    function_sampler(function)           anyone's function, k-diffusion's samplers, diffusers' schedulers
    evaluations_of, steps_for            what such a sampler takes, counted

No library is imported before it is needed; `pip install "fokker[adapters]"` installs them.

What a foreign configuration means is fixed by the library that reads it; the rest may be changed by whoever runs its
tests beside that library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .counting import draws_noise as draws_noise, evaluations_of as evaluations_of, steps_for as steps_for
from .diffusers import from_diffusers as from_diffusers
from .draws import OTHERS as OTHERS
from .functions import (
    FORMS as FORMS,
    FunctionSampler as FunctionSampler,
    NotFinite as NotFinite,
    form_of as form_of,
    function_sampler as function_sampler,
)
from .k_diffusion import from_k_diffusion as from_k_diffusion
from .library import library as library
from .velocity import from_velocity as from_velocity

if TYPE_CHECKING:
    from .scheduler import FokkerScheduler as FokkerScheduler

__all__ = [
    "FokkerScheduler", "FunctionSampler", "draws_noise", "evaluations_of", "from_diffusers", "from_k_diffusion",
    "from_velocity", "function_sampler", "steps_for",
]


def __getattr__(name: str) -> Any:
    """`FokkerScheduler` derives from classes of diffusers, which take seconds to import."""
    if name != "FokkerScheduler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    library("diffusers")
    from .scheduler import FokkerScheduler

    return FokkerScheduler
