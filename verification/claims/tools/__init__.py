"""The drawer of instruments of the claims: points, examples, quadrature, laws of samplers, tests.

Chapters import from here and from nowhere else among the claims. A tool that two chapters need belongs here.
"""

from __future__ import annotations
