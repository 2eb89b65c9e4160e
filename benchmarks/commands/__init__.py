"""What the `fokker` command does for its other subcommands: verify, certify, probe, likelihood, sample, evaluate.

These modules print and write what the library computed. Wording may be changed by whoever looks at the result.
"""

from __future__ import annotations
