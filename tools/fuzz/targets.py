"""What is called: an entry or a command, with one or two of its values exchanged for wrong ones."""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import typer
from torch import Tensor

from fokker import cli

from .entries import Entry, entries
from .examples import DIM, EXAMPLES, example, normals
from .outcome import Outcome, of_error, of_value
from .wrong import Wrong, wrong_values

__all__ = ["Call", "Function", "Target", "called", "drawn", "targets", "working"]


class Change(NamedTuple):
    """A parameter, which of its wrong values it gets, and whether that is of another kind."""

    parameter: str
    number: int
    nonsense: bool = False


class Target(ABC):
    """Something that is called with wrong values."""

    name: str

    @property
    @abstractmethod
    def changes(self) -> Sequence[Change]:
        """Every single wrong value."""

    @abstractmethod
    def run(self, changes: Sequence[Change]) -> tuple[str, Outcome]:
        """Make the call. The result is the wrong values in words, and how it ended."""


def working(entry: Entry) -> dict[str, Any]:
    """Arguments with which the entry works."""
    return {name: example(entry.name, parameter) for name, parameter in entry.parameters.items()}


def called(entry: Entry, arguments: dict[str, Any]) -> Any:
    """What the entry makes of the arguments; of a method, with an object that works."""
    if entry.owner is None or inspect.ismethod(entry.function):
        return entry.function(**arguments)
    owner = EXAMPLES.get(f"{entry.owner.name}.self", lambda: entry.owner.function(**working(entry.owner)))()
    return entry.function(owner, **arguments)


@dataclass(frozen=True)
class Function(Target):
    """A public function or class."""

    entry: Entry

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.entry.name

    def _wrong(self, name: str) -> list[Wrong]:
        parameter = self.entry.parameters[name]
        return wrong_values(name, str(parameter.annotation), example(self.entry.name, parameter))

    @cached_property
    def changes(self) -> Sequence[Change]:
        return [
            Change(name, k, wrong.nonsense)
            for name in self.entry.parameters
            for k, wrong in enumerate(self._wrong(name))
        ]

    def run(self, changes: Sequence[Change]) -> tuple[str, Outcome]:
        wrong = {change.parameter: self._wrong(change.parameter)[change.number] for change in changes}
        arguments = working(self.entry) | {name: value.value for name, value in wrong.items()}
        told = ", ".join(f"{name}={value.label}" for name, value in wrong.items())
        try:
            value = called(self.entry, arguments)
            if hasattr(value, "__next__"):
                value = list(value)
        except (Exception, SystemExit) as error:
            return told, of_error(error, any(value.nonsense for value in wrong.values()))
        if self.name in UNWATCHED:
            wrong = {name: value for name, value in wrong.items() if not isinstance(value.value, Tensor)}
        return told, of_value(value, any(value.certain for value in wrong.values()), self.name in UNWATCHED)


UNWATCHED = frozenset(
    {
        "Denoiser.predict", "FokkerScheduler.add_noise", "FokkerScheduler.scale_model_input",
        "FokkerScheduler.scale_noise", "FokkerScheduler.step", "Interpolant.loss", "Interpolant.state", "bound_loss",
        "hybrid_loss", "regression_loss",
    }
)
"""Functions of a step, which pass nan on: a look at the values of a tensor would wait for the device in every step."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "bench": ("ring", "--sampler", "ddim", "--nfe", "4", "--samples", "2", "--out", "{}/bench"),
    "certify": ("euler", "--json", "{}/certificate.json"),
    "certify-likelihood": ("fuzz.examples:quadratic", "--dim", "4", "--json", "{}/log_prob.json"),
    "evaluate": ("digits-flow", "--samples", "16", "--nfe", "2"),
    "likelihood": ("digits-flow", "--images", "2", "--error", "50"),
    "probe": ("fuzz.examples:network", "--data", "{}/data.npy", "--json", "{}/probe.json"),
    "sample": ("digits-flow", "--samples", "2", "--nfe", "2", "--out", "{}/samples.png"),
    "train": ("digits-flow", "--steps", "1", "--out", "{}/network.safetensors"),
    "verify": ("--claim", "conditional-ends", "--json", "{}/claims.json"),
}
"""For every command words with which it works quickly; {} is a folder of its own."""
TEXTS = (
    "nonsense", "", "nan", "inf", "-1", "0", "2.5", "1e300", "9" * 30, "ü\t", "/", "/proc/nowhere/file", "{}/garbage",
    "{}/empty",
)
"""Wrong words."""


@dataclass(frozen=True)
class Command(Target):
    """A command of typer's with its words."""

    command: Any

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"fokker {self.command.name}"

    @cached_property
    def changes(self) -> Sequence[Change]:
        options = [
            option.opts[0] if option.param_type_name == "option" else ""
            for option in self.command.params
            if not getattr(option, "is_flag", False)
        ]
        return [Change(option, k) for k in range(len(TEXTS)) for option in options]

    def run(self, changes: Sequence[Change]) -> tuple[str, Outcome]:
        with TemporaryDirectory() as folder:
            Path(folder, "garbage").write_bytes(bytes(range(256)) * 8)
            Path(folder, "empty").touch()
            np.save(Path(folder, "data.npy"), normals(64, DIM).numpy())
            words = list(COMMANDS[str(self.command.name)])
            for option, k, _ in changes:
                if not option:
                    words[0] = words[0] if words[0].startswith("-") else TEXTS[k]
                elif option in words:
                    words[words.index(option) + 1] = TEXTS[k]
                else:
                    words += [option, TEXTS[k]]
            words = [word.replace("{}", folder) for word in words]
            return " ".join(word if word.isprintable() and word else repr(word) for word in words), _ended(
                [str(self.command.name), *words]
            )


def _ended(words: Sequence[str]) -> Outcome:
    """How a command ends: it may print a sentence and exit with 1 or 2, and nothing else may happen."""
    errors = io.StringIO()
    try:
        with (
            mock.patch.object(sys, "argv", ["fokker", *words]),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(errors),
        ):
            cli.main()
    except SystemExit as exit:
        if not exit.code:
            return Outcome("result")
        told = errors.getvalue().strip()
        if exit.code == 1 and not told:
            return Outcome("result")  # a verdict, which is printed
        sentence = exit.code in (1, 2) and 0 < len(told) < 1000 and "Traceback" not in told
        return Outcome("door" if sentence else "obscure", f"{exit.code}: {told}")
    except Exception as error:
        return Outcome("obscure", of_error(error, False).detail)


def targets() -> list[Target]:
    """Every entry and every command."""
    group = typer.main.get_command(cli.app)
    commands = [Command(command) for _, command in sorted(group.commands.items())]  # type: ignore[attr-defined]
    return [*(Function(entry) for entry in entries()), *commands]


@dataclass(frozen=True)
class Call:
    """A target by its name, and the values that are exchanged."""

    target: str
    changes: tuple[Change, ...]


def drawn(among: Sequence[Target], number: int, seed: int) -> list[Call]:
    """So many calls, from all targets in turn.

    Of each target first every single wrong value in an order of chance, those of the right kind first, then pairs.
    """
    queues = []
    for target in among:
        chance = random.Random(f"{seed} {target.name}")
        single = [(change,) for change in target.changes]
        chance.shuffle(single)
        single.sort(key=lambda changes: changes[0].nonsense)
        queues.append((target, chance, iter(single)))
    calls: list[Call] = []
    while len(calls) < number and any(target.changes for target in among):
        for target, chance, single in queues:
            changes: Any = next(single, None)
            if changes is None:
                changes = _pair(target.changes, chance)
            if changes is not None and len(calls) < number:
                calls.append(Call(target.name, changes))
    return calls


def _pair(changes: Sequence[Change], chance: random.Random) -> tuple[Change, ...] | None:
    """Two wrong values of two parameters; None if there are no two."""
    if len({change.parameter for change in changes}) < 2:
        return None
    first = chance.choice(changes)
    return first, chance.choice([change for change in changes if change.parameter != first.parameter])
