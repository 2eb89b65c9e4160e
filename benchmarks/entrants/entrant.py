"""What takes part in a comparison: a sampler that knows its grids, its steps for a budget, and how to run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.equations import grids
from ..problems import Problem

__all__ = ["GRIDS", "OWN", "Code", "Entrant"]

GRIDS = {grid.__name__: grid for grid in (grids.uniform, grids.log_snr, grids.karras, grids.quadratic)}
OWN = ("own",)
"""The grids of an entrant that has one of its own."""


class Code(NamedTuple):
    """Lines for `sample`, for `solve` or a function of the user's, and for a pipeline of diffusers; some are empty."""

    sample: str
    solve: str
    scheduler: str


class Entrant(ABC):
    """A sampler that takes part.

    Attributes:
        name: under which its rows are stored and shown; it tells two versions of a user's code apart.
        grids: the names of the grids on which it runs.
    """

    name: str

    @property
    def grids(self) -> tuple[str, ...]:
        return tuple(GRIDS)

    def draws(self, problem: Problem) -> bool:
        """Whether it draws noise on the way, so that it has no pathwise error."""
        return False

    @abstractmethod
    def steps(self, problem: Problem, budget: int) -> int:
        """The steps that a budget of evaluations pays for; 0 if there is none."""

    @abstractmethod
    def run(self, problem: Problem, denoiser: Denoiser, x: Tensor, budget: int, grid: str) -> tuple[Tensor, int]:
        """The end points (B, ...) of the noises x (B, ...), and the evaluations of each that were counted."""

    @abstractmethod
    def code(self, problem: Problem, budget: int, grid: str) -> Code:
        """The lines that one pastes to use it."""

    @property
    def family(self) -> str:
        """The kind of method, for the colours of pictures."""
        return "yours"

    @property
    def order(self) -> int:
        """The order that it declares; 0 if it declares none."""
        return 0

    @property
    def corrector(self) -> bool:
        """Whether it corrects its steps."""
        return False
