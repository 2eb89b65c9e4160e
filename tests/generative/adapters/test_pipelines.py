"""Our samplers in real pipelines of diffusers with small random networks.

Each pipeline runs with its own scheduler and with ours of the same method: Euler for a flow, DDIM for a table. The
results agree to the rounding of float32. Other samplers are checked by a replay: `solve` on the scheduler's grid, with
the outputs that the pipeline has passed in place of a network, goes through the same states.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fokker.generative.adapters import FokkerScheduler
from fokker.generative.adapters.apart import told
from fokker.generative.sampling import PUBLISHED
from fokker.solvers.scheme import Form

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")  # those of diffusers and transformers
UNIT = torch.finfo(torch.float32).eps
TABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def normal(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(name: str, **config: Any) -> Any:
    torch.manual_seed(0)
    return getattr(diffusers, name)(**config).eval().requires_grad_(False)


def pipeline(name: str, **parts: Any) -> Any:
    diffusers.utils.logging.set_verbosity_error()
    found = getattr(diffusers, name)(**parts)
    found.set_progress_bar_config(disable=True)
    return found


def flow(**fields: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**fields)


@cache
def vae(**config: Any) -> Any:
    return small(
        "AutoencoderKL", latent_channels=4, block_out_channels=(8,), norm_num_groups=4, sample_size=8,
        down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",), **config,
    )  # fmt: skip


@cache
def unet(**config: Any) -> Any:
    return small(
        "UNet2DConditionModel", sample_size=8, out_channels=4, layers_per_block=1, block_out_channels=(8,),
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=6, attention_head_dim=2, mid_block_type=None, **{"in_channels": 4, **config},
    )  # fmt: skip


TEXT = {"prompt_embeds": normal(1, 3, 6)}
EMPTY = {"negative_prompt_embeds": normal(1, 3, 6, seed=7)}
POOLED = {"pooled_prompt_embeds": normal(1, 5), "negative_pooled_prompt_embeds": normal(1, 5, seed=8)}
NO_TEXT = {"text_encoder": None, "tokenizer": None}
IMAGE = {"image": torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))}
MASK = {"mask_image": (torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(4)) > 0.5).float()}
SIZE = {"height": 8, "width": 8}
SIGMAS = {"sigmas": np.linspace(1.0, 0.125, 8).tolist()}
Case = tuple[Any, dict[str, Any]]


def flux(name: str = "FluxPipeline") -> Case:
    transformer = small(
        "FluxTransformer2DModel", patch_size=1, in_channels=16, num_layers=1, num_single_layers=1,
        attention_head_dim=8, num_attention_heads=1, joint_attention_dim=6, pooled_projection_dim=5,
        axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    parts = {"vae": vae(shift_factor=0.1, scaling_factor=1.3), "transformer": transformer}
    parts |= {"text_encoder_2": None, "tokenizer_2": None}
    arguments = {**TEXT, "pooled_prompt_embeds": normal(1, 5), "height": 16, "width": 16}
    return pipeline(name, scheduler=flow(shift=3.0, use_dynamic_shifting=True), **parts, **NO_TEXT), arguments


def stable_diffusion_3(name: str = "StableDiffusion3Pipeline") -> Case:
    transformer = small(
        "SD3Transformer2DModel", sample_size=8, patch_size=1, in_channels=4, out_channels=4, num_layers=1,
        attention_head_dim=4, num_attention_heads=2, joint_attention_dim=6, caption_projection_dim=8,
        pooled_projection_dim=5, pos_embed_max_size=16,
    )  # fmt: skip
    parts = dict.fromkeys(["text_encoder_2", "tokenizer_2", "text_encoder_3", "tokenizer_3"])
    parts |= {"vae": vae(shift_factor=0.1, scaling_factor=1.3), "transformer": transformer}
    arguments = {**TEXT, **EMPTY, **POOLED, **SIZE, **SIGMAS, "guidance_scale": 3.0}
    return pipeline(name, scheduler=flow(shift=3.0), **parts, **NO_TEXT), arguments


def qwen_image() -> Case:
    transformer = small(
        "QwenImageTransformer2DModel", patch_size=2, in_channels=16, out_channels=4, num_layers=1,
        attention_head_dim=8, num_attention_heads=2, joint_attention_dim=6, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    scheduler = flow(use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02)
    arguments = {**TEXT, "prompt_embeds_mask": torch.ones(1, 3, dtype=torch.int64), "height": 32, "width": 32}
    return pipeline("QwenImagePipeline", transformer=transformer, scheduler=scheduler, vae=None, **NO_TEXT), arguments


def ltx() -> Case:
    transformer = small(
        "LTXVideoTransformer3DModel", in_channels=4, out_channels=4, patch_size=1, patch_size_t=1,
        num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16, num_layers=1, caption_channels=6,
    )  # fmt: skip
    scheduler = flow(use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, shift_terminal=0.1)
    masks = {"prompt_attention_mask": torch.ones(1, 3), "negative_prompt_attention_mask": torch.ones(1, 3)}
    arguments = {**TEXT, **EMPTY, **masks, "height": 32, "width": 32, "num_frames": 9, "guidance_scale": 2.0}
    return pipeline("LTXPipeline", transformer=transformer, scheduler=scheduler, vae=None, **NO_TEXT), arguments


def ltx_condition() -> Case:
    """The tokens of an image are held until their own noise level, 0.3, is due; the default grid is the scheduler's."""
    pipe, arguments = ltx()
    two, three = ((1,) * n for n in (2, 3))
    autoencoder = small(
        "AutoencoderKLLTXVideo", latent_channels=4, block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        layers_per_block=three, decoder_layers_per_block=three, spatio_temporal_scaling=(True, True),
        decoder_spatio_temporal_scaling=(True, True), decoder_inject_noise=(False,) * 3, upsample_factor=two,
        upsample_residual=(False, False), patch_size=1, patch_size_t=1,
    )  # fmt: skip
    parts = {"transformer": pipe.transformer, "vae": autoencoder, "scheduler": flow()}
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    timesteps = [1000.0, 850.0, 600.0, 400.0, 200.0, 90.0]
    return pipeline("LTXConditionPipeline", **parts, **NO_TEXT), {
        **arguments, "image": image, "strength": 0.7, "timesteps": timesteps,
    }  # fmt: skip


def wan() -> Case:
    """It lets the scheduler space its steps."""
    transformer = small(
        "WanTransformer3DModel", patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4,
        out_channels=4, text_dim=6, freq_dim=8, ffn_dim=16, num_layers=1, rope_max_seq_len=32,
    )  # fmt: skip
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    arguments = {**TEXT, **EMPTY, "height": 16, "width": 16, "num_frames": 5, "guidance_scale": 2.0}
    return pipeline("WanPipeline", transformer=transformer, scheduler=scheduler, vae=None, **NO_TEXT), arguments


def stable_diffusion(name: str = "StableDiffusionPipeline", **config: Any) -> Case:
    """Its DDIM takes steps of 125 indices, and the last one from index 124 to the clean sample."""
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing", steps_offset=1, **TABLE)
    parts = {"unet": unet(**config), "vae": vae(), "safety_checker": None, "feature_extractor": None}
    found = pipeline(name, scheduler=scheduler, **parts, **NO_TEXT, requires_safety_checker=False)
    return found, {**TEXT, **EMPTY, "guidance_scale": 3.0}


def stable_diffusion_xl(name: str = "StableDiffusionXLPipeline") -> Case:
    """Of three sizes and offsets and two embeddings: 24 + 5 numbers. Its Euler steps x/α."""
    net = unet(addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=29)
    parts = {"unet": net, "vae": vae(), "text_encoder_2": None, "tokenizer_2": None}
    scheduler = diffusers.EulerDiscreteScheduler(**TABLE)
    found = pipeline(name, scheduler=scheduler, **parts, **NO_TEXT, add_watermarker=False)
    return found, {**TEXT, **EMPTY, **POOLED, "guidance_scale": 3.0}


def given(case: Case, **more: Any) -> Case:
    return case[0], {**case[1], **more}


CASES: dict[str, Callable[[], Case]] = {
    "flux": flux,
    "flux image": lambda: given(flux("FluxImg2ImgPipeline"), strength=0.5, image=torch.rand(1, 3, 16, 16)),
    "flux inpaint": lambda: given(
        flux("FluxInpaintPipeline"), strength=0.6, image=torch.rand(1, 3, 16, 16),
        mask_image=(torch.rand(1, 1, 16, 16) > 0.5).float(),
    ),
    "sd3": stable_diffusion_3,
    "sd3 image": lambda: given(stable_diffusion_3("StableDiffusion3Img2ImgPipeline"), **IMAGE, strength=0.5),
    "qwen image": qwen_image,
    "ltx": ltx,
    "ltx condition": ltx_condition,
    "sd": lambda: given(stable_diffusion(), **SIZE),
    "sd image": lambda: given(stable_diffusion("StableDiffusionImg2ImgPipeline"), **IMAGE, strength=0.5),
    "sd inpaint": lambda: given(
        stable_diffusion("StableDiffusionInpaintPipeline"), **IMAGE, **MASK, **SIZE, strength=0.6
    ),
    "sd inpaint with a network for it": lambda: given(
        stable_diffusion("StableDiffusionInpaintPipeline", in_channels=9), **IMAGE, **MASK, **SIZE, strength=0.6
    ),
    "sdxl": lambda: given(stable_diffusion_xl(), **SIZE),
    "sdxl image": lambda: given(stable_diffusion_xl("StableDiffusionXLImg2ImgPipeline"), **IMAGE, strength=0.5),
}  # fmt: skip


@cache
def made(name: str) -> Case:
    torch.manual_seed(2)
    return CASES[name]()


def generated(pipe: Any, arguments: dict[str, Any]) -> Tensor:
    drawn = torch.Generator().manual_seed(0)
    found: Tensor = pipe(**{"num_inference_steps": 8, **arguments}, generator=drawn, output_type="latent")[0]
    return found


def with_sampler(pipe: Any, sampler: str | None) -> Any:
    """A pipeline of the same parts with our scheduler."""
    changed = copy.copy(pipe)
    changed.scheduler = FokkerScheduler.from_config(pipe.scheduler.config, sampler=sampler)
    return changed


@pytest.mark.parametrize("name", CASES)
def test_the_same_method_gives_the_same_images(name: str) -> None:
    """Eight steps of float32: each rounds the state a few times, and passes on what was rounded before. Of a table
    theirs is a product of a thousand numbers, each rounded. Their DDIM starts with ε, and ours with σ ε."""
    pipe, arguments = made(name)
    table = not isinstance(pipe.scheduler, diffusers.FlowMatchEulerDiscreteScheduler)
    changed, further = with_sampler(pipe, "ddim" if table else "flow-euler"), {}
    if isinstance(pipe.scheduler, diffusers.DDIMScheduler):
        further = {"timesteps": list(range(999, 0, -125))}
    if name == "sd":
        arguments = {**arguments, "latents": normal(1, 4, 8, 8)}
        further["latents"] = arguments["latents"] / changed.scheduler.init_noise_sigma
    expected, found = generated(pipe, arguments), generated(changed, {**arguments, **further})
    assert float((found - expected).abs().max()) <= (1000 if table else 64) * UNIT * float(expected.abs().max())


class Spy(FokkerScheduler):
    """A scheduler that notes its steps."""

    noted: list[tuple[Tensor, Tensor, Tensor]]

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *rest: Any, **keywords: Any) -> Any:
        found = super().step(model_output, timestep, sample, *rest, **keywords)
        self.noted.append((model_output, sample, found[0]))
        return found


@pytest.mark.parametrize("sampler", [None, "unipc", "dpm++2s", "edm-heun"])
@pytest.mark.parametrize("name", ["flux", "flux image", "wan", "sd image", "sdxl"])
def test_a_pipeline_takes_the_steps_of_the_sampler(name: str, sampler: str | None) -> None:
    """From every row of the table, with the outputs that the pipeline has passed, follows the state that it got: the
    sums of a row round a few times, with weights that may be as large as 1/α."""
    pipe, arguments = made(name) if name in CASES else wan()
    changed = with_sampler(pipe, sampler)
    changed.scheduler.__class__ = Spy
    changed.scheduler.noted = []
    result = generated(changed, arguments)
    scheduler = changed.scheduler
    noted, scheme = scheduler.noted, scheduler._run.scheme
    assert scheduler._run.finished
    assert len(noted) == scheme.nfe
    kept = {("x", 0): noted[0][1].double()}

    def value(form: Form) -> Tensor:
        return sum((number * kept[symbol] for symbol, number in form.items()), torch.zeros((), dtype=torch.float64))

    largest = max(float(state.abs().max()) for _, state, _ in noted)
    tolerance = 4000 * UNIT * largest
    for step, state in enumerate(scheme.states):
        for j, each in enumerate(scheme.evaluations):
            if each.step == step:
                output, given_state, _ = noted[j]
                torch.testing.assert_close(value(each.argument), given_state.double(), rtol=0.0, atol=tolerance)
                equation = scheduler.sampler.equation(told(scheduler.denoiser, output.double()))
                kept["N", j] = equation.field(each.time, given_state.double())
        kept["x", step + 1] = value(state)
    final = kept["x", len(scheme.states)]
    torch.testing.assert_close(final, noted[-1][2].double(), rtol=0.0, atol=tolerance)
    assert result.isfinite().all()


@pytest.mark.parametrize("sampler", [None, *PUBLISHED])
def test_every_sampler_runs_from_noise_and_from_an_image(sampler: str | None) -> None:
    for name in ("flux image", "sd inpaint"):
        pipe, arguments = made(name)
        changed = with_sampler(pipe, sampler)
        assert bool(generated(changed, arguments).isfinite().all())
        assert len(changed.scheduler.timesteps) <= 8


@pytest.mark.parametrize("way", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301
def test_a_pipeline_is_copied_and_sent_with_its_scheduler(way: Callable[[Any], Any]) -> None:
    """Also after a run. The copy makes the same images."""
    pipe, arguments = made("sd")
    changed = with_sampler(pipe, "unipc")
    expected = generated(changed, arguments)
    other = way(changed)
    assert torch.equal(generated(other, arguments), expected)
    assert torch.equal(generated(changed, arguments), expected)
