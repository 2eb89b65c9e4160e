"""`fokker likelihood`: the same figures from every engine."""

from __future__ import annotations

import torch

from fokker.benchmarks.commands.likelihood import held_out_likelihood


def test_figures_do_not_depend_on_the_engine() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as workers have
    try:
        options = {"images": 70, "trace": "hutchinson", "probes": 2, "tolerance": 1e-2, "seed": 4}
        here = held_out_likelihood("digits-flow", **options)
        assert held_out_likelihood("digits-flow", engine="local", **options) == here
    finally:
        torch.set_num_threads(threads)
