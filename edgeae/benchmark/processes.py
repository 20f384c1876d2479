"""What only a process of its own can show: peak memory, and the time of a cold start."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgeae.benchmark.rounds import Timing
from edgeae.benchmark.stages import WAYS
from edgeae.benchmark.stopwatch import Seconds
from edgeae.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgeae.benchmark.cases import Case
    from edgeae.benchmark.stages import Files

FLOOR = 'python -c "import onnxruntime, numpy, PIL.Image"'


@dataclass(frozen=True, slots=True)
class Memory:
    """Peaks of resident memory in bytes, interpreter and libraries included."""

    compress: int | None
    decompress: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """A cold start: whole processes, and parts of one of them in wall ms (median)."""

    processes: Mapping[str, Timing]
    inside: Mapping[str, float]


def measure_memory(case: Case, files: Files, quality: float, effort: int) -> Memory:
    """Return the peaks of one compress and one decompress from file to file, a process each."""
    paths = {name: str(path) for name, path in asdict(files).items()}
    job = {**asdict(case), **paths, "job": "memory", "quality": quality, "effort": effort}
    peaks = [_probe({**job, "way": way})["peak_bytes"] for way in WAYS]
    return Memory(*peaks)


def libraries_bytes() -> int | None:
    """Return the peak of a process that only loads the libraries."""
    peak: int | None = _probe({"job": "libraries"})["peak_bytes"]
    return peak


def measure_start(
    case: Case,
    files: Files,
    *,
    quality: float,
    effort: int,
    rounds: int,
    after_run: Callable[[], None],
) -> Start:
    """Return what a first picture costs, beside a process that only loads the libraries.

    The picture's file must be there. All processes take turns; a median of three is of processes
    that find their files in the system's cache, as after a first use.
    """
    program, options = ["-m", "edgeae"], ["-f", "--quiet", *case.options()]
    compress = ["compress", str(files.picture), "-o", str(files.packed), *options]
    compress += ["-q", str(quality), "--effort", str(effort)]
    decompress = ["decompress", str(files.packed), "-o", str(files.decoded), *options]
    commands = {
        "python, nothing": ["-c", "pass"],
        FLOOR: ["-c", "import onnxruntime, numpy, PIL.Image"],
        "edgeae --help": [*program, "--help"],
        "edgeae compress": [*program, *compress],
        "edgeae decompress": [*program, *decompress],
    }
    job = {**asdict(case), "job": "start", "picture": str(files.picture)}
    job |= {"quality": quality, "effort": effort}
    whole: dict[str, list[Seconds]] = {name: [] for name in commands}
    inside: list[dict[str, float]] = []
    for _ in range(rounds):
        for name, arguments in commands.items():
            whole[name].append(_timed(arguments))
            after_run()
        inside.append(_probe(job))
        after_run()
    return Start(
        {name: Timing.of(found) for name, found in whole.items()},
        {name: statistics.median(one[name] for one in inside) for name in inside[0]},
    )


def _timed(arguments: Sequence[str]) -> Seconds:
    before, begin = _cpu_of_children(), time.perf_counter()
    _python(arguments)
    return Seconds(time.perf_counter() - begin, _cpu_of_children() - before)


def _probe(job: Mapping[str, object]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        _python(["-m", "edgeae.benchmark.probe", json.dumps(job)]).splitlines()[-1]
    )
    return answer


def _python(arguments: Sequence[str]) -> str:
    # As edgeae itself does: onnxruntime sends no event home at import (see edgeae.graphs), numpy
    # starts no threads.
    variables = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ}
    # Installed packages have their bytecode; a checkout's is written by the first process.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.run(  # noqa: S603 this interpreter, with arguments of our own
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    if process.returncode:
        said = (process.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise GraphError(
            f"a process of its own failed with exit code {process.returncode}: {said}; if memory "
            f"is short, choose a smaller --size"
        )
    return process.stdout


def _cpu_of_children() -> float:
    times = os.times()  # to the hundredth of a second; 0 on Windows
    return times.children_user + times.children_system
