"""The command line: one Typer application, one boundary where errors become exit codes.

Commands of other packages are mounted from the entry points of group "edgeae.commands": `edgeae`
never imports them by name, and a command that is not asked for is not loaded.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import edgeae
from edgeae.cli.augment import augment
from edgeae.cli.bench import bench
from edgeae.cli.doctor import doctor
from edgeae.cli.embed import embed
from edgeae.cli.evaluate import evaluate
from edgeae.cli.generate import interpolate, sample
from edgeae.cli.inspect import info, models
from edgeae.cli.output import discard
from edgeae.cli.pictures import compress, decompress
from edgeae.cli.reconstruct import reconstruct
from edgeae.cli.restore import restore
from edgeae.cli.web import web
from edgeae.errors import EdgeaeError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint
    from types import FrameType

ENTRY_POINTS = "edgeae.commands"
INTERRUPTED = 130
TERMINATED = 143


class Commands(TyperGroup):
    """The commands of this package and the mounted ones, inside the error boundary."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, for the help text."""
        return [*super().list_commands(ctx), *_mounted()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; a mounted one is imported here and not before."""
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name not in (mounted := _mounted()):
            return command
        return _mount(mounted[cmd_name])

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
_OF_FILES: tuple[Callable[..., None], ...] = (compress, decompress, info, models)
_OF_LATENTS: tuple[Callable[..., None], ...] = (sample, interpolate, reconstruct, embed, augment)
for _command in (*_OF_FILES, *_OF_LATENTS, restore):
    app.command()(_command)
app.command("eval")(evaluate)
app.command()(bench)
app.command()(web)
app.command()(doctor)


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

    Exit codes: 0 done; 2 usage; 3 file damaged; 4 provider cannot be used; 5 bundle missing or not
    the one; 6 picture unreadable; 7 output exists or cannot be written; 8 a bound cannot be met;
    9 some inputs of a batch failed; 10 an extra is not installed; 130 interrupted; 1 a bug.
    """


def main() -> None:
    """Run the command line and exit; the entry point of the ``edgeae`` program."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="edgeae")
    except KeyboardInterrupt:  # before the boundary was entered
        sys.exit(INTERRUPTED)


def _mounted() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _mount(point: EntryPoint) -> Any:
    """Return the command behind an entry point, or one that says why there is none."""
    single = _application()
    try:
        single.command(point.name)(point.load())
    except (ImportError, AttributeError) as error:
        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        single.command(point.name, context_settings=anything)(_absent(point.name, str(error)))
    return typer.main.get_command(single)


def _absent(name: str, reason: str) -> Callable[[], None]:
    def absent() -> None:
        raise MissingExtraError(f"{name}: {reason}; install it: pip install 'edgeae[export]'")

    absent.__doc__ = f"Not available here: {reason}."
    return absent


def _complain(message: str) -> None:
    typer.echo(f"edgeae: {' '.join(message.splitlines())}", err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    # As an exception, so that a half-written temporary file is removed on the way out.
    raise SystemExit(TERMINATED)
