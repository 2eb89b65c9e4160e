"""Language models that are trained together with a diffusion model: statements that are not covered."""

from __future__ import annotations

from ..claim import uncovered
from ..sources import TUTORIAL


@uncovered(
    "A221",
    TUTORIAL["Eq. 36-40"],
    statement="Autoregression over continuous tokens factorises the likelihood, and the denoiser sees the past as one "
    "vector.",
)
def autoregression_over_continuous_tokens() -> None:
    """It concerns a language model that is trained together with a diffusion model; Fokker has none."""


@uncovered(
    "A222",
    TUTORIAL["Eq. 41-43"],
    statement="One transformer serves text and image patches: each image has one noise level, and a weighted error of "
    "the noise is added to the cross-entropy.",
)
def one_transformer_for_text_and_images() -> None:
    """It concerns a language model that is trained together with a diffusion model; Fokker has none."""


@uncovered(
    "A223",
    TUTORIAL["section 8"],
    statement="Attention is causal over text, bidirectional inside one image, and no image sees the text that follows "
    "it.",
)
def attention_inside_an_image() -> None:
    """It concerns a language model that is trained together with a diffusion model; Fokker has none."""


@uncovered(
    "A224",
    TUTORIAL["section 8"],
    statement="A separate diffusion head costs one pass of the language model for each patch; diffusion inside the "
    "model costs one pass for each step.",
)
def passes_of_the_language_model() -> None:
    """It concerns a language model that is trained together with a diffusion model; Fokker has none."""
