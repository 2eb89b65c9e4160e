"""Training from a committed configuration: the same file gives the same network, bit for bit.

    θ ← Adam(∇ regression_loss(θ)),      rate_k = rate · min(1, (k+1)/warmup) · ½ (1 + cos(π k / steps))
    θ̄ ← β θ̄ + (1 − β) θ,                 β as the configuration's `ema` says

The loss of a flow map is that of its objective (`objectives`), which may have a second network, of weights θ⁻. The
result is θ̄. The budget is a number of steps, never a time, and one generator draws everything random. The whole
state (θ, θ̄, θ⁻, Adam's moments, the generator, the moments of importance sampling, k) is written atomically at regular
intervals and at Ctrl-C, so that a training that was stopped or killed continues on the same trajectory. Floating-point
sums depend on the processor and on the number of threads; fix the latter with `torch.set_num_threads(1)`. With
`autocast` only the network's products are in half precision; θ, θ̄, Adam's moments and the loss stay in float32.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from ...solvers.common import Progress, check_instance, check_writable, flag, naming, whole
from ..denoiser import Denoiser
from ..flow_maps import FlowMap
from ..networks import Network
from ..paths import independent, stratified
from .checkpoint import save_checkpoint
from .configuration import AUTOCAST, CONFIGS, Training, configurations
from .data import Images, dataset
from .exclusive import Interruption, alone
from .losses import Seen, regression_loss
from .metrics import Metrics
from .objectives import Lesson
from .state import State
from .tensor_file import read, write

__all__ = ["CONFIGS", "Training", "configurations", "train"]

CLIP = 1.0  # the largest norm of a gradient: one bad batch must not spoil an hour


def train(
    training: Training,
    file: str | Path,
    *,
    every: int = 500,
    progress: bool = False,
    metrics: bool = False,
    tensorboard: bool = False,
    sheet_every: int = 0,
) -> Path:
    """Trains a network and writes a checkpoint for `load`. Continues from the state beside it if there is one.

    Args:
        training: the configuration.
        file: the checkpoint. The state is written to `file` + ".state".
        every: the number of steps between two writes of the state.
        progress: show a progress bar.
        metrics: write a row for each step to `file` + ".csv".
        tensorboard: write the rows to the folder `file` + ".tensorboard" as well.
        sheet_every: the number of steps between two sheets of samples of the average, in the folder `file` + ".sheets",
            the first before the first step; 0 for none.

    Returns:
        The path of the checkpoint.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: a number is out of range, the state belongs to another configuration, or the network has fewer
            classes than the data, or another shape.
        OSError: a file cannot be written, or another training writes it. This is checked before any step.
        ImportError: TensorBoard is wanted, but not installed.
        FloatingPointError: the loss stopped being finite.
        KeyboardInterrupt: Ctrl-C was pressed. The state is written, and the same call goes on from it.
    """
    check_instance("training", training, Training, 'Training.read("digits-flow")')
    check_instance("file", file, (str, Path), "the name of a file")
    every, sheet_every = whole("every", every, 1), whole("sheet_every", sheet_every, 0)
    progress, metrics = flag("progress", progress), flag("metrics", metrics)
    tensorboard = flag("tensorboard", tensorboard)
    file = Path(file)
    if file.exists() and not file.is_file():
        raise ValueError(f"{file} is a folder or a device; a training writes a file.")
    resume, record = _beside(file, "state"), training.record()
    for each in (file, resume):
        check_writable(each)
    images, state = dataset(training.data), State(training)
    _check_fit(training.data, images, state.net)
    with ExitStack() as stack:
        stack.enter_context(alone(file, _beside(file, "lock")))
        if resume.exists():
            tensors, stored = read(resume)
            if stored != {"training": record}:
                raise ValueError(f"{resume} belongs to another configuration; remove it, or write elsewhere.")
            with naming(resume):
                state.restore(tensors)
        elif sheet_every:
            _sheet(file, training, images, state)
        rows = None
        if metrics or tensorboard:
            board = _beside(file, "tensorboard") if tensorboard else None
            rows = stack.enter_context(closing(Metrics(_beside(file, "csv"), state.step, board)))
        stop = stack.enter_context(Interruption())
        bar, smooth = stack.enter_context(Progress(0.0, training.steps, progress, "training")), math.nan
        while state.step < training.steps:
            loss, seen = _loss(training, images, state)
            _update(state, training, loss, seen, rows)
            value = loss.item()
            smooth = value if math.isnan(smooth) else 0.99 * smooth + 0.01 * value  # over about a hundred steps
            bar.reach(state.step, f"step {state.step}/{training.steps}, loss {smooth:.4f}")
            if sheet_every and state.step % sheet_every == 0:
                _sheet(file, training, images, state)
            if state.step % every == 0 or state.step == training.steps or stop.asked:
                if rows is not None:
                    rows.flush()  # a row that is missing could not be made up for, one too many is taken back
                write(resume, state.tensors(), {"training": record})
            if stop.asked and state.step < training.steps:
                raise KeyboardInterrupt(
                    f"Stopped at step {state.step} of {training.steps}; {resume} keeps it, and the same again goes on."
                )
        save_checkpoint(
            file,
            state.average,
            training.gaussian_path,
            predicts=training.predicts,
            precondition=training.frame,
            training=record,
        )
    return file


def _check_fit(name: str, images: Images, net: Network) -> None:
    """Raise ValueError for a network that knows other classes or another shape than the images of this name."""
    if 0 < net.null_label < images.classes:
        raise ValueError(
            f"The network knows {net.null_label} classes, but {name} has {images.classes}; "
            f"give classes = {images.classes}, or 0 to leave labels out."
        )
    shape = tuple(images.train.shape[1:])
    if net.shape not in (shape, (math.prod(shape),)):
        raise ValueError(f"The network takes samples of shape {net.shape}, but those of {name} have {shape}.")


def _beside(file: Path, what: str) -> Path:
    return file.with_name(f"{file.name}.{what}")


def _loss(training: Training, images: Images, state: State) -> tuple[Tensor, Seen]:
    x0, labels = images.batch(training.batch, state.generator)
    batches: list[Seen] = []
    label = labels if state.net.null_label else None
    half = nullcontext() if training.autocast is None else torch.autocast("cpu", AUTOCAST[training.autocast])
    draw = stratified if training.stratify else independent
    with half:
        if training.goal is not None:
            loss = training.goal.loss(
                _lesson(training, state),
                x0,
                label,
                generator=state.generator,
                label_dropout=training.label_dropout if label is not None else 0.0,
                weighting=training.weight,
                times=training.density,
                draw=draw,
                observe=batches.append,
            )
            return loss, batches[0]
        loss = regression_loss(
            state.net,
            training.gaussian_path,
            training.predicts,
            x0,
            label,
            generator=state.generator,
            label_dropout=training.label_dropout,
            weighting=training.weight,
            times=training.density,
            draw=draw,
            importance=state.importance,
            precondition=training.frame,
            observe=batches.append,
        )
    return loss, batches[0]


def _lesson(training: Training, state: State) -> Lesson:
    before = state.net if state.before is None else state.before
    return Lesson(
        _flow_map(training, state.net), _flow_map(training, before), training.teacher, state.step, training.steps
    )


def _flow_map(training: Training, net: Network) -> FlowMap:
    return FlowMap(net, training.gaussian_path, predicts=training.predicts, precondition=training.frame)


def _update(state: State, training: Training, loss: Tensor, seen: Seen, rows: Metrics | None) -> None:
    if not math.isfinite(loss.item()):
        raise FloatingPointError(
            f"The loss is {loss.item()} at step {state.step}; lower learning_rate ({training.learning_rate})."
        )
    rate = training.rate(state.step)
    for group in state.adam.param_groups:
        group["lr"] = rate
    state.adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), CLIP)
    state.adam.step()
    state.step += 1
    training.average.update(state.average, state.net, state.step)
    if training.goal is not None and state.before is not None:
        training.goal.follow(state.before, state.net, state.average, state.step, training.steps)
    if state.importance is not None:
        state.importance.observe(seen.u, seen.loss)
    if rows is not None:
        values = (loss.item(), rate, norm.item(), training.average.decay(state.step))
        rows.add(state.step, values, training.gaussian_path.log_snr(seen.t), seen.loss)


def _sheet(file: Path, training: Training, images: Images, state: State) -> None:
    from .sheets import draw_sheet  # matplotlib, for those alone who want to look

    kind = Denoiser if training.goal is None else FlowMap
    model = kind(state.average, training.gaussian_path, predicts=training.predicts, precondition=training.frame)
    name = f"{state.step:0{len(str(training.steps))}d}.png"
    classes = min(state.net.null_label, images.classes)
    draw_sheet(_beside(file, "sheets") / name, model, tuple(images.train.shape[1:]), classes)
