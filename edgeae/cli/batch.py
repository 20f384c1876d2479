"""Run jobs one after another, say what came of each, and let a failure not stop the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import typer

from edgeae.cli.output import check_target, print_line
from edgeae.errors import BatchError, EdgeaeError, ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeae.cli.jobs import Job

    Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a job came to: a line for people and the fields of a JSON object."""

    line: str
    fields: Mapping[str, object]
    notes: tuple[str, ...] = ()


def check_stdout(jobs: list[Job], *, as_json: bool) -> None:
    """Raise typer.BadParameter if data and JSON would mix on stdout."""
    if as_json and any(job.target is None for job in jobs):
        raise typer.BadParameter("--json and the output both need stdout; give -o FILE")


def run(
    jobs: list[Job],
    work: Callable[[Job], Report],
    *,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Do ``work`` on every job.

    Results go to stderr as lines, and to stdout as JSON objects if ``as_json``.

    Raises
    ------
    EdgeaeError
        The only job failed.
    BatchError
        Some of several jobs failed; each was reported.
    """
    failed = 0
    with _progress(jobs, quiet=quiet) as (remaining, say):
        for job in remaining:
            try:
                check_target(job.target, force=force)
                report = _within_memory(job, work)
            except EdgeaeError as error:
                named = _named(job, error)
                if as_json:
                    _print_json({**_names(job), "error": str(named), "exit": named.exit_code})
                if len(jobs) == 1:
                    raise named from error
                say(f"edgeae: {named}")
                failed += 1
                continue
            if as_json:
                _print_json({**_names(job), **report.fields, "notes": list(report.notes)})
            elif not quiet:
                _say_report(job, report, say)
    if failed:
        raise BatchError(f"{failed} of {len(jobs)} inputs failed, the others are done")


def _within_memory(job: Job, work: Callable[[Job], Report]) -> Report:
    try:
        return work(job)
    except MemoryError as error:
        raise ImageError("not enough memory for a picture of this size") from error


def _say_report(job: Job, report: Report, say: Say) -> None:
    notes = "".join(f"  ({note})" for note in report.notes)
    say(f"{job.source_name} -> {job.target_name}  {report.line}{notes}")


def _named(job: Job, error: EdgeaeError) -> EdgeaeError:
    """Return the error with the input's name in front, unless it names a file of the job."""
    text = " ".join(str(error).splitlines())
    if text.startswith((f"{job.source_name}: ", f"{job.target_name}: ")):
        return type(error)(text)
    return type(error)(f"{job.source_name}: {text}")


def _names(job: Job) -> dict[str, str]:
    return {"input": job.source_name, "output": job.target_name}


def _print_json(fields: Mapping[str, object]) -> None:
    print_line(json.dumps(fields))


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _progress(jobs: list[Job], *, quiet: bool) -> Iterator[tuple[Iterator[Job], Say]]:
    """Give the jobs one by one, under a progress bar if there are several and a terminal."""
    if quiet or len(jobs) == 1 or not sys.stderr.isatty():
        yield iter(jobs), _say
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # Redirected, the JSON lines of stdout would land on the terminal of stderr.
    with Progress(console=console, transient=True, redirect_stdout=False) as progress:
        yield (
            iter(progress.track(jobs, description="")),
            lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
        )
