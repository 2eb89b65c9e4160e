"""The subcommands of `fokker` that are no benchmark: verify, certify, probe, likelihood, sample, evaluate.

These modules print and write what the library computes. Change their wording without asking anyone.
"""

from __future__ import annotations
