"""Autoregression and diffusion in one model (chapter A.13): statements about language models, not covered."""

from __future__ import annotations

from ..claim import uncovered

__all__: list[str] = []

_REASON = "it concerns a language model that is trained together with a diffusion model; Fokker has none."

uncovered(
    "A221",
    "Tutorial 002, Eq. 36-40",
    "Autoregression over continuous tokens: the likelihood factorises, and the denoiser sees the past as one vector.",
    _REASON,
)
uncovered(
    "A222",
    "Tutorial 002, Eq. 41-43",
    "One transformer for text and patches: one noise level an image, a weighted noise error beside the cross-entropy.",
    _REASON,
)
uncovered(
    "A223",
    "Tutorial 002, section 8",
    "Attention is causal over text, bidirectional inside one image, and no image sees the text that follows it.",
    _REASON,
)
uncovered(
    "A224",
    "Tutorial 002, section 8",
    "A diffusion head costs one pass of the language model a patch; diffusion inside it costs one pass a step.",
    _REASON,
)
