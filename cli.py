"""The `fokker` command.

torch takes over a second to import. Each command imports it when it runs, so that `fokker --help` answers at once.
An error in what the user gave ends in one sentence on stderr and status 2. A computation that fails ends in status 1.
The commands stand in `command_line`, a file each.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from . import __version__
from .command_line import (
    INTERRUPTED,
    bench,
    certify,
    certify_likelihood,
    evaluate,
    fail,
    likelihood,
    prepare_streams,
    probe,
    sample,
    silence,
    train,
    tune,
    verify,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="fokker",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Runs the command line; the entry point of the installed script."""
    prepare_streams()
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:
            if sys.stderr.isatty():
                print(file=sys.stderr)  # the terminal has written ^C
            fail("Interrupted.", INTERRUPTED)
        sys.stdout.flush()
        sys.exit(status)
    except typer.TyperException as error:
        fail(error.format_message(), error.exit_code)
    except (ArithmeticError, ChildProcessError, ImportError) as error:
        fail(str(error), 1)
    except ValueError as error:
        fail(str(error), 2)
    except BrokenPipeError:  # whoever read our output has seen enough
        silence(sys.stdout)
        sys.exit(1)
    except OSError as error:
        reason = error.strerror or str(error)
        fail(f"{error.filename}: {reason}." if error.filename else f"{reason.removesuffix('.')}.", 2)
    except (MemoryError, RuntimeError) as error:
        from .solvers import SolveError

        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            fail("There is not enough memory; take fewer samples, or a smaller network.", 1)
        if not isinstance(error, SolveError):
            raise
        fail(str(error), 1)


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


for command in (bench, tune, train, evaluate, sample, likelihood, verify, probe, certify, certify_likelihood):
    app.command()(command)

if __name__ == "__main__":
    main()
