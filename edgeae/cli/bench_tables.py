"""What bench measured, as tables."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from edgeae.benchmark.race import REFERENCE
from edgeae.benchmark.report import times
from edgeae.benchmark.stages import COMPRESS, DECOMPRESS, ORDER, READ, WAYS, WRITE
from edgeae.cli.output import print_line
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.table import print_table
from edgeae.evaluation.results import versions
from edgeae.graphs import default_threads
from edgeae.processor import processor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeae.benchmark.cases import Case
    from edgeae.benchmark.processes import Start
    from edgeae.benchmark.report import CaseResult, PeerResult, Report, SizeResult
    from edgeae.benchmark.rounds import Timing

FILES = {
    COMPRESS: {READ: "read PNG", WRITE: "write .eae"},
    DECOMPRESS: {READ: "read .eae", WRITE: "write PNG"},
}
_STAGE_WIDTH, _GAP = 18, 3  # characters on a terminal: the first column, what parts the others

_NO_SHARE = " " * 5  # under the shares: times stand under times


def print_report(report: Report) -> None:
    """Print all tables to stdout."""
    print_line(_machine())
    for size in report.sizes:
        _print_title(
            f"{report.picture}, {size.width}x{size.height} ({size.megapixels:.2f} MP), quality "
            f"{report.request.quality:g}; {_runs(size.runs)}, ms"
        )
        for number, results in enumerate(_that_fit(size.cases)):
            for way in WAYS:
                if number or way != WAYS[0]:
                    _print_title("")
                _print_stages(results, way, size)
        _print_race(size)
        if size.cases[0].memory is not None:
            _print_memory(size, report.libraries_bytes)
    if report.start is not None:
        _print_start(report.start, report.sizes[0])


def labels(report: Report) -> list[str]:
    """Return what tells the cases of a report from each other, in order."""
    cases = [result.case for result in report.sizes[0].cases]
    return [label(case, cases) for case in cases]


def label(case: Case, among: Sequence[Case]) -> str:
    """Return what tells a case from the others, and its precision and threads."""
    parts = [case.precision, f"{case.threads} thread{'s' if case.threads > 1 else ''}"]
    if len({other.provider for other in among}) > 1:
        parts.insert(0, case.provider)
    if len({other.model for other in among}) > 1:
        parts.insert(0, case.name)
    return ", ".join(parts)


def _print_title(text: str) -> None:
    """Print what stands before a table; those that are drawn have blank lines of their own."""
    if not sys.stdout.isatty():
        print_line(f"\n{text}\n" if text else "")
    elif text:
        print_line(text)


def _machine() -> str:
    model = "model name: "
    parts = processor().split("; ")
    name = next((part.removeprefix(model) for part in parts if part.startswith(model)), parts[0])
    found = versions()
    count = default_threads()
    return (
        f"{name}, {count} processor{'s' if count > 1 else ''}; edgeae {found['edgeae']}, "
        f"onnxruntime {found['onnxruntime']}, Pillow {found['Pillow']}"
    )


def _runs(count: int) -> str:
    return "wall time of one run" if count == 1 else f"median wall time of {count} runs"


def _that_fit(results: Sequence[CaseResult]) -> Iterator[Sequence[CaseResult]]:
    """Yield as many cases at a time as are beside each other on the terminal."""
    if not sys.stdout.isatty():
        yield results
        return
    cases = [result.case for result in results]
    widest = max(len(label(case, cases)) for case in cases)
    room = shutil.get_terminal_size().columns - _STAGE_WIDTH
    count = max(1, room // (widest + _GAP))
    for first in range(0, len(results), count):
        yield results[first : first + count]


def _print_stages(results: Sequence[CaseResult], way: str, size: SizeResult) -> None:
    cases = [result.case for result in size.cases]
    headings = [way, *(label(result.case, cases) for result in results)]
    names = [name for name in ORDER[way] if any(name in r.stages[way] for r in results)]
    rows = [
        [FILES[way].get(name, name), *(_stage(result, way, name) for result in results)]
        for name in names
    ]
    totals = [result.total[way] for result in results]
    rows += [
        ["in memory", *(_plain(total.wall.median) for total in totals)],
        ["95th percentile", *(_plain(total.wall.p95) for total in totals)],
        ["per megapixel", *(_plain(total.wall.median / size.megapixels) for total in totals)],
        ["processor time", *(_plain(total.cpu.median) for total in totals)],
    ]
    print_table(headings, rows)


def _stage(result: CaseResult, way: str, name: str) -> str:
    if name not in result.stages[way]:
        return f"-{_NO_SHARE}"
    milliseconds = f"{result.stages[way][name].wall.median:.1f}"
    share = result.share(way, name, "wall")
    return f"{milliseconds}{_NO_SHARE}" if share is None else f"{milliseconds} {share:4.0%}"


def _plain(milliseconds: float) -> str:
    return f"{milliseconds:.1f}{_NO_SHARE}"


def _print_race(size: SizeResult) -> None:
    if not size.peers:
        return
    reference = next((p for p in size.peers if p.name.startswith(REFERENCE)), size.peers[0])
    than = reference.label.split(",")[0]
    _print_title(f"Beside other formats, in memory: processor time, ms, and in times of {than}'s")
    cases = [result.case for result in size.cases]
    peers = [(peer.label, f"{peer.quality}", *_against(peer, reference)) for peer in size.peers]
    ours = [(label(result.case, cases), "", *_against(result, reference)) for result in size.cases]
    print_table(("", "-q", "bytes", "dB", *WAYS), [*peers, *ours])


def _against(result: PeerResult | CaseResult, reference: PeerResult) -> tuple[str, ...]:
    coded = result.coded
    cells = [_compared(result.total[way], reference.total[way]) for way in WAYS]
    return f"{coded.bytes}", f"{coded.psnr_db:.2f}", *cells


def _compared(mine: Timing, its: Timing) -> str:
    ratio = times(mine, its, "cpu")
    return f"{mine.cpu.median:.1f} {'-' if ratio is None else f'{ratio:.2f}':>6}"


def _print_memory(size: SizeResult, libraries: int | None) -> None:
    cases = [result.case for result in size.cases]
    rows = [
        (label(result.case, cases), _size(memory.compress), _size(memory.decompress))
        for result in size.cases
        if (memory := result.memory) is not None
    ]
    _print_title(f"Peak resident memory; of the libraries alone {_size(libraries)}")
    print_table(("", *WAYS), rows)


def _size(count: int | None) -> str:
    return "unknown" if count is None else readable_bytes(count)


def _print_start(start: Start, size: SizeResult) -> None:
    case = size.cases[0].case
    how = f"{case.name}, {label(case, [case])}, {size.width}x{size.height}"
    _print_title(f"Cold start of {how}: whole processes, ms")
    rows = [
        (name, f"{timing.wall.median:.0f}", f"{timing.cpu.median:.0f}")
        for name, timing in start.processes.items()
    ]
    print_table(("", "wall", "processor"), rows)
    inside = ", ".join(f"{name} {value:.0f}" for name, value in start.inside.items())
    print_line(f"Inside one: {inside} ms")
