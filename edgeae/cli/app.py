"""The command line: one Typer application, one boundary where errors become exit codes.

A command is imported when it is asked for, and not for the help text of all: `commands.py` lists
them, with those that other packages mount.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import edgeae
from edgeae.cli.commands import COMMANDS, SUMMARIES, mounted
from edgeae.cli.output import discard, say
from edgeae.cli.stops import raise_on_stops
from edgeae.errors import EdgeaeError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeae.cli.commands import Place

INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands of this package and the mounted ones, inside the error boundary."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name in COMMANDS:  # known by name, for a typing error's "Did you mean"
            self.commands.setdefault(name, None)  # type: ignore[arg-type]  # get_command loads it

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, for the help text."""
        return list(dict.fromkeys([*super().list_commands(ctx), *mounted()]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; it is imported here and not before."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        place = COMMANDS.get(cmd_name) or mounted().get(cmd_name)
        return None if place is None else _command(cmd_name, place)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands into the help text, without importing those with a summary."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        rows = []
        for name in names:
            summary = SUMMARIES.get(name)
            if summary is None:
                summary = self.get_command(ctx, name).get_short_help_str(width)
            rows.append((name, summary))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; turn what users can cause or mend into a line and an exit code."""
        # Starting numpy's thread pool costs 58 ms, and nothing here multiplies matrices in numpy.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            return super().invoke(ctx)
        except EdgeaeError as error:
            _complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _complain("interrupted")
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:  # the reader has enough: nobody is left to tell
            discard(sys.stdout)
            discard(sys.stderr)
            raise typer.Exit(OutputError.exit_code) from error


def _application() -> typer.Typer:
    # Plain help: loading rich would cost as much as everything else. A traceback is our bug and
    # is shown as Python shows it.
    return typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = _application()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeae {edgeae.__version__}")
        raise typer.Exit


@app.callback(cls=Commands)
def _edgeae(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Autoencoders on the edge: pictures to small latent files and back.

    Exit codes: 0 done; 2 usage; 3 .eae or .npy file damaged or missing; 4 provider cannot be used;
    5 bundle missing or not the one; 6 picture unreadable, missing or of no known format; 7 output
    exists or cannot be written; 8 a bound cannot be met; 9 some inputs of a batch failed; 10 an
    extra is not installed; 130 interrupted; 1 a bug.
    """


def main() -> None:
    """Run the command line and exit; the entry point of the ``edgeae`` program."""
    raise_on_stops()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="edgeae")
    except KeyboardInterrupt:  # before the boundary was entered
        sys.exit(INTERRUPTED)
    except OSError as error:  # --help and --version are printed there
        if error.filename is not None:  # not of a stream: a bug
            raise
        discard(sys.stdout)
        _complain(f"stdout: cannot be written: {error.strerror or error}")
        sys.exit(OutputError.exit_code)


def _command(name: str, place: Place) -> Any:
    """Return the command of a function, or one that says why there is none."""
    single = _application()
    try:
        single.command(name)(place.load())
    except (ImportError, AttributeError) as error:
        if name in COMMANDS:  # our own is never absent: a bug, or a dependency that is not there
            raise
        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        single.command(name, context_settings=anything)(_absent(name, str(error)))
    return typer.main.get_command(single)


def _absent(name: str, reason: str) -> Callable[[], None]:
    def absent() -> None:
        raise MissingExtraError(f"{name}: {reason}; install it: pip install 'edgeae[export]'")

    absent.__doc__ = f"Not available here: {reason}."
    return absent


def _complain(message: str) -> None:
    say(f"edgeae: {' '.join(message.splitlines())}")
