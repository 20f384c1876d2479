"""A bar chart of what was measured: one bar a case and way, stacked by stage; peers beside it.

Importing this module without matplotlib raises MissingExtraError.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeae.benchmark.stages import FILE_STAGES, WAYS
from edgeae.errors import MissingExtraError

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(
        f"a plot needs matplotlib ({error}); install it: pip install 'edgeae[plot]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from edgeae.benchmark.report import Report, SizeResult

# Okabe and Ito's colours, told apart with any colour vision.
COLOURS = {
    "encoder": "#0072B2",
    "hyper_encoder": "#56B4E9",
    "hyper_decoder": "#009E73",
    "decoder": "#E69F00",
    "rounding": "#CC79A7",
    "entropy": "#D55E00",
    "other": "#000000",
    "codec": "#BBBBBB",
}
_BAR_INCHES, _EDGE_INCHES = 0.32, 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its parts in ms, from left to right."""

    label: str
    total: float  # median: not quite the sum of those of the parts
    parts: Mapping[str, float]


def plot(report: Report, labels: Sequence[str], format: str) -> bytes:
    """Return a PNG, SVG or PDF file: processor time in memory, a row of axes a picture size.

    ``labels`` are the names of the cases, in order.
    """
    count = max(len(size.cases) + len(size.peers) for size in report.sizes)
    height = len(report.sizes) * (_EDGE_INCHES + _BAR_INCHES * count)
    buffer = io.BytesIO()
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, height), layout="constrained")
        rows = figure.subplots(len(report.sizes), len(WAYS), squeeze=False)
        for size, row in zip(report.sizes, rows, strict=True):
            for way, axes in zip(WAYS, row, strict=True):
                _draw(axes, _bars(size, way, labels))
                axes.set_title(f"{way}, {size.width}x{size.height}", fontsize=10)
                axes.set_xlabel("processor time, ms (median)")
        handles: dict[str, Artist] = {}
        for axes in rows.flat:
            found, texts = axes.get_legend_handles_labels()
            handles |= dict(zip(texts, found, strict=True))
        names = [name for name in COLOURS if name in handles]
        figure.legend(
            [handles[name] for name in names],
            ["other formats" if name == "codec" else name for name in names],
            loc="outside lower center",
            ncols=len(names),
            frameon=False,
        )
        quality = f"quality {report.request.quality:g}"
        figure.suptitle(f"{report.picture}, {quality}, from memory to memory", fontsize=11)
        figure.savefig(buffer, format=format, dpi=150)
    return buffer.getvalue()


def _bars(size: SizeResult, way: str, labels: Sequence[str]) -> list[Bar]:
    peers = [
        Bar(p.label, p.total[way].cpu.median, {"codec": p.total[way].cpu.median})
        for p in size.peers
    ]
    ours = [
        Bar(
            name,
            result.total[way].cpu.median,
            {
                stage: timing.cpu.median
                for stage, timing in result.ordered(way)
                if stage not in FILE_STAGES
            },
        )
        for name, result in zip(labels, size.cases, strict=True)
    ]
    return [*ours, *peers]


def _draw(axes: Axes, bars: Sequence[Bar]) -> None:
    for position, bar in enumerate(bars):
        left = 0.0
        for name, milliseconds in bar.parts.items():
            axes.barh(
                position, milliseconds, left=left, height=0.7, color=COLOURS[name], label=name
            )
            left += milliseconds
        axes.annotate(f" {bar.total:.0f}", (left, position), va="center")
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.margins(x=0.12)
