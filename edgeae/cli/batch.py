"""Say what came of each job, and let a failure not stop the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import typer

from edgeae.cli.output import print_line, say
from edgeae.errors import BatchError, EdgeaeError, ImageError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from edgeae.cli.jobs import Job

    Say: TypeAlias = Callable[[str], None]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Report:
    """What a job came to: a line for people and the fields of a JSON object."""

    line: str
    fields: Mapping[str, object]
    notes: tuple[str, ...] = ()


def check_stdout(targets: Iterable[Path | None], *, as_json: bool) -> None:
    """Raise typer.BadParameter if data and JSON would mix on stdout."""
    if as_json and None in targets:
        raise typer.BadParameter("--json and the output both need stdout; give -o FILE")


def run_stream(
    jobs: list[Job],
    outcomes: Callable[[Iterator[Job]], Generator[tuple[Job, Report | EdgeaeError], None, None]],
    *,
    as_json: bool,
    quiet: bool,
    skipped: Sequence[Job] = (),
) -> None:
    """Say what came of every job that ``outcomes`` takes; it gives them back in order.

    Results go to stderr as lines, and to stdout as JSON objects if ``as_json``. Failures are said
    at once, and again at the end if lines of others came between. The ``skipped`` were not to be
    done.

    Raises
    ------
    EdgeaeError
        The only job failed.
    BatchError
        Some of several jobs failed; each was reported.
    """
    total = [*skipped, *jobs]
    _report_skipped(skipped, as_json=as_json, quiet=quiet)
    failures: list[str] = []
    apart = False  # whether lines of others came after a failure
    with progress(jobs, quiet=quiet) as (remaining, say), closing(outcomes(remaining)) as ended:
        for job, result in ended:
            if isinstance(result, EdgeaeError):
                alone = len(total) == 1
                failures.append(report_failure(job, result, say, alone=alone, as_json=as_json))
            elif as_json:
                _print_json({**_names(job), **result.fields, "notes": list(result.notes)})
            elif not quiet:
                _say_report(job, result, say)
                apart = bool(failures)
    if apart:
        say("\n".join(["failed:", *(f"  {failure}" for failure in failures)]))
    check_failures(len(failures), total)


def report_failure(job: Job, error: EdgeaeError, say: Say, *, alone: bool, as_json: bool) -> str:
    """Say that a job failed, and return what was said; raise the error if it is the only one."""
    named = _named(job, error)
    if as_json:
        _print_json({**_names(job), "error": str(named), "exit": named.exit_code})
    if alone:
        raise named from error
    say(f"edgeae: {named}")
    return str(named)


def check_failures(failed: int, jobs: Sequence[Job]) -> None:
    """Raise BatchError if some of the jobs failed; each was reported."""
    if failed:
        raise BatchError(f"{failed} of {len(jobs)} inputs failed, the others are done")


def attempt(work: Callable[[], Outcome]) -> Outcome | EdgeaeError:
    """Return what ``work`` does, or the error of its input: a lack of memory is one."""
    try:
        return within_memory(None, lambda _: work())
    except EdgeaeError as error:
        return error


def within_memory(item: Item, work: Callable[[Item], Outcome]) -> Outcome:
    """Do ``work`` on an item; a lack of memory is that item's error and not the end of all."""
    try:
        return work(item)
    except MemoryError as error:
        raise ImageError("not enough memory for a picture of this size") from error


def _report_skipped(jobs: Sequence[Job], *, as_json: bool, quiet: bool) -> None:
    for job in jobs if as_json else ():
        _print_json({**_names(job), "skipped": True})
    if jobs and not (as_json or quiet):
        say(f"{len(jobs)} skipped: the output exists")


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


@contextmanager
def progress(items: Sequence[Item], *, quiet: bool) -> Iterator[tuple[Iterator[Item], Say]]:
    """Give the items one by one, under a progress bar if there are several and a terminal.

    The second value prints a line to stderr without disturbing the bar.
    """
    if quiet or len(items) == 1 or not sys.stderr.isatty():
        yield iter(items), say
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # Redirected, the JSON lines of stdout would land on the terminal of stderr.
    with Progress(console=console, transient=True, redirect_stdout=False) as bar:
        yield (
            iter(bar.track(items, description="")),
            lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
        )
