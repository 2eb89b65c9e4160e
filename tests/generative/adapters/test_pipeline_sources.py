"""What all installed pipelines of diffusers ask of their scheduler, read off their sources, against what ours gives.

A pipeline that asks for something else is named below, with a reason. A new version of diffusers shows its new needs
here: `test_the_misfits_are_those_named_here` prints them.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from fokker.generative.adapters import FokkerScheduler
from fokker.generative.adapters.configuration import MODEL, STEPPING
from fokker.generative.adapters.conventions import SCHEDULERS

diffusers = pytest.importorskip("diffusers")

PIPELINES = Path(diffusers.__file__).parent / "pipelines"
RETRIEVED = {"scheduler", "num_inference_steps", "device", "timesteps", "sigmas"}
"""The arguments of retrieve_timesteps itself; the others go to set_timesteps."""

NO_PATH = "The model of its scheduler is no Gaussian denoiser with a path that is known here."
INSIDE = "It reaches into the solver of one scheduler: its history, its variance, or a step that is taken twice."
OTHER_STATE = "It computes with σ/α and a state x/α, or steps a flow outside of 0 ≤ σ ≤ 1; it ends in an error."
BY_CLASS = "It asks for the class, and treats any other scheduler as one of tables, or refuses it, or gives no mu."
CALLED_SO = "Its scheduler has a protocol of its own: it adds noise, and predicts and corrects by further methods."

MISFITS: dict[str, dict[str, set[str]]] = {
    NO_PATH: {
        "anyflow/pipeline_anyflow.py": {"model of FlowMapEulerDiscreteScheduler"},
        "anyflow/pipeline_anyflow_far.py": {"model of FlowMapEulerDiscreteScheduler"},
        "consistency_models/pipeline_consistency_models.py": {"model of CMStochasticIterativeScheduler"},
        "deprecated/amused/pipeline_amused.py": {"model of AmusedScheduler", "config.mask_token_id"},
        "deprecated/amused/pipeline_amused_img2img.py": {"model of AmusedScheduler", "add_noise()"},
        "deprecated/amused/pipeline_amused_inpaint.py": {"model of AmusedScheduler", "config.mask_token_id", "step()"},
        "deprecated/vq_diffusion/pipeline_vq_diffusion.py": {"model of VQDiffusionScheduler"},
        "deprecated/wuerstchen/pipeline_wuerstchen.py": {"model of DDPMWuerstchenScheduler"},
        "deprecated/wuerstchen/pipeline_wuerstchen_prior.py": {"model of DDPMWuerstchenScheduler"},
        "diffusion_gemma/pipeline_diffusion_gemma.py": {
            "model of BlockRefinementScheduler, DiscreteDDIMScheduler, EntropyBoundScheduler", "step_correct",
        },
        "helios/pipeline_helios.py": {"model of HeliosScheduler"},
        "helios/pipeline_helios_pyramid.py": {
            "model of HeliosDMDScheduler, HeliosScheduler", "config.gamma", "ori_start_sigmas", "set_timesteps()",
            "sigmas",
        },
        "latent_consistency_models/pipeline_latent_consistency_img2img.py": {
            "model of LCMScheduler", "config.original_inference_steps", "set_timesteps(original_inference_steps)",
            "set_timesteps(strength)",
        },
        "latent_consistency_models/pipeline_latent_consistency_text2img.py": {
            "model of LCMScheduler", "set_timesteps(original_inference_steps)",
        },
        "llada2/pipeline_llada2.py": {
            "model of BlockRefinementScheduler", "check_block_should_continue", "check_eos_finished",
            "config.block_length", "set_timesteps()", "step()",
        },
        "rfd4_proteina/pipeline_rfd4_proteina.py": {"model of RFD4ProteinaScheduler", "set_timesteps()", "step()"},
        "sana/pipeline_sana_sprint.py": {
            "set_timesteps(intermediate_timesteps)", "set_timesteps(max_timesteps)",
        },
        "sana/pipeline_sana_sprint_img2img.py": {
            "set_timesteps(intermediate_timesteps)", "set_timesteps(max_timesteps)",
        },
        "stable_cascade/pipeline_stable_cascade.py": {
            "model of DDPMWuerstchenScheduler", "isinstance DDPMWuerstchenScheduler",
        },
        "stable_cascade/pipeline_stable_cascade_prior.py": {
            "model of DDPMWuerstchenScheduler", "isinstance DDPMWuerstchenScheduler",
        },
    },
    INSIDE: {
        "chronoedit/pipeline_chronoedit.py": {"last_sample", "model_outputs"},  # with temporal reasoning alone
        "cosmos/pipeline_cosmos_text2world.py": {"_step_index", "step()"},
        "cosmos/pipeline_cosmos_video2world.py": {"_get_conditioning_c_in", "_step_index", "step()"},
        "deprecated/audio_diffusion/pipeline_audio_diffusion.py": {  # to encode an image alone
            "final_alpha_cumprod", "isinstance DDIMScheduler",
        },
        "deprecated/stable_diffusion_variants/pipeline_cycle_diffusion.py": {
            "_get_variance", "final_alpha_cumprod", "step()",
        },
        "deprecated/stable_diffusion_variants/pipeline_stable_diffusion_paradigms.py": {
            "_get_variance", "_is_ode_scheduler", "batch_step_no_noise",
        },
        "ledits_pp/pipeline_leditspp_stable_diffusion.py": {
            "_get_variance", "_init_step_index", "_sigma_to_alpha_sigma_t", "_step_index", "convert_model_output",
            "dpm_solver_first_order_update", "final_alpha_cumprod", "isinstance DDIMScheduler",
            "isinstance DPMSolverMultistepScheduler", "lower_order_nums", "model_outputs", "sigmas", "step()",
        },
        "ledits_pp/pipeline_leditspp_stable_diffusion_xl.py": {
            "_get_variance", "_init_step_index", "_sigma_to_alpha_sigma_t", "_step_index", "convert_model_output",
            "dpm_solver_first_order_update", "final_alpha_cumprod", "isinstance DDIMScheduler",
            "isinstance DPMSolverMultistepScheduler", "lower_order_nums", "model_outputs", "sigmas", "step()",
        },
    },
    OTHER_STATE: {
        "cosmos/pipeline_cosmos2_text2image.py": {"sets sigmas"},
        "cosmos/pipeline_cosmos2_video2world.py": {"sets sigmas"},
        "stable_diffusion/pipeline_stable_diffusion_latent_upscale.py": {"sigmas"},
    },
    BY_CLASS: {
        "bria/pipeline_bria.py": {
            "isinstance DDIMScheduler", "isinstance EulerAncestralDiscreteScheduler",
            "isinstance FlowMatchEulerDiscreteScheduler",
        },
        "easyanimate/pipeline_easyanimate.py": {"isinstance FlowMatchEulerDiscreteScheduler"},
        "easyanimate/pipeline_easyanimate_control.py": {"isinstance FlowMatchEulerDiscreteScheduler"},
        "easyanimate/pipeline_easyanimate_inpaint.py": {"isinstance FlowMatchEulerDiscreteScheduler"},
        "ltx2/pipeline_ltx2_dfr_temporal_refine.py": {"isinstance LTXEulerAncestralRFScheduler"},
    },
    CALLED_SO: {
        "deprecated/repaint/pipeline_repaint.py": {"eta", "step()", "undo_step"},
        "deprecated/score_sde_ve/pipeline_score_sde_ve.py": {"set_sigmas", "sigmas", "step_correct", "step_pred"},
        "deprecated/stochastic_karras_ve/pipeline_stochastic_karras_ve.py": {
            "add_noise_to_input", "schedule", "step_correct",
        },
    },
}  # fmt: skip
"""By reason, the pipelines that do not fit, and what they need."""

HARMLESS = {
    "sets _internal_dict": "constructors repair old configurations, which is good for ours, too",
    "sets timesteps": "a cast",
    "isinstance CogVideoXDPMScheduler": "a scheduler with a step of its own has a branch of its own",
    "isinstance PNDMScheduler": "a constructor advises against it",
    "isinstance UniPCMultistepScheduler": "a branch without mu; the other one is taken",
}
HARMLESS_IN = {
    "longcat_audio_dit/pipeline_longcat_audio_dit.py": "its constructor replaces any other; set pipe.scheduler later",
    "ltx/pipeline_ltx_i2v_long_multi_prompt.py": "a constructor warns",
    "ltx2/pipeline_ltx2_dfr.py": "whether noise is drawn; the other branch is taken",
}


@cache
def ours(theirs: str) -> FokkerScheduler:
    scheduler: FokkerScheduler = FokkerScheduler.from_config(getattr(diffusers, theirs)())
    scheduler.set_timesteps(4)
    return scheduler


def is_scheduler(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.endswith("scheduler")


def asks_for_a_class(node: ast.AST) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Name) and function.id == "isinstance" and is_scheduler(node.args[0])  # type: ignore[attr-defined]


class Needs(ast.NodeVisitor):
    """What a source needs of a scheduler beyond what ours has, where the scheduler is of no class of theirs."""

    def __init__(self, text: str) -> None:
        self.found: set[str] = set()
        self.steps = self.retrieves = False
        edm, flow = re.search(r"EDM\w*Scheduler", text), re.search(r"(Flow|LTX|UniPC)\w*Scheduler", text)
        flow = None if "KarrasDiffusionSchedulers" in text else flow
        kind = "EDMEuler" if edm else "FlowMatchEulerDiscrete" if flow else "DDIM"
        self.ours = ours(f"{kind}Scheduler")
        self.visit(ast.parse(text))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name == "retrieve_timesteps":
            return
        for argument in node.args.args if node.name == "__init__" else ():
            if argument.arg.endswith("scheduler") and argument.annotation is not None:
                names = {*re.findall(r"\w*Schedulers?\b", ast.unparse(argument.annotation))}
                if names and not names & {*SCHEDULERS, "KarrasDiffusionSchedulers"}:
                    self.found.add(f"model of {', '.join(sorted(names))}")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """Of a choice by the class of the scheduler, the branch of any other class."""
        test, negated = node.test, False
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, negated = test.operand, True
        if not asks_for_a_class(test):
            self.generic_visit(node)
            return
        self.visit(test)
        for each in node.body if negated else node.orelse:
            self.visit(each)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        inner = node.value
        if is_scheduler(inner):
            if not hasattr(self.ours, node.attr):
                self.found.add(node.attr)
            elif isinstance(node.ctx, ast.Store):
                self.found.add(f"sets {node.attr}")
        elif isinstance(inner, ast.Attribute) and inner.attr == "config" and is_scheduler(inner.value):
            self.found |= {f"config.{name}" for name in {node.attr} - MODEL - STEPPING - {"get"}}
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        inner = node.value
        if isinstance(node.ctx, ast.Store) and isinstance(inner, ast.Attribute) and is_scheduler(inner.value):
            self.found |= {f"sets {inner.attr}"} if hasattr(self.ours, inner.attr) else set()
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function, named = node.func, {each.arg for each in node.keywords if each.arg}
        if asks_for_a_class(node):
            self.found |= {f"isinstance {name}" for name in re.findall(r"\w+Scheduler", ast.unparse(node.args[1]))}
        elif isinstance(function, ast.Name) and function.id == "retrieve_timesteps":
            self.retrieves = True
            known = inspect.signature(FokkerScheduler.set_timesteps).parameters
            self.found |= {f"set_timesteps({name})" for name in named - RETRIEVED - {*known}}
        elif isinstance(function, ast.Attribute) and is_scheduler(function.value):
            self.steps |= function.attr in ("step", "step_pred", "set_timesteps")
            method = getattr(self.ours, function.attr, None)
            try:
                if method is not None:
                    inspect.signature(method).bind(*node.args, **dict.fromkeys(named))
            except TypeError:
                self.found.add(f"{function.attr}()")
        self.generic_visit(node)


@cache
def needs() -> dict[str, Needs]:
    """Of every source that uses a scheduler."""
    found = {}
    for path in sorted(PIPELINES.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "scheduler." in text:
            read = Needs(text)
            if read.steps or read.retrieves:
                found[path.relative_to(PIPELINES).as_posix()] = read
    return found


def test_the_misfits_are_those_named_here() -> None:
    found = {
        name: read.found - {*HARMLESS}
        for name, read in needs().items()
        if name not in HARMLESS_IN and read.found - {*HARMLESS}
    }
    expected = {name: wanted for by_reason in MISFITS.values() for name, wanted in by_reason.items()}
    assert found == expected


def test_most_pipelines_fit() -> None:
    """With diffusers 0.42: 253 of the 292 sources that step a scheduler, and 135 of the 147 that retrieve timesteps."""
    misfits = {name for by_reason in MISFITS.values() for name in by_reason}
    retrieving = {name for name, read in needs().items() if read.retrieves}
    assert len(needs()) >= 290
    assert len(needs().keys() - misfits) >= 0.86 * len(needs())
    assert len(retrieving - misfits) >= 0.91 * len(retrieving)


def test_what_is_said_to_be_harmless_is_there() -> None:
    every = {need for read in needs().values() for need in read.found}
    assert {*HARMLESS} <= every
    assert needs().keys() >= HARMLESS_IN.keys()
