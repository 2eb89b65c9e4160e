"""The commands, a file each: the arguments and options, the help, and the call of what does the work.

What a user types, the sentences and the exit status are the interface. How the files are cut may be changed freely. A
command imports what it calls when it runs, so that help needs no torch. A new one is a file here, a name below, and a
name in `cli.py`. `options` has the arguments that several commands share, `ending` says how a command ends.
"""

from __future__ import annotations

from .bench import bench as bench
from .certify import certify as certify
from .certify_likelihood import certify_likelihood as certify_likelihood
from .ending import (
    INTERRUPTED as INTERRUPTED,
    fail as fail,
    prepare_streams as prepare_streams,
    silence as silence,
)
from .evaluate import evaluate as evaluate
from .likelihood import likelihood as likelihood
from .probe import probe as probe
from .sample import sample as sample
from .train import train as train
from .tune import tune as tune
from .verify import verify as verify
