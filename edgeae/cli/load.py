"""What a batch has to do, and by how many processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import typer

from edgeae.cli import output
from edgeae.cli.batch import run_stream
from edgeae.cli.stream import done

if TYPE_CHECKING:
    from edgeae.cli.jobs import Job
    from edgeae.cli.stream import Outcomes, Work


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to do, what is not because its output exists, and by how many processes."""

    jobs: list[Job]
    skipped: list[Job]
    workers: int

    @classmethod
    def of(cls, jobs: list[Job], workers: int, *, skip_existing: bool, force: bool) -> Self:
        """Return the load of a command line; typer.BadParameter if it contradicts itself."""
        if skip_existing and force:
            raise typer.BadParameter("--skip-existing and -f exclude each other; give one of them")
        skipped = [job for job in jobs if output.exists(job.target)] if skip_existing else []
        there = set(skipped)
        left = [job for job in jobs if job not in there]
        return cls(left, skipped, min(workers, len(left)))


def run(load: Load, make: Callable[[], Work[Any, Any]], *, as_json: bool, quiet: bool) -> None:
    """Do all jobs and say what came of each, in order; the errors are those of `run_stream`.

    ``make`` returns the work in the process that does it; several unpickle it.
    """

    def outcomes(jobs: Iterator[Job]) -> Outcomes:
        if load.workers > 1:
            from edgeae.cli.workers import done_by_workers

            yield from done_by_workers(jobs, make, load.workers)
        elif load.workers == 1:
            yield from done(jobs, make())

    run_stream(load.jobs, outcomes, as_json=as_json, quiet=quiet, skipped=load.skipped)
