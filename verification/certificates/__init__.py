"""Certificates of order: errors over a ladder of step counts, the order that is read off, and what was declared.

    ladder                       errors -> the asymptotic range, its slope and interval, round-off
    problems                     equations with exact solutions
    stochastic_problems          exact laws and strong solutions
    convergence                  certify: the order of a solver, a published sampler or a function on one problem
    methods                      what to certify, by its name
    table, gate                  every exported solver on its problems; without a pass it is not exported
"""

from __future__ import annotations

from .certificate import Certificate as Certificate
from .convergence import certify as certify
from .gate import EXPORTED as EXPORTED, uncertified as uncertified
from .methods import method as method
from .problems import PROBLEMS as PROBLEMS, Problem as Problem
from .table import PATHS as PATHS, Case as Case, cases as cases, default_problems as default_problems
