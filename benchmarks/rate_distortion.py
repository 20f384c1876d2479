"""Rate-distortion curves of edgeae and of its peers over a folder, as a Markdown table.

    python benchmarks/rate_distortion.py FOLDER -o results.json --plot rd.png

What `edgeae eval --codec FOLDER` does, and more for the project's figures: every peer, points
reused from an earlier run over the same files, and curves that others have published.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import edgeae
from edgeae.cli.pairs import pictures_of
from edgeae.errors import EdgeaeError
from edgeae.evaluation.bd_rate import available, bd_rates
from edgeae.evaluation.peers import ANCHOR, PEERS
from edgeae.evaluation.rate_distortion import Coder, EdgeaeCoder, Point, measure
from edgeae.evaluation.results import Results, StoredPoints, file_digest, versions
from edgeae.images.files import read_picture


def measure_pictures(
    coders: Mapping[str, Coder], pictures: Mapping[Path, str], known: StoredPoints
) -> Results:
    """Measure every coder on every picture that ``known`` does not hold with these qualities."""
    points = {name: {} for name in coders}
    settings = {name: c.settings for name, c in coders.items() if isinstance(c, EdgeaeCoder)}
    unchanged = {name for name in coders if settings.get(name) == known.settings.get(name)}
    started = time.monotonic()
    for count, (path, digest) in enumerate(pictures.items(), 1):
        pixels = read_picture(path).pixels
        for name, coder in coders.items():
            reused = known.points.get(name, {}).get(digest, []) if name in unchanged else []
            again = tuple(p.quality for p in reused) == coder.qualities
            points[name][digest] = reused if again else measure(coder, pixels)
        seconds = time.monotonic() - started
        print(f"{count}/{len(pictures)} {path.name} {seconds:.0f} s", file=sys.stderr)
    return Results(
        folder=next(iter(pictures)).parent.name,
        files={path.name: digest for path, digest in pictures.items()},
        labels={name: coder.label for name, coder in coders.items()},
        points=points,
        settings=settings,
    )


def read_known(path: Path) -> StoredPoints:
    """Return the points of an earlier run, and say which versions have changed since."""
    known, now = StoredPoints.from_json(path.read_text("utf-8")), versions()
    if changed := {name: v for name, v in known.versions.items() if v != now.get(name)}:
        print(f"{path.name}: reused points are from {changed}, here is {now}", file=sys.stderr)
    return known


def read_published(path: Path | None) -> dict[str, list[Point]]:
    """Return the curves of a file like results/published-kodak.json by their labels."""
    if path is None:
        return {}
    codecs = json.loads(path.read_text("utf-8"))["codecs"]
    return {
        f"{codec['label']}, published": [Point(0, *row) for row in codec["points"]]
        for codec in codecs.values()
    }


def table(results: Results, published: Mapping[str, list[Point]]) -> str:
    """Return BD-rates and points as a Markdown table, one codec a row."""
    lines = [
        "| codec | BD-rate PSNR | BD-rate MS-SSIM | bpp: PSNR dB (MS-SSIM) |",
        "|---|---|---|---|",
    ]
    rates, curves = results.bd_rates(), results.curves()
    rows = [(results.labels[name], rates[name], curve) for name, curve in curves.items()]
    anchor = curves.get(ANCHOR) if available() else None
    for label, curve in published.items():
        rows.append((label, bd_rates(anchor, curve) if anchor else {}, curve))
    for label, rate, curve in rows:
        cells = [_percent(rate.get(key)) for key in ("psnr", "ms_ssim")]
        points = "; ".join(
            f"{p.bpp:.3f}: {p.psnr_db:.2f}" + (f" ({p.ms_ssim:.4f})" if p.ms_ssim else "")
            for p in curve
        )
        lines.append(f"| {label} | {cells[0]} | {cells[1]} | {points} |")
    return "\n".join(lines)


def _percent(rate: float | None) -> str:
    return "-" if rate is None or math.isnan(rate) else f"{rate:+.1f} %"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="pictures, best PNG")
    parser.add_argument("-o", "--output", type=Path, help="result file, JSON")
    parser.add_argument("--plot", type=Path, help="picture of the curves, PNG, SVG or PDF")
    parser.add_argument("--model", nargs="*", default=["photo"], help="bundles of edgeae")
    parser.add_argument("--codecs", nargs="*", choices=PEERS, help="peers (default: all here)")
    parser.add_argument(
        "--known",
        type=Path,
        help="result file whose points are reused, edgeae's of the same bundle too",
    )
    parser.add_argument("--published", type=Path, help="curves of papers, on the same pictures")
    parser.add_argument("--threads", type=int, default=1, help="threads of edgeae")
    parser.add_argument("--effort", type=int, default=1, help="effort of edgeae")
    parser.add_argument("--precision", default="fp32", help="of edgeae: fp32, int8 or auto")
    return parser.parse_args(arguments)


def check_paths(options: argparse.Namespace) -> None:
    """Stop before minutes of measuring if their results could not be written."""
    for path in (options.output, options.plot):
        if path and not path.parent.is_dir():
            raise SystemExit(f"{path}: there is no folder {path.parent}")
    if options.known and not options.known.is_file():
        raise SystemExit(f"{options.known}: no such file; leave out --known")
    if options.published and not options.published.is_file():
        raise SystemExit(f"{options.published}: no such file; there is one in benchmarks/results")


def choose_coders(options: argparse.Namespace) -> dict[str, Coder]:
    """Return the coders of the command line, peers first."""
    names = options.codecs if options.codecs is not None else list(PEERS)
    coders: dict[str, Coder] = {}
    for name in names:
        if not PEERS[name].available:
            print(f"{name}: left out; pip install {PEERS[name].requirement}", file=sys.stderr)
            continue
        PEERS[name].load()
        coders[name] = PEERS[name]
    for model in options.model:
        codec = edgeae.Codec.load(model, precision=options.precision, threads=options.threads)
        name = Path(model).name
        coders[f"edgeae-{name}"] = EdgeaeCoder(f"edgeae {name}", codec, effort=options.effort)
    return coders


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table on standard output, and write the files that were asked for."""
    options = parse_arguments(arguments)
    check_paths(options)
    try:
        pictures = {p: file_digest(p) for p in pictures_of([options.folder], recursive=False)}
        coders = choose_coders(options)
        known = read_known(options.known) if options.known else StoredPoints({}, {}, {})
        published = read_published(options.published)
        results = measure_pictures(coders, pictures, known)
    except EdgeaeError as error:
        raise SystemExit(str(error)) from error
    print(table(results, published))
    if options.output:
        options.output.write_text(results.to_json())
    if options.plot:
        from edgeae.evaluation.plot import Series, plot, series_of

        series = series_of(results)
        series += [Series(label, curve, "published") for label, curve in published.items()]
        title = f"{results.folder}, {len(pictures)} pictures"
        options.plot.write_bytes(plot(series, title, options.plot.suffix.lstrip(".").lower()))


if __name__ == "__main__":
    main()
