"""Where the time of a call goes, seen from outside: every run of a graph, and what lies between.

`Graph.run` is watched for as long as a `with` lasts; the codec knows nothing of it.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from edgeae.graphs import Graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

RUN_METHODS = ("run", "run_all")


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time on the wall clock, and of all threads of this process on its processors."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall - other.wall, self.cpu - other.cpu)

    def __truediv__(self, count: float) -> Seconds:
        return Seconds(self.wall / count, self.cpu / count)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which a graph begins to run (+1) or has run (-1)."""

    at: Seconds
    graph: str
    change: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which the same graphs ran, or none."""

    graphs: tuple[str, ...]  # several if threads run some at once
    before: str | None  # the graph that ran last before, None at the beginning
    after: str | None  # the graph that runs next, None at the end
    took: Seconds


class Recording:
    """What was seen during one call."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.begun = now()
        self.ended = self.begun

    def stretches(self) -> Iterator[Stretch]:
        """Yield the parts of the call in order; together they are the whole."""
        marks = sorted(self.marks, key=lambda mark: mark.at.wall)
        running: Counter[str] = Counter()
        last: str | None = None
        since = self.begun
        for position, mark in enumerate(marks):
            after = _next_to_begin(marks, position)
            yield Stretch(tuple(+running), last, after, mark.at - since)
            running[mark.graph] += mark.change
            last, since = mark.graph, mark.at
        yield Stretch((), last, None, self.ended - since)

    def split(self, gap: Callable[[str | None, str | None], str]) -> dict[str, Seconds]:
        """Return the time of each graph by name, and of the gaps by what ``gap`` calls them.

        Parameters
        ----------
        gap : callable
            Given the graphs that ran before and run after it, None at the ends of the call.
        """
        parts: dict[str, Seconds] = {}
        for stretch in self.stretches():
            names = stretch.graphs or (gap(stretch.before, stretch.after),)
            for name in names:
                parts[name] = parts.get(name, Seconds()) + stretch.took / len(names)
        return parts


def now() -> Seconds:
    """Return what the two clocks say."""
    return Seconds(time.perf_counter(), time.process_time())


@contextmanager
def recording() -> Iterator[Recording]:
    """Watch every graph that runs in this process until the ``with`` ends."""
    seen = Recording()
    originals = {name: getattr(Graph, name) for name in RUN_METHODS}
    for name, original in originals.items():
        setattr(Graph, name, _watched(original, seen.marks))
    try:
        seen.begun = now()
        yield seen
        seen.ended = now()
    finally:
        for name, original in originals.items():
            setattr(Graph, name, original)


def timed(work: Callable[[], Any]) -> tuple[Any, Seconds]:
    """Return what ``work`` does, and how long it took."""
    start = now()
    result = work()
    return result, now() - start


def _watched(original: Callable[..., Any], marks: list[Mark]) -> Callable[..., Any]:
    @wraps(original)
    def run(graph: Graph, **inputs: NDArray[Any]) -> Any:
        marks.append(Mark(now(), graph.name, 1))
        try:
            return original(graph, **inputs)
        finally:
            marks.append(Mark(now(), graph.name, -1))

    return run


def _next_to_begin(marks: Sequence[Mark], position: int) -> str | None:
    return next((mark.graph for mark in marks[position:] if mark.change > 0), None)
