"""Order, batches and errors of the stream that compress runs on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeae.batches import WINDOW_ITEMS, WINDOW_VALUES, alike, windows
from edgeae.cli.batch import Report
from edgeae.cli.jobs import Job
from edgeae.cli.stream import Work, outcomes
from edgeae.errors import EdgeaeError, ImageError, OutputError


@dataclass(frozen=True)
class Source:
    """What is read: a number with the size of a picture."""

    number: int
    width: int = 1
    height: int = 1


def jobs(count: int) -> list[Job]:
    return [Job(Path(str(number)), None) for number in range(count)]


def number_of(job: Job) -> int:
    assert job.source is not None
    return int(job.source.name)


def run(
    count: int, size: int, *, bad: Iterable[int] = ()
) -> tuple[list[Report | EdgeaeError], list[int]]:
    """Return the outcomes, and the lengths of what was coded at once.

    Numbers in ``bad`` cannot be read if they divide by 3, coded if the remainder is 1, or written.
    """
    lengths = []
    bad = set(bad)

    def read(job: Job) -> Source:
        if number_of(job) in bad and number_of(job) % 3 == 0:
            raise ImageError("unreadable")
        return Source(number_of(job))

    def code(sources: Sequence[Source]) -> list[int]:
        lengths.append(len(sources))
        if any(source.number in bad and source.number % 3 == 1 for source in sources):
            raise ImageError("not for this model")
        return [10 * source.number for source in sources]

    def write(job: Job, source: Source, coded: int, seconds: float) -> Report:
        time.sleep(0.002 * (number_of(job) % 4 == 0))  # some are slow: order must not depend on it
        if source.number in bad:
            raise OutputError("disk full")
        assert seconds >= 0
        return Report(str(coded), {})

    def by_size(items: Iterator[object]) -> Iterator[list[object]]:
        return windows(items, lambda _: -(-WINDOW_VALUES // size), together=True)

    found = list(outcomes(iter(jobs(count)), Work(read, code, write, True), by_size))  # type: ignore[arg-type]  # any items
    assert [number_of(job) for job, _ in found] == list(range(count))
    return [result for _, result in found], lengths


def test_results_come_in_order_and_coding_in_batches() -> None:
    results, lengths = run(23, 5)
    assert [result.line for result in results if isinstance(result, Report)] == [
        str(10 * number) for number in range(23)
    ]
    assert lengths == [5, 5, 5, 5, 3]


def test_one_bad_input_costs_nothing_but_itself() -> None:
    bad = {3, 7, 8, 9}
    results, _ = run(20, 6, bad=bad)
    for number, result in enumerate(results):
        if number not in bad:
            assert isinstance(result, Report)
            assert result.line == str(10 * number)
    assert [str(results[number]) for number in sorted(bad)] == [
        "unreadable",
        "not for this model",
        "disk full",
        "unreadable",
    ]


def test_nothing_but_bad_inputs_is_as_many_errors() -> None:
    results, lengths = run(4, 2, bad=range(4))
    assert all(isinstance(result, EdgeaeError) for result in results)
    assert sum(lengths) == 2  # 1 and 2 could be read


def test_bug_is_not_taken_for_a_bad_input() -> None:
    def broken(_: Job) -> Source:
        raise ZeroDivisionError

    work: Work[Source, int] = Work(broken, lambda _: [], lambda *_: Report("", {}), False)
    with pytest.raises(ZeroDivisionError):
        list(outcomes(iter(jobs(2)), work, lambda items: ([item] for item in items)))


@given(st.lists(st.integers(1, WINDOW_VALUES), max_size=700), st.booleans())
def test_windows_keep_order_and_limits(sizes: list[int], together: bool) -> None:
    found = list(windows(iter(sizes), lambda size: size, together=together))
    assert [size for window in found for size in window] == sizes
    for window in found:
        assert len(window) <= (WINDOW_ITEMS if together else 1)
        assert sum(window[:-1]) < WINDOW_VALUES


def test_windows_read_no_further_than_needed() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    next(windows(items(), lambda _: 1, together=False))
    assert taken == [0]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=20), st.booleans())
def test_alike_is_a_partition_by_shape(shapes: list[tuple[int, int]], together: bool) -> None:
    arrays = [np.empty(shape) for shape in shapes]
    groups = alike(arrays, together=together)
    assert sorted(position for group in groups for position in group) == list(range(len(shapes)))
    for group in groups:
        assert len({shapes[position] for position in group}) == 1
    assert len(groups) == (len(set(shapes)) if together else len(shapes))
