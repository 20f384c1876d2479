"""Rate-distortion curves of edgeae and of its peers over a folder of pictures.

    python benchmarks/rate_distortion.py FOLDER -o results.json --plot rd.png

Real files in memory: bpp is the length of the bytes, decoded again by the codec's own decoder.
Averages are over pictures; BD-rate is Bjontegaard's with pchip interpolation over the whole
overlap of the averaged curves, against progressive JPEG 4:2:0 with optimized tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import bjontegaard
import numpy as np
from peers import ANCHOR, PEERS
from peers import versions as peer_versions

import edgeae
from edgeae.errors import EdgeaeError
from edgeae.images.files import read_picture
from edgeae.metrics import MS_SSIM_MIN_SIDE, bits_per_pixel, ms_ssim, ms_ssim_db, psnr_db

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm"})
EDGEAE_QUALITIES = tuple(range(0, 101, 10))
LOSSLESS_DB = 100.0  # stands for infinity in averages


class Coder(Protocol):
    """What is measured: pixels to the bytes of a file, and back."""

    @property
    def label(self) -> str:
        """How the table and the plot call it."""

    @property
    def qualities(self) -> tuple[int, ...]:
        """Where its curve is measured, ascending."""

    def compress(self, pixels: NDArray[np.uint8], quality: float) -> bytes:
        """Return the file of (H, W) or (H, W, 3) uint8 pixels."""

    def decompress(self, data: bytes) -> NDArray[np.uint8]:
        """Return the pixels of a file."""


@dataclass(frozen=True, slots=True)
class EdgeaeCoder:
    """One model of edgeae."""

    label: str
    codec: edgeae.Codec
    qualities: tuple[int, ...] = EDGEAE_QUALITIES

    def compress(self, pixels: NDArray[np.uint8], quality: float) -> bytes:
        """Return the file of (H, W) or (H, W, 3) uint8 pixels."""
        return self.codec.compress(pixels, quality)

    def decompress(self, data: bytes) -> NDArray[np.uint8]:
        """Return the pixels of a file."""
        return self.codec.decompress(data)


@dataclass(frozen=True, slots=True)
class Point:
    """One picture, or the mean of several, at one quality."""

    quality: int
    bpp: float
    psnr_db: float
    ms_ssim: float | None  # None: a side is shorter than the metric needs

    def to_json(self) -> list[float | None]:
        """Return what ``from_json`` reads."""
        return [self.quality, self.bpp, self.psnr_db, self.ms_ssim]

    @classmethod
    def from_json(cls, row: Sequence[float | None]) -> Point:
        """Return the point of a row of a result file."""
        quality, bpp, psnr, similarity = row
        if quality is None or bpp is None or psnr is None:
            raise ValueError(f"a point needs quality, bpp and PSNR, got {row}")
        return cls(int(quality), bpp, psnr, similarity)


# codec -> SHA-256 of a picture file -> its points, by ascending quality
Measurements = dict[str, dict[str, list[Point]]]


def measure(coder: Coder, pixels: NDArray[np.uint8]) -> list[Point]:
    """Return one point for each quality of a coder."""
    points = []
    height, width = pixels.shape[:2]
    for quality in coder.qualities:
        data = coder.compress(pixels, quality)
        decoded = coder.decompress(data)
        if decoded.ndim > pixels.ndim:  # formats without a grey mode
            decoded = np.rint(decoded.mean(axis=-1)).astype(np.uint8)
        similarity = None
        if min(height, width) >= MS_SSIM_MIN_SIDE:
            similarity = ms_ssim(pixels, decoded)
        distortion = min(psnr_db(pixels, decoded), LOSSLESS_DB)
        bpp = bits_per_pixel(len(data), height, width)
        points.append(Point(quality, bpp, distortion, similarity))
    return points


def mean_curve(pictures: Iterable[list[Point]]) -> list[Point]:
    """Return the mean over pictures at each quality."""
    curve = []
    for points in zip(*pictures, strict=True):
        similarities = [p.ms_ssim for p in points if p.ms_ssim is not None]
        curve.append(
            Point(
                points[0].quality,
                float(np.mean([p.bpp for p in points])),
                float(np.mean([p.psnr_db for p in points])),
                float(np.mean(similarities)) if len(similarities) == len(points) else None,
            )
        )
    return curve


def bd_rates(anchor: list[Point], curve: list[Point]) -> dict[str, float | None]:
    """Return the BD-rate in percent by PSNR and by MS-SSIM in decibels; None where undefined."""
    return {
        "psnr": bd_rate([(p.bpp, p.psnr_db) for p in anchor], [(p.bpp, p.psnr_db) for p in curve]),
        "ms_ssim": bd_rate(_ms_ssim_curve(anchor), _ms_ssim_curve(curve)),
    }


def bd_rate(anchor: list[tuple[float, float]], curve: list[tuple[float, float]]) -> float | None:
    """Return how many percent more bits ``curve`` needs than ``anchor`` for equal quality.

    Both are (bpp, decibels). None if they do not overlap, have fewer than two points, or are not
    strictly increasing: an average over such a curve would mean nothing.
    """
    rates_and_decibels = []
    for points in (anchor, curve):
        if len(points) < 2 or any(np.diff([decibels for _, decibels in points]) <= 0):
            return None
        rates_and_decibels += [np.array(column) for column in zip(*points, strict=True)]
    low = max(rates_and_decibels[1][0], rates_and_decibels[3][0])
    high = min(rates_and_decibels[1][-1], rates_and_decibels[3][-1])
    if low >= high:
        return None
    return float(
        bjontegaard.bd_rate(
            *rates_and_decibels, method="pchip", require_matching_points=False, min_overlap=0
        )
    )


def _ms_ssim_curve(curve: list[Point]) -> list[tuple[float, float]]:
    return [
        (p.bpp, min(ms_ssim_db(p.ms_ssim), LOSSLESS_DB)) for p in curve if p.ms_ssim is not None
    ]


def measure_folder(
    coders: Mapping[str, Coder], pictures: Mapping[str, Path], known: Measurements
) -> Measurements:
    """Measure every coder on every picture that ``known`` does not hold with these qualities."""
    results: Measurements = {name: {} for name in coders}
    started = time.monotonic()
    for count, (digest, path) in enumerate(pictures.items(), 1):
        pixels = read_picture(path).pixels
        for name, coder in coders.items():
            points = known.get(name, {}).get(digest, [])
            if tuple(p.quality for p in points) != coder.qualities:
                points = measure(coder, pixels)
            results[name][digest] = points
        seconds = time.monotonic() - started
        print(f"{count}/{len(pictures)} {path.name} {seconds:.0f} s", file=sys.stderr)
    return results


def find_pictures(folder: Path) -> dict[str, Path]:
    """Return the picture files of a folder by the SHA-256 of their bytes, in order of name."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}


def read_measurements(path: Path) -> Measurements:
    """Return the peers' measurements in the result file of an earlier run.

    Those of edgeae are left: a model may have changed under its name.
    """
    stored = json.loads(path.read_text("utf-8"))
    then, now = stored["versions"], versions()
    if changed := {name: then[name] for name in then if then[name] != now.get(name)}:
        print(f"{path.name}: reused points are from {changed}, here is {now}", file=sys.stderr)
    return {
        name: {
            digest: [Point.from_json(row) for row in rows]
            for digest, rows in codec["pictures"].items()
        }
        for name, codec in stored["codecs"].items()
        if name in PEERS
    }


def versions() -> dict[str, str]:
    """Return the versions that the measured bytes and figures depend on."""
    ours = {name: metadata.version(name) for name in ("edgeae", "onnxruntime", "numpy")}
    return {**ours, **peer_versions(), "Python": platform.python_version()}


def to_json(
    folder: Path, pictures: Mapping[str, Path], labels: Mapping[str, str], results: Measurements
) -> str:
    """Return the result file: averaged curves, BD-rates, and every picture's points."""
    curves = {name: mean_curve(results[name].values()) for name in results}
    codecs = {
        name: {
            "label": labels[name],
            "points": [p.to_json() for p in curve],
            "bd_rate": bd_rates(curves[ANCHOR], curve) if ANCHOR in curves else {},
            "pictures": {d: [p.to_json() for p in points] for d, points in results[name].items()},
        }
        for name, curve in curves.items()
    }
    return json.dumps(
        {
            "folder": folder.name,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": versions(),
            "anchor": ANCHOR,
            "columns": ["quality", "bpp", "psnr_db", "ms_ssim"],
            "files": {path.name: digest for digest, path in pictures.items()},
            "codecs": codecs,
        },
        indent=1,
        allow_nan=False,
    )


def table(labels: Mapping[str, str], curves: Mapping[str, list[Point]]) -> str:
    """Return BD-rates and points as a Markdown table, one codec a row."""
    lines = [
        "| codec | BD-rate PSNR | BD-rate MS-SSIM | bpp: PSNR dB (MS-SSIM) |",
        "|---|---|---|---|",
    ]
    for name, curve in curves.items():
        rates = bd_rates(curves[ANCHOR], curve) if ANCHOR in curves else {}
        cells = [_percent(rates.get(key)) for key in ("psnr", "ms_ssim")]
        points = "; ".join(
            f"{p.bpp:.3f}: {p.psnr_db:.2f}" + (f" ({p.ms_ssim:.4f})" if p.ms_ssim else "")
            for p in curve
        )
        lines.append(f"| {labels[name]} | {cells[0]} | {cells[1]} | {points} |")
    return "\n".join(lines)


def _percent(rate: float | None) -> str:
    return "-" if rate is None or math.isnan(rate) else f"{rate:+.1f} %"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="pictures, best PNG")
    parser.add_argument("-o", "--output", type=Path, help="result file, JSON")
    parser.add_argument("--plot", type=Path, help="picture of the curves, PNG or SVG")
    parser.add_argument("--model", nargs="*", default=["photo"], help="bundles of edgeae")
    parser.add_argument("--codecs", nargs="*", choices=PEERS, help="peers (default: all here)")
    parser.add_argument("--peers", type=Path, help="result file whose points are reused")
    parser.add_argument("--threads", type=int, default=1, help="threads of edgeae")
    return parser.parse_args(arguments)


def check_paths(options: argparse.Namespace) -> None:
    """Stop before minutes of measuring if their results could not be written."""
    for path in (options.output, options.plot):
        if path and not path.parent.is_dir():
            raise SystemExit(f"{path}: there is no folder {path.parent}")
    if not options.folder.is_dir():
        raise SystemExit(f"{options.folder}: not a folder")
    if options.peers and not options.peers.is_file():
        raise SystemExit(f"{options.peers}: no such file; measure the peers first with -o")


def choose_coders(options: argparse.Namespace) -> dict[str, Coder]:
    """Return the coders of the command line, peers first."""
    names = options.codecs if options.codecs is not None else list(PEERS)
    coders: dict[str, Coder] = {}
    for name in names:
        if not PEERS[name].available:
            print(f"{name}: {PEERS[name].plugin or 'Pillow'} cannot run it here", file=sys.stderr)
            continue
        PEERS[name].load()
        coders[name] = PEERS[name]
    for model in options.model:
        codec = edgeae.Codec.load(model, threads=options.threads)
        name = f"edgeae-{Path(model).name}"
        coders[name] = EdgeaeCoder(name.replace("-", " ", 1), codec)
    return coders


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table on standard output, and write the files that were asked for."""
    options = parse_arguments(arguments)
    check_paths(options)
    pictures = find_pictures(options.folder)
    if not pictures:
        raise SystemExit(f"{options.folder}: no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    try:
        coders = choose_coders(options)
        known = read_measurements(options.peers) if options.peers else {}
        results = measure_folder(coders, pictures, known)
    except EdgeaeError as error:
        raise SystemExit(str(error)) from error
    labels = {name: coder.label for name, coder in coders.items()}
    curves = {name: mean_curve(results[name].values()) for name in results}
    print(table(labels, curves))
    if options.output:
        options.output.write_text(to_json(options.folder, pictures, labels, results) + "\n")
    if options.plot:
        from rd_plot import plot

        series = [(labels[name], curve, name not in PEERS) for name, curve in curves.items()]
        plot(series, options.plot, title=f"{options.folder.name}, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
