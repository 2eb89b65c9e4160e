"""Networks in folders that pipelines of diffusers have saved, with `save_pretrained`.

    folder/unet/config.json, *.safetensors             the network, or folder/transformer/
    folder/scheduler/scheduler_config.json             its path, prediction and clock

Only weights in .safetensors are read: other files of weights are programs.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...generative import Denoiser, from_diffusers
from ...generative.adapters import library

__all__ = ["saved_by_diffusers"]

MODELS = ("unet", "transformer")
CONFIGURATION, SCHEDULER = "config.json", "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model"


def saved_by_diffusers(folder: Path) -> Denoiser:
    """The network in a folder, in evaluation mode and without gradients.

    Raises:
        ImportError: diffusers is not installed.
        ValueError: the folder lacks a part, a file is damaged, the network is none of diffusers, it has no weights in
            .safetensors, or its scheduler has no Gaussian path.
    """
    found = [folder / name for name in MODELS if (folder / name / CONFIGURATION).is_file()]
    if len(found) != 1:
        has = "both unet/ and transformer/" if found else f"no unet/{CONFIGURATION} and no transformer/{CONFIGURATION}"
        raise ValueError(f"The folder {folder} has {has}; give a folder with one, as a pipeline of diffusers saves it.")
    if not (folder / "scheduler" / SCHEDULER).is_file():
        raise ValueError(
            f"The folder {folder} has no scheduler/{SCHEDULER}, which says what the network predicts, on which path; "
            "save its scheduler there, scheduler.save_pretrained(folder / 'scheduler')."
        )
    scheduler = _read(folder / "scheduler" / SCHEDULER)
    return from_diffusers(_model(found[0]), scheduler)


def _model(folder: Path) -> Any:
    files = sorted(file.name for file in folder.glob(f"{WEIGHTS}*.safetensors"))
    if not files:
        raise ValueError(
            f"The folder {folder} has no weights {WEIGHTS}.safetensors; save the network with "
            "save_pretrained(folder, safe_serialization=True)."
        )
    name = str(_read(folder / CONFIGURATION).get("_class_name"))
    kind = getattr(library("diffusers"), name, None) if name.isidentifier() else None
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        raise ValueError(f"{folder / CONFIGURATION} is of the class {name!r}, which diffusers does not have.")
    plain = any(file.startswith((f"{WEIGHTS}.safetensors", f"{WEIGHTS}-")) for file in files)
    variant = None if plain else files[0].removeprefix(f"{WEIGHTS}.").partition(".")[0].partition("-")[0]
    try:
        model = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            variant=variant,
            low_cpu_mem_usage=find_spec("accelerate") is not None,
        )
    except Exception as error:
        said = (str(error).splitlines() or ["no message"])[0].rstrip(".")
        raise ValueError(f"The network in {folder} cannot be read ({type(error).__name__}: {said}).") from error
    return model.eval().requires_grad_(False)


def _read(file: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json.loads(file.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}); save it again.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds no object, but must hold a configuration; save it again.")
    return found
