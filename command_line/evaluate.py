"""`fokker evaluate`: its arguments and options, and what it calls."""

from __future__ import annotations

from .options import Counts, DataSet, Evaluations, Guidance, Network, Seed

__all__ = ["evaluate"]


def evaluate(
    network: Network,
    samples: Counts = 1000,
    nfe: Evaluations = 50,
    guidance: Guidance = None,
    seed: Seed = 0,
    data: DataSet = None,
) -> None:
    """Compare a network's samples with real images."""
    from ..benchmarks.commands.evaluate import evaluate as measure

    found = measure(network, samples=samples, nfe=nfe, guidance=guidance, seed=seed, data=data)
    print(f"{'':36}samples   real images")
    print(f"{'accuracy of a classifier':36}{found.accuracy:7.3f}{found.accuracy_held_out:14.3f}")
    print(f"{'distance to nearest training image':36}{found.nearest:7.3f}{found.nearest_held_out:14.3f}")
    print(f"{'Fréchet distance':36}{found.frechet:7.3f}{found.frechet_train:14.3f}")
