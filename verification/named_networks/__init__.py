"""Networks by name, and their conventions in text, as the `fokker` command takes them.

    digits-flow          a network that ships with the package
    file.safetensors     a checkpoint of `fokker train`
    folder               what a pipeline of diffusers saved: unet/ or transformer/, with scheduler/
    package.module:name  a `Denoiser`, a `FlowMap`, a network, or a function without arguments that makes one

What a name stands for is the interface of the command. Further kinds of names may be added freely.
"""

from __future__ import annotations

from .clock import ClockExpression as ClockExpression, read_clock as read_clock
from .denoisers import (
    declared_classes as declared_classes,
    declared_shape as declared_shape,
    is_folder as is_folder,
    is_imported as is_imported,
    named_denoiser as named_denoiser,
    named_model as named_model,
    named_network as named_network,
)
from .path import read_path as read_path
