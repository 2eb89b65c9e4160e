"""Training: losses, weightings, averages, data, configurations, checkpoints and metrics.

The file format of a checkpoint is part of the public interface. Losses and weightings may be added without asking
anyone.
"""

from __future__ import annotations

from . import weightings as weightings
from .checkpoint import load as load, locate as locate, shipped as shipped, training_record as training_record
from .data import DATASETS as DATASETS, Images as Images, dataset as dataset
from .losses import (
    Seen as Seen,
    check_finite_loss as check_finite_loss,
    regression_loss as regression_loss,
    squared_error as squared_error,
    target as target,
)
from .tensor_file import read as read, write as write
from .train import Training as Training, train as train
from .weightings import EDM as EDM, SNR as SNR, MinSNR as MinSNR, Unweighted as Unweighted, Weighting as Weighting
