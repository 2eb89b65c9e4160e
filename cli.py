"""The `fokker` command.

torch takes over a second to import. Each command imports it when it runs, so that `fokker --help` answers at once.
An error in what the user gave ends in one sentence on stderr and status 2. A computation that fails ends in status 1.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from . import __version__
from .cli_options import (
    MANY,
    Address,
    Budgets,
    Chapters,
    Claims,
    ClockText,
    ConditionFile,
    Count,
    Counts,
    Data,
    DataSet,
    EngineName,
    Evaluations,
    Folder,
    Form,
    Guidance,
    Json,
    Label,
    Minutes,
    Network,
    Networks,
    Noises,
    OutHtml,
    OutJson,
    PathText,
    Predicts,
    SamplerName,
    Samplers,
    Seed,
    Shape,
    Steps,
    TrainingSeed,
    Within,
)

__all__ = ["app", "main"]

INTERRUPTED = 130
"""The status after Ctrl-C, which shells give to a command that SIGINT ends."""

app = typer.Typer(
    name="fokker",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Runs the command line; the entry point of the installed script."""
    _prepare_streams()
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:
            if sys.stderr.isatty():
                print(file=sys.stderr)  # the terminal has written ^C
            _fail("Interrupted.", INTERRUPTED)
        sys.stdout.flush()
        sys.exit(status)
    except typer.TyperException as error:
        _fail(error.format_message(), error.exit_code)
    except (ArithmeticError, ChildProcessError, ImportError) as error:
        _fail(str(error), 1)
    except ValueError as error:
        _fail(str(error), 2)
    except BrokenPipeError:  # whoever read our output has seen enough
        _silence(sys.stdout)
        sys.exit(1)
    except OSError as error:
        reason = error.strerror or str(error)
        _fail(f"{error.filename}: {reason}." if error.filename else f"{reason.removesuffix('.')}.", 2)
    except (MemoryError, RuntimeError) as error:
        from .solvers import SolveError

        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            _fail("There is not enough memory; take fewer samples, or a smaller network.", 1)
        if not isinstance(error, SolveError):
            raise
        _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        _silence(sys.stdout)
    with suppress(OSError):  # nobody may be listening
        print(f"fokker: {message}", file=sys.stderr, flush=True)
    sys.exit(status)


def _prepare_streams() -> None:
    """Output is no reason to fail: a letter that a terminal does not have becomes "?", a closed stream is silent.

    A stream that is closed leaves its number to the next file that is opened, which would then be printed into.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    with suppress(OSError):
        print(f"fokker: {message}", file=sys.stderr)


def _silence(stream: TextIO) -> None:
    """What is left in a stream that nobody reads goes nowhere, also at the end of Python."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _exit(passed: bool) -> None:
    if not passed:
        raise typer.Exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fokker {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def fokker(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Solvers for diffusion and flow-matching models whose accuracy is measured."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def bench(
    networks: Networks = None,
    samplers: Samplers = None,
    form: Form = None,
    budgets: Budgets = None,
    minutes: Minutes = None,
    shape: Shape = None,
    label: Label = None,
    condition: ConditionFile = None,
    guidance: Guidance = None,
    predicts: Predicts = None,
    path: PathText = None,
    time: ClockText = None,
    law: Annotated[
        bool, typer.Option("--law", help="Compare the laws of samples, which samplers with noise have, too.")
    ] = False,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            "--noise-levels", metavar="FAMILY", help='Find the best amount of noise, as of "ddim". May be repeated.'
        ),
    ] = None,
    changes: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="FOLDER FOLDER", help="Show what differs between two runs, and stop."),
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Compare the default with published samplers, where it was chosen.")
    ] = False,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="The same on problems that took no part in its choice.")
    ] = False,
    seed: Seed = 0,
    samples: Noises = None,
    engine: EngineName = "local",
    address: Address = None,
    out: Folder = Path("bench-results"),
    json: Json = False,
) -> None:
    """Find the best sampler for each number of network evaluations."""
    import torch

    from .benchmarks.commands.bench import compare_laws, compare_runs, compare_samplers, scan_noise
    from .benchmarks.commands.study import run_study
    from .benchmarks.engine import engine_named
    from .benchmarks.problems import DEFAULT_PROBLEMS, find_problem
    from .benchmarks.study import NFE

    if changes is not None:
        compare_runs(*changes, as_json=json)
        return
    if study or held_out:
        run_study(tuple(budgets or NFE), others=held_out, as_json=json)
        return
    if law and noise:
        raise ValueError("--law and --noise-levels are two comparisons; leave one of them out, or run twice.")
    torch.set_num_threads(1)  # the workers have the processors
    stated = {"shape": shape, "label": label, "condition": condition, "guidance": guidance}
    stated |= {"predicts": predicts, "path": path, "time": time}
    problems = [find_problem(network, **stated) for network in networks or DEFAULT_PROBLEMS]  # type: ignore[arg-type]
    runner = None if engine == "local" and address is None else engine_named(engine, address=address)
    common = {"folder": out, "seed": seed, "samples": samples, "engine": runner, "as_json": json}
    if law:
        compare_laws(problems, samplers, budgets, form=form, **common)  # type: ignore[arg-type]
    elif noise:
        scan_noise(problems, noise, budgets, **common)  # type: ignore[arg-type]
    else:
        compare_samplers(problems, samplers, budgets, form=form, minutes=minutes, **common)  # type: ignore[arg-type]


@app.command()
def train(
    configuration: Annotated[
        str, typer.Argument(metavar="NAME|CONFIG.toml", help="A shipped configuration, or a file.")
    ],
    steps: Steps = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Where to write the network. [default: NAME.safetensors]"),
    ] = None,
    seed: TrainingSeed = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Write one line per training step to FILE.csv.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write the same to FILE.tensorboard.")] = False,
    sheet_every: Annotated[
        int, typer.Option(metavar="N", min=0, show_default=False, help="Draw samples every N steps, in FILE.sheets.")
    ] = 0,
) -> None:
    """Train a network, or resume its training."""
    from dataclasses import replace

    import torch

    from .generative.training import Training, train as run

    torch.set_num_threads(1)  # sums, and so the trained network, depend on the number of threads
    training = Training.read(configuration)
    training = replace(training, steps=steps or training.steps, seed=training.seed if seed is None else seed)
    try:
        file = run(
            training,
            out or Path(f"{Path(configuration).stem}.safetensors"),
            progress=True,
            metrics=metrics,
            tensorboard=tensorboard,
            sheet_every=sheet_every,
        )
    except KeyboardInterrupt as error:
        if error.args:
            _fail(f"{error}", INTERRUPTED)
        raise
    print(f"written: {file}")


@app.command()
def evaluate(
    network: Network,
    samples: Counts = 1000,
    nfe: Evaluations = 50,
    guidance: Guidance = None,
    seed: Seed = 0,
    data: DataSet = None,
) -> None:
    """Compare a network's samples with real images."""
    from .benchmarks.commands.evaluate import evaluate as measure

    found = measure(network, samples=samples, nfe=nfe, guidance=guidance, seed=seed, data=data)
    print(f"{'':36}samples   real images")
    print(f"{'accuracy of a classifier':36}{found.accuracy:7.3f}{found.accuracy_held_out:14.3f}")
    print(f"{'distance to nearest training image':36}{found.nearest:7.3f}{found.nearest_held_out:14.3f}")
    print(f"{'Fréchet distance':36}{found.frechet:7.3f}{found.frechet_train:14.3f}")


@app.command()
def sample(
    network: Network,
    samples: Count = 100,
    nfe: Evaluations = 20,
    label: Label = None,
    guidance: Guidance = None,
    sampler: SamplerName = None,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option(metavar="FILE", dir_okay=False, help="A picture, .png, or numbers, .npy or .safetensors.")
    ] = Path("samples.png"),
    engine: EngineName = None,
    address: Address = None,
) -> None:
    """Draw samples from a network and write a picture, or their numbers."""
    from .benchmarks.commands.sample import draw

    draw(
        network, samples, out, nfe=nfe, label=label, guidance=guidance, sampler=sampler, seed=seed, engine=engine,
        address=address,
    )  # fmt: skip
    print(f"written: {out}")


@app.command()
def likelihood(
    network: Network,
    data: Data = None,
    levels: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, max=MANY, help="A file has grey levels 0 … N − 1, which stand for [−1, 1]."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, max=MANY, help="Take at most so many samples, the first ones. [default: all]"),
    ] = None,
    error: Annotated[
        float | None,
        typer.Option(metavar="NATS", min=1e-12, max=1e6, help="The error that log p of each sample may have."),
    ] = None,
    error_of_mean: Annotated[
        float | None,
        typer.Option(
            metavar="BITS",
            min=1e-12,
            max=1e6,
            help="The error that the mean may have, in bits/dim. [default: 5 % of the standard error]",
        ),
    ] = None,
    trace: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Of the Jacobian: exact, orthogonal, coloured, hutchinson, hutch++ or auto."
        ),
    ] = "auto",
    probes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MANY, help="Random directions of the trace at a node. [default: by the error]"
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(metavar="K", min=1, max=MANY, help="Dequantisation draws of each image, for a tighter bound.")
    ] = 1,
    label: Annotated[int | None, typer.Option(metavar="K", min=0, help="The class of all samples.")] = None,
    condition: ConditionFile = None,
    guidance: Guidance = None,
    predicts: Predicts = None,
    path: PathText = None,
    time: ClockText = None,
    seed: Seed = 0,
    minutes: Within = None,
    engine: EngineName = None,
    address: Address = None,
) -> None:
    """Measure the bits/dim of data, with an error budget."""
    from .benchmarks.commands.likelihood import measure_likelihood

    found = measure_likelihood(
        network, data=data, levels=levels, images=images, error=error, error_of_mean=error_of_mean, trace=trace,
        probes=probes, draws=draws, label=label, condition=condition, guidance=guidance, predicts=predicts, path=path,
        time=time, seed=seed, minutes=minutes, engine=engine, address=address, progress=True,
    )  # fmt: skip
    print(found)


@app.command()
def verify(
    claims: Claims = None,
    chapters: Chapters = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Under a minute: all claims, a few certificates per solver.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(metavar="NETWORK", help="Audit this network instead of the theory.")
    ] = None,
    data: Data = None,
    minutes: Within = None,
    json: OutJson = None,
    html: OutHtml = None,
) -> None:
    """Check the theory and the order of every solver, or audit a network."""
    if model is not None and (claims or chapters or quick):
        raise ValueError("--model audits a network alone; leave out --claim, --chapter and --quick, or run twice.")
    if model is None and data is not None:
        raise ValueError("--data is what a network is audited on; name the network with --model.")
    if model is None and minutes is not None:
        raise ValueError("--minutes limits the audit of a network; name it with --model, or run --quick.")
    import torch

    from .benchmarks.commands.verify import audit_network, verify_everything

    torch.set_num_threads(1)  # the workers have the processors
    if model is not None:
        _exit(audit_network(model, data, minutes=minutes, json=json, html=html))
    else:
        _exit(verify_everything(claims or (), chapters or (), quick=quick, json=json, html=html))


@app.command()
def probe(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A name, a file, a folder, or MODULE:NAME.")],
    data: Data = None,
    minutes: Within = None,
    json: OutJson = None,
) -> None:
    """Find out what a network predicts, on which path and clock."""
    import torch

    from .benchmarks.commands.verify import probe_network

    torch.set_num_threads(1)
    _exit(probe_network(network, data, minutes=minutes, json=json))


@app.command()
def certify(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help='As dpm++2m, "ExponentialAdams(3)" or package.module:f.')
    ],
    form: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="Of a function: equation, fokker, k-diffusion or diffusers. [default: read]"),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An argument of a sampler or scheduler; may be repeated."),
    ] = None,
    declared: Annotated[
        float | None,
        typer.Option(metavar="P", min=0.0, max=100.0, help="The order to compare with. [default: the solver's own]"),
    ] = None,
    json: OutJson = None,
    html: OutHtml = None,
) -> None:
    """Measure the order of a solver, a sampler or your own function, and the exact law of its output."""
    import torch

    from .benchmarks.commands.verify import certify_method

    torch.set_num_threads(1)  # states are small
    _exit(certify_method(method, form=form, options=options or (), declared=declared, json=json, html=html))


@app.command()
def certify_likelihood(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME", help="A function (velocity, x, seed) -> log p, or (log p, its standard error)."
        ),
    ],
    dim: Annotated[int, typer.Option(metavar="D", min=1, max=1024, help="Components of a sample.")] = 16,
    form: Annotated[
        str, typer.Option(metavar="FORM", help="What the function gets: velocity, or denoiser.")
    ] = "velocity",
    shape: Annotated[
        str | None, typer.Option(metavar="SHAPE", help="Of one sample, as 1x4x4. [default: the D components]")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="TOL", min=1e-12, max=1e6, help="Error of the steps that is allowed, in nats.")
    ] = 0.05,
    seed: Seed = 0,
    json: OutJson = None,
) -> None:
    """Measure a function that computes log p(x): bias, spread, its error bars, its batch."""
    import torch

    from .benchmarks.commands.certify_likelihood import certify_function

    torch.set_num_threads(1)  # states are small
    _exit(certify_function(function, dim, form=form, shape=shape, tolerance=tolerance, seed=seed, json=json))


if __name__ == "__main__":
    main()
