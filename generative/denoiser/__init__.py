"""A network with its conventions: what it predicts, on which path, on which clock, under which guidance.

Every other room takes a `Denoiser` and asks it for predictions. A new rule of guidance is a subclass of `CFG` that
overrides `combine`. The conversions between predictions may be changed freely: tests check each against a 2×2 solve.
"""

from __future__ import annotations

from .cfg import CFG as CFG, AutoGuidance as AutoGuidance
from .classifier import ClassifierGuidance as ClassifierGuidance
from .clocks import Clock as Clock, make_clock as make_clock, network_times as network_times
from .conditioning import Conditions as Conditions, Label as Label, checked_label as checked_label
from .contents import Contents as Contents, digest_of as digest_of
from .denoiser import Denoiser as Denoiser, check_denoiser as check_denoiser
from .digest import network_digest as network_digest
from .field import DenoiserField as DenoiserField
from .nested import Condition as Condition, each_tensor as each_tensor, for_batch as for_batch
from .precision import module_of as module_of, own_dtype as own_dtype
from .preconditioning import EDM as EDM
from .prediction import (
    KINDS as KINDS,
    check_kind as check_kind,
    check_output as check_output,
    checked_times as checked_times,
    coefficients as coefficients,
    conversion as conversion,
    first_time as first_time,
    per_sample as per_sample,
)
from .thresholding import Dynamic as Dynamic, Static as Static, Threshold as Threshold
