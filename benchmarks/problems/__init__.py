"""Problems: any network, with the times between which samplers compete on it, and those that come with the package.

The digest of a problem is the interface: stored results are found by it. How a network is found may be changed freely.
"""

from __future__ import annotations

from .built_in import (
    DEFAULT_PROBLEMS as DEFAULT_PROBLEMS,
    PROBLEMS as PROBLEMS,
    mixture64 as mixture64,
    problem as problem,
)
from .condition_file import read_condition as read_condition
from .found import find_problem as find_problem
from .of_denoiser import problem_of as problem_of
from .problem import Problem as Problem
from .trial import check_calls as check_calls, seconds_of_a_call as seconds_of_a_call
