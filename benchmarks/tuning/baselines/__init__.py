"""Published ways to fit a sampler to a network, from their papers, each at a stated number of evaluations of the field.

    multistep     weights of past values on a grid, as the numbers of a table
    gradient      the derivative of the error with respect to all numbers, backwards
    descent       Adam's steps on it
    gits          a grid by dynamic programming
    schedules     a grid, a grid and other times for the network, or a path of Bézier curves, by descent
    weights       the weights themselves, by descent
    table         all of them by name

Each gives the numbers of a table for training noises, so that all are measured as ours is. `relation` says how one
differs from its paper. None takes a perceptual distance: the error is that of the end of the flow.
"""

from __future__ import annotations

from .baseline import Baseline as Baseline
from .gits import Gits as Gits
from .schedules import LD3 as LD3, BezierFlow as BezierFlow
from .table import BASELINES as BASELINES
from .weights import S4S as S4S, BespokeNonStationary as BespokeNonStationary, DyWeight as DyWeight
