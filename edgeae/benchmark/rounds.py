"""Alternatives measured in turn, so that what disturbs one disturbs all, and their medians."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgeae.benchmark.stopwatch import Seconds

Name = TypeVar("Name")
Sample = TypeVar("Sample")

MIN_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long to measure: ``runs`` of each alternative, or else about ``seconds``."""

    seconds: float
    runs: int | None = None

    def enough(self, done: int, passed_s: float) -> bool:
        """Return whether ``done`` rounds will do; one more is not begun if it would not fit."""
        if self.runs is not None:
            return done >= self.runs
        return done >= MIN_RUNS and passed_s + passed_s / done > self.seconds


@dataclass(frozen=True, slots=True)
class Statistic:
    """One clock over the runs, in ms."""

    median: float
    p95: float  # 95 of 100 runs took at most this
    least: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Statistic:
        """Return those of some times in seconds."""
        median, p95, least = np.percentile(seconds, (50, 95, 0))
        return cls(1e3 * float(median), 1e3 * float(p95), 1e3 * float(least))


@dataclass(frozen=True, slots=True)
class Timing:
    """What some runs took."""

    wall: Statistic
    cpu: Statistic

    @classmethod
    def of(cls, samples: Sequence[Seconds]) -> Timing:
        """Return the statistics of both clocks."""
        return cls(
            Statistic.of([sample.wall for sample in samples]),
            Statistic.of([sample.cpu for sample in samples]),
        )


def in_turn(
    alternatives: Mapping[Name, Callable[[], Sample]],
    length: Length,
    after_run: Callable[[], None] = lambda: None,
) -> dict[Name, list[Sample]]:
    """Return what each alternative gave in each round.

    One run of each makes sessions and takes memory and is not counted. The order turns round after
    each round. ``after_run`` is called after every run, outside of what is measured.
    """
    for run in alternatives.values():
        run()
        after_run()
    samples: dict[Name, list[Sample]] = {name: [] for name in alternatives}
    order, done, start = list(alternatives), 0, time.perf_counter()
    while not (done and length.enough(done, time.perf_counter() - start)):
        for name in order:
            samples[name].append(alternatives[name]())
            after_run()
        order.reverse()
        done += 1
    return samples
