"""The public entries: what the faces of the floors export, and what their exported modules declare."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import fokker
from fokker import benchmarks, generative, solvers, verification
from fokker.generative import adapters, networks, training

__all__ = ["Entry", "entries"]

RECORDS = frozenset(
    {
        "Rates", "Abilities", "Step", "Comparison", "NFE", "Solution", "SolveError", "LogLikelihood", "Bound",
        "RoundTrip", "Certificate", "ErrorBudget", "ImpulseResponse", "Audit", "Finding", "Report", "Result",
        "Coupling", "Power", "Network", "Recommendation", "Standing", "ImportanceWeightedBound", "LogProbCertificate",
        "LikelihoodPlan", "Tuned", "TunedLaw", "FlowMapCertificate",
    }
)
"""Classes that the library makes and the user reads, and bases of other classes: nobody calls them."""

METHODS: dict[str, tuple[str, ...]] = {
    "Denoiser": ("given", "predict"),
    "Dequantisation": ("centred",),
    "FlowMap": ("given", "towards"),
    "FokkerScheduler": (
        "add_noise", "from_config", "scale_model_input", "scale_noise", "set_begin_index", "set_timesteps", "step",
    ),
    "Gaussian": ("denoiser", "moments", "sample"),
    "GaussianClasses": ("classifier", "denoiser", "given"),
    "Interpolant": ("flow", "loss", "sde", "state"),
    "Logit": ("forward", "inverse", "log_det"),
    "OrnsteinUhlenbeck": ("covariance", "mean", "path", "stationary", "transition", "variance"),
    "Sampler": ("equation",),
    "Scaled": ("forward", "inverse", "log_det"),
    "Scheme": ("load", "run", "save"),
    "Training": ("read",),
}
"""The methods that users call with values of their own; those that solvers call in every step trust their caller."""


@dataclass(frozen=True)
class Entry:
    """A public function or class.

    Attributes:
        name: its name, after that of its module or class: "solve", "grids.karras", "Denoiser.given".
        function: what is called; of a method, the function without its object.
        owner: the class of a method.
    """

    name: str
    function: Callable[..., Any]
    owner: Entry | None = None

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Its parameters by name, without the object of a method and without **."""
        found = inspect.signature(self.function).parameters
        return {name: each for name, each in found.items() if name != "self" and each.kind != each.VAR_KEYWORD}


def exported(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public names of a module, with what they name: those that it lists, or those that a face imports as such."""
    if "__all__" in vars(module):
        names = list(module.__all__)
    else:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        names = [alias.asname for node in imports for alias in node.names if alias.asname]
    yield from ((name, getattr(module, name)) for name in names)


def entries() -> list[Entry]:
    """Every public function, class that users make, and method that they call, in the order of their names."""
    found: dict[int, Entry] = {}

    def add(prefix: str, module: ModuleType, modules: bool) -> None:
        for name, value in exported(module):
            if isinstance(value, ModuleType):
                if modules and value not in (solvers, generative, verification, benchmarks):
                    add(f"{prefix}{name}.", value, False)
            elif callable(value) and getattr(value, "__module__", "").startswith("fokker.") and _is_called(name, value):
                found.setdefault(id(value), Entry(prefix + name, value))

    for module in (fokker, solvers, generative, verification, benchmarks, networks, adapters):
        add("", module, True)
    for function in (training.Training, training.dataset, training.train):  # what `fokker train` calls
        found.setdefault(id(function), Entry(function.__name__, function))
    by_name = {entry.name: entry for entry in found.values()}
    for owner, names in METHODS.items():
        for name in names:
            by_name[f"{owner}.{name}"] = Entry(
                f"{owner}.{name}", getattr(by_name[owner].function, name), by_name[owner]
            )
    return [by_name[name] for name in sorted(by_name)]


def _is_called(name: str, value: Any) -> bool:
    if not isinstance(value, type):
        return inspect.isfunction(value)
    return name not in RECORDS and not inspect.isabstract(value) and not getattr(value, "_is_protocol", False)
