"""For every parameter a value with which its entry works, and wrong values of the right kind.

An example is found by "entry.parameter", by the parameter's name, or by its annotation, in this order. Values are made
anew for each call, so that no call sees what another has changed.
"""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fokker import benchmarks, generative, solvers, verification
from fokker.generative import adapters, training

__all__ = ["DIM", "EXAMPLES", "example", "normals"]

DIM = 3
SMALL = {"class": "MLP", "dim": 64, "width": 8, "depth": 1, "classes": 10}


def normals(*shape: int, seed: int = 0) -> Tensor:
    """Standard normals, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(t: Any, x: Tensor) -> Tensor:
    """−x, a field that every solver can integrate."""
    return -x


def quadratic(velocity: Any, x: Tensor, seed: int) -> Tensor:
    """log p of N(0, I/2), without its normaliser."""
    return -x.square().flatten(1).sum(1)


def halved(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    """A sampler that asks for one prediction and returns it."""
    found: Tensor = denoiser.predict("x0", 0.5, x)
    return found


def network(x: Tensor, time: Tensor, label: Tensor | None = None, **condition: Tensor) -> Tensor:
    """x/2, whatever the time and the conditions."""
    return 0.5 * x


def two_times(x: Tensor, s: Tensor, t: Tensor, label: Tensor | None = None, **condition: Tensor) -> Tensor:
    """x/2, whatever the times and the conditions."""
    return 0.5 * x


def log_prob(x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
    """A classifier of noisy states."""
    return -x.square().flatten(1).sum(1)


def constant_diffusion(t: float, x: Tensor) -> float:
    return 0.5


def denoiser() -> generative.Denoiser:
    return gaussian().denoiser(generative.CondOT())


def conditional() -> generative.Denoiser:
    return generative.Denoiser(network, generative.CondOT(), predicts="velocity", label=1)


def gaussian(seed: int = 0) -> verification.Gaussian:
    return verification.Gaussian(0.1 * normals(DIM, seed=seed), torch.diag(torch.tensor([1.0, 0.5, 0.25]).double()))


def mixture() -> verification.GaussianMixture:
    return verification.GaussianMixture(
        torch.tensor([0.25, 0.75], dtype=torch.float64),
        normals(2, DIM),
        torch.eye(DIM, dtype=torch.float64).expand(2, DIM, DIM).clone(),
    )


def line(mean: float) -> verification.Gaussian:
    return verification.Gaussian(torch.tensor([mean], dtype=torch.float64), torch.eye(1, dtype=torch.float64))


def with_variance() -> generative.Denoiser:
    """A denoiser whose network has learned a variance."""
    table = generative.Table(generative.linear_betas(20))
    return generative.Denoiser(two_heads, table, predicts="eps", learned_variance=True)


def two_heads(x: Tensor, time: Tensor) -> Tensor:
    return torch.cat([0.5 * x, 0.0 * x], dim=1)


def squared_length(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1)


def one_step() -> training.Training:
    return dataclasses.replace(training.Training.read("digits-flow"), steps=1, batch=4, network=dict(SMALL))


def table_denoiser() -> generative.Denoiser:
    return gaussian().denoiser(generative.Table(generative.linear_betas(20)))


def two_samples(seed: int) -> tuple[Tensor, Tensor]:
    return normals(16, DIM, seed=seed), normals(16, DIM, seed=seed + 1)


def flow() -> solvers.Semilinear:
    return generative.flow(denoiser())


def scheme() -> solvers.Scheme:
    return solvers.unroll(flow(), grid(), solvers.Heun())


def scheduler() -> Any:
    made = adapters.FokkerScheduler("ddim")
    made.set_timesteps(4)
    return made


def saved_scheme() -> Path:
    file = scratch("saved.json")
    scheme().save(file)
    return file


def weights_file() -> Path:
    file = scratch("weights.json")
    file.write_text('{"times": [0.1, 0.5, 0.9], "weights": [[1.0, 0.0], [-0.5, 1.5]]}')
    return file


def grid() -> Tensor:
    return torch.linspace(0.0, 0.9, 4, dtype=torch.float64)


SCRATCH = tempfile.TemporaryDirectory(prefix="fokker-fuzz-")


def scratch(name: str) -> Path:
    return Path(SCRATCH.name, name)


EXAMPLES: dict[str, Callable[[], Any]] = {
    # by entry and parameter
    "AutoGuidance.weight": lambda: 1.5,
    "ExponentialTableau.name": lambda: "HEUN",
    **{
        f"ExponentialTableau.{name}": partial(getattr, solvers.EDM_HEUN, name)
        for name in ("order", "c", "a", "b", "embedded_b", "dense")
    },
    "DiT.size": lambda: 4,
    "DiT.width": lambda: 8,
    "TwoTimes.network": lambda: dict(SMALL),
    "UNet.size": lambda: 4,
    "UNet.width": lambda: 8,
    "MLP.width": lambda: 8,
    "MLP.dim": lambda: DIM,
    "Training.data": lambda: "digits",
    "Training.network": lambda: dict(SMALL),
    "Training.path": lambda: {"class": "CondOT"},
    "Training.steps": lambda: 1,
    "Training.batch": lambda: 4,
    "Training.learning_rate": lambda: 1e-3,
    "Denoiser.given.label": lambda: 1,
    "Denoiser.predict.t": lambda: 0.5,
    "Dequantisation.centred.levels": lambda: 17,
    "Dequantisation.centred.first": lambda: -1.0,
    "Dequantisation.centred.last": lambda: 1.0,
    "Denoiser.label": lambda: 1,
    "FlowMap.net": lambda: two_times,
    "FlowMap.self": lambda: generative.FlowMap(two_times, generative.CondOT(), predicts="velocity", label=1),
    "FlowMap.given.label": lambda: 1,
    "FlowMap.towards.t": lambda: 0.5,
    "GaussianClasses.given.label": lambda: 1,
    "Gaussian.moments.path": generative.CondOT,
    "Gaussian.sample.n": lambda: 4,
    "Gaussian.sample.seed": lambda: 0,
    "Interpolant.path": generative.CondOT,
    "Interpolant.sde.score": lambda: network,
    "Interpolant.sde.sigma": lambda: generative.noise_level.constant(0.5),
    "Interpolant.sde.velocity": lambda: network,
    "Interpolant.state.t": lambda: torch.full((4,), 0.5, dtype=torch.float64),
    "OrnsteinUhlenbeck.path.times": lambda: (0.0, 0.5, 1.0),
    "OrnsteinUhlenbeck.path.noise": lambda: solvers.BrownianTree(normals(4, DIM), 0.0, 1.0),
    "Scheme.load.file": saved_scheme,
    "Scheme.save.file": lambda: scratch("scheme.json"),
    "Training.read.name_or_path": lambda: "digits-flow",
    "FokkerScheduler.self": scheduler,
    "FunctionSampler.form": lambda: "fokker",
    "FunctionSampler.function": lambda: halved,
    "FunctionSampler.options": dict,
    "draws_noise.sampler": lambda: adapters.function_sampler(halved),
    "evaluations_of.sampler": lambda: adapters.function_sampler(halved),
    "evaluations_of.shape": lambda: (DIM,),
    "draws_noise.shape": lambda: (DIM,),
    "function_sampler.form": lambda: "fokker",
    "function_sampler.function": lambda: halved,
    "steps_for.nfe": lambda: 4,
    "steps_for.sampler": lambda: adapters.function_sampler(halved),
    "steps_for.shape": lambda: (DIM,),
    "FokkerScheduler.add_noise.noise": lambda: normals(4, DIM),
    "FokkerScheduler.scale_noise.noise": lambda: normals(4, DIM),
    "FokkerScheduler.add_noise.timesteps": lambda: torch.tensor([500]),
    "FokkerScheduler.from_config.config": lambda: {"_class_name": "DDPMScheduler"},
    "FokkerScheduler.scale_noise.timestep": lambda: torch.tensor([500]),
    "FokkerScheduler.set_begin_index.begin_index": lambda: 1,
    "FokkerScheduler.set_timesteps.num_inference_steps": lambda: 4,
    "FokkerScheduler.step.timestep": lambda: scheduler().timesteps[0],
    "Bias.size": lambda: 0.1,
    "ButcherTableau.order": lambda: 2,
    "ButcherTableau.c": lambda: (0.0, 0.5),
    "ButcherTableau.a": lambda: ((), (0.5,)),
    "ButcherTableau.b": lambda: (0.0, 1.0),
    "CFG.denoiser": conditional,
    "CFG.null": lambda: 0,
    "ClassifierGuidance.log_prob": lambda: log_prob,
    "Dequantisation.levels": lambda: 17,
    "Logit.forward.y": lambda: normals(4, DIM).sigmoid(),
    "Logit.log_det.y": lambda: normals(4, DIM).sigmoid(),
    "Scaled.scale": lambda: 2.0,
    "FunctionClock.scale_of": lambda: torch.ones_like,
    "FunctionClock.gain_of": lambda: torch.clone,
    "GaussianClasses.classes": lambda: [mixture(), mixture()],
    "GaussianMixture.weights": lambda: torch.tensor([0.25, 0.75], dtype=torch.float64),
    "GaussianMixture.means": lambda: normals(2, DIM),
    "GaussianMixture.covs": lambda: torch.eye(DIM, dtype=torch.float64).expand(2, DIM, DIM).clone(),
    "Halving.solver": solvers.Heun,
    "Picard.solver": solvers.Euler,
    "Restart.times": lambda: (0.5, 0.8),
    "Rounding.dtype": lambda: torch.float16,
    "Scheme.name": lambda: "Heun()",
    "Scheme.times": lambda: scheme().times,
    "Scheme.states": lambda: scheme().states,
    "Scheme.evaluations": lambda: scheme().evaluations,
    "SciPy.method": lambda: "RK45",
    "Student.mean": lambda: normals(DIM),
    "Student.scale": lambda: torch.eye(DIM, dtype=torch.float64),
    "Table.betas": lambda: generative.linear_betas(20),
    "TorchDiffEq.method": lambda: "dopri5",
    "TorchSDE.method": lambda: "euler",
    "ancestral.denoiser": table_denoiser,
    "annealed_langevin.steps": lambda: 2,
    "annealed_langevin.epsilon": lambda: 0.002,
    "audit.data": lambda: normals(64, DIM),
    "audit.likelihoods": lambda: 2,
    "bound_loss.denoiser": table_denoiser,
    "certify_flow_map.flow_map": lambda: gaussian().map(generative.CondOT()),
    "certify_flow_map.reference": gaussian,
    "certify_flow_map.jumps": lambda: (1, 2),
    "certify_flow_map.samples": lambda: 8,
    "certify_log_prob.function": lambda: quadratic,
    "certify_log_prob.form": lambda: "velocity",
    "certify_log_prob.shape": lambda: (DIM,),
    "certify.method": solvers.Heun,
    "certify.steps": lambda: (4, 8, 16, 32),
    "dataset.name": lambda: "digits",
    "diffusion_sde.t1": lambda: 0.9,
    "distances.expectation.function": lambda: squared_length,
    "distances.expectation.law": lambda: verification.Uniform(0.0, 1.0),
    "error_budget.times": grid,
    "error_budget.samples": lambda: 64,
    "marginals.coupled_w2.x": lambda: normals(32, DIM),
    "marginals.hotelling.x": lambda: normals(32, DIM),
    "marginals.ks.x": lambda: normals(32, DIM),
    "marginals.moments.x": lambda: normals(32, DIM),
    "marginals.paired.x": lambda: normals(32, DIM),
    "discrepancies.energy.x": lambda: normals(32, DIM),
    "discrepancies.mmd.x": lambda: normals(32, DIM),
    "discrepancies.sample_w2.x": lambda: normals(32, DIM),
    "discrepancies.sliced_w2.x": lambda: normals(32, DIM),
    "decode.nfe": lambda: 4,
    "encode.nfe": lambda: 4,
    "flow_log_likelihood.flow": lambda: solvers.ODE(linear),
    "flow_log_likelihood.log_source": lambda: squared_length,
    "from_diffusers.model": lambda: network,
    "from_diffusers.scheduler": lambda: {"_class_name": "DDPMScheduler"},
    "from_k_diffusion.denoiser": lambda: network,
    "from_velocity.net": lambda: network,
    "guided_law.population": lambda: line(0.0),
    "guided_law.conditional": lambda: line(1.0),
    "hybrid_loss.denoiser": with_variance,
    "impulse_response.sampler": solvers.Heun,
    "impulse_response.equation": flow,
    "impulse_response.times": grid,
    "importance_weighted_bound.levels": lambda: torch.ones(4, DIM, dtype=torch.int64),
    "importance_weighted_bound.dequantisation": lambda: generative.Dequantisation(4),
    "importance_weighted_bound.draws": lambda: 2,
    "importance_weighted_bound.dtype": lambda: torch.float64,
    "import_scheme.file": weights_file,
    "interpolate.nfe": lambda: 4,
    "multistep_scheme.times": lambda: [0.1, 0.5, 0.9],
    "multistep_scheme.weights": lambda: [[1.0, 0.0], [-0.5, 1.5]],
    "interpolated.at": lambda: 0,
    "interpolated.nodes": lambda: {0: 0.0, 1: 0.5},
    "load.name_or_path": lambda: "digits-flow",
    "named.name": lambda: "ddim",
    "noise_level.safe_interval.step": lambda: 0.01,
    "posterior.s": lambda: 0.25,
    "posterior.t": lambda: 0.75,
    "power.power.test": lambda: verification.marginals.hotelling,
    "power.power.draw": lambda: two_samples,
    "power.power.runs": lambda: 4,
    "power.smallest_shift.test": lambda: "hotelling",
    "probe.data": lambda: normals(64, DIM),
    "probe.net": lambda: network,
    "round_trip.budgets": lambda: (4, 8),
    "sample.nfe": lambda: 4,
    "sample.dtype": lambda: torch.float64,
    "sample_chunks.nfe": lambda: 4,
    "sample_chunks.dtype": lambda: torch.float64,
    "train.training": one_step,
    "train.file": lambda: scratch("network.safetensors"),
    "unroll.solver": solvers.Heun,
    "variational_bound.denoiser": table_denoiser,
    "weightings.inside.t": lambda: torch.full((4,), 0.5, dtype=torch.float64),
    "weightings.row.t": lambda: torch.full((4,), 0.5, dtype=torch.float64),
    "weightings.determinant.t": lambda: torch.full((4,), 0.5, dtype=torch.float64),
    "verify.names": lambda: ("conditional-ends",),
    # by parameter
    "alpha": lambda: 0.05,
    "at": lambda: 0,
    "b": lambda: normals(DIM),
    "bad": denoiser,
    "beta_end": lambda: 0.02,
    "beta_start": lambda: 1e-4,
    "betas": lambda: generative.linear_betas(20),
    "c": lambda: 0.5,
    "churn": lambda: 0.1,
    "cleanest": lambda: 0.1,
    "clock": solvers.PlainClock,
    "count": lambda: 4,
    "cov": lambda: torch.diag(torch.tensor([1.0, 0.5, 0.25]).double()),
    "delay": lambda: 0.1,
    "dim": lambda: DIM,
    "drift": lambda: linear,
    "epsilon": lambda: 0.1,
    "field": lambda: linear,
    "freedom": lambda: 5.0,
    "function": lambda: torch.square,
    "g": lambda: generative.noise_level.constant(0.5),
    "largest": lambda: 80.0,
    "level": lambda: 0.5,
    "levels": lambda: 5,
    "like": lambda: normals(4, DIM),
    "low": lambda: -1.0,
    "high": lambda: 1.0,
    "mean": lambda: normals(DIM),
    "method": solvers.Heun,
    "n": lambda: 10,
    "name": lambda: "ddim",
    "net": lambda: network,
    "noise": lambda: solvers.WhiteNoise(0),
    "noisiest": lambda: 0.9,
    "order": lambda: 2,
    "other_cov": lambda: torch.eye(DIM, dtype=torch.float64),
    "other_mean": lambda: normals(DIM, seed=1),
    "output": lambda: "velocity",
    "p_values": lambda: (0.01, 0.2, 0.5),
    "point": lambda: normals(DIM),
    "predicts": lambda: "velocity",
    "repeats": lambda: 1,
    "rtol": lambda: 1e-3,
    "atol": lambda: 1e-3,
    "shape": lambda: (4, DIM),
    "shift": lambda: 2.0,
    "sigma": lambda: 0.5,
    "size": lambda: 0.1,
    "smallest": lambda: 0.1,
    "steps": lambda: 4,
    "step": lambda: 0.01,
    "t0": lambda: 0.0,
    "t": lambda: 0.5,
    "t1": lambda: 1.0,
    "theta": lambda: 1.0,
    "variance": lambda: "small",
    "weight": lambda: 1.5,
    "window": lambda: 2,
    "times": grid,
    "x_a": lambda: normals(4, DIM),
    "x_b": lambda: normals(4, DIM, seed=1),
    "kind": lambda: "x0",
    "y": lambda: normals(32, DIM, seed=1),
    "s": lambda: 0.5,
    "Problem.name": lambda: "own",
    "Problem.description": lambda: "my own",
    "Problem.shape": lambda: (DIM,),
    "Problem.samples": lambda: 4,
    "problem_of.shape": lambda: (DIM,),
    "bench.shape": lambda: (DIM,),
    "bench.nfe": lambda: [2, 4],
    "bench.samplers": lambda: ["ddim"],
    "bench.samples": lambda: 4,
    "bench.engine": lambda: benchmarks.engine.local(workers=1),
    "tune.shape": lambda: (DIM,),
    "tune.nfe": lambda: 2,
    "tune.free": lambda: "times",
    "tune.objective": lambda: "rms",
    "tune.samples": lambda: 16,
    "tune.minutes": lambda: 0.01,
    "tune_noise.shape": lambda: (DIM,),
    "tune_noise.nfe": lambda: 2,
    "tune_noise.sampler": lambda: "ddpm",
    "tune_noise.free": lambda: "noise",
    "tune_noise.samples": lambda: 40,
    # by annotation
    "torch.Tensor": lambda: normals(4, DIM),
    "Callable[..., Tensor]": lambda: network,
    "Callable[[float, Tensor], Tensor | float]": lambda: constant_diffusion,
    "Denoiser": denoiser,
    "Denoiser | FlowMap": denoiser,
    "Denoiser | Problem": denoiser,
    "Equation": flow,
    "Equation | Function": flow,
    "Gaussian": gaussian,
    "GaussianPath": generative.CondOT,
    "NetworkError": lambda: verification.White(0.1),
    "Oracle": gaussian,
    "Scheme": scheme,
    "Solver": solvers.Heun,
    "Stepper[Semilinear]": lambda: solvers.ExponentialAdams(1),
    "Stepper[Semilinear] | None": lambda: solvers.ExponentialAdams(1),
    "Tensor": lambda: normals(4, DIM),
    "Tensor | Sequence[float]": grid,
    "Times | Adaptive": grid,
}
"""The values, by "entry.parameter", by the name of the parameter, or by its annotation; "class.self" is an object."""


def example(entry: str, parameter: inspect.Parameter) -> Any:
    """A value with which the entry works; the parameter's default if it has one and no example is its own.

    Raises:
        LookupError: there is none.
    """
    if (make := EXAMPLES.get(f"{entry}.{parameter.name}")) is not None:
        return make()
    if parameter.default is not parameter.empty:
        return parameter.default
    for key in (parameter.name, str(parameter.annotation)):
        if (make := EXAMPLES.get(key)) is not None:
            return make()
    raise LookupError(
        f"There is no example of {entry}({parameter.name}: {parameter.annotation}); add one to tools/fuzz/examples.py."
    )
