"""Commands that make one thing of many inputs: read, code, hand over; a failure stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from edgeae.cli import batch
from edgeae.cli.stream import by_size, coded
from edgeae.errors import BatchError, EdgeaeError, OutputError
from edgeae.paths import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgeae.cli.jobs import Job

Read = TypeVar("Read")
Coded = TypeVar("Coded")


class Collection(Generic[Read, Coded]):
    """What a command does with each of its inputs, before it writes what all of them make.

    Parameters
    ----------
    read : callable
        Returns what is in the input of a job.
    code : callable
        Makes something of several at once, as of `edgeae.cli.stream.Work`.
    use : callable
        Takes it, in the order of the inputs; may raise the error of this one.
    together : bool
        Whether several are coded at once.
    """

    def __init__(
        self,
        *,
        read: Callable[[Job], Read],
        code: Callable[[Sequence[Read]], Sequence[Coded]],
        use: Callable[[Job, Read, Coded], None],
        together: bool,
    ) -> None:
        self._read = read
        self._code = code
        self._use = use
        self._together = together

    def run(self, jobs: list[Job], *, as_json: bool, quiet: bool) -> int:
        """Return how many of the jobs failed; each was reported.

        Raises
        ------
        EdgeaeError
            The only job failed.
        BatchError
            All failed.
        """
        failed = 0
        with batch.progress(jobs, quiet=quiet) as (remaining, say):
            for job, result in coded(
                remaining,
                self._read,
                self._code,
                by_size(together=self._together),
            ):
                error = result if isinstance(result, EdgeaeError) else self._taken(job, *result)
                if error is not None:
                    alone = len(jobs) == 1
                    batch.report_failure(job, error, say, alone=alone, as_json=as_json)
                    failed += 1
        if failed == len(jobs):
            raise BatchError(f"all {failed} inputs failed; nothing is written")
        return failed

    def _taken(self, job: Job, found: Read, made: Coded) -> EdgeaeError | None:
        result = batch.attempt(lambda: self._use(job, found, made))
        return result if isinstance(result, EdgeaeError) else None


def check_apart(targets: Sequence[Path | None], jobs: Sequence[Job]) -> None:
    """Raise OutputError if an output of all is one of the inputs."""
    for target in targets:
        if target is None or not exists(target):
            continue
        for job in jobs:
            if job.source is not None and exists(job.source) and job.source.samefile(target):
                raise OutputError(f"{target}: is one of the inputs; name another output")
