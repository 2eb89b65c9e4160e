"""One thread a process: parallelism belongs to pytest, and torch's sums depend on the number of threads."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start

import torch

torch.set_num_threads(1)
