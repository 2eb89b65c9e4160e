"""What likelihoods refuse, and the numbers that they take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from doors import check_numbers, check_refusals

from fokker.generative import CondOT, Denoiser, Dequantisation, Logit, Scaled, importance_weighted_bound, log_likelihood

NORMAL = Denoiser(lambda x, t: 0.0 * x, CondOT(), predicts="v")
X = torch.ones(2, 3, dtype=torch.float64)
CELLS, LEVELS = Dequantisation(4, spread=0.125), torch.tensor([[0, 1], [2, 3]])


def value(**changed: Any) -> torch.Tensor:
    given = {"denoiser": NORMAL, "x": X, "nodes": 5, "trace": "hutchinson"}
    if {"error", "error_of_mean"} & set(changed):
        given.pop("nodes")
    return log_likelihood(**given | changed).value


def argument(name: str) -> Callable[[Any], Any]:
    return lambda v: value(**{name: v})


DOORS = [
    ("denoiser", "object", argument("denoiser")),
    ("x", "samples", argument("x")),
    ("times", "real", lambda v: value(times=[1.0, v])),
    ("times", "object", argument("times")),
    ("error", "real", argument("error"), None, 1e300),
    ("error_of_mean", "real", argument("error_of_mean"), None, 1e300),
    ("nodes", "whole", argument("nodes"), None),
    ("frozen", "flag", argument("frozen")),
    ("plan", "object", lambda v: log_likelihood(NORMAL, X, v), None),
    ("trace", "name", argument("trace")),
    ("law", "name", argument("law")),
    ("law", "name", lambda v: value(trace="exact", law=v)),
    ("probes", "whole", argument("probes"), None),
    ("progress", "flag", argument("progress")),
    ("levels", "whole", Dequantisation, 10**9),
    ("low", "real", partial(Dequantisation, 4)),
    ("high", "real", partial(Dequantisation, 4, -1.0)),
    ("spread", "real", partial(Dequantisation, 4, -1.0, 1.0), None),
    ("levels", "whole", lambda v: Dequantisation.centred(v, -1.0, 1.0), 10**9),
    ("first", "real", lambda v: Dequantisation.centred(4, v, 1.0)),
    ("last", "real", lambda v: Dequantisation.centred(4, -1.0, v)),
    ("dtype", "object", lambda v: CELLS(LEVELS, dtype=v)),
    ("x", "samples", CELLS.log_density),
    ("denoiser", "object", lambda v: importance_weighted_bound(v, LEVELS, CELLS)),
    ("dequantisation", "object", lambda v: importance_weighted_bound(NORMAL, LEVELS, v)),
    ("draws", "whole", lambda v: importance_weighted_bound(NORMAL, LEVELS, CELLS, v)),
    ("seed", "seed", lambda v: importance_weighted_bound(NORMAL, LEVELS, CELLS, 2, v)),
    ("dtype", "object", lambda v: importance_weighted_bound(NORMAL, LEVELS, CELLS, dtype=v)),
    ("likelihood", "function", lambda v: importance_weighted_bound(NORMAL, LEVELS, CELLS, likelihood=v)),
    ("transform", "object", lambda v: Dequantisation(4, transform=v)),
    ("scale", "real", Scaled),
    ("shift", "real", partial(Scaled, 2.0)),
    ("low", "real", Logit),
    ("high", "real", partial(Logit, -1.0)),
    ("margin", "real", partial(Logit, -1.0, 1.0)),
    *(
        (name, "samples", getattr(each, method))
        for each in (Scaled(2.0), Logit())
        for name, method in (("y", "forward"), ("y", "log_det"), ("x", "inverse"), ("x", "log_slope"))
    ),
    ("dequantisation", "object", log_likelihood(NORMAL, X, nodes=5).bits_per_dim),
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_wrong_values_are_refused_at_the_door(door: tuple[Any, ...]) -> None:
    name, kind, call, *fine = door
    check_refusals(name, kind, call, but=fine)


def test_levels_that_are_no_integers_and_times_beyond_the_data_are_refused() -> None:
    for level in (LEVELS.double(), LEVELS > 1, LEVELS.tolist(), LEVELS + 9):
        with pytest.raises(ValueError, match="Levels must be integers in 0 … 3"):
            CELLS(level)
    with pytest.raises(ValueError, match=r"times is 1.5"):
        value(times=[1.5, 0.0])


def test_a_number_may_have_any_type() -> None:
    check_numbers(lambda v: value(probes=v, trace="hutchinson"), 2)
    check_numbers(lambda v: value(times=[1.0, v]), 0.25)
    check_numbers(lambda v: value(error=v), 0.25)
    check_numbers(lambda v: value(nodes=v), 9)
    check_numbers(lambda v: Dequantisation(v, spread=0.125)(LEVELS), 4)
    check_numbers(lambda v: Dequantisation(4, spread=v).log_density(X), 0.125)


def test_no_images_have_no_density_and_no_draws() -> None:
    for cells in (CELLS, Dequantisation(4)):
        assert cells.log_density(torch.empty(0, 3)).shape == (0,)
        assert cells(torch.empty(0, 3, dtype=torch.int64)).shape == (0, 3)
        assert cells.log_density(torch.empty(2, 0)).tolist() == [0.0, 0.0]
