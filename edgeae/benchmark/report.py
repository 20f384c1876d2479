"""What was measured, as values and as JSON."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeae.benchmark.stages import FILE_STAGES, ORDER, WAYS
from edgeae.evaluation.results import versions
from edgeae.graphs import default_threads
from edgeae.metrics import bits_per_pixel
from edgeae.processor import processor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeae.benchmark.cases import Case, Request
    from edgeae.benchmark.processes import Memory, Start
    from edgeae.benchmark.rounds import Statistic, Timing

CLOCKS = ("wall", "cpu")
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Coded:
    """A file of the picture."""

    bytes: int
    psnr_db: float  # at most 100, which stands for equal pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What one case takes on one picture."""

    case: Case
    ran: Mapping[str, tuple[str, str]]  # graph to the precision and the provider it ran in
    coded: Coded
    stages: Mapping[str, Mapping[str, Timing]]  # by way and stage
    total: Mapping[str, Timing]  # by way, from memory to memory
    memory: Memory | None

    def ordered(self, way: str) -> list[tuple[str, Timing]]:
        """Return the stages of a way as tables have them."""
        return [(n, self.stages[way][n]) for n in ORDER[way] if n in self.stages[way]]

    def share(self, way: str, stage: str, clock: str) -> float | None:
        """Return which part of a way from memory to memory a stage takes, by medians.

        None for the stages of files, which are no part of it.
        """
        if stage in FILE_STAGES:
            return None
        return times(self.stages[way][stage], self.total[way], clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """What another format takes on one picture."""

    name: str
    label: str
    quality: int
    coded: Coded
    total: Mapping[str, Timing]  # by way, from memory to memory


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeResult:
    """All cases and peers on one picture."""

    width: int
    height: int
    runs: int
    cases: tuple[CaseResult, ...]
    peers: tuple[PeerResult, ...]

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6

    def bpp(self, coded: Coded) -> float:
        """Return the bits per pixel of a file."""
        return bits_per_pixel(coded.bytes, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole result."""

    request: Request
    picture: str
    sizes: tuple[SizeResult, ...]
    start: Start | None  # of the first case, on the first size
    libraries_bytes: int | None  # peak of a process that only loads the libraries

    def to_json(self) -> str:
        """Return one JSON object: times in ms, memory in bytes, no path and no machine's name."""
        request = self.request
        document = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": versions(),
            "processor": processor(),
            "processors": default_threads(),
            "settings": {
                "picture": self.picture,
                "quality": request.quality,
                "effort": request.effort,
                "runs": request.length.runs,
                "seconds": request.length.seconds,
            },
            "sizes": [_size(size) for size in self.sizes],
            "libraries_bytes": self.libraries_bytes,
            "start": None if self.start is None else _start(self.start, self.sizes[0]),
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"


def times(one: Timing, other: Timing, clock: str) -> float | None:
    """Return how many times as long as the other one takes, by the medians of a clock.

    None where the clock is too coarse to see the other one; Windows counts processor time in 64ths
    of a second.
    """
    taken: Statistic = getattr(other, clock)
    mine: Statistic = getattr(one, clock)
    return mine.median / taken.median if taken.median > 0 else None


def _size(size: SizeResult) -> dict[str, Any]:
    return {
        "width": size.width,
        "height": size.height,
        "megapixels": size.megapixels,
        "runs": size.runs,
        "cases": [_case(result, size) for result in size.cases],
        "peers": [_peer(result, size) for result in size.peers],
    }


def _case(result: CaseResult, size: SizeResult) -> dict[str, Any]:
    return {
        **dataclasses.asdict(result.case),
        "model": result.case.name,
        "ran": {
            graph: {"precision": precision, "provider": provider}
            for graph, (precision, provider) in result.ran.items()
        },
        **_coded(result.coded, size),
        **{way: _way(result, way, size) for way in WAYS},
        "memory_bytes": None if result.memory is None else dataclasses.asdict(result.memory),
    }


def _way(result: CaseResult, way: str, size: SizeResult) -> dict[str, Any]:
    total = result.total[way]
    return {
        "stages": {
            name: {
                **_timing(timing),
                "share": {clock: _ratio(result.share(way, name, clock)) for clock in CLOCKS},
            }
            for name, timing in result.ordered(way)
        },
        "total": _timing(total),
        "ms_per_megapixel": {
            clock: _round(getattr(total, clock).median / size.megapixels) for clock in CLOCKS
        },
        "times": {
            peer.name: {clock: _ratio(times(total, peer.total[way], clock)) for clock in CLOCKS}
            for peer in size.peers
        },
    }


def _peer(result: PeerResult, size: SizeResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "label": result.label,
        "quality": result.quality,
        **_coded(result.coded, size),
        **{way: {"total": _timing(result.total[way])} for way in WAYS},
    }


def _coded(coded: Coded, size: SizeResult) -> dict[str, float]:
    return {
        "bytes": coded.bytes,
        "bpp": _round(size.bpp(coded)),
        "psnr_db": _round(coded.psnr_db),
    }


def _timing(timing: Timing) -> dict[str, dict[str, float]]:
    statistics = {clock: dataclasses.asdict(getattr(timing, clock)) for clock in CLOCKS}
    return {
        f"{clock}_ms": {name: _round(value) for name, value in found.items()}
        for clock, found in statistics.items()
    }


def _start(start: Start, size: SizeResult) -> dict[str, Any]:
    return {
        "width": size.width,
        "height": size.height,
        "case": {**dataclasses.asdict(size.cases[0].case), "model": size.cases[0].case.name},
        "processes": {name: _timing(timing) for name, timing in start.processes.items()},
        "inside_wall_ms": {name: _round(value) for name, value in start.inside.items()},
    }


def _round(value: float) -> float:
    return round(value, _DIGITS)


def _ratio(value: float | None) -> float | None:
    return None if value is None else _round(value)
