"""Features of images: the principal components of the real ones, a classifier on them, and a distance in them.

    frechet     ‖μ − μ'‖² + tr(C + C' − 2 (C C')^½) of two sets of features: W₂² of the Gaussians with these means and
                covariances

Source of the distance: Heusel et al. (1706.08500), eq. 6, there with the features of Inception.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..generative.training import Images
from ..verification.statistics import gaussian_w2

__all__ = ["Classifier", "frechet_distance"]


class Classifier:
    """A support vector machine on the principal components of the training images."""

    def __init__(self, images: Images, components: int = 32) -> None:
        from sklearn.svm import SVC

        pixels = images.centred(images.train).flatten(1).double()
        self._mean = pixels.mean(0)
        axes: Tensor = torch.linalg.svd(pixels - self._mean, full_matrices=False)[2]
        self._components = axes[:components].T
        self._machine = SVC(C=10.0).fit(self.features(pixels).numpy(), images.train_label.numpy())

    def features(self, x: Tensor) -> Tensor:
        """Images (N, ...) in [−1, 1] to features (N, components), float64."""
        return (x.flatten(1).double() - self._mean) @ self._components

    def accuracy(self, x: Tensor, label: Tensor) -> float:
        """The fraction of the images that the classifier takes for their label."""
        return float(self._machine.score(self.features(x).numpy(), label.numpy()))


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """W₂² of the Gaussians fitted to features x (N, d) and y (M, d)."""
    x, y = x.double(), y.double()
    return gaussian_w2(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)) ** 2
