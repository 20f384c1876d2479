"""What runs in a worker process: jobs come by a pipe, and what came of them goes back by it.

To the parent go None, to ask for a job, and outcomes, in the order of the jobs. From it come jobs,
and None for "finish what you have". The end of the pipe is the end of the process.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edgeae.cli.stops import raise_on_stops
from edgeae.cli.stream import Work, done
from edgeae.errors import EdgeaeError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from edgeae.cli.jobs import Job


def serve(pipe: Connection, make: Callable[[], Work[Any, Any]]) -> None:
    """Do what comes by ``pipe`` until it ends; an error of ``make`` is sent before any None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    raise_on_stops()
    with suppress(EOFError, ConnectionError):
        try:
            work = make()
        except EdgeaeError as error:
            pipe.send(error)
            return
        while True:
            for _, result in done(_given(pipe), work):
                pipe.send(result)


def _given(pipe: Connection) -> Iterator[Job]:
    while True:
        pipe.send(None)
        job = pipe.recv()
        if job is None:
            return
        yield job
