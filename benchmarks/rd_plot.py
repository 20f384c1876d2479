"""A picture of rate-distortion curves: PSNR and MS-SSIM over bits per pixel."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter

from edgeae.metrics import ms_ssim_db

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rate_distortion import Point

# Okabe and Ito's colours, told apart with any colour vision; edgeae has the darkest.
EDGEAE_COLOURS = ("#000000", "#882255", "#555555")
PEER_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00")
PEER_MARKERS = ("s", "^", "D", "v", "P", "X")
BPP_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 4)


def plot(series: Sequence[tuple[str, list[Point], bool]], target: Path, title: str) -> None:
    """Draw (label, curve, whether it is edgeae's) into a PNG, SVG or PDF file."""
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        edgeae_styles = cycle(EDGEAE_COLOURS)
        peer_styles = cycle(zip(PEER_COLOURS, PEER_MARKERS, strict=True))
        # edgeae is drawn last, over the others.
        for label, curve, ours in sorted(series, key=lambda entry: entry[2]):
            colour, marker = (next(edgeae_styles), "o") if ours else next(peer_styles)
            style = {
                "label": label,
                "color": colour,
                "marker": marker,
                "linewidth": 2.8 if ours else 1.2,
                "markersize": 6 if ours else 4,
            }
            left.plot([p.bpp for p in curve], [p.psnr_db for p in curve], **style)
            similar = [(p.bpp, ms_ssim_db(p.ms_ssim)) for p in curve if p.ms_ssim is not None]
            right.plot([bpp for bpp, _ in similar], [decibels for _, decibels in similar], **style)
        for axes, name in ((left, "PSNR-RGB, dB"), (right, "MS-SSIM, dB")):
            axes.set_xscale("log")
            axes.set_xticks(BPP_TICKS)
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("bits per pixel of the whole file (logarithmic)")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylabel(name)
            axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        left.legend(frameon=False, loc="upper left", fontsize=9)
        figure.suptitle(title, fontsize=11)
        figure.savefig(target, dpi=150)
