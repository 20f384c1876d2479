"""Each picture of a result file: PSNR beside JPEG's at equal size, and where its curve falls.

    python benchmarks/rate_distortion.py FOLDER -o results.json
    python benchmarks/by_picture.py results.json

JPEG's curve is interpolated over the logarithm of the size (pchip); where a file of edgeae is
smaller or larger than all of JPEG's there is nothing to compare, "-".
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PchipInterpolator

from edgeae.evaluation.peers import ANCHOR
from edgeae.evaluation.results import StoredPoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeae.evaluation.rate_distortion import Point


def ahead_db(ours: Sequence[Point], anchor: Sequence[Point]) -> list[float]:
    """Return PSNR of each point minus the anchor's at equal bpp; NaN outside the anchor's range."""
    curve: list[Point] = []
    for point in sorted(anchor, key=lambda point: point.bpp):
        if not curve or point.bpp > curve[-1].bpp:
            curve.append(point)
    at = PchipInterpolator(
        np.log([p.bpp for p in curve]), [p.psnr_db for p in curve], extrapolate=False
    )
    return [float(p.psnr_db - at(np.log(p.bpp))) for p in ours]


def falls(ours: Sequence[Point]) -> list[str]:
    """Return where size or PSNR falls with quality, in words.

    A picture of few colours is the same file at all qualities at which that is the smaller one.
    """
    return [
        f"{what} falls from quality {a.quality} to {b.quality}"
        for a, b in pairwise(ours)
        for what, lower in (("size", b.bpp < a.bpp), ("PSNR", b.psnr_db < a.psnr_db))
        if lower
    ]


def main() -> None:
    """Print a Markdown table for each model, a picture a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="of rate_distortion.py or edgeae eval --codec")
    path = parser.parse_args().results
    text = path.read_text("utf-8")
    points = StoredPoints.from_json(text).points
    if ANCHOR not in points:
        parser.error(f"{path}: JPEG was not measured; leave --codecs out")
    names = {digest: name for name, digest in json.loads(text)["files"].items()}
    for model in (name for name in points if name.startswith("edgeae-")):
        qualities = [p.quality for p in next(iter(points[model].values()))]
        print(f"{model}: dB ahead of JPEG at qualities, lowest, what falls\n")
        print("| picture |", " | ".join(map(str, qualities)), "| lowest | |")
        print("|---" * (len(qualities) + 3) + "|")
        for digest, ours in points[model].items():
            ahead = ahead_db(ours, points[ANCHOR][digest])
            cells = ["-" if np.isnan(db) else f"{db:+.1f}" for db in ahead]
            lowest = f"{np.nanmin(ahead):+.1f}" if not np.all(np.isnan(ahead)) else "-"
            print(f"| {names[digest]} |", " | ".join([*cells, lowest, "; ".join(falls(ours))]), "|")
        print()


if __name__ == "__main__":
    main()
