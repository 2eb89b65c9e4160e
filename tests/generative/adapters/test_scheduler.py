"""Our samplers as schedulers of diffusers, in its pipelines, against `solve` on the same grid and noise."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE

from fokker import Heun, WhiteNoise, solve
from fokker.generative import CFG, CondOT, Denoiser, adapters, named
from fokker.generative.adapters import FokkerScheduler, from_diffusers
from fokker.generative.adapters.library import library
from fokker.generative.sampling import PUBLISHED, Sampler
from fokker.solvers import ExponentialAdams, ExponentialRK

diffusers = pytest.importorskip("diffusers")

UNIT = torch.finfo(torch.float32).eps
SAMPLERS = [None, *PUBLISHED]
KINDS = [None, "ddpm", "dpm++2m", "edm-heun", "euler-ancestral", "flow-euler", "unipc"]
CONFIGURATIONS = {
    "table": lambda: diffusers.DDPMScheduler(clip_sample=False),
    "clipped": lambda: diffusers.DDIMScheduler(prediction_type="sample", clip_sample_range=0.5),
    "zero": lambda: diffusers.DDIMScheduler(
        rescale_betas_zero_snr=True, prediction_type="v_prediction", clip_sample=False
    ),
    "flow": lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    "edm": lambda: diffusers.EDMEulerScheduler(),
    "score": lambda: diffusers.ScoreSdeVeScheduler(sigma_max=90.0),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def looped(scheduler: Any, net: Any, x: Tensor, seed: int = 0) -> Tensor:
    """A pipeline as users write it."""
    drawn = generator(seed)
    for t in scheduler.timesteps:
        output = net(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x, generator=drawn).prev_sample
    return x


def solved(scheduler: Any, denoiser: Denoiser, x: Tensor, seed: int = 0) -> Tensor:
    row = scheduler.sampler
    noise = WhiteNoise(generator(seed)) if row.stochastic else None
    return solve(row.equation(denoiser), x, scheduler.times, row.solver, noise).x


def start(scheduler: Any, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return scheduler.init_noise_sigma * torch.randn(*shape, generator=generator(1), dtype=dtype)


def smooth(x: Tensor, timestep: Tensor, return_dict: bool = False) -> tuple[Tensor]:
    """A model of diffusers, different at every time, and of bounded slope."""
    t = timestep.expand(len(x)).reshape(-1, *(1,) * (x.ndim - 1))
    return (torch.tanh(0.5 * x.flip(1) + torch.cos(t)),)


@pytest.mark.parametrize(
    ("configuration", "sampler"),
    [(name, sampler) for name in CONFIGURATIONS for sampler in (SAMPLERS if name == "table" else KINDS)],
)
def test_a_loop_is_a_solve(configuration: str, sampler: str | None) -> None:
    """In float32. Exponential methods make the same operations in the same order; others sum in another one, which is
    some roundings a step of numbers of the size of the largest state."""
    theirs = CONFIGURATIONS[configuration]()
    scheduler = FokkerScheduler.from_config(theirs, sampler=sampler)
    scheduler.set_timesteps(12)
    assert 8 <= len(scheduler.timesteps) <= 12
    denoiser, x = from_diffusers(smooth, theirs), start(scheduler, 2, 2, 3, 3)
    row = scheduler.sampler
    expected = solved(scheduler, denoiser, x)
    found = looped(scheduler, lambda x, t: smooth(x, t)[0], x)
    exact = not row.stochastic and row.solver.semilinear
    largest = float(max(x.abs().max(), expected.abs().max()))
    assert bool(expected.isfinite().all())
    assert float((found - expected).abs().max()) <= (0.0 if exact else 64 * UNIT * largest)


@pytest.mark.parametrize("sampler", ["dpm++2m", "dpm-solver-3s", "unipc", "ipndm", "ddpm", "predictor-corrector"])
def test_in_float64_too(sampler: str) -> None:
    path = CondOT()
    denoiser = MIXTURE.denoiser(path)
    scheduler = FokkerScheduler.for_denoiser(denoiser, sampler)
    scheduler.set_timesteps(10)
    x = start(scheduler, 4, 2, dtype=torch.float64)

    def net(x: Tensor, t: Tensor) -> Tensor:
        time = scheduler._run.time  # as timesteps are float32
        assert float(t) == pytest.approx(time, abs=1e-6)
        return denoiser.output(time, x)

    expected = solved(scheduler, denoiser, x)
    found = looped(scheduler, net, x)
    assert float((found - expected).abs().max()) <= 1e-13 * float(expected.abs().max())


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def image(x: Tensor) -> Tensor:
    return (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


@pytest.fixture(scope="module")
def pixels() -> Any:
    torch.manual_seed(3)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(8,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=4,
    ).eval().requires_grad_(False)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm++2m", "dpm++2s"])
def test_in_the_ddpm_pipeline(sampler: str, pixels: Any, tmp_path: Path) -> None:
    theirs = diffusers.DDPMScheduler(beta_end=0.03)
    scheduler = FokkerScheduler.from_config(theirs.config, sampler=sampler)
    pipeline = quiet(diffusers.DDPMPipeline(pixels, scheduler))
    found = pipeline(2, generator(0), num_inference_steps=8, output_type="np").images
    drawn = generator(0)
    x = torch.randn(2, 3, 8, 8, generator=drawn)
    denoiser, row = from_diffusers(pixels, theirs), scheduler.sampler
    noise = WhiteNoise(drawn) if row.stochastic else None
    expected = image(solve(row.equation(denoiser), x, scheduler.times, row.solver, noise).x)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0.0, atol=64 * UNIT)
    # the whole pipeline is saved, and read again with its scheduler
    pipeline.save_pretrained(tmp_path)
    again = quiet(diffusers.DDPMPipeline.from_pretrained(tmp_path))
    assert isinstance(again.scheduler, FokkerScheduler)
    repeated = again(2, generator(0), num_inference_steps=8, output_type="np").images
    torch.testing.assert_close(torch.from_numpy(repeated), expected, rtol=0.0, atol=64 * UNIT)


def test_in_the_ddim_pipeline(pixels: Any) -> None:
    """That pipeline makes a DDIMScheduler of whatever it is given, so it is told afterwards."""
    scheduler = FokkerScheduler.from_config(diffusers.DDIMScheduler(beta_end=0.03), sampler="unipc")
    pipeline = quiet(diffusers.DDIMPipeline(pixels, scheduler))
    assert pipeline.scheduler.config.beta_end == 0.03  # what it makes of the configuration is right
    pipeline.scheduler = scheduler
    found = pipeline(2, generator(0), num_inference_steps=8, output_type="np").images
    x = torch.randn(2, 3, 8, 8, generator=generator(0))
    expected = image(solved(scheduler, from_diffusers(pixels, diffusers.DDIMScheduler(beta_end=0.03)), x))
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0.0, atol=64 * UNIT)
    with pytest.raises(ValueError, match=r"eta = 0\.5 was given, but unipc"):
        pipeline(2, generator(0), eta=0.5, num_inference_steps=8)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_in_the_dit_pipeline(guidance: float, dit: Any) -> None:
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8,),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        sample_size=4,
    ).eval().requires_grad_(False)  # fmt: skip
    theirs = diffusers.DDIMScheduler(clip_sample=False)
    scheduler = FokkerScheduler.from_config(theirs, sampler="dpm++2m")
    pipeline = quiet(diffusers.DiTPipeline(dit, vae, scheduler))
    found = pipeline([3, 5], guidance_scale=guidance, generator=generator(0), num_inference_steps=6, output_type="np")
    x = torch.randn(2, 4, 4, 4, generator=generator(0))
    denoiser = from_diffusers(dit, theirs, label=[3, 5])
    latents = solved(scheduler, denoiser if guidance == 1.0 else CFG(denoiser, guidance), x)
    decoded = vae.decode(latents / vae.config.scaling_factor).sample
    torch.testing.assert_close(torch.from_numpy(found.images), image(decoded), rtol=0.0, atol=1e-4)


def test_timesteps_are_what_the_network_sees(unet: Any) -> None:
    seen: list[Tensor] = []

    def noted(x: Tensor, timestep: Tensor, return_dict: bool) -> tuple[Tensor]:
        seen.append(timestep[0])
        return (torch.zeros_like(x),)

    for configuration in CONFIGURATIONS.values():
        theirs = configuration()
        scheduler = FokkerScheduler.from_config(theirs, sampler="dpm++2s")
        scheduler.set_timesteps(9)
        seen.clear()
        solved(scheduler, from_diffusers(noted, theirs), start(scheduler, 1, 2, 2, 2))
        assert scheduler.timesteps.dtype == torch.float32
        assert torch.stack(seen).tolist() == scheduler.timesteps.tolist()


def test_integers() -> None:
    scheduler = FokkerScheduler.from_config(diffusers.DDIMScheduler(), sampler="ddim", integers=True)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.dtype == torch.int64
    theirs = diffusers.DDIMScheduler(timestep_spacing="linspace")
    theirs.set_timesteps(10)
    assert torch.equal(scheduler.timesteps, theirs.timesteps)
    every = FokkerScheduler.from_config(diffusers.DDPMScheduler(), sampler="ddpm")
    every.set_timesteps(1000)
    assert torch.equal(every.timesteps, torch.arange(999, -1, -1))
    with pytest.raises(ValueError, match="100 steps of dpm\\+\\+2m do not fall on different indices"):
        FokkerScheduler(sampler="dpm++2m", integers=True, num_train_timesteps=120).set_timesteps(100)
    with pytest.raises(ValueError, match="integers=True needs a table, but the path is CondOT"):
        FokkerScheduler.from_config(diffusers.FlowMatchEulerDiscreteScheduler(), integers=True)


@pytest.mark.parametrize("make", [
    lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    lambda: diffusers.DPMSolverMultistepScheduler(
        use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction"
    ),
])  # fmt: skip
def test_the_shift_of_a_flow(make: Any) -> None:
    """Euler on uniform times, shifted: σ = 3 u / (1 + 2 u) for u from 1 to 0."""
    scheduler = FokkerScheduler.from_config(make(), sampler="flow-euler")
    scheduler.set_timesteps(8)
    uniform = torch.linspace(1.0, 0.0, 9, dtype=torch.float64)
    torch.testing.assert_close(1.0 - scheduler.times, 3.0 * uniform / (1.0 + 2.0 * uniform), rtol=0.0, atol=1e-12)
    assert (scheduler.times[0], scheduler.times[-1]) == (0.0, 1.0)


def test_it_is_ddpm_on_all_indices(unet: Any) -> None:
    """Their step has the mean of ours, and their variance "fixed_small" is ours; at the last they add nothing."""
    theirs = diffusers.DDPMScheduler(num_train_timesteps=20, beta_end=0.3, clip_sample=False)
    ours = FokkerScheduler.from_config(theirs, sampler="ddpm")
    ours.set_timesteps(20)
    theirs.set_timesteps(20)
    x = y = torch.randn(2, 2, 8, 8, generator=generator(1))
    first, second = generator(2), generator(2)
    for t, s in zip(ours.timesteps, theirs.timesteps, strict=True):
        x = ours.step(unet(x, t).sample, t, x, generator=first).prev_sample
        y = theirs.step(unet(y, s).sample, s, y, generator=second).prev_sample
    # 20 steps, each with the rounding of its ᾱ, in their float32, over σ
    assert float((x - y).abs().max()) <= 20 * 20 * UNIT * float(y.abs().max()) / 0.01


def test_the_denoised_sample_is_returned(unet: Any) -> None:
    theirs = diffusers.DDIMScheduler()
    scheduler = FokkerScheduler.from_config(theirs)
    scheduler.set_timesteps(4)
    x, t = start(scheduler, 2, 2, 8, 8), scheduler.timesteps[0]
    output = unet(x, t).sample
    stepped = scheduler.step(output, t, x)
    expected = from_diffusers(unet, theirs).predict("x0", 0.0, x)
    assert torch.equal(stepped.pred_original_sample, expected)
    scheduler.set_timesteps(4)
    following, denoised = scheduler.step(output, t, x, return_dict=False)
    assert torch.equal(following, stepped.prev_sample)
    assert torch.equal(denoised, expected)


def test_a_learned_variance_is_left_out(unet: Any) -> None:
    found = []
    for extra in (0, 2):
        scheduler = FokkerScheduler(sampler="dpm++2m")
        scheduler.set_timesteps(3)
        output = torch.randn(2, 2, 4, 4, generator=generator(0))
        doubled = torch.cat([output, torch.ones(2, extra, 4, 4)], dim=1)
        x, t = start(scheduler, 2, 2, 4, 4), scheduler.timesteps[0]
        found.append(scheduler.step(doubled, t, x).prev_sample)
    assert torch.equal(*found)


def test_what_a_pipeline_does_between_steps_is_kept() -> None:
    """Inpainting: what is known is put back after every step, and is there at the end; the rest follows from it."""
    scheduler = FokkerScheduler(sampler="dpm++2m", clip_sample=False)
    scheduler.set_timesteps(6)
    x = start(scheduler, 1, 2)
    steps = []
    for t in scheduler.timesteps:
        x = scheduler.step(0.1 * x, t, x).prev_sample
        x[:, 0] = 7.0
        steps.append(x.clone())
    unchanged = FokkerScheduler(sampler="dpm++2m", clip_sample=False)
    unchanged.set_timesteps(6)
    y = start(unchanged, 1, 2)
    for i, t in enumerate(unchanged.timesteps):
        y = unchanged.step(0.1 * y, t, y).prev_sample
        assert torch.equal(y[:, 1], steps[i][:, 1])


def test_a_changed_state_is_what_the_next_step_starts_from() -> None:
    """With ε-hat = 0, DDIM is x/α for ever."""
    scheduler = FokkerScheduler(sampler="ddim", clip_sample=False)
    scheduler.set_timesteps(5)
    x, nothing = torch.ones(1, 1), torch.zeros(1, 1)
    alpha = [scheduler.denoiser.path.alpha(t) for t in scheduler.times.tolist()]
    for i, t in enumerate(scheduler.timesteps):
        following = scheduler.step(nothing, t, x).prev_sample
        assert float(following) == pytest.approx(float(x) * alpha[i + 1] / alpha[i], rel=8 * UNIT)
        x = 2.0 * following


FOUR = Sampler(ExponentialAdams(3, corrector=True, start_up=False), "x0")


@pytest.mark.parametrize("sampler", ["unipc", "dpm++2m", FOUR])
def test_a_changed_prediction_is_what_its_correction_starts_from(sampler: Any) -> None:
    """With x₀-hat = 0 the state is x/σ for ever, and where a method predicts and corrects, a change of the prediction
    is there after the correction."""
    scheduler = FokkerScheduler(sampler=sampler, clip_sample=False, prediction_type="sample")
    scheduler.set_timesteps(6)
    x, nothing = torch.ones(1, 1), torch.zeros(1, 1)
    sigma = [scheduler.denoiser.path.sigma(t) for t in scheduler.times.tolist()]
    for i, t in enumerate(scheduler.timesteps):
        following = scheduler.step(nothing, t, x).prev_sample
        assert float(following) == pytest.approx(float(x) * sigma[i + 1] / sigma[i], rel=64 * UNIT, abs=UNIT)
        x = 2.0 * following if i % 2 else following + 3.0


def test_tokens_at_another_timestep_keep_their_state() -> None:
    """Pipelines of videos hold the tokens of an image, and pass the negative output."""
    theirs = diffusers.FlowMatchEulerDiscreteScheduler()
    ours = FokkerScheduler.from_config(theirs, sampler="flow-euler")
    x, output = torch.randn(2, 1, 3, 2, generator=generator(0))
    held = torch.tensor([[False, True, False]])
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(sigmas=[1.0, 0.6, 0.2])
    for t in theirs.timesteps[:2]:
        times = torch.where(held, 0.0, t)
        expected = theirs.step(output, t, x, per_token_timesteps=times).prev_sample
        x = ours.step(output, t, x, per_token_timesteps=times).prev_sample
        torch.testing.assert_close(x, expected, rtol=0.0, atol=8 * UNIT)


def test_starting_later(unet: Any) -> None:
    """As pipelines do that start from an image: the timesteps from there on, and no others."""
    theirs = diffusers.DDIMScheduler(clip_sample=False)
    scheduler = FokkerScheduler.from_config(theirs, sampler="dpm++2m")
    scheduler.set_timesteps(8)
    scheduler.set_begin_index(3)
    later = scheduler.timesteps[3:]
    x = torch.randn(2, 2, 8, 8, generator=generator(0))
    y = x
    for t in later:
        y = scheduler.step(unet(y, t).sample, t, y).prev_sample
    row, denoiser = scheduler.sampler, from_diffusers(unet, theirs)
    expected = solve(row.equation(denoiser), x, scheduler.times[3:], row.solver).x
    assert torch.equal(y, expected)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_noise_is_added_as_on_the_path(configuration: str) -> None:
    scheduler = FokkerScheduler.from_config(CONFIGURATIONS[configuration]())
    scheduler.set_timesteps(6)
    x0, eps = torch.randn(2, 5, 3, generator=generator(0), dtype=torch.float64)
    path = scheduler.denoiser.path
    times = scheduler.times[1:6].tolist()
    found = scheduler.add_noise(x0, eps, scheduler.timesteps[1:6])
    expected = torch.stack([path.alpha(t) * x + path.sigma(t) * e for t, x, e in zip(times, x0, eps, strict=True)])
    # timesteps are float32, of a clock that turns them into times at most 1000 times as coarse
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_noise_is_added_as_diffusers_does() -> None:
    theirs = diffusers.DDPMScheduler()
    x0, eps = torch.randn(2, 4, 3, 2, 2, generator=generator(0))
    indices = torch.tensor([0, 1, 500, 999])
    found = FokkerScheduler.from_config(theirs).add_noise(x0, eps, indices)
    torch.testing.assert_close(found, theirs.add_noise(x0, eps, indices), rtol=0.0, atol=1000 * UNIT / 0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    """A step from a state in half precision loses its last rounding alone, and timesteps lose nothing."""
    half, double = (FokkerScheduler(sampler="ddim", clip_sample=False) for _ in range(2))
    for scheduler in (half, double):
        scheduler.set_timesteps(20)
        assert float(scheduler.timesteps[0]) == 999.0
    x = torch.randn(64, generator=generator(0)).reshape(4, 16).to(dtype)
    for t in half.timesteps:
        output = 0.5 * x
        expected = double.step(output.double(), t, x.double()).prev_sample
        x = half.step(output, t, x).prev_sample
        assert x.dtype == dtype
        rounding = 0.5 * torch.finfo(dtype).eps * expected.abs() + 4000 * UNIT  # x0 is up to 157 times x
        assert bool(((x.double() - expected).abs() <= rounding).all())


def test_what_no_later_row_needs_is_let_go() -> None:
    scheduler, kept = FokkerScheduler(sampler="dpm++3m"), []
    scheduler.set_timesteps(40)
    x = torch.ones(1, 2)
    for t in scheduler.timesteps:
        x = scheduler.step(x, t, x).prev_sample
        kept.append(len(scheduler._run.kept))
    assert max(kept) <= 5  # the state, and three values and one more


def test_one_generator_a_sample() -> None:
    scheduler = FokkerScheduler(sampler="ddpm", clip_sample=False)

    def run(x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        scheduler.set_timesteps(5)
        for t in scheduler.timesteps:
            x = scheduler.step(0.1 * x, t, x, generator=generators).prev_sample
        return x

    x = torch.randn(2, 3, generator=generator(0))
    both = run(x, [generator(1), generator(2)])
    assert torch.equal(both[1:], run(x[1:], [generator(2)]))


def test_a_conditional_unet_in_a_loop() -> None:
    """As the pipelines of text-conditional models have it: two branches in one batch, guided by hand."""
    torch.manual_seed(0)
    model = diffusers.UNet2DConditionModel(
        sample_size=4, in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(8,), norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",), cross_attention_dim=6,
        mid_block_type=None, attention_head_dim=2,
    ).eval().requires_grad_(False)  # fmt: skip
    theirs = diffusers.PNDMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    scheduler = FokkerScheduler.from_config(theirs, sampler="dpm++2m")
    scheduler.set_timesteps(6)
    states = torch.randn(4, 3, 6, generator=generator(4))

    def guided(x: Tensor, t: Tensor) -> Tensor:
        empty, told = model(torch.cat([x, x]), t, encoder_hidden_states=states).sample.chunk(2)
        return empty + 3.0 * (told - empty)

    x = start(scheduler, 2, 2, 4, 4)
    found = looped(scheduler, guided, x)
    denoiser = from_diffusers(model, theirs, condition={"encoder_hidden_states": states[2:]})
    told = model(x, torch.tensor(999), encoder_hidden_states=states[2:]).sample
    torch.testing.assert_close(denoiser.output(0.0, x), told, rtol=0.0, atol=16 * UNIT * float(told.abs().max()))
    both = Denoiser(lambda x, t: guided(x, t[0]), denoiser.path, predicts="eps", time="index")
    assert torch.equal(found, solved(scheduler, both, x))


def test_the_initial_noise_is_that_of_the_first_time() -> None:
    expected = {"edm": 80.0, "flow": 1.0, "score": 90.0, "zero": 1.0}
    for name, sigma in expected.items():
        scheduler = FokkerScheduler.from_config(CONFIGURATIONS[name](), sampler="dpm++2m")
        assert scheduler.init_noise_sigma == pytest.approx(sigma)
        scheduler.set_timesteps(5)
        assert scheduler.init_noise_sigma == pytest.approx(sigma)
    late = FokkerScheduler.from_config(CONFIGURATIONS["flow"](), sampler="euler")  # holds eps: from σ/α = 80
    late.set_timesteps(5)
    assert late.init_noise_sigma == pytest.approx(80.0 / 81.0)


def test_a_row_of_ones_own() -> None:
    row = Sampler(ExponentialRK(3), name="mine")
    scheduler = FokkerScheduler.for_denoiser(MIXTURE.denoiser(CondOT()), row)
    scheduler.set_timesteps(9)
    assert scheduler.sampler is row
    solver = FokkerScheduler.for_denoiser(MIXTURE.denoiser(CondOT()), Heun())
    solver.set_timesteps(6)
    assert len(solver.times) == 4
    assert named("unipc") is FokkerScheduler(sampler="unipc").sampler


def test_a_scheduler_is_saved_and_read(tmp_path: Path) -> None:
    for theirs in (diffusers.EDMEulerScheduler(sigma_max=40.0), diffusers.DDPMScheduler(prediction_type="sample")):
        scheduler = FokkerScheduler.from_config(theirs, sampler="dpm++3m")
        scheduler.save_pretrained(tmp_path)
        again = FokkerScheduler.from_pretrained(tmp_path)
        for each in (scheduler, again):
            each.set_timesteps(7)
        assert torch.equal(again.timesteps, scheduler.timesteps)
        assert again.sampler is scheduler.sampler
        theirs.save_pretrained(tmp_path)  # and what diffusers has written is read as well
        read = FokkerScheduler.from_pretrained(tmp_path, sampler="unipc")
        assert read.config.model_class == type(theirs).__name__
        assert read.sampler is named("unipc")
        assert diffusers.DDIMScheduler.from_config(again.config).config.prediction_type == theirs.config.prediction_type


def test_what_is_no_name_cannot_be_saved(tmp_path: Path) -> None:
    for scheduler in (FokkerScheduler(sampler=Heun()), FokkerScheduler.for_denoiser(MIXTURE.denoiser(CondOT()))):
        with pytest.raises(ValueError, match="Only a named sampler with the configuration of a scheduler"):
            scheduler.save_pretrained(tmp_path)


def test_a_denoiser_is_made_of_its_configuration(unet: Any) -> None:
    theirs = diffusers.EDMEulerScheduler()
    x = torch.randn(2, 2, 8, 8)
    one, other = (from_diffusers(unet, each) for each in (theirs, FokkerScheduler.from_config(theirs)))
    assert torch.equal(one.predict("x0", 0.3, x), other.predict("x0", 0.3, x))


def test_misuse_is_refused() -> None:
    scheduler = FokkerScheduler(sampler="predictor-corrector", clip_sample=False)
    x = torch.zeros(1, 2)
    for use in (
        lambda: scheduler.step(x, 0, x),
        lambda: scheduler.scale_model_input(x, 0),
        lambda: scheduler.set_begin_index(1),
    ):
        with pytest.raises(ValueError, match="call"):
            use()
    with pytest.raises(ValueError, match="less than one step, which takes 2"):
        scheduler.set_timesteps(1)
    scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="timestep 3 was given where 999 is due"):
        scheduler.step(x, 3, x)
    for t in scheduler.timesteps:
        x = scheduler.step(x, t, x).prev_sample
    with pytest.raises(ValueError, match="All timesteps have been taken"):
        scheduler.step(x, 0, x)
    with pytest.raises(ValueError, match="Unknown sampler 'ddpn'"):
        FokkerScheduler(sampler="ddpn")
    with pytest.raises(ValueError, match="not known here, beta_strt"):
        FokkerScheduler(beta_strt=0.1)
    with pytest.raises(ValueError, match="calls its network 2 times"):
        FokkerScheduler.for_denoiser(CFG(Denoiser(lambda x, t, y: x, CondOT(), predicts="x0", label=1), 2.0, null=0))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, x, t: s.step(None, t, x), TypeError, "model_output is None"),
        (lambda s, x, t: s.step(x, t, x.long()), TypeError, "sample is torch.int64"),
        (lambda s, x, t: s.step(x, None, x), TypeError, "timestep is None"),
        (lambda s, x, t: s.step(x, math.nan, x), ValueError, "timestep is nan"),
        (lambda s, x, t: s.step(x, s.timesteps, x), ValueError, "timestep has 4 entries"),
        (lambda s, x, t: s.step(x[:1], t, x), ValueError, r"shape \(1, 3\)"),
        (lambda s, x, t: s.add_noise(x, None, t), TypeError, "noise is None"),
        (lambda s, x, t: s.add_noise(x, x, None), TypeError, "timesteps"),
        (lambda s, x, t: s.add_noise(x, x, math.nan), ValueError, "timesteps"),
        (lambda s, x, t: s.add_noise(x, x, 1e9), ValueError, "within those of the network"),
        (lambda s, x, t: s.add_noise(x, x, s.timesteps), ValueError, "one for all samples or one for each"),
        (lambda s, x, t: s.add_noise(x, x[:, :1], t), ValueError, r"noise has shape \(2, 1\)"),
        (lambda s, x, t: s.add_noise(x, x, s.timesteps.to("meta")), ValueError, "without values of its own"),
        (lambda s, x, t: s.step(x, t, x.to("meta")), ValueError, "on meta"),
        (lambda s, x, t: s.step(x[0, 0], t, x), ValueError, r"must hold samples, \(B, \.\.\.\)"),
        (lambda s, x, t: s.step(x, t, x, eta="0"), TypeError, "eta is '0'"),
        (lambda s, x, t: s.step(x, t, x, return_dict=1.0), TypeError, "return_dict is 1.0"),
        (lambda s, x, t: s.step(x, t, x, per_token_timesteps=x), ValueError, r"\(B, tokens\) for a state"),
        (lambda s, x, t: s.set_timesteps(4, mu=math.nan), ValueError, "mu is nan"),
        (lambda s, x, t: s.set_timesteps(4, "nowhere"), ValueError, "device is 'nowhere'"),
        (lambda s, x, t: s.set_timesteps("4"), TypeError, "num_inference_steps is '4'"),
        (lambda s, x, t: s.set_timesteps(10**9), ValueError, "num_inference_steps is 1000000000"),
        (lambda s, x, t: FokkerScheduler.from_config(3), TypeError, "scheduler is a int"),
        (lambda s, x, t: FokkerScheduler.for_denoiser(3), TypeError, "denoiser is of type int"),
        (lambda s, x, t: FokkerScheduler(integers="yes"), TypeError, "integers is 'yes'"),
    ],
)
def test_wrong_arguments_are_refused_at_the_door(call: Any, error: type[Exception], message: str) -> None:
    scheduler = FokkerScheduler(sampler="ddim")
    scheduler.set_timesteps(4)
    with pytest.raises(error, match=message):
        call(scheduler, torch.ones(2, 3), scheduler.timesteps[0])


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for use in (lambda: adapters.FokkerScheduler, lambda: from_diffusers(None, {"_class_name": "DDPMScheduler"})):
        with pytest.raises(ImportError, match=r'^diffusers is not installed; .* pip install "fokker\[adapters\]"\.$'):
            use()


def test_a_library_that_cannot_be_loaded_says_why_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_library.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_this_name'"):
        library("broken_library")


def test_the_package_loads_no_library() -> None:
    code = "import sys, fokker.generative.adapters; print('diffusers' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'from_keras'"):
        _ = adapters.from_keras
