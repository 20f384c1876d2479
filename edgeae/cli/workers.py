"""Jobs done by several spawned processes, each of which takes one whenever it can.

Why not `concurrent.futures`: there the death of one process fails all that was handed in, and does
not say which job it was. Here the parent knows what each worker holds. If that is one job, it
failed; of several, each is done again alone, so that only the one that kills is lost.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from edgeae.cli import output
from edgeae.cli.worker import serve
from edgeae.errors import BatchError, EdgeaeError, ImageError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import TracebackType

    from edgeae.cli.batch import Report
    from edgeae.cli.jobs import Job
    from edgeae.cli.stream import Outcome, Outcomes, Work


def done_by_workers(
    jobs: Iterator[Job], make: Callable[[], Work[Any, Any]], count: int
) -> Outcomes:
    """Yield each job with its report or its error, in order.

    Parameters
    ----------
    jobs : iterator
        Is read as the workers ask for more.
    make : callable
        Returns the work, in each worker; is pickled.
    count : int
        Workers at most, 1 or more.

    Raises
    ------
    BatchError
        The system lets no worker live.
    EdgeaeError
        ``make`` raised it.
    """
    held: dict[int, Outcome] = {}
    following = 0
    with _Crew(jobs, make, count) as crew:
        for number, outcome in crew.results():
            held[number] = outcome
            while following in held:
                yield held.pop(following)
                following += 1


_LOST = "the worker process that had it {}; if that was a lack of memory, give less to -j"


@dataclass(frozen=True, slots=True)
class _Given:
    """A job in the hands of a worker."""

    number: int
    job: Job
    free: bool  # nothing was under the output's name before

    def again(self) -> _Given:
        return replace(self, job=replace(self.job, again=self.free))


@dataclass(slots=True, eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    given: deque[_Given] = field(default_factory=deque)
    is_open: bool = False
    asks: bool = False
    is_alone: bool = False  # with a job that may kill it


class _Crew:
    """Worker processes and the jobs between them; leaving it ends them."""

    def __init__(self, jobs: Iterator[Job], make: Callable[[], Work[Any, Any]], count: int) -> None:
        self._jobs = enumerate(jobs)
        self._make = make
        self._count = count
        self._workers: list[_Worker] = []
        self._suspects: deque[_Given] = deque()
        self._exhausted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            if (kind is not None or not worker.is_open) and os.name != "nt":
                worker.process.terminate()  # it ends now, see serve
            worker.pipe.close()  # it ends when it asks for a job
        for worker in self._workers:
            worker.process.join()

    def results(self) -> Iterator[tuple[int, Outcome]]:
        """Yield the number of each job and what came of it, as it comes."""
        self._start(1)
        while not (self._exhausted and not self._suspects and self._all_idle()):
            by_pipe = {worker.pipe: worker for worker in self._workers}
            for pipe in wait(list(by_pipe)):
                worker = by_pipe[pipe]  # type: ignore[index]  # nothing else was waited for
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._lose(worker)
                else:
                    yield from self._take(worker, message)
            self._feed()

    def _all_idle(self) -> bool:
        return not any(worker.given for worker in self._workers)

    def _start(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, self._make), daemon=True)
            with _interrupts_held_back():
                process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))

    def _take(
        self, worker: _Worker, message: Report | EdgeaeError | None
    ) -> Iterator[tuple[int, Outcome]]:
        if message is not None and worker.given:
            given = worker.given.popleft()
            yield given.number, (given.job, message)
        elif isinstance(message, EdgeaeError):
            raise message
        else:
            worker.asks = True
            if not worker.is_open:
                worker.is_open = True
                # The first has shown that it can be done, and has chosen precisions for all.
                self._start(self._count - len(self._workers))

    def _lose(self, worker: _Worker) -> Iterator[tuple[int, Outcome]]:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        for given in worker.given:
            if given.job.target is not None:
                output.remove_partial(given.job.target)
        if len(worker.given) == 1:
            given = worker.given[0]
            yield given.number, (given.job, ImageError(_LOST.format(_end_of(worker.process))))
        else:
            self._suspects.extend(given.again() for given in worker.given)
        if not worker.is_open:  # the machine has no room for so many
            self._count = len(self._workers)
            if not self._workers:
                end = _end_of(worker.process)
                raise BatchError(f"no worker process stays alive, the last {end}; give less to -j")
        elif self._suspects or not self._exhausted:
            self._start(self._count - len(self._workers))

    def _feed(self) -> None:
        for worker in self._workers:
            if not worker.asks:
                continue
            given = self._next_for(worker)
            if given is None and not worker.given:
                continue  # another may yet die and leave something
            worker.asks = False
            with suppress(ConnectionError):  # it died: its pipe says so next
                worker.pipe.send(None if given is None else given.job)

    def _next_for(self, worker: _Worker) -> _Given | None:
        """Return a job that now belongs to the worker, or None."""
        if worker.is_alone and worker.given:
            return None
        worker.is_alone = bool(self._suspects) and not worker.given
        given = self._suspects.popleft() if worker.is_alone else self._fresh()
        if given is not None:
            worker.given.append(given)
        return given

    def _fresh(self) -> _Given | None:
        found = None if self._exhausted else next(self._jobs, None)
        if found is None:
            self._exhausted = True
            return None
        number, job = found
        return _Given(number, job, job.target is not None and not os.path.lexists(job.target))


def _end_of(process: SpawnProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let processes that start here not hear Ctrl-C: the parent does, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
