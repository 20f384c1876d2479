"""A picture of rate-distortion curves: PSNR and MS-SSIM over bits per pixel.

Importing this module without matplotlib raises MissingExtraError.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Literal, TypeAlias

from edgeae.errors import MissingExtraError
from edgeae.evaluation.peers import PEERS
from edgeae.metrics import ms_ssim_db

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter
except ImportError as error:
    raise MissingExtraError(
        f"a plot needs matplotlib ({error}); install it: pip install 'edgeae[plot]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from edgeae.evaluation.rate_distortion import Point
    from edgeae.evaluation.results import Results

Origin: TypeAlias = Literal["published", "peer", "edgeae"]

# Okabe and Ito's colours, told apart with any colour vision; edgeae has the darkest.
EDGEAE_COLOURS = ("#000000", "#882255", "#555555")
PEER_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00")
PEER_MARKERS = ("s", "^", "D", "v", "P", "X")
PUBLISHED_DASHES = ("--", ":", "-.")
BPP_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32)
MARGIN = 1.3  # of the bpp axis, as a factor


@dataclass(frozen=True, slots=True)
class Series:
    """A curve, and whose it is: of edgeae, of a codec measured beside it, or from a paper."""

    label: str
    curve: Sequence[Point]
    origin: Origin


def series_of(results: Results) -> list[Series]:
    """Return the mean curve of every codec that was measured."""
    return [
        Series(results.labels[name], curve, "peer" if name in PEERS else "edgeae")
        for name, curve in results.curves().items()
    ]


def plot(series: Sequence[Series], title: str, format: str) -> bytes:
    """Return a PNG, SVG or PDF file of the curves."""
    buffer = io.BytesIO()
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        styles = _styles()
        order = list(styles)
        for one in sorted(series, key=lambda one: order.index(one.origin)):
            style = {"label": one.label, **next(styles[one.origin])}
            left.plot([p.bpp for p in one.curve], [p.psnr_db for p in one.curve], **style)
            similar = [(p.bpp, ms_ssim_db(p.ms_ssim)) for p in one.curve if p.ms_ssim is not None]
            right.plot([bpp for bpp, _ in similar], [decibels for _, decibels in similar], **style)
        rates = [p.bpp for one in series for p in one.curve]
        _label_axes(left, "PSNR-RGB, dB", rates)
        _label_axes(right, "MS-SSIM, dB", rates)
        left.legend(frameon=False, loc="upper left", fontsize=9)
        figure.suptitle(title, fontsize=11)
        figure.savefig(buffer, format=format, dpi=150)
    return buffer.getvalue()


def _styles() -> dict[Origin, Iterator[dict[str, str | float]]]:
    """Return endless keyword arguments of matplotlib's plot by origin, in the order of drawing."""
    thin, thick = {"linewidth": 1.2, "markersize": 4}, {"linewidth": 2.8, "markersize": 6}
    peers = zip(PEER_COLOURS, PEER_MARKERS, strict=True)
    return {
        "published": cycle(
            [{"color": "#888888", "linestyle": d, "linewidth": 1.2} for d in PUBLISHED_DASHES]
        ),
        "peer": cycle([{"color": c, "marker": m, **thin} for c, m in peers]),
        "edgeae": cycle([{"color": c, "marker": "o", **thick} for c in EDGEAE_COLOURS]),
    }


def _label_axes(axes: Axes, name: str, rates: Sequence[float]) -> None:
    low, high = min(rates) / MARGIN, max(rates) * MARGIN
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in BPP_TICKS if low <= tick <= high])
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bits per pixel of the whole file (logarithmic)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(name)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
