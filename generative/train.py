"""Training from a committed configuration: the same file gives the same network, bit for bit.

    θ ← Adam(∇ regression_loss(θ)),      rate_k = rate · min(1, (k+1)/warmup) · ½ (1 + cos(π k / steps))
    θ̄ ← d θ̄ + (1 − d) θ,                d = min(ema, (k+1)/(k+10))

θ̄ is what is kept. The budget is a number of steps, never a time; all randomness comes from one generator, and
the whole state (θ, θ̄, Adam's moments, the generator, k) is written every so often, so that an interrupted run
continues on the trajectory that it would have had. Floating-point sums depend on the processor and on the
number of threads: fix the latter with `torch.set_num_threads(1)`.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Generator, Tensor, nn

from .checkpoint import build_network, build_path, read, save_checkpoint, write
from .data import dataset
from .losses import regression_loss

__all__ = ["Training", "configurations", "train"]

CONFIGS = Path(__file__).parent / "configs"
CLIP = 1.0  # the largest norm of a gradient: one bad batch must not spoil an hour


def configurations() -> list[str]:
    """The names of the committed configurations."""
    return sorted(file.stem for file in CONFIGS.glob("*.toml"))


@dataclass(frozen=True)
class Training:
    """Everything that decides the trained network. `network` and `path` name a class and its arguments."""

    data: str
    predicts: str
    network: dict[str, Any]
    path: dict[str, Any]
    steps: int
    batch: int
    learning_rate: float
    warmup: int = 200
    ema: float = 0.999
    label_dropout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} is {value!r}; give a whole number of at least 1.")
        for name in ("ema", "label_dropout"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0.0 <= value < 1.0):
                raise ValueError(f"{name} is {value!r}; give a number in [0, 1).")

    @classmethod
    def read(cls, name_or_path: str | Path) -> Training:
        """A committed configuration by its name, or a TOML file.

        Raises FileNotFoundError for an unknown name, ValueError for a file that is no TOML or has missing or
        unknown keys.
        """
        names = configurations()
        file = CONFIGS / f"{name_or_path}.toml" if str(name_or_path) in names else Path(name_or_path)
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no configuration {str(name_or_path)!r}; give a file, or one of {', '.join(names)}."
            )
        try:
            values = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no TOML file: {error}.") from None
        fields = dataclasses.fields(cls)
        valid = [field.name for field in fields]
        if unknown := sorted(set(values) - set(valid)):
            raise ValueError(f"{file} has unknown keys {', '.join(unknown)}; valid: {', '.join(valid)}.")
        required = {field.name for field in fields if field.default is dataclasses.MISSING}
        if missing := sorted(required - set(values)):
            raise ValueError(f"{file} lacks the keys {', '.join(missing)}.")
        return cls(**values)

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, cosine decay to zero."""
        decay = 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * decay


class _State:
    """All that changes during training, as tensors that can be written and read back."""

    def __init__(self, training: Training) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.net = build_network(training.network)
        self.average = build_network(training.network)
        self.average.load_state_dict(self.net.state_dict())
        self.average.requires_grad_(False)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=training.learning_rate)
        self.generator = Generator().manual_seed(training.seed)
        self.step = 0

    def tensors(self) -> dict[str, Tensor]:
        moments = {
            f"adam.{index}.{name}": value
            for index, state in self.adam.state_dict()["state"].items()
            for name, value in state.items()
        }
        nets = {
            f"{name}.{key}": value
            for name, net in (("net", self.net), ("average", self.average))
            for key, value in net.state_dict().items()
        }
        return {**nets, **moments, "generator": self.generator.get_state(), "step": torch.tensor(self.step)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)}

        self.net.load_state_dict(part("net."))
        self.average.load_state_dict(part("average."))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("adam.").items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        self.adam.load_state_dict({"state": moments, "param_groups": self.adam.state_dict()["param_groups"]})
        self.generator.set_state(tensors["generator"])
        self.step = int(tensors["step"])


def train(training: Training, file: str | Path, *, every: int = 500, progress: bool = False) -> Path:
    """Trains and writes the checkpoint `file` (for `load`); returns it.

    The state is kept beside it in `file` + ".state", every `every` steps and at the end; if it is there,
    training continues from it. Raises ValueError if that state belongs to another configuration,
    FloatingPointError if the loss stops being finite.
    """
    file = Path(file)
    resume = file.with_name(file.name + ".state")
    record = dataclasses.asdict(training)
    images, path, state = dataset(training.data), build_path(training.path), _State(training)
    if resume.exists():
        tensors, stored = read(resume)
        if stored != {"training": record}:
            raise ValueError(f"{resume} belongs to another configuration; remove it, or write elsewhere.")
        state.restore(tensors)

    with _bar(progress, training, state.step) as report:
        while state.step < training.steps:
            x0, label = images.batch(training.batch, state.generator)
            loss = regression_loss(
                state.net,
                path,
                training.predicts,
                x0,
                label,
                generator=state.generator,
                label_dropout=training.label_dropout,
            )
            _update(state, training, loss)
            report(state.step, loss.item())
            if state.step % every == 0 or state.step == training.steps:
                write(resume, state.tensors(), {"training": record})

    save_checkpoint(file, state.average, path, predicts=training.predicts, training=record)
    return file


def _update(state: _State, training: Training, loss: Tensor) -> None:
    if not math.isfinite(loss.item()):
        raise FloatingPointError(
            f"The loss is {loss.item()} at step {state.step}; lower learning_rate ({training.learning_rate})."
        )
    for group in state.adam.param_groups:
        group["lr"] = training.rate(state.step)
    state.adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.net.parameters(), CLIP)
    state.adam.step()
    state.step += 1
    decay = min(training.ema, state.step / (state.step + 9))
    with torch.no_grad():
        for average, parameter in zip(state.average.parameters(), state.net.parameters(), strict=True):
            average.lerp_(parameter, 1.0 - decay)


@contextmanager
def _bar(visible: bool, training: Training, start: int) -> Iterator[Callable[[int, float], None]]:
    """A progress bar with the loss, smoothed over about a hundred steps, and the time that is left."""
    columns = [
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, disable=not visible) as bar:
        task = bar.add_task("train", total=training.steps, completed=start, loss=math.nan)
        smooth = math.nan

        def report(step: int, loss: float) -> None:
            nonlocal smooth
            smooth = loss if math.isnan(smooth) else 0.99 * smooth + 0.01 * loss
            bar.update(task, completed=step, loss=smooth)

        yield report
