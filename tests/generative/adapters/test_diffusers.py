"""What a configuration of diffusers means, against what its own scheduler makes of a network's output."""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fokker.generative import CFG, VE, VP, CondOT, Cosine, log_likelihood, sample
from fokker.generative.adapters import from_diffusers
from fokker.generative.adapters.configuration import MODEL, STEPPING, class_of
from fokker.generative.adapters.conventions import SCHEDULERS, conventions
from fokker.generative.denoiser import Static
from fokker.generative.paths import Table

diffusers = pytest.importorskip("diffusers")

# diffusers makes arrays of tensors, on which numpy 2 and torch do not agree
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
]

T = 50
UNIT = torch.finfo(torch.float32).eps


def make(name: str, **fields: Any) -> Any:
    return class_of(f"{name}Scheduler")(**fields)


def parameters(name: str) -> set[str]:
    every = list(inspect.signature(class_of(name).__init__).parameters.values())[1:]
    return {each.name for each in every if each.kind is not inspect.Parameter.VAR_KEYWORD}


TABLES = [name for name, read in SCHEDULERS.items() if read is SCHEDULERS["DDPMScheduler"]]
BETAS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear"},
    "scaled": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "given": {"trained_betas": np.linspace(0.001, 0.2, T)},
}


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_that_of_the_scheduler(name: str, betas: str) -> None:
    """Theirs is a product of T numbers in float32: T roundings, relatively."""
    if not BETAS[betas].keys() <= parameters(name) or (name == "UnCLIPScheduler" and betas != "cosine"):
        pytest.skip("not a choice of this scheduler")
    scheduler = getattr(diffusers, name)(num_train_timesteps=T, **BETAS[betas])
    path = conventions(scheduler).path
    assert isinstance(path, Table)
    alphas = torch.tensor([path.alpha(path.at(i)) for i in range(T)], dtype=torch.float64)
    torch.testing.assert_close(alphas**2, scheduler.alphas_cumprod.double(), rtol=2 * T * UNIT, atol=UNIT)


def test_the_sigmoid_table() -> None:
    scheduler = make("DDPM", num_train_timesteps=T, beta_schedule="sigmoid")
    path = conventions(scheduler).path
    assert isinstance(path, Table)
    torch.testing.assert_close(torch.tensor(path.betas), scheduler.betas, rtol=8 * UNIT, atol=0.0)


@pytest.mark.parametrize("name", ["DDPM", "DDIM", "EulerDiscrete", "UniPCMultistep"])
def test_zero_terminal_snr_is_exact_zero(name: str) -> None:
    scheduler = make(name, num_train_timesteps=T, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    path = conventions(scheduler).path
    assert path.alpha(0.0) == 0.0
    alphas = torch.tensor([path.alpha(1.0 - (i + 1) / T) for i in range(T)], dtype=torch.float64)
    # theirs shifts √ᾱ, subtracting numbers of the size of one; some of its schedulers then add 2⁻²⁴ to the last
    torch.testing.assert_close(alphas**2, scheduler.alphas_cumprod.double(), rtol=0.0, atol=4 * T * UNIT)


@pytest.mark.parametrize("name", ["CogVideoXDDIM", "CogVideoXDPM"])
@pytest.mark.parametrize("zero", [False, True])
def test_a_shift_of_the_snr(name: str, zero: bool) -> None:
    scheduler = make(name, num_train_timesteps=T, snr_shift_scale=2.5, rescale_betas_zero_snr=zero)
    path = conventions(scheduler).path
    alphas = torch.tensor([path.alpha(1.0 - (i + 1) / T) for i in range(T)], dtype=torch.float64)
    torch.testing.assert_close(alphas**2, scheduler.alphas_cumprod.double(), rtol=0.0, atol=4 * T * UNIT)


# (x₀, x as the network saw it, output) of the scheduler's own code at index i of T; `scale` is its own scale of x.
Own = Callable[[Any, Callable[..., Tensor], Tensor, int, float], Tensor]


def at_index(scheduler: Any, i: int) -> Tensor:
    scheduler.set_timesteps(T)
    k = int((scheduler.timesteps == i).nonzero()[0])
    scheduler.set_begin_index(k)
    return scheduler.timesteps[k]


def by_step(scheduler: Any, net: Callable[..., Tensor], x: Tensor, i: int, alpha: float) -> Tensor:
    """Of schedulers that step x itself."""
    scheduler.set_timesteps(T)
    denoised: Tensor = scheduler.step(net(x, torch.tensor(i)), i, x).pred_original_sample
    return denoised


def by_scaled_step(scheduler: Any, net: Callable[..., Tensor], x: Tensor, i: int, alpha: float) -> Tensor:
    """Of those that step x/α."""
    t, scaled = at_index(scheduler, i), x / alpha
    output = net(scheduler.scale_model_input(scaled, t), t)
    denoised: Tensor = scheduler.step(output, t, scaled).pred_original_sample
    return denoised


def by_conversion(scheduler: Any, net: Callable[..., Tensor], x: Tensor, i: int, alpha: float) -> Tensor:
    """Of those that convert outputs apart from the step."""
    t = at_index(scheduler, i)
    scheduler._init_step_index(t)
    converted: Tensor = scheduler.convert_model_output(net(x, t), sample=x)
    if "DEIS" in type(scheduler).__name__:  # to ε
        converted = (x - math.sqrt(1.0 - alpha**2) * converted) / alpha
    return converted


OWN: dict[str, Own] = {
    **dict.fromkeys(["DDPM", "DDIM", "DDPMParallel", "DDIMParallel"], by_step),
    **dict.fromkeys(["EulerDiscrete", "EulerAncestralDiscrete", "LMSDiscrete", "HeunDiscrete"], by_scaled_step),
    **dict.fromkeys(["DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep"], by_conversion),
    "SASolver": by_conversion,
}
CHOICES = {
    "epsilon": {"prediction_type": "epsilon"},
    "sample": {"prediction_type": "sample"},
    "v": {"prediction_type": "v_prediction"},
}
REFUSED = {("EulerAncestralDiscrete", "sample"), ("LMSDiscrete", "none")}


@pytest.mark.parametrize("kind", CHOICES)
@pytest.mark.parametrize("name", OWN)
def test_predictions_are_those_of_the_scheduler(name: str, kind: str, unet: Any) -> None:
    """To the rounding of float32: T roundings of ᾱ, that of 1 − ᾱ, and what the division by α and σ makes of it."""
    if (name, kind) in REFUSED:
        pytest.skip("the scheduler does not know this prediction")
    plain = {"clip_sample": False} if "clip_sample" in parameters(f"{name}Scheduler") else {}
    scheduler = make(name, num_train_timesteps=T, beta_end=0.2, **CHOICES[kind], **plain)
    denoiser = from_diffusers(unet, scheduler)

    def net(x: Tensor, t: Tensor) -> Tensor:
        output: Tensor = unet(x, t).sample
        return output

    for i in (1, T // 2, T - 1):
        x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(i))
        t = 1.0 - (i + 1) / T
        alpha, sigma = denoiser.path.alpha(t), denoiser.path.sigma(t)
        expected = OWN[name](scheduler, net, x, i, alpha)
        size = float(x.abs().max() + expected.abs().max())
        tolerance = T * UNIT * size / (alpha * sigma)
        torch.testing.assert_close(denoiser.predict("x0", t, x), expected, rtol=0.0, atol=tolerance)
        eps = (x - alpha * expected) / sigma
        torch.testing.assert_close(denoiser.predict("eps", t, x), eps, rtol=0.0, atol=tolerance / sigma)


@pytest.mark.parametrize(
    ("fields", "beyond"),
    [
        ({"clip_sample": True, "clip_sample_range": 0.4}, 0.4),
        ({"clip_sample": False, "thresholding": True, "sample_max_value": 1.0}, 1.0),
        ({"clip_sample": False, "thresholding": True, "sample_max_value": 1.7}, 1.0),
        ({"clip_sample": False, "thresholding": True, "sample_max_value": 99.0}, 1.0),
    ],
)
def test_thresholds_are_those_of_the_scheduler(fields: dict[str, Any], beyond: float, unet: Any) -> None:
    scheduler = make("DDPM", num_train_timesteps=T, beta_end=0.2, dynamic_thresholding_ratio=0.8, **fields)
    denoiser = from_diffusers(unet, scheduler)
    x = 3.0 * torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    i, t = T // 2, 1.0 - (T // 2 + 1) / T
    expected = scheduler.step(unet(x, torch.tensor(i)).sample, i, x).pred_original_sample
    alpha, sigma = denoiser.path.alpha(t), denoiser.path.sigma(t)
    without = {**scheduler.config, "clip_sample": False, "thresholding": False}
    unclipped = from_diffusers(unet, without).predict("x0", t, x)
    assert float(unclipped.abs().max()) > 2.0 * beyond
    tolerance = T * UNIT * float(unclipped.abs().max()) / (alpha * sigma)
    torch.testing.assert_close(denoiser.predict("x0", t, x), expected, rtol=0.0, atol=tolerance)


class Recorder(torch.nn.Module):
    """A model of diffusers that notes its arguments and returns its input."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config, self.seen = config, []

    def forward(self, x: Tensor, timestep: Tensor, return_dict: bool = True, **given: Any) -> tuple[Tensor]:
        self.seen.append((timestep, given))
        return (x,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [50, 999, 1000])
def test_indices_reach_the_network_as_whole_numbers(steps: int, dtype: torch.dtype) -> None:
    recorder = Recorder()
    denoiser = from_diffusers(recorder, make("DDIM", num_train_timesteps=steps, clip_sample=False))
    for i in range(steps):
        denoiser.output(1.0 - (i + 1) / steps, torch.zeros(2, 1, dtype=dtype))
    times = torch.stack([times for times, _ in recorder.seen])
    assert times.dtype == dtype
    assert torch.equal(times, torch.arange(steps, dtype=dtype)[:, None].expand(-1, 2))


def test_a_network_that_looks_times_up_sees_integers() -> None:
    recorder = Recorder(time_embedding_type="learned")
    denoiser = from_diffusers(recorder, make("DDPM", num_train_timesteps=T))
    denoiser.output(1.0 - 7.7 / T, torch.zeros(2, 1))
    times, _ = recorder.seen[0]
    assert times.dtype == torch.int64
    assert times.tolist() == [7, 7]


def test_labels_and_conditions_reach_the_network() -> None:
    recorder, states = Recorder(), torch.randn(2, 3, 4)
    denoiser = from_diffusers(
        recorder, make("PNDM"), label=torch.tensor([1, 2]), condition={"encoder_hidden_states": states}
    )
    denoiser.output(0.5, torch.zeros(2, 1))
    given = recorder.seen[0][1]
    assert given.keys() == {"class_labels", "encoder_hidden_states"}
    assert given["class_labels"].tolist() == [1, 2]
    assert torch.equal(given["encoder_hidden_states"], states)


def test_a_dit_with_learned_variance_labels_and_guidance(dit: Any) -> None:
    scheduler = make("DDIM", num_train_timesteps=1000, clip_sample=False)
    denoiser = from_diffusers(dit, scheduler, label=torch.tensor([3, 5]))
    x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    i, t = 600, 1.0 - 601 / 1000
    labels = torch.tensor([3, 5])
    both, empty = (
        dit(x, timestep=torch.full((2,), i), class_labels=each, return_dict=False)[0][:, :4]
        for each in (labels, torch.full((2,), 1000))
    )
    torch.testing.assert_close(denoiser.predict("eps", t, x), both, rtol=0.0, atol=8 * UNIT * float(both.abs().max()))
    guided = CFG(denoiser, 3.0).predict("eps", t, x)
    torch.testing.assert_close(guided, empty + 3.0 * (both - empty), rtol=0.0, atol=64 * UNIT * float(both.abs().max()))
    with pytest.raises(ValueError, match="1000"):
        from_diffusers(dit, scheduler, label=1001)


class Doubled(Recorder):
    """A model that returns its input, and as many channels again."""

    def forward(self, x: Tensor, timestep: Tensor, return_dict: bool = True, **given: Any) -> tuple[Tensor]:
        return (torch.cat([x, torch.ones_like(x)], dim=1),)


@pytest.mark.parametrize(
    ("fields", "config", "said"),
    [
        ({"variance_type": "learned_range"}, {}, None),
        ({"variance_type": "learned"}, {"in_channels": 6, "out_channels": 6}, None),  # super-resolution: x and an image
        ({"variance_type": "fixed_small"}, {"in_channels": 3, "out_channels": 6}, None),
        ({}, {}, True),
    ],
)
def test_a_learned_variance_is_read_or_told(fields: dict[str, Any], config: dict[str, Any], said: bool | None) -> None:
    scheduler, x = make("DDPM", clip_sample=False, **fields), torch.randn(2, 3, 2, 2)
    denoiser = from_diffusers(Doubled(**config), scheduler, learned_variance=said)
    assert torch.equal(denoiser.predict("eps", 0.5, x), x)
    other = from_diffusers(Doubled(**config), scheduler, learned_variance=False)
    with pytest.raises(ValueError, match="learned_variance=True"):
        other.predict("eps", 0.5, x)


def test_whether_a_variance_was_learned_is_a_bool(unet: Any) -> None:
    with pytest.raises(TypeError, match="learned_variance is 'no', but must be True or False"):
        from_diffusers(unet, make("DDPM"), learned_variance="no")  # type: ignore[arg-type]


class BaseTuner(torch.nn.Module):
    """As PEFT has it: the network is its `model`."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **keywords: Any) -> Any:
        return self.model(*args, **keywords)


class PeftModel(torch.nn.Module):
    """As PEFT has it: a tuner is its `base_model`. Its own configuration is of another kind."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.base_model, self.config = BaseTuner(model), {"model_type": "custom"}

    def forward(self, *args: Any, **keywords: Any) -> Any:
        return self.base_model(*args, **keywords)


@pytest.mark.parametrize(
    "wrapper",
    [
        torch.nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
        PeftModel,
        lambda model: torch.nn.DataParallel(PeftModel(model)),
    ],
)
def test_a_wrapped_network_is_asked_inside(wrapper: Callable[[Any], Any], dit: Any) -> None:
    """A DiT's learned variance, its labels and the null label are in its configuration, which wrappers hide."""
    scheduler = make("DDIM", num_train_timesteps=1000, clip_sample=False)
    plain, wrapped = (from_diffusers(each, scheduler, label=[3, 5]) for each in (dit, wrapper(dit)))
    x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(CFG(wrapped, 3.0).predict("eps", 0.4, x), CFG(plain, 3.0).predict("eps", 0.4, x))
    assert repr(wrapped) == repr(plain)
    with pytest.raises(ValueError, match="1000"):
        from_diffusers(wrapper(dit), scheduler, label=1001)


@pytest.mark.parametrize("name", ["FlowMatchEulerDiscrete", "FlowMatchHeunDiscrete"])
def test_flow_matching(name: str, unet: Any) -> None:
    """Both step along x₀ and σ: x_next = x + (σ_next − σ) output."""
    scheduler = make(name, shift=3.0)
    denoiser = from_diffusers(unet, scheduler)
    assert denoiser.path == CondOT()
    scheduler.set_timesteps(5)
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    timestep, sigma, following = scheduler.timesteps[0], float(scheduler.sigmas[0]), float(scheduler.sigmas[1])
    output = unet(x, timestep).sample
    if name == "FlowMatchEulerDiscrete":
        stepped = scheduler.step(output, timestep, x).prev_sample
        velocity = (stepped - x) / (sigma - following)
        at = 1.0 - sigma
        rounding = 4 * UNIT * float(x.abs().max()) / (sigma - following)
        torch.testing.assert_close(denoiser.predict("velocity", at, x), velocity, rtol=0.0, atol=rounding)
    # where σ < 1, as x₀ at the noisiest end is not x − σ v divided by nothing
    sigma, at = 0.6, 0.4
    output = unet(x, torch.tensor(600.0)).sample
    tolerance = 16 * UNIT * float(x.abs().max() + output.abs().max())
    torch.testing.assert_close(denoiser.predict("x0", at, x), x - sigma * output, rtol=0.0, atol=tolerance)
    torch.testing.assert_close(denoiser.predict("eps", at, x), x + (1 - sigma) * output, rtol=0.0, atol=tolerance)


def test_flow_matching_turned_round() -> None:
    """invert_sigmas: the network's clock is 1000 t, and it returns the velocity."""
    scheduler = make("FlowMatchEulerDiscrete", invert_sigmas=True)
    scheduler.set_timesteps(5)
    recorder = Recorder()
    denoiser = from_diffusers(recorder, scheduler)
    x = torch.ones(1, 1)
    for k in (0, 2):
        sigma, following = float(scheduler.sigmas[k]), float(scheduler.sigmas[k + 1])
        stepped = scheduler.step(x, scheduler.timesteps[k], x).prev_sample
        velocity = (stepped - x) / (following - sigma)  # their σ is our t
        if k:
            scheduler._step_index = None
        torch.testing.assert_close(denoiser.predict("velocity", sigma, x), velocity, rtol=0.0, atol=1e-5)
        torch.testing.assert_close(recorder.seen[-1][0], scheduler.timesteps[k].reshape(1), rtol=1e-6, atol=1e-4)
        scheduler._step_index = None


@pytest.mark.parametrize("name", ["DPMSolverMultistep", "UniPCMultistep", "DEISMultistep", "SASolver"])
@pytest.mark.parametrize("kind", ["flow_prediction", "epsilon", "sample"])
def test_flow_sigmas_of_other_schedulers(name: str, kind: str, unet: Any) -> None:
    scheduler = make(name, use_flow_sigmas=True, prediction_type=kind)
    denoiser = from_diffusers(unet, scheduler)
    scheduler.set_timesteps(10)
    k = 4
    timestep, sigma = scheduler.timesteps[k], float(scheduler.sigmas[k])
    scheduler.set_begin_index(k)
    scheduler._init_step_index(timestep)
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = scheduler.convert_model_output(unet(x, timestep.float()).sample, sample=x)
    if name == "DEISMultistep":
        expected = (x - sigma * expected) / (1.0 - sigma)
    # they round the clock to whole numbers
    t = 1.0 - float(timestep) / 1000
    close = abs(t - (1.0 - sigma))
    assert close <= 1e-3
    tolerance = (close + 64 * UNIT) * 4.0 * float(x.abs().max() + expected.abs().max()) / (1.0 - sigma) ** 2
    torch.testing.assert_close(denoiser.predict("x0", t, x), expected, rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("name", ["EDMEuler", "EDMDPMSolverMultistep", "CosineDPMSolverMultistep"])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_edm(name: str, kind: str, unet: Any) -> None:
    scheduler = make(name, prediction_type=kind, sigma_data=0.7)
    denoiser = from_diffusers(unet, scheduler)
    assert isinstance(denoiser.path, VE)
    scheduler.set_timesteps(12)
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    for k in (2, 6, 11):
        timestep, sigma = scheduler.timesteps[k], float(scheduler.sigmas[k])
        scheduler._step_index, noisy = k, sigma * x
        output = unet(scheduler.scale_model_input(noisy, timestep), timestep).sample
        expected = scheduler.precondition_outputs(noisy, output, scheduler.sigmas[k])
        t = denoiser.path.time(-2.0 * math.log(sigma))
        size = float(noisy.abs().max() + expected.abs().max())
        torch.testing.assert_close(denoiser.predict("x0", t, noisy), expected, rtol=0.0, atol=256 * UNIT * size)


def test_euler_with_continuous_times(unet: Any) -> None:
    scheduler = make(
        "EulerDiscrete", timestep_type="continuous", prediction_type="v_prediction", use_karras_sigmas=True,
        sigma_min=0.002, sigma_max=700.0, beta_schedule="scaled_linear",
    )  # fmt: skip
    denoiser = from_diffusers(unet, scheduler)
    assert denoiser.path == VE(700.0)
    scheduler.set_timesteps(12)
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    for k in (4, 8):
        timestep, sigma = scheduler.timesteps[k], float(scheduler.sigmas[k])
        scheduler._step_index, noisy = k, sigma * x
        output = unet(scheduler.scale_model_input(noisy, timestep), timestep).sample
        expected = scheduler.step(output, timestep, noisy).pred_original_sample
        t = denoiser.path.time(-2.0 * math.log(sigma))
        size = float(noisy.abs().max() + expected.abs().max())
        torch.testing.assert_close(denoiser.predict("x0", t, noisy), expected, rtol=0.0, atol=256 * UNIT * size)


def test_euler_with_continuous_times_starts_at_its_table() -> None:
    scheduler = make("EulerDiscrete", timestep_type="continuous", prediction_type="v_prediction")
    path = conventions(scheduler).path
    assert path.sigma(0.0) == pytest.approx(float(scheduler.sigmas[0]), rel=1000 * UNIT)


def test_the_variance_exploding_score() -> None:
    """x − drift with drift = −(σ² − σ'²) score, as its predictor has it."""
    scheduler = make("ScoreSdeVe", sigma_max=50.0)
    recorder = Recorder()
    denoiser = from_diffusers(recorder, scheduler)
    scheduler.set_timesteps(10)
    scheduler.set_sigmas(10)
    assert denoiser.path == VE(50.0)
    sigma, following = float(scheduler.discrete_sigmas[-1]), float(scheduler.discrete_sigmas[-2])
    x = torch.ones(1, 1)
    stepped = scheduler.step_pred(x, scheduler.timesteps[0], x).prev_sample_mean
    t = denoiser.path.time(-2.0 * math.log(sigma))
    score = denoiser.predict("score", t, x)
    torch.testing.assert_close((stepped - x) / (sigma**2 - following**2), score, rtol=16 * UNIT, atol=0.0)
    assert float(recorder.seen[-1][0]) == pytest.approx(sigma, rel=UNIT)


def test_the_variance_preserving_score() -> None:
    """Its predictor takes the output for ε-hat: the score is −output/σ, with its own formula of σ."""
    scheduler = make("ScoreSdeVp", num_train_timesteps=1000)
    recorder = Recorder()
    denoiser = from_diffusers(recorder, scheduler)
    assert denoiser.path == VP(0.1, 20.0)
    scheduler.set_timesteps(10)
    x = torch.ones(1, 1)
    for s in (0.05, 0.4, 0.9):
        std = math.sqrt(-math.expm1(-0.5 * s**2 * (20.0 - 0.1) - s * 0.1))
        score = denoiser.predict("score", 1.0 - s, x)
        torch.testing.assert_close(score, -x / std, rtol=16 * UNIT, atol=0.0)
        # one step of theirs: x + ½ β x dt + β score dt, dt = 1/10
        torch.manual_seed(0)
        beta, mean = 0.1 + s * (20.0 - 0.1), scheduler.step_pred(x, x, torch.tensor(s))[1]
        torch.testing.assert_close(mean, x + 0.1 * beta * (0.5 * x + score), rtol=64 * UNIT, atol=0.0)
        assert float(recorder.seen[-1][0]) == pytest.approx(999.0 * s, rel=16 * UNIT)


def test_karras_ve() -> None:
    """The pipeline of this scheduler multiplies net((x + 1)/2, σ/2) by σ/2, and then has x₀-hat = x + σ · this."""
    scheduler = make("KarrasVe", sigma_max=60.0)
    recorder = Recorder()
    denoiser = from_diffusers(recorder, scheduler)
    assert denoiser.path == VE(60.0)
    x = torch.linspace(-2.0, 2.0, 5)[None]
    for sigma in (0.3, 5.0):
        output = 0.5 * sigma * (x + 1.0) / 2.0  # the recorder returns what it sees
        expected = scheduler.step(output, sigma, 0.0, x).pred_original_sample
        found = denoiser.predict("x0", 1.0 - sigma / 60.0, x)
        torch.testing.assert_close(found, expected, rtol=64 * UNIT, atol=64 * UNIT)
        assert float(recorder.seen[-1][0]) == pytest.approx(0.5 * sigma, rel=64 * UNIT)


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda: make("EDMEuler", sigma_max=math.inf),
        lambda: {"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_max": None},
        lambda: {"_class_name": "ScoreSdeVeScheduler", "sigma_max": math.inf},
        lambda: {"_class_name": "KarrasVeScheduler", "sigma_max": None},
        # a table that ends at α = 0, in the coordinates of continuous times
        lambda: make("EulerDiscrete", timestep_type="continuous", prediction_type="v_prediction",
                     rescale_betas_zero_snr=True),
    ],
)  # fmt: skip
def test_an_infinite_noise_level_means_that_of_edm(scheduler: Callable[[], Any]) -> None:
    assert conventions(scheduler()).path == VE(80.0)


def test_the_exponential_table() -> None:
    """Heun's schedulers know ᾱ = e^(−12 (i + 1)/T)."""
    scheduler = make("HeunDiscrete", num_train_timesteps=T, beta_schedule="exp")
    path = conventions(scheduler).path
    assert isinstance(path, Table)
    torch.testing.assert_close(torch.tensor(path.betas), scheduler.betas, rtol=8 * UNIT, atol=0.0)
    assert path.log_snr(path.at(9)) == pytest.approx(-math.log(math.expm1(12.0 * 10 / T)), rel=1e-12)


def test_a_model_in_half_precision_and_under_checkpoints(unet: Any) -> None:
    """States of either dtype, within the rounding of the first output in bfloat16,
    of which x₀-hat is made with the factor σ/α = 18; checkpoints change no likelihood."""
    half, scheduler = copy.deepcopy(unet).to(torch.bfloat16), make("DDIM")
    exact = sample(from_diffusers(unet, scheduler), (2, 2, 8, 8), nfe=6)
    for dtype in (torch.float64, torch.float32):
        found = sample(from_diffusers(half, scheduler), (2, 2, 8, 8), nfe=6, dtype=dtype)
        assert found.dtype == dtype
        assert (found - exact).abs().max() < 18.0 * 2.0**-8 * exact.abs().max()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = sample(from_diffusers(unet, scheduler), (2, 2, 8, 8), nfe=6)
    assert (found - exact).abs().max() < 18.0 * 2.0**-8 * exact.abs().max()
    checkpointed = copy.deepcopy(unet)
    checkpointed.enable_gradient_checkpointing()
    few = {"times": (0.9, 0.1), "nodes": 5, "trace": "hutchinson", "probes": 1}
    with torch.no_grad():
        with pytest.warns(RuntimeWarning, match="cannot follow UNet2DModel .* are taken one direction at a time"):
            expected = log_likelihood(from_diffusers(copy.deepcopy(unet), scheduler), exact, **few)
        with pytest.warns(RuntimeWarning, match="cannot follow UNet2DModel .* are taken by torch.autograd"):
            found = log_likelihood(from_diffusers(checkpointed, scheduler), exact, **few)
    torch.testing.assert_close(found.value, expected.value, rtol=1e-5, atol=1e-3)


def test_unknown_fields_without_a_value_pass(unet: Any) -> None:
    known = {"_class_name": "DDIMScheduler", "beta_end": 0.03}
    assert conventions({**known, "of_a_later_version": None}) == conventions(known)


def test_the_angle_of_ipndm() -> None:
    """ε-hat = σ x + α output, at the clock 2/π atan2(σ, α)."""
    scheduler = make("IPNDM")
    recorder = Recorder()
    denoiser = from_diffusers(recorder, scheduler)
    assert denoiser.path == Cosine(-math.inf, math.inf)
    scheduler.set_timesteps(10)
    timestep, sigma, alpha = float(scheduler.timesteps[4]), float(scheduler.betas[4]), float(scheduler.alphas[4])
    x = torch.ones(1, 1)
    t = denoiser.path.time(2.0 * math.log(alpha / sigma))
    scheduler.set_begin_index(4)
    scheduler.step(x, scheduler.timesteps[4], x)
    torch.testing.assert_close(denoiser.predict("eps", t, x), scheduler.ets[-1], rtol=16 * UNIT, atol=0.0)
    assert float(recorder.seen[-1][0]) == pytest.approx(timestep, rel=16 * UNIT)


def test_every_field_of_every_scheduler_is_known() -> None:
    assert not MODEL & STEPPING
    for name in SCHEDULERS:
        assert parameters(name) <= MODEL | STEPPING, name


def test_a_configuration_may_come_from_a_file(tmp_path: Any, unet: Any) -> None:
    scheduler = make("EulerDiscrete", beta_schedule="scaled_linear", prediction_type="v_prediction", steps_offset=1)
    scheduler.save_pretrained(tmp_path)
    read = json.loads((tmp_path / "scheduler_config.json").read_text())
    assert conventions(read) == conventions(scheduler)
    # and older files leave out what was not known then
    sparse = {"_class_name": "DDIMScheduler", "_diffusers_version": "0.2.2", "beta_end": 0.012, "skip_prk_steps": True}
    assert conventions(sparse) == conventions(make("DDIM", beta_end=0.012))
    assert conventions(sparse).threshold == Static(1.0)


@pytest.mark.parametrize("name", ["DDPM", "DPMSolverMultistep", "FlowMatchEulerDiscrete", "EDMEuler", "IPNDM"])
def test_a_configuration_in_memory_says_by_its_fields_whose_it_is(name: str) -> None:
    scheduler = make(name)
    found, expected = conventions(scheduler.config), conventions(scheduler)
    assert (found.path, found.predicts, found.factor) == (expected.path, expected.predicts, expected.factor)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (lambda: make("VQDiffusion", num_vec_classes=4), "VQDiffusionScheduler. has no Gaussian path"),
        (lambda: make("CMStochasticIterative"), "CMStochasticIterativeScheduler. has no Gaussian path"),
        (lambda: {"_class_name": "DDPMScheduler", "warp": 2, "bend": 1}, "not known here, bend, warp"),
        (lambda: {"_class_name": "DDPMScheduler", "prediction_type": "curl"}, "prediction_type = 'curl' is not known"),
        (lambda: {"_class_name": "DDPMScheduler", "beta_schedule": "laplace"}, "'laplace' is not known"),
        (lambda: make("DPMSolverMultistep", use_flow_sigmas=True, prediction_type="v_prediction"), "v_prediction"),
        (lambda: make("DPMSolverMultistep", prediction_type="flow_prediction"), "flow_prediction"),
        (lambda: {"beta_start": 0.1}, "does not say of which scheduler"),
    ],
)
def test_what_is_not_known_is_refused_by_name(scheduler: Callable[[], Any], message: str, unet: Any) -> None:
    with pytest.raises(ValueError, match=message):
        from_diffusers(unet, scheduler())


WRONG: dict[str, list[Any]] = {
    "num_train_timesteps": ["a", 2.5, 0, None, 10**9],
    "beta_start": ["a", None, math.nan, -0.1, [0.1]],
    "trained_betas": ["a", 0.1, [0.1, math.nan], [1.0, 2.0]],
    "clip_sample_range": ["a", 0.0, math.inf],
    "rescale_betas_zero_snr": ["yes", 1],
    "dynamic_thresholding_ratio": [None, "a"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_with_the_name_of_its_field(field: str, value: Any, unet: Any) -> None:
    named = "beta" if field in ("beta_start", "trained_betas") else field
    with pytest.raises((TypeError, ValueError), match=named):
        from_diffusers(unet, {"_class_name": "DDIMScheduler", field: value})


@pytest.mark.parametrize("value", ["a", -1.0, math.nan, [80.0]])
def test_a_wrong_noise_level_is_refused(value: Any, unet: Any) -> None:
    for name in ("EDMEulerScheduler", "ScoreSdeVeScheduler", "KarrasVeScheduler"):
        with pytest.raises((TypeError, ValueError), match="sigma_max"):
            from_diffusers(unet, {"_class_name": name, "sigma_max": value})


def test_null_is_no_and_no_shift() -> None:
    table = {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": None}
    assert conventions(table) == conventions(make("DDIM"))
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": None}
    assert conventions(flow) == conventions(make("FlowMatchEulerDiscrete"))


def test_what_is_no_scheduler_is_refused(unet: Any) -> None:
    with pytest.raises(TypeError, match="scheduler is a int; give a scheduler of diffusers"):
        from_diffusers(unet, 3)
