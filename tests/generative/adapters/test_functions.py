"""Samplers of k-diffusion, of diffusers and of one's own, against our own methods on the same times."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor
from toy import LINE, MIXTURE

from fokker.generative import CFG, VE, VP, CondOT, Cosine, Denoiser, Table, grids, linear_betas, named
from fokker.generative.adapters import FunctionSampler, draws_noise, evaluations_of, function_sampler, steps_for
from fokker.generative.adapters.functions import form_of
from fokker.solvers import BrownianTree, Heun, Noise, WhiteNoise, solve
from fokker.verification.laws import Impulses

PATHS = [CondOT(), VP(), VE(), Cosine()]
TABLE = Table(linear_betas(1000))
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
paths = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)


def noise_at(path: Any, t: float, batch: int = 4) -> Tensor:
    return path.sigma(t) * torch.randn(batch, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def ours(denoiser: Denoiser, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
    equation, _, solver = named("euler")(denoiser, len(times) - 1)
    return solve(equation, x, times, solver, noise).x


def doubled(model: Any, x: Tensor, sigmas: Tensor) -> Tensor:
    """Euler's method with every evaluation made twice."""
    for s, t in pairwise(sigmas):
        model(x, s * x.new_ones(len(x)))
        x = x + (t - s) * (x - model(x, s)) / s
    return x


# The forms


@pytest.mark.parametrize(("sampler", "theirs"), [("euler", "sample_euler"), ("edm-heun", "sample_heun")])
@paths
def test_k_diffusion_on_any_path(path: Any, sampler: str, theirs: str, k_diffusion: Any) -> None:
    """From 0.1 to 0.9, where σ/α is finite. Both are sums of the same terms, so that they differ by rounding."""
    denoiser, x = MIXTURE.denoiser(path), noise_at(path, 0.1)
    times = grids.karras(path, 7, t0=0.1, t1=0.9)
    equation, _, solver = named(sampler)(denoiser, 7)
    expected = solve(equation, x, times, solver).x
    found = function_sampler(getattr(k_diffusion.sampling, theirs))(denoiser, x, times)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_a_path_without_signal_starts_at_the_bound_of_edm(k_diffusion: Any) -> None:
    denoiser, x, times = MIXTURE.denoiser(CondOT()), noise_at(CondOT(), 0.0), grids.uniform(CondOT(), 8)
    sampler, row = function_sampler(k_diffusion.sampling.sample_euler), named("euler")
    later = torch.cat([torch.tensor([1 / 81], dtype=torch.float64), times[1:]])
    expected = solve(row.equation(denoiser), x, later, row.solver).x
    torch.testing.assert_close(sampler(denoiser, x, times), expected, rtol=1e-11, atol=1e-11)
    early = torch.cat([times[:1], torch.tensor([0.01, 1.0], dtype=torch.float64)])  # the bound is after a step
    expected = solve(row.equation(denoiser), x, torch.tensor([0.005, 0.01, 1.0]).double(), row.solver).x
    torch.testing.assert_close(sampler(denoiser, x, early), expected, rtol=1e-6, atol=1e-6)


def test_options_and_conditions_of_k_diffusion_reach_it(k_diffusion: Any) -> None:
    def net(x: Tensor, t: Tensor, weight: float = 1.0) -> Tensor:
        return weight * x

    denoiser, x, times = Denoiser(net, VE(), predicts="x0"), noise_at(VE(), 0.5), grids.karras(VE(), 4, t0=0.5, t1=0.9)
    given = function_sampler(k_diffusion.sampling.sample_euler, extra_args={"weight": 0.5})
    expected = function_sampler(k_diffusion.sampling.sample_euler)(denoiser.given({"weight": 0.5}), x, times)
    torch.testing.assert_close(given(denoiser, x, times), expected, rtol=1e-13, atol=1e-13)
    assert str(given) == "sample_euler(extra_args={'weight': 0.5})"


def test_ours() -> None:
    denoiser, x, times = MIXTURE.denoiser(CondOT()), noise_at(CondOT(), 0.1), grids.uniform(CondOT(), 5, t0=0.1)
    assert torch.equal(function_sampler(ours)(denoiser, x, times), ours(denoiser, x, times, None))


@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("ddim", "DDIMScheduler", {"clip_sample": False}),
        ("ddim", "DDIMScheduler", {"clip_sample": False, "prediction_type": "sample"}),
        ("ddim", "DDIMScheduler", {"clip_sample": False, "prediction_type": "v_prediction"}),
        ("ddim", "DPMSolverMultistepScheduler", {"solver_order": 1}),
        ("euler", "EulerDiscreteScheduler", {}),
    ],
)
def test_diffusers_on_its_own_steps(name: str, theirs: str, options: dict[str, Any]) -> None:
    """One method; their tables and levels are float32, with rounding 6e-8 in 10 steps."""
    denoiser = MIXTURE.denoiser(TABLE)
    times = torch.cat([TABLE.at(torch.arange(999, -1, -100)), torch.ones(1).double()])
    x, row = noise_at(TABLE, times[0].item()), named(name)
    expected = solve(row.equation(denoiser), x, times, row.solver).x
    found = function_sampler(getattr(diffusers, theirs), timestep_spacing="trailing", **options)(denoiser, x, times)
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("predicts", ["x0", "eps", "velocity"])
@paths
def test_a_scheduler_on_another_path_does_the_same(path: Any, predicts: str) -> None:
    """Euler's method on the straight path is DDIM's step on every path, at levels of equal log-SNR."""
    denoiser, n = MIXTURE.denoiser(path), 8
    levels = torch.linspace(1.0, 0.001, n, dtype=torch.float64)  # of FlowMatchEulerDiscrete, before its last, 0
    t0 = path.time(-2.0 * math.log(80.0)) if path.alpha(0.0) == 0.0 else 0.0
    x = noise_at(path, t0)
    found = function_sampler(diffusers.FlowMatchEulerDiscreteScheduler)(denoiser, x, torch.linspace(t0, 1.0, n + 1))
    flat = x / path.sigma(t0)
    for sigma, after in zip(levels.tolist(), [*levels.tolist()[1:], 0.0], strict=True):
        t = max(path.time(2.0 * math.log((1.0 - sigma) / sigma)) if sigma < 1.0 else 0.0, 0.0)
        scale = path.sigma(t) / sigma
        velocity = denoiser.predict("x0", t, scale * flat) - denoiser.predict("eps", t, scale * flat)
        flat = flat + (sigma - after) * velocity
    torch.testing.assert_close(found, path.alpha(1.0) * flat, rtol=1e-5, atol=1e-5)


def test_a_scheduler_with_a_configuration_keeps_it_and_is_not_changed() -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(solver_order=3, use_karras_sigmas=True)
    sampler = function_sampler(scheduler, final_sigmas_type="sigma_min")
    denoiser, x = MIXTURE.denoiser(TABLE), noise_at(TABLE, 0.0)
    same = function_sampler(
        diffusers.DPMSolverMultistepScheduler, solver_order=3, use_karras_sigmas=True, final_sigmas_type="sigma_min"
    )
    times = grids.uniform(TABLE, 6)
    assert torch.equal(sampler(denoiser, x, times), same(denoiser, x, times))
    assert scheduler.num_inference_steps is None
    assert not torch.equal(sampler(denoiser, x, times), function_sampler(scheduler)(denoiser, x, times))


def test_options_of_a_step() -> None:
    denoiser, x, times = MIXTURE.denoiser(TABLE), noise_at(TABLE, 0.0), grids.uniform(TABLE, 6)
    with_noise = function_sampler(diffusers.DDIMScheduler, clip_sample=False, eta=1.0)
    assert draws_noise(with_noise, denoiser)
    assert not draws_noise(function_sampler(diffusers.DDIMScheduler, clip_sample=False), denoiser)
    assert with_noise(denoiser, x, times).isfinite().all()


def test_a_preconditioned_scheduler_agrees_with_its_own_network() -> None:
    """EDM's Euler steps in σ, with c_in, c_skip and c_out of a network for data of deviation ½."""
    path, n = VE(80.0), 6
    sampler, denoiser = function_sampler(diffusers.EDMEulerScheduler), MIXTURE.denoiser(path)
    x = noise_at(path, 0.0)
    theirs = diffusers.EDMEulerScheduler()
    theirs.set_timesteps(n)
    times = torch.cat([1.0 - theirs.sigmas[:-1].double() / 80.0, torch.ones(1).double()])
    times[0] = 0.0
    row = named("euler")
    expected = solve(row.equation(denoiser), x, times, row.solver).x
    torch.testing.assert_close(sampler(denoiser, x, grids.uniform(path, n)), expected, rtol=2e-5, atol=2e-5)


# Noise


def stochastic(k_diffusion: Any) -> list[FunctionSampler]:
    k = k_diffusion.sampling
    return [
        *map(function_sampler, (k.sample_euler_ancestral, k.sample_dpmpp_sde, k.sample_dpmpp_2m_sde)),
        function_sampler(k.sample_euler, s_churn=4.0),
        function_sampler(diffusers.DDPMScheduler, clip_sample=False),
        function_sampler(diffusers.DPMSolverSDEScheduler),
        function_sampler(diffusers.EulerAncestralDiscreteScheduler),
    ]


def test_a_sample_depends_on_its_own_seed_alone(k_diffusion: Any) -> None:
    """In a batch of four and alone, on the same keys, with torch's generator in any state."""
    denoiser, x, times = MIXTURE.denoiser(TABLE), noise_at(TABLE, 0.0), grids.karras(TABLE, 6)
    for sampler in stochastic(k_diffusion):
        torch.manual_seed(1)
        whole = sampler(denoiser, x, times, BrownianTree(x, 0.0, 1.0, [5, 6, 7, 8]))
        before = torch.get_rng_state()
        alone = sampler(denoiser, x[2:3], times, BrownianTree(x[2:3], 0.0, 1.0, [7]))
        torch.testing.assert_close(alone, whole[2:3], rtol=1e-12, atol=1e-12)
        assert torch.equal(torch.get_rng_state(), before)
        assert not torch.equal(sampler(denoiser, x, times, WhiteNoise(3)), whole)
        assert torch.equal(sampler(denoiser, x, times), sampler(denoiser, x, times))


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "randn_like": torch.randn_like,
    "randn": lambda x: torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(3)),
    "randn of numbers": lambda x: torch.randn(*x.shape),
    "several": lambda x: torch.randn(3, *x.shape)[0],
    "flat": lambda x: torch.randn(len(x), x[0].numel(), dtype=x.dtype).view_as(x),
    "normal_": lambda x: torch.empty_like(x).normal_(1.0, 2.0).sub(1.0).div(2.0),
    "normal of tensors": lambda x: torch.normal(torch.ones_like(x), 2.0 * torch.ones_like(x)).sub(1.0).div(2.0),
    "normal of numbers": lambda x: torch.normal(1.0, 2.0, x.shape).sub(1.0).div(2.0),
    "a distribution": lambda x: torch.distributions.Normal(torch.zeros_like(x), 1.0).sample(),
}


@pytest.mark.parametrize("way", WAYS)
def test_normals_of_every_kind_are_those_of_the_noise(way: str) -> None:
    """They are impulses where the noise is one of impulses."""
    def draw(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
        return WAYS[way](x).to(x.dtype)

    x, noise = torch.zeros(6, 2, dtype=torch.float64), Impulses()
    found = function_sampler(draw)(LINE.denoiser(CondOT()), x, [0.0, 1.0], noise)
    expected = torch.zeros(6, 2, dtype=torch.float64)
    expected[3:5].fill_diagonal_(1.0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_other_random_numbers_follow_from_the_noise() -> None:
    def draw(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
        return x + torch.rand_like(x) + torch.randint(0, 9, (1,)) + torch.randn(3).sum()

    sampler, x = function_sampler(draw), torch.zeros(4, 2)
    one, again, other = (sampler(MIXTURE.denoiser(CondOT()), x, [0, 1], BrownianTree(x, 0, 1, k)) for k in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


# Counts


def test_evaluations_are_counted_whatever_the_function_does(k_diffusion: Any) -> None:
    denoiser, k = MIXTURE.denoiser(CondOT()), k_diffusion.sampling
    counts = {
        function_sampler(doubled): 16,
        function_sampler(k.sample_euler): 8,
        function_sampler(k.sample_heun): 15,
        function_sampler(k.sample_dpmpp_2m): 8,
        function_sampler(ours): 8,
        function_sampler(diffusers.DDIMScheduler, clip_sample=False): 8,
        function_sampler(diffusers.HeunDiscreteScheduler): 15,
        function_sampler(diffusers.PNDMScheduler): 17,
    }
    assert {sampler: evaluations_of(sampler, denoiser, 8) for sampler in counts} == counts


def test_steps_within_a_budget() -> None:
    denoiser = MIXTURE.denoiser(CondOT())
    assert [steps_for(function_sampler(doubled), denoiser, nfe) for nfe in (2, 3, 9)] == [1, 1, 4]
    assert [steps_for(function_sampler(ours), denoiser, nfe) for nfe in (1, 9)] == [1, 9]
    with pytest.raises(ValueError, match="nfe = 1 is less than one step of doubled, which takes 2; allow more"):
        steps_for(function_sampler(doubled), denoiser, 1)


def test_guidance_counts() -> None:
    def net(x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        raise AssertionError("a count evaluates no network")

    guided = CFG(Denoiser(net, CondOT(), predicts="velocity", label=1), 2.0, null=0)
    assert evaluations_of(function_sampler(ours), guided, 5) == 10
    within = CFG(Denoiser(net, CondOT(), predicts="velocity", label=1), 2.0, null=0, interval=(0.0, math.inf))
    assert evaluations_of(function_sampler(ours), within, 4) == 6  # at about 0, ¼, ½ and ¾: twice at the last two


# Doors


@pytest.mark.parametrize(
    ("function", "form"),
    [
        (ours, "fokker"),
        (doubled, "k-diffusion"),
        (diffusers.DDIMScheduler, "diffusers"),
        (diffusers.DDIMScheduler(), "diffusers"),
        (lambda network, y, sigmas, churn=0.0: y, "k-diffusion"),
    ],
    ids=["ours", "doubled", "class", "scheduler", "sigmas"],
)
def test_the_form_is_read(function: Any, form: str) -> None:
    assert form_of(function) == form


def test_an_annotation_tells_the_form() -> None:
    def mine(network: Denoiser, y: Tensor, grid: Tensor, w: Noise | None) -> Tensor:
        return y

    assert form_of(mine) == "fokker"


def test_a_form_that_cannot_be_read_is_asked_for() -> None:
    def unclear(f: Any, y: Tensor, grid: Tensor) -> Tensor:
        return y

    with pytest.raises(ValueError, match=r"\(f, y, grid\) does not tell the form of unclear; give form \(--form on"):
        function_sampler(unclear)
    assert function_sampler(unclear, form="k-diffusion").form == "k-diffusion"
    with pytest.raises(ValueError, match=r"unclear takes .*, and not \(denoiser, x, times, noise\)"):
        function_sampler(unclear, form="fokker")
    with pytest.raises(ValueError, match="Unknown form 'euler'"):
        function_sampler(unclear, form="euler")
    with pytest.raises(TypeError, match="unclear is no scheduler"):
        function_sampler(unclear, form="diffusers")
    with pytest.raises(TypeError, match="function is of type int"):
        function_sampler(3)
    with pytest.raises(TypeError, match="options is of type list"):
        FunctionSampler("a", "fokker", ours, [])  # type: ignore[arg-type]


def test_options_that_are_not_taken(k_diffusion: Any) -> None:
    with pytest.raises(ValueError, match=r"sample_heun\(eta=1.0\) takes .* \(got an unexpected keyword argument 'eta'"):
        function_sampler(k_diffusion.sampling.sample_heun, eta=1.0)
    with pytest.raises(ValueError, match=r"DDIMScheduler has no option churn; its configuration has beta_end, .*eta"):
        function_sampler(diffusers.DDIMScheduler, churn=1.0)
    with pytest.raises(ValueError, match=r"The step of CogVideoXDPMScheduler takes \(model_output, old_pred"):
        function_sampler(diffusers.CogVideoXDPMScheduler)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (lambda x: 1 / 0, "broken ended in ZeroDivisionError: division by zero"),
        (lambda x: None, r"broken returned a NoneType; it must return states of shape \(4, 2\)"),
        (lambda x: x[:2], r"broken returned torch.float64 of shape \(2, 2\)"),
        (lambda x: x.long(), r"broken returned torch.int64 of shape \(4, 2\)"),
        (lambda x: x * np.nan, "broken returned states that are not finite, in 1 steps"),
        (lambda x: x.add_(torch.randn(9, 9)), "broken ended in RuntimeError: "),
    ],
    ids=["error", "nothing", "shape", "integers", "nan", "torch's"],
)
def test_a_broken_sampler_is_named(result: Callable[[Tensor], Any], sentence: str) -> None:
    def broken(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Any:
        return result(x)

    sampler, state = function_sampler(broken), torch.get_rng_state()
    with pytest.raises(ValueError, match=sentence):
        sampler(MIXTURE.denoiser(CondOT()), torch.ones(4, 2, dtype=torch.float64), [0.0, 1.0])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_state_of_the_caller_is_kept() -> None:
    def in_place(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
        return x.mul_(2.0)

    x = torch.ones(4, 2)
    assert function_sampler(in_place)(MIXTURE.denoiser(CondOT()), x, [0.0, 1.0]).eq(2.0).all()
    assert x.eq(1.0).all()


def test_bad_arguments() -> None:
    sampler, denoiser, x = function_sampler(ours), MIXTURE.denoiser(CondOT()), torch.ones(4, 2)
    with pytest.raises(ValueError, match="times must be two or more that rise"):
        sampler(denoiser, x, [1.0, 0.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="denoiser is of type int"):
        sampler(3, x, [0.0, 1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x is nan"):
        sampler(denoiser, x * math.nan, [0.0, 1.0])  # type: ignore[arg-type]
    for call in (evaluations_of, draws_noise):
        with pytest.raises(TypeError, match="sampler is of type"):
            call(Heun(), denoiser, 4)  # type: ignore[arg-type]
        with pytest.raises((TypeError, ValueError), match="n is"):
            call(sampler, denoiser, 0)


def test_a_copy_is_the_same() -> None:
    sampler = function_sampler(diffusers.UniPCMultistepScheduler(solver_order=3))
    x, denoiser = noise_at(TABLE, 0.0), MIXTURE.denoiser(TABLE)
    times = grids.uniform(TABLE, 5)
    for other in (deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):  # noqa: S301  # our own
        assert torch.equal(other(denoiser, x, times), sampler(denoiser, x, times))


def test_a_solver_inside_keeps_its_own_noise() -> None:
    """One's own code may solve by our solvers, and draws from the noise that it is given."""
    def inside(denoiser: Denoiser, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        equation, _, solver = named("ddpm")(denoiser, len(times) - 1)
        return solve(equation, x, times, solver, noise).x

    denoiser, x, times = MIXTURE.denoiser(VP()), noise_at(VP(), 0.0), grids.uniform(VP(), 5)
    tree = BrownianTree(x, 0.0, 1.0, seed=4)
    assert torch.equal(function_sampler(inside)(denoiser, x, times, tree), inside(denoiser, x, times, tree))
