"""The certificate of a flow map by its name, against its teacher by its name."""

from __future__ import annotations

from json import dumps
from pathlib import Path

import torch

from ...generative import FlowMap
from ...solvers.common import write_whole
from ...verification import certify_flow_map
from ...verification.named_networks import declared_classes, named_denoiser, named_model
from ...verification.report import plain
from .output import check_outputs

__all__ = ["certify_student"]

SAMPLES, STEPS = 32, 24
"""The noises, and the steps of the teacher's flow: twenty seconds of one core for the shipped digits."""


def certify_student(network: str, teacher: str, json: Path | None = None) -> bool:
    """Measure a flow map against the flow of its teacher, with the classes in turn, and print the tables.

    Args:
        network: the name of a flow map (see `verification.named_networks`).
        teacher: the name of its teacher.
        json: write the certificate into this file as JSON.

    Returns:
        Whether all errors are at most a tenth.

    Raises:
        ValueError: as `named_model`, `named_denoiser` and `certify_flow_map`, and for a network that does not jump.
        OSError: the file cannot be written, before any work.
    """
    check_outputs(json)
    flow_map, reference = named_model(network), named_denoiser(teacher)
    if not isinstance(flow_map, FlowMap):
        raise ValueError(f"{network} is a denoiser, which does not jump; give a flow map, as fokker train makes one.")
    if classes := declared_classes(flow_map):
        labels = torch.arange(SAMPLES, device="cpu") % classes
        flow_map, reference = flow_map.given(labels), reference.given(labels)
    found = certify_flow_map(flow_map, reference, samples=SAMPLES, steps=STEPS, dtype=torch.float32, name=network)
    print(found)
    if json is not None:
        write_whole(json, f"{dumps(plain(found.as_json()), ensure_ascii=False, indent=1)}\n".encode())
        print(f"written: {json}")
    return found.passed
