"""A sampler as a table of coefficients, which can be unrolled from a solver, run, saved and compared.

The file format of `Scheme` is part of the interface. The symbolic arithmetic behind `unroll` may be changed freely.
"""

from __future__ import annotations

from .linear_form import Form as Form, Symbol as Symbol
from .program import ProgramStep as ProgramStep, normals as normals
from .same import Comparison as Comparison, same as same
from .scheme import Replay as Replay, Scheme as Scheme
from .table import Evaluation as Evaluation
from .unroll import unroll as unroll
