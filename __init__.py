"""Fokker: numerically honest differential equations for diffusion and flow-matching models, in PyTorch.

    dx = b(t, x) dt + g(t, x) dW,    from noise (t = 0) to data (t = 1)

A denoiser makes an equation, a solver takes its steps on a grid of times, and what comes out is measured
against something exact:

    import fokker

    path = fokker.CondOT()
    oracle = fokker.GaussianMixture(weights, means, covs)
    equation = fokker.flow(oracle.denoiser(path))
    times = fokker.grids.uniform(path, 20)
    solution = fokker.solve(equation, x, times, fokker.Heun())
    solution.x, solution.nfe

Names are found when first used, so `import fokker` loads neither torch nor anything else that is heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .generative import (
        CFG as CFG,
        EDM as EDM,
        VE as VE,
        VP as VP,
        AutoGuidance as AutoGuidance,
        ClassifierGuidance as ClassifierGuidance,
        CondOT as CondOT,
        Cosine as Cosine,
        Denoiser as Denoiser,
        Dequantisation as Dequantisation,
        Dynamic as Dynamic,
        GeometricVE as GeometricVE,
        Interpolant as Interpolant,
        LogLikelihood as LogLikelihood,
        Polynomial as Polynomial,
        Shifted as Shifted,
        Static as Static,
        SubVP as SubVP,
        Table as Table,
        ancestral as ancestral,
        annealed_langevin as annealed_langevin,
        decode as decode,
        diffusion_sde as diffusion_sde,
        encode as encode,
        flow as flow,
        from_diffusers as from_diffusers,
        from_k_diffusion as from_k_diffusion,
        from_velocity as from_velocity,
        interpolate as interpolate,
        load as load,
        log_likelihood as log_likelihood,
        minibatch_ot as minibatch_ot,
        named as named,
        reverse_sde as reverse_sde,
        round_trip as round_trip,
        sample as sample,
        sample_chunks as sample_chunks,
        slerp as slerp,
        variational_bound as variational_bound,
    )
    from .generative.equations import grids as grids
    from .solvers import (
        ODE as ODE,
        RK4 as RK4,
        SDE as SDE,
        SRA1 as SRA1,
        Adaptive as Adaptive,
        Ancestral as Ancestral,
        BrownianTree as BrownianTree,
        Churn as Churn,
        Dopri5 as Dopri5,
        Euler as Euler,
        EulerMaruyama as EulerMaruyama,
        ExponentialAdams as ExponentialAdams,
        ExponentialRK as ExponentialRK,
        Halving as Halving,
        Heun as Heun,
        Langevin as Langevin,
        Milstein as Milstein,
        Picard as Picard,
        Restart as Restart,
        Scheme as Scheme,
        SciPy as SciPy,
        Semilinear as Semilinear,
        SolveError as SolveError,
        StochasticHeun as StochasticHeun,
        TorchDiffEq as TorchDiffEq,
        TorchSDE as TorchSDE,
        Tsit5 as Tsit5,
        WhiteNoise as WhiteNoise,
        same as same,
        solve as solve,
        unroll as unroll,
    )
    from .verification import (
        Gaussian as Gaussian,
        GaussianClasses as GaussianClasses,
        GaussianMixture as GaussianMixture,
        OrnsteinUhlenbeck as OrnsteinUhlenbeck,
    )

__version__ = "0.1.0"

# The same names at run time (PEP 562); a test compares the two lists.
_NAMES = {
    "solvers": (
        "solve ODE SDE Semilinear Adaptive SolveError Euler Heun RK4 Dopri5 Tsit5 EulerMaruyama Milstein "
        "StochasticHeun SRA1 ExponentialAdams ExponentialRK Ancestral Churn Langevin Restart Halving Picard "
        "TorchDiffEq TorchSDE SciPy WhiteNoise BrownianTree Scheme unroll same"
    ),
    "generative": (
        "CondOT Cosine VP SubVP VE GeometricVE Polynomial Table Shifted Interpolant minibatch_ot Denoiser EDM "
        "Static Dynamic CFG AutoGuidance ClassifierGuidance flow reverse_sde diffusion_sde annealed_langevin "
        "ancestral grids named sample sample_chunks encode decode round_trip slerp interpolate log_likelihood "
        "LogLikelihood Dequantisation variational_bound load from_diffusers from_velocity from_k_diffusion"
    ),
    "verification": "Gaussian GaussianMixture GaussianClasses OrnsteinUhlenbeck",
    "benchmarks": "",
}
_HOME = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = [*_NAMES, *_HOME]


def __getattr__(name: str) -> object:
    # Absolute: a tool that reads this file by its place names the package after the checkout's folder.
    if name in _NAMES:
        return import_module(f"fokker.{name}")
    if name in _HOME:
        return getattr(import_module(f"fokker.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fokker' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
