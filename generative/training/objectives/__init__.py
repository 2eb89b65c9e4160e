"""What a network of a flow map is trained on: a loss that compares it with a teacher, or with its own earlier weights.

An objective may be added without asking anyone: a subclass of `Objective` that draws times and gives a residual.
"""

from __future__ import annotations

from .configured import (
    OBJECTIVES as OBJECTIVES,
    build_objective as build_objective,
    build_teacher as build_teacher,
)
from .consistency import ConsistencyDistillation as ConsistencyDistillation, ConsistencyTraining as ConsistencyTraining
from .distances import Adaptive as Adaptive, Distance as Distance, PseudoHuber as PseudoHuber, Square as Square
from .mean_flow import MeanFlow as MeanFlow
from .objective import Lesson as Lesson, Objective as Objective
from .progressive import ProgressiveDistillation as ProgressiveDistillation
from .teacher import Teacher as Teacher
