"""Certificates of order: the errors of a method on a ladder of step counts, the order they show, the order it declares.

    ladder                       errors -> the asymptotic range, its slope and interval, round-off
    problems                     equations with exact solutions
    stochastic_problems          exact laws and strong solutions
    convergence                  certify: the order of a solver, a published sampler or a function on one problem
    methods                      what to certify, by its name
    samplers                     samplers of other libraries: what they are measured on, and their exact law
    flow_map                     anyone's few-step model, against the flow that it should follow
    log_prob                     anyone's log p(x) of a flow, on laws whose log p is known
    table, gate                  every exported solver on its problems; a test fails if one has no passing certificate

The problems and the verdicts decide what may be exported: change them with the one who answers for the solvers. How an
order is fitted may be changed by whoever shows that the verdicts stay.
"""

from __future__ import annotations

from .certificate import Certificate as Certificate
from .convergence import certify as certify
from .flow_map import certify_flow_map as certify_flow_map
from .flow_map_certificate import FlowMapCertificate as FlowMapCertificate, JumpLaw as JumpLaw, MapError as MapError
from .gate import EXPORTED as EXPORTED, uncertified as uncertified
from .log_prob import certify_log_prob as certify_log_prob
from .log_prob_certificate import LogProbCertificate as LogProbCertificate, LogProbFinding as LogProbFinding
from .methods import method as method
from .problems import PROBLEMS as PROBLEMS, Problem as Problem
from .samplers import ExactLaws as ExactLaws, cases_of as cases_of, exact_laws as exact_laws
from .table import PATHS as PATHS, Case as Case, cases as cases, default_problems as default_problems
