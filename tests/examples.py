"""One example of everything that a user can hold, and what can be seen of it: for the tests of copies.

`EXAMPLES` is keyed by the public name with its floor: of a class the example is an instance, of a function its result.
`observed` runs an object, which may change it, and returns tensors, arrays, numbers and words.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial, singledispatch
from types import FunctionType, ModuleType
from typing import Any

import diffusers
import numpy as np
import torch
from torch import Tensor, nn
from toy import GAUSSIAN, LINE, MIXTURE

from fokker import benchmarks, generative, solvers, verification
from fokker.benchmarks.entrants import entrant
from fokker.benchmarks.ledger import Key, Row
from fokker.benchmarks.problems import PROBLEMS, Problem
from fokker.benchmarks.provenance import Provenance
from fokker.benchmarks.reference import Reference
from fokker.benchmarks.results import Result
from fokker.benchmarks.stochastic import Floor, Measured
from fokker.generative import grids, noise_level, time_densities, weightings
from fokker.generative.adapters import FokkerScheduler, FunctionSampler, function_sampler
from fokker.generative.equations import HOLDS, hold_of
from fokker.generative.sampling import as_sampler
from fokker.generative.training.configuration import Training
from fokker.verification.claims import CATALOGUE, judged, measured
from fokker.verification.oracles import Law
from fokker.verification.statistics import marginals, power

__all__ = ["EXAMPLES", "MEASURED", "NO_OBJECT", "assert_same", "observed", "public", "seen"]

FLOORS = {"solvers": solvers, "generative": generative, "verification": verification, "benchmarks": benchmarks}
ROOMS = (grids, noise_level, time_densities, weightings, verification.discrepancies, verification.distances, marginals,
         power)  # fmt: skip
"""The modules that the floors export as such."""

X = MIXTURE.sample(4, seed=3)
EARLY, LATE = 0.1, 0.9
TIMES = [0.1, 0.3, 0.55, 0.7, 0.9]
STATE = X.new_full((), 0.5) * X


def numbers(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def public() -> dict[str, Any]:
    """Every public class and function, by the last name of its floor or room and its own."""
    found: dict[str, Any] = {}

    def enter(label: str, module: ModuleType) -> None:
        for name in getattr(module, "__all__", dir(module)):
            what = getattr(module, name)
            if name.startswith("_") or not getattr(what, "__module__", "").startswith("fokker."):
                continue
            if (inspect.isclass(what) or inspect.isfunction(what)) and what not in found.values():
                found[f"{label}.{name}"] = what

    for label, module in FLOORS.items():
        enter(label, module)
    for module in ROOMS:
        enter(module.__name__.rpartition(".")[2], module)
    return found


class Net(nn.Module):
    """A velocity, with a label or without."""

    classes, null_label = 3, 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2, dtype=torch.float64, device="cpu")
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[-0.5, 0.2], [0.1, -0.4]], device="cpu"))
            self.layer.bias.copy_(torch.tensor([0.3, -0.1], device="cpu"))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        shift = 0.0 if label is None else 0.1 * label[:, None]
        value: Tensor = torch.tanh(self.layer(x)) + time[:, None] * x + shift
        return value


class Model:
    """As diffusers calls its own."""

    def __call__(self, x: Tensor, timestep: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        return (torch.sin(x) - 1e-3 * timestep[:, None],)


def swapped(t: Tensor, x: Tensor) -> Tensor:
    return torch.sin(x) - t[:, None]


def drift(t: Any, x: Tensor) -> Tensor:
    return -x * (1.0 + t)


def diffusion(t: float, x: Tensor) -> Tensor:
    return 0.1 + 0.2 * torch.tanh(x)


def level(t: Any) -> Any:
    return 0.3 * t + 0.1


def doubled(t: Tensor) -> Tensor:
    return 2.0 * t


def own_clock(t: Any) -> Any:
    return 3.0 * t


def log_prob(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    return -(x - label[:, None]).square().sum(1)


def denoiser(**settings: Any) -> generative.Denoiser:
    return generative.Denoiser(Net(), generative.CondOT(), predicts="velocity", **settings)


class TwoTimes(Net):
    """An average velocity, with a label and a weight or without."""

    def forward(  # type: ignore[override]
        self, x: Tensor, s: Tensor, t: Tensor, label: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        return super().forward(x, s, label) - (0.0 if weight is None else 0.1 * weight[:, None]) * t[:, None] * x


def flow_map(**settings: Any) -> generative.FlowMap:
    return generative.FlowMap(TwoTimes(), generative.CondOT(), predicts="velocity", **settings)


def conditional() -> generative.Denoiser:
    return denoiser(label=1, time=own_clock, threshold=generative.Static(3.0))


@cache
def likelihood_plan() -> generative.LikelihoodPlan:
    """One plan: another one has measured other seconds."""
    return generative.plan_likelihood(exact(), X, error=0.1)


def exact() -> generative.Denoiser:
    return MIXTURE.denoiser(generative.CondOT())


def tree(area: bool = True) -> solvers.BrownianTree:
    return solvers.BrownianTree(X, EARLY, LATE, seed=7, area=area)


def white() -> solvers.WhiteNoise:
    noise = solvers.WhiteNoise(torch.Generator().manual_seed(5))
    noise.normal(0.0, 1.0, doubled, X)  # in mid-run
    return noise


def nudged(denoiser: Any, x: Tensor, times: Tensor, noise: Any, part: float = 1.0) -> Tensor:
    """One step of a user's own sampler, with noise."""
    return x + part * (denoiser.predict("x0", float(times[0]), x) + torch.randn_like(x))


def configured(scheduler: str) -> dict[str, Any]:
    """The configuration of a scheduler of diffusers, with its defaults."""
    return {"_class_name": scheduler}


def scheduled() -> FokkerScheduler:
    """In mid-run."""
    scheduler = FokkerScheduler.from_config(configured("DDIMScheduler"), sampler="dpm++2m")
    scheduler.set_timesteps(6)
    scheduler.step(torch.sin(X), scheduler.timesteps[0], X)
    return scheduler


def solved() -> solvers.Solution:
    return solvers.solve(generative.flow(exact()), X, TIMES, solvers.Heun(), save=True)


def failed() -> solvers.SolveError:
    try:
        solvers.solve(solvers.ODE(drift), X, solvers.Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6), solvers.Dopri5(),
                      max_nfe=9)  # fmt: skip
    except solvers.SolveError as error:
        return error
    raise AssertionError


def stepped(solver: Any, equation: Any) -> solvers.Step:
    """An adaptive step with all that it knows."""
    times = solvers.Adaptive(0.2, 0.9, rtol=1e-3, atol=1e-3)
    step: solvers.Step = solver.step(equation, 0.2, 0.5, X, solver.init_adaptive(equation, X, times), None)
    return step


def scheme() -> solvers.Scheme:
    made = solvers.unroll(generative.reverse_sde(exact()), TIMES, solvers.ExponentialRK(2))
    assert made.program  # as one that has been run
    return made


def imported() -> solvers.Scheme:
    return generative.multistep_scheme(exact(), TIMES, torch.eye(4, device="cpu"), hold="velocity")


def importance() -> time_densities.Importance:
    density = time_densities.Importance(4)
    density.observe(torch.tensor([0.1, 0.3, 0.6, 0.9], device="cpu"), torch.tensor([1.0, 2.0, 3.0, 4.0], device="cpu"))
    return density


def interpolant() -> generative.Interpolant:
    return generative.Interpolant(generative.CondOT())


def bridge() -> generative.Interpolant:
    return generative.Interpolant(generative.EncoderDecoder(), generative.BrownianLatent(0.5))


def oracle_problem() -> Problem:
    return PROBLEMS["gaussian"]()


REFERENCE = Reference(X, X[:, 0].abs(), "two methods", "settled", 9, 0.1)


def row(budget: int = 10) -> Row:
    origin = Provenance("1.0", "2.0", "3.0", "a machine", 1, "2025-01-31T12:00:00.000Z")
    return Row("heun", "uniform", budget, 5, 10, 0.1, "", np.array([0.1, 0.2]), provenance=origin)


def result() -> Result:
    found = oracle_problem()
    return Result(Key("gaussian", found.digest, 0, 2), found, {"heun": entrant("heun")}, (row(10), row(20)), REFERENCE)


def tuned() -> benchmarks.Tuned:
    errors, facts = np.array([0.1, 0.2]), {"start": "ddim", "seconds": 1.0, "floor": 0.0, "kept_start": False}
    held_out = {"default": errors, "start": errors, "tuned": 0.5 * errors}
    return benchmarks.Tuned(scheme(), held_out, errors, facts | {"gaussian_law": {"1.0": 1.0}})


def tuned_law() -> benchmarks.TunedLaw:
    measured = {"start": Measured(0.2, (0.19, 0.21)), "tuned": Measured(0.1, (0.09, 0.11))}
    facts = {"nfe": 2, "samples": 40, "seconds": 1.0, "start": "ddpm", "kept_start": False}
    return benchmarks.TunedLaw(scheme(), {"start": 0.2, "tuned": 0.1}, measured, Floor(0.05, 0.07), facts)


@cache
def certificate() -> verification.Certificate:
    return verification.certify(solvers.Heun())


def of_velocity(velocity: Any, x: torch.Tensor, seed: int) -> torch.Tensor:
    return -x.square().sum(1)


@cache
def log_prob_certificate() -> verification.LogProbCertificate:
    return verification.certify_log_prob(of_velocity, 2)


@cache
def flow_map_certificate() -> verification.FlowMapCertificate:
    return verification.certify_flow_map(LINE.map(generative.CondOT()), LINE, samples=8)


@cache
def claim() -> Any:
    return next(iter(CATALOGUE.values()))


@cache
def report() -> verification.Report:
    return verification.Report(
        judged([claim()], [measured(claim())._replace(seconds=0.0)]), [certificate()], audits=[audited()]
    )


@cache
def found() -> verification.Finding:
    net = exact()
    return verification.probe(net.net, MIXTURE.sample(64, seed=0), paths=[net.path], scales=[1.0, 2.0])


@cache
def audited() -> verification.Audit:
    return verification.audit(exact(), MIXTURE.sample(96, seed=0), name="toy")


MEASURED = (certificate, claim, report, found, audited)
"""Results that take some time, and are made once."""

S, G, V = "solvers", "generative", "verification"
PATHS = {
    "CondOT": (0.01,), "Cosine": (), "VP": (), "VE": (), "GeometricVE": (), "SubVP": (), "Polynomial": (2,),
    "Shifted": (generative.CondOT(), 0.5), "Table": (generative.linear_betas(20),),
}  # fmt: skip
"""The arguments of the public paths."""

EXAMPLES: dict[str, Callable[[], Any]] = {
    # What solve takes
    f"{S}.ODE": lambda: solvers.ODE(drift),
    f"{S}.SDE": lambda: solvers.SDE(drift, diffusion),
    f"{S}.Semilinear": lambda: generative.flow(exact()),
    f"{S}.Semilinear, of functions": lambda: solvers.Semilinear(
        drift, solvers.FunctionClock(torch.exp, doubled, None, torch.log)
    ),
    f"{S}.Semilinear, in its clock": lambda: generative.flow(exact()).in_clock(),
    f"{S}.Semilinear, of rows": lambda: generative.flow(conditional().given([0, 1, 2, 0])).of_rows(
        torch.tensor([1, 1, 0, 2], device="cpu")
    ),
    f"{S}.Field": lambda: generative.flow(exact()).field,
    f"{S}.FunctionClock": lambda: solvers.FunctionClock(torch.exp, doubled, None, torch.log),
    f"{S}.PlainClock": lambda: solvers.PlainClock(),
    f"{S}.Rates": lambda: solvers.Rates(1.0, 2.0, 3.0),
    f"{S}.Abilities": lambda: solvers.Abilities(order=2),
    f"{S}.Adaptive": lambda: solvers.Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-4, control="PID"),
    f"{S}.BrownianTree": tree,
    f"{S}.WhiteNoise": white,
    # Solvers
    f"{S}.Ancestral": lambda: solvers.Ancestral(solvers.ExponentialAdams(1), 0.6),
    f"{S}.Churn": lambda: solvers.Churn(solvers.Heun(), 2.0),
    f"{S}.Halving": lambda: solvers.Halving(solvers.Midpoint()),
    f"{S}.Langevin": lambda: solvers.Langevin(solvers.ExponentialAdams(1), 2, 0.1),
    f"{S}.Langevin, annealed": lambda: solvers.Langevin(None, 2, 0.1),
    f"{S}.Picard": lambda: solvers.Picard(solvers.Heun(), 3),
    f"{S}.Restart": lambda: solvers.Restart(solvers.Heun(), (0.3, 0.7), 2),
    f"{S}.SciPy": lambda: solvers.SciPy("DOP853"),
    f"{S}.TorchDiffEq": lambda: solvers.TorchDiffEq("rk4"),
    f"{S}.TorchSDE": lambda: solvers.TorchSDE("euler"),
    f"{S}.ExponentialAdams": lambda: solvers.ExponentialAdams(3, corrector=True),
    f"{S}.ExponentialRK": lambda: solvers.ExponentialRK(3),
    f"{S}.ExponentialRK, of a tableau": lambda: solvers.ExponentialRK(solvers.DPM_SOLVER_2),
    **{
        f"{S}.{name}": getattr(solvers, name)
        for name in ("RK4", "Bosh3", "Dopri5", "Euler", "Heun", "Midpoint", "Ralston", "Tsit5", "SRA1",
                     "EulerMaruyama", "LeimkuhlerMatthews", "Milstein", "StochasticHeun")
    },
    f"{S}.ButcherTableau": lambda: solvers.Dopri5.tableau,
    f"{S}.ExponentialTableau": lambda: solvers.ExponentialRK(4).tableau,
    f"{S}.interpolated": lambda: solvers.interpolated(1, 2 / 3, {0: 0.0}),
    # What solve returns
    f"{S}.solve": solved,
    f"{S}.NFE": lambda: solved().nfe,
    f"{S}.SolveError": failed,
    f"{S}.Step": lambda: stepped(solvers.Dopri5(), solvers.ODE(drift)),
    f"{S}.Step, exponential": lambda: stepped(solvers.ExponentialRK(3), generative.flow(exact(), "x0")),
    f"{S}.Scheme": scheme,
    f"{S}.Replay": lambda: solvers.Replay(scheme()),
    f"{S}.unroll": lambda: solvers.unroll(generative.flow(exact()), TIMES, solvers.ExponentialAdams(3)),
    f"{S}.same": lambda: solvers.same(scheme(), scheme()),
    # Networks
    f"{G}.Denoiser": denoiser,
    f"{G}.Denoiser, of rows": lambda: denoiser(label=[0, 1, 2]).of_rows(torch.tensor([1, 1, 0, 2], device="cpu")),
    f"{G}.Denoiser, preconditioned": lambda: generative.Denoiser(
        Net(), generative.VE(), predicts="x0", precondition=generative.EDM(0.4)
    ),
    f"{G}.FlowMap": flow_map,
    f"{G}.FlowMap, of rows": lambda: flow_map(
        label=[0, 1, 2], condition={"weight": torch.tensor([1.0, 2.0, 3.0], device="cpu")}
    ).of_rows(torch.tensor([1, 1, 0, 2], device="cpu")),
    f"{G}.Consistency": lambda: generative.Consistency(
        Net(), generative.VE(), predicts="x0", precondition=generative.EDM(0.4)
    ),
    f"{G}.Jumps": lambda: generative.Jumps(0.5, (0.0, 0.4, 1.0)),
    f"{G}.CFG": lambda: generative.CFG(conditional(), 3.0, interval=(-5.0, 5.0), rescale=0.5),
    f"{G}.CFG, weights": lambda: generative.CFG(conditional(), torch.tensor([1.0, 2.0, 3.0, 0.0], device="cpu")),
    f"{G}.AutoGuidance": lambda: generative.AutoGuidance(denoiser(), exact(), 2.0),
    f"{G}.ClassifierGuidance": lambda: generative.ClassifierGuidance(exact(), log_prob, 2.0, label=1),
    f"{G}.Static": generative.Static,
    f"{G}.Dynamic": lambda: generative.Dynamic(0.9),
    f"{G}.EDM": generative.EDM,
    f"{G}.load": lambda: generative.load("digits-flow").given(3),
    f"{G}.from_diffusers": lambda: generative.from_diffusers(Model(), configured("FlowMatchEulerDiscreteScheduler")),
    f"{G}.from_diffusers, of a table": lambda: generative.from_diffusers(Model(), configured("DDIMScheduler")),
    f"{G}.from_diffusers, preconditioned": lambda: generative.from_diffusers(Model(), configured("EDMEulerScheduler")),
    f"{G}.FokkerScheduler": scheduled,
    f"{G}.FunctionSampler": lambda: function_sampler(nudged, part=0.5),
    f"{G}.FunctionSampler, of diffusers": lambda: function_sampler(diffusers.DDIMScheduler, clip_sample=False),
    f"{G}.from_k_diffusion": lambda: generative.from_k_diffusion(Net()),
    f"{G}.from_velocity": lambda: generative.from_velocity(swapped, order="t, x"),
    # Equations
    f"{G}.flow": lambda: generative.flow(conditional(), "v"),
    f"{G}.reverse_sde": lambda: generative.reverse_sde(exact(), 0.7, "eps"),
    f"{G}.diffusion_sde": lambda: generative.diffusion_sde(exact(), level, EARLY, LATE),
    f"{G}.Interpolant": interpolant,
    f"{G}.Interpolant, its flow": lambda: interpolant().flow(Net()),
    f"{G}.Interpolant, with latent noise": lambda: bridge(),
    f"{G}.Interpolant, its guided sde": lambda: bridge().sde(
        Net(), Net(), noise_level.sine(0.5), predicts="eta", label=1, guidance=2.0
    ),
    f"{G}.BrownianLatent": lambda: generative.BrownianLatent(0.5),
    f"{G}.SineSquaredLatent": lambda: generative.SineSquaredLatent(0.5),
    f"{G}.EncoderDecoder": generative.EncoderDecoder,
    **{f"{G}.hold {name}": partial(hold_of, generative.VP(), name) for name in HOLDS},
    "noise_level.constant": lambda: noise_level.constant(0.5),
    "noise_level.reversal": lambda: noise_level.reversal(generative.VP(), 0.5),
    "noise_level.power_of_sigma": lambda: noise_level.power_of_sigma(generative.VP(), 0.5, 2.0),
    "noise_level.sine": lambda: noise_level.sine(0.5),
    # Samples and likelihoods
    f"{G}.Sampler": lambda: generative.Sampler(solvers.Heun(), grid=grids.karras),
    f"{G}.multistep_scheme": imported,
    f"{G}.import_scheme": imported,
    f"{G}.Sampler, of a table": lambda: as_sampler(imported()),
    f"{G}.named": lambda: generative.named("dpm++2m"),
    f"{G}.annealed_langevin": lambda: generative.annealed_langevin(exact(), 5.0, 0.5, 3, 2, 0.01),
    f"{G}.round_trip": lambda: generative.round_trip(exact(), X, (4, 8)),
    f"{G}.LikelihoodPlan": likelihood_plan,
    f"{G}.plan_likelihood": likelihood_plan,
    f"{G}.LogLikelihood": lambda: generative.log_likelihood(exact(), X, nodes=5),
    f"{G}.log_likelihood": lambda: generative.log_likelihood(exact(), X, nodes=5, trace="hutchinson"),
    f"{G}.Dequantisation": lambda: generative.Dequantisation(4, spread=0.1),
    f"{G}.ImportanceWeightedBound": lambda: generative.importance_weighted_bound(
        exact(), torch.ones_like(X).long(), generative.Dequantisation(4), 2, dtype=torch.float64
    ),
    f"{G}.Logit": lambda: generative.Logit(margin=0.05),
    f"{G}.Scaled": lambda: generative.Scaled(2.0, -1.0),
    f"{G}.Bound": lambda: generative.variational_bound(exact(), X, tree(), TIMES, variance=0.5),
    f"{G}.variational_bound": lambda: generative.variational_bound(exact(), X, tree(), TIMES, variance="small"),
    f"{G}.posterior": lambda: generative.posterior(generative.CondOT(), 0.2, 0.7),
    f"{G}.ancestral": lambda: generative.ancestral(exact(), X, tree(), TIMES, variance="large"),
    # Paths and training
    **{f"{G}.{name}": partial(getattr(generative, name), *given) for name, given in PATHS.items()},
    "time_densities.Uniform": lambda: time_densities.Uniform(0.1, 0.9),
    "time_densities.LogitNormal": time_densities.LogitNormal,
    "time_densities.Steps": lambda: time_densities.Steps(10),
    "time_densities.Geometric": lambda: time_densities.Geometric(0.9, 0.1, 5),
    "time_densities.Importance": importance,
    **{
        f"weightings.{name}": getattr(weightings, name)
        for name in ("SNR", "TruncatedSNR", "MinSNR", "EDM", "Likelihood")
    },
    "weightings.Unweighted": lambda: weightings.Unweighted("eps"),
    f"{G}.training": lambda: Training.read("digits-flow"),
    # Laws
    f"{V}.Gaussian": lambda: GAUSSIAN,
    f"{V}.GaussianMixture": lambda: MIXTURE,
    f"{V}.GaussianClasses": lambda: verification.GaussianClasses([GAUSSIAN, MIXTURE]),
    f"{V}.GaussianClasses, its denoiser": lambda: verification.GaussianClasses([GAUSSIAN, MIXTURE]).denoiser(
        generative.CondOT()
    ),
    f"{V}.GaussianClasses, its classifier": lambda: verification.GaussianClasses([GAUSSIAN, MIXTURE]).classifier(
        generative.CondOT()
    ),
    f"{V}.guided_law": lambda: verification.guided_law(LINE, LINE, 2.0),
    f"{V}.Empirical": lambda: verification.Empirical(X),
    f"{V}.PointMass": lambda: verification.PointMass(X[0]),
    f"{V}.Uniform": lambda: verification.Uniform(-1.0, 2.0),
    f"{V}.Laplace": lambda: verification.Laplace(0.3, 2.0),
    f"{V}.Student": lambda: verification.Student(3.0, LINE.means[0], LINE.covs[0]),
    f"{V}.OrnsteinUhlenbeck": lambda: verification.OrnsteinUhlenbeck(1.5, 0.7),
    f"{V}.OrnsteinUhlenbeck, its equation": lambda: verification.OrnsteinUhlenbeck(1.5, 0.7).equation(),
    f"{V}.Bias": lambda: verification.Bias(0.1),
    f"{V}.White": lambda: verification.White(0.1),
    f"{V}.Smooth": lambda: verification.Smooth(0.1),
    f"{V}.Lag": lambda: verification.Lag(0.1),
    f"{V}.Rounding": lambda: verification.Rounding(torch.bfloat16),
    f"{V}.perturbed": lambda: verification.perturbed(MIXTURE, verification.Smooth(0.1), generative.CondOT()),
    # Results
    f"{V}.certify": certificate,
    f"{V}.certify_log_prob": log_prob_certificate,
    f"{V}.certify_flow_map": flow_map_certificate,
    f"{V}.equivalences": lambda: verification.equivalences(
        generative.CondOT(), 2, {name: generative.named(name) for name in ("ddim", "dpm++2m")}
    ),
    f"{V}.ErrorBudget": lambda: verification.error_budget(
        GAUSSIAN, generative.CondOT(), grids.uniform(generative.CondOT(), 4), solvers.Heun()
    ),
    f"{V}.impulse_response": lambda: verification.impulse_response(
        solvers.Heun(), generative.flow(GAUSSIAN.denoiser(generative.CondOT())), TIMES, dim=2
    ),
    f"{V}.audit": audited,
    f"{V}.probe": found,
    f"{V}.probe, its denoiser": lambda: found().candidates[1].convention.denoiser(Net()),
    "marginals.hotelling": lambda: marginals.hotelling(X, X + 1.0),
    "marginals.coupled_w2": lambda: marginals.coupled_w2(X, X + 1.0),
    "power.power": lambda: power.Power(0.5, 0.4, 0.6),
    f"{V}.Law": lambda: Law(X[0], torch.eye(2, dtype=torch.float64, device="cpu")),
    f"{V}.claim": claim,
    f"{V}.verify": report,
    # Benchmarks
    "benchmarks.Problem": oracle_problem,
    "benchmarks.Result": result,
    "benchmarks.Standing": lambda: result().best(10),
    "benchmarks.Recommendation": lambda: result().recommend(10),
    "benchmarks.Tuned": tuned,
    "benchmarks.TunedLaw": tuned_law,
}
"""By the public name with its floor; what follows a comma tells several examples of one name apart."""

NO_OBJECT = frozenset(
    {
        # what an object does
        "solvers.Noise", "solvers.Noising", "solvers.RungeKutta",
        # tensors
        "solvers.standard_normal", "generative.sample", "generative.encode", "generative.decode",
        "generative.interpolate", "generative.slerp", "generative.minibatch_ot", "generative.bound_loss",
        "generative.hybrid_loss", "generative.regression_loss", "grids.uniform", "grids.quadratic", "grids.log_snr",
        "grids.karras", "grids.power", "time_densities.independent", "time_densities.stratified",
        "weightings.determinant", "weightings.inside", "weightings.row",
        # numbers
        "generative.linear_betas", "generative.scaled_linear_betas", "generative.squared_cosine_betas",
        "generative.zero_terminal_snr", "generative.safe_interval", "discrepancies.energy", "discrepancies.mmd",
        "discrepancies.sample_w2", "discrepancies.sliced_w2", "distances.entropy", "distances.expectation",
        "distances.gaussian_kl", "distances.gaussian_w2", "distances.kl", "distances.w2", "marginals.holm",
        "power.smallest_shift",
        # a stream, of which each part is there once
        "generative.sample_chunks",
        # results of a kind that has an example
        "generative.importance_weighted_bound", "generative.flow_log_likelihood",
        "benchmarks.bench", "benchmarks.problem_of", "benchmarks.tune", "benchmarks.tune_noise",
        "marginals.ks", "marginals.moments", "marginals.paired", "verification.error_budget",
    }
)  # fmt: skip
"""The public names of which nobody holds an object."""


@torch.no_grad()
def seen(what: Any) -> Any:
    """`observed`, without gradients, which cannot leave a process."""
    return observed(what)


def _shown(pairs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: observed(value) for name, value in pairs.items()}


@singledispatch
def observed(what: Any) -> Any:
    """What can be seen of an object: by running it, or else its parts."""
    if dataclasses.is_dataclass(what) and not isinstance(what, type):
        return _shown({entry.name: getattr(what, entry.name) for entry in dataclasses.fields(what)})
    raise TypeError(f"{type(what)} has no way to be observed; register one.")


@observed.register(Tensor | np.ndarray | str | int | float | bool | None | torch.dtype | frozenset | torch.Size)
def _(what: Any) -> Any:
    return what


@observed.register(Mapping)
def _(what: Mapping[Any, Any]) -> Any:
    return {key: observed(value) for key, value in what.items()}


@observed.register(tuple | list)
def _(what: Any) -> Any:
    return [observed(value) for value in what]


@observed.register
def _(what: solvers.Equation) -> Any:
    shown = [what.drift(0.4, STATE), what.field(0.4, STATE), what.variance(numbers([0.2, 0.4]))]
    if isinstance(what, solvers.Semilinear):
        shown += [observed(what.clock), what.score and what.score(0.4, STATE), what.basis and what.basis(0.4)]
    if isinstance(what, solvers.SDE):
        shown += [what.diffusion(0.4, STATE), what.noise, what.calculus]
    return shown


@observed.register
def _(what: solvers.Clock) -> Any:
    t = numbers([0.2, 0.4, 0.7])
    return [what.scale(t), what.gain(t), what.power(t), what.time(what.r(t)), observed(what.rates(t)), what.logarithmic]


@observed.register
def _(what: solvers.Field) -> Any:
    return what(0.4, STATE)


@observed.register
def _(what: solvers.Solver) -> Any:
    equation = generative.flow(exact(), "x0")
    if what.stochastic:
        equation = generative.reverse_sde(exact())
    noise = solvers.WhiteNoise(3) if isinstance(what, solvers.TorchSDE) else tree()
    shown = [repr(what), what.order]
    if not isinstance(what, solvers.SciPy):
        shown.append(solvers.solve(equation, X, TIMES, what, noise).x)
    if what.embedded and not isinstance(what, solvers.TorchDiffEq):
        adaptive = solvers.Adaptive(0.2, 0.8, rtol=1e-2, atol=1e-2)
        shown.append(solvers.solve(equation, X, adaptive, what, noise).x)
    return shown


@observed.register(solvers.BrownianTree | solvers.WhiteNoise)
def _(what: Any) -> Any:
    draws = [what.normal(0.2, 0.5, doubled, X), what.extra(1, X), *what.normal_and_area(0.3, 0.4, doubled, X)]
    return [*draws, what.normal(0.25, 0.5, doubled, X), what.replays]


@observed.register
def _(what: solvers.Solution) -> Any:
    return [what.x, what.ts, what.xs, what.accepted, what.rejected, what.status, observed(what.nfe)]


@observed.register
def _(what: solvers.SolveError) -> Any:
    return [str(what), what.args, observed(what.solution)]


@observed.register
def _(what: solvers.Step) -> Any:
    assert what.dense is not None
    return [what.x, what.error, what.dense(0.3), what.stiffness and what.stiffness()]


@observed.register
def _(what: solvers.Scheme) -> Any:
    equation, noise = (generative.reverse_sde(exact()), tree()) if what.draws else (generative.flow(exact()), None)
    return [str(what), what.run(equation, X, noise).x]


@observed.register
def _(what: generative.Denoiser) -> Any:
    x = STATE
    if isinstance(what.net, generative.networks.Network):
        x = torch.linspace(-1.0, 1.0, 2 * 64, device="cpu").reshape(2, 1, 8, 8)
    return [what.predicts, what.predict("x0", 0.4, x), what.predict("score", 0.4, x), observed(what.evaluations(0.4)),
            observed(what.label)]  # fmt: skip


@observed.register
def _(what: generative.FlowMap) -> Any:
    return [repr(what), what(STATE, 0.3), what(STATE, numbers([0.1, 0.3, 0.5, 0.8]), 1.0), observed(what.label)]


@observed.register
def _(what: generative.Jumps) -> Any:
    return [repr(what), generative.sample(flow_map(), (3, 2), nfe=2, sampler=what, dtype=torch.float64)]


@observed.register
def _(what: FokkerScheduler) -> Any:
    x = STATE
    for t in what.timesteps[1:]:
        x = what.step(torch.sin(x), t, x).prev_sample
    return [x, what.timesteps, what.alphas_cumprod]


@observed.register
def _(what: FunctionSampler) -> Any:
    return [str(what), what(exact(), X, numbers(TIMES))]


@observed.register(generative.Static | generative.Dynamic)
def _(what: Any) -> Any:
    return what(3.0 * X)


@observed.register
def _(what: generative.GaussianPath) -> Any:
    t = numbers([0.2, 0.4, 0.7])
    shown = [f(at) for f in (what.alpha, what.sigma, what.d_alpha, what.d_sigma) for at in (0.4, t)]
    return [repr(what), *shown, what.time(what.log_snr(t)), what.log_snr(0.4)]


@observed.register
def _(what: generative.Interpolant) -> Any:
    return what.state(torch.full((4,), 0.3, device="cpu").double(), X, STATE, None if what.gamma is None else X)


@observed.register(generative.BrownianLatent | generative.SineSquaredLatent)
def _(what: Any) -> Any:
    return what(0.4)


@observed.register
def _(what: generative.EncoderDecoder) -> Any:
    return what(torch.full((4, 1), 0.3, device="cpu").double(), X, STATE)


@observed.register(noise_level.constant | noise_level.reversal | noise_level.power_of_sigma | noise_level.sine)
def _(what: Any) -> Any:
    return what(0.4)


@observed.register
def _(what: generative.Sampler) -> Any:
    return [str(what), generative.sample(exact(), (3, 2), nfe=6, sampler=what, dtype=torch.float64)]


@observed.register
def _(what: generative.Dequantisation) -> Any:
    return what(torch.arange(4, device="cpu")[:, None], 3)


@observed.register(generative.Logit | generative.Scaled)
def _(what: Any) -> Any:
    return what.forward(numbers([0.1, 0.9])), what.log_det(numbers([0.1, 0.9]))


@observed.register
def _(what: time_densities.TimeDensity) -> Any:
    return what.quantile(generative.VP(), numbers([0.1, 0.5]))


@observed.register
def _(what: time_densities.Importance) -> Any:
    shown = [what.density, *what.warp(torch.tensor([0.1, 0.5], device="cpu"))]
    what.observe(torch.tensor([0.1, 0.9], device="cpu"), torch.tensor([4.0, 2.0], device="cpu"))
    return [*shown, what.density]


@observed.register
def _(what: weightings.Weighting) -> Any:
    return what.of("eps", generative.VP(), numbers([0.1, 0.5]))


@observed.register
def _(what: verification.Oracle) -> Any:
    shape = (3, *what.shape)
    x = torch.linspace(-1.0, 1.5, math.prod(shape), dtype=torch.float64, device="cpu").reshape(shape)
    path = generative.CondOT()
    return [what.sample(3, 1), what.score(x, 0.4, path), what.log_prob(x, 0.4, path), what.moments()]


@observed.register
def _(what: verification.GaussianClasses) -> Any:
    return observed(what.denoiser(generative.CondOT()).given([0, 1, 2, 0]))


@observed.register
def _(what: Problem) -> Any:
    x = torch.linspace(-1.0, 1.0, 2 * math.prod(what.shape), dtype=torch.float64, device="cpu").reshape(2, *what.shape)
    return [what.name, what.end, what.exact and what.exact(x), what.denoiser.predict("x0", 0.4, x)]


@observed.register
def _(what: FunctionType) -> Any:
    return f"{what.__module__}.{what.__qualname__}"


@observed.register
def _(what: verification.ImpulseResponse) -> Any:
    return what(X)


def assert_same(one: Any, other: Any) -> None:
    """The same to the last bit."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0, equal_nan=True)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other or (one != one and other != other)
