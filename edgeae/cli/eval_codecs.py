"""The second use of eval: bundles and other formats on pictures, as rate-distortion curves."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import open_encoder
from edgeae.cli.pairs import pictures_of
from edgeae.cli.table import print_table
from edgeae.errors import BatchError, EdgeaeError
from edgeae.evaluation import bd_rate
from edgeae.evaluation.peers import ANCHOR, FORMATS, PEERS
from edgeae.evaluation.rate_distortion import EDGEAE_QUALITIES, EdgeaeCoder, Point, measure
from edgeae.evaluation.results import Results, file_digest, versions
from edgeae.images.files import read_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgeae.cli.codecs import CodecOptions
    from edgeae.evaluation.rate_distortion import Coder

POINT_HEADINGS = ("codec", "quality", "bpp", "PSNR dB", "MS-SSIM")
RATE_HEADINGS = ("codec", "BD-rate PSNR", "BD-rate MS-SSIM")
PLOT_FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be measured, in the words of the command line."""

    inputs: Sequence[str]
    models: Sequence[str]
    peers: str | None
    qualities: str | None
    effort: int
    options: CodecOptions
    max_pixels: int
    recursive: bool


def measure_codecs(
    request: Request, *, output_to: Path | None, plot_to: Path | None, force: bool, as_json: bool
) -> None:
    """Measure every codec on every picture, print the curves and write the files asked for.

    Raises
    ------
    EdgeaeError
        The only picture failed, a codec cannot run at all, or a file cannot be written.
    BatchError
        Some of several pictures failed; each was reported, and the figures are of the others.
    """
    draw = _drawing(plot_to)
    for target in filter(None, (output_to, plot_to)):
        output.check_target(target, force=force)
    paths = pictures_of(request.inputs, recursive=request.recursive)
    coders = {**_peers(request.peers), **_bundles(request)}
    points, failed = _measure_all(coders, paths, request.max_pixels, as_json=as_json)
    if points:
        results = _results(request.inputs, coders, points)
        _print_results(results, failed, as_json=as_json)
        if output_to:
            _write(results.to_json().encode(), output_to, force=force)
        if plot_to:
            _write(draw(results), plot_to, force=force)
    if failed:
        raise BatchError(f"{failed} of {len(paths)} pictures failed, the figures are of the others")


def _peers(names: str | None) -> dict[str, Coder]:
    """Return the peers that were named, or all that run here."""
    wanted = FORMATS if names is None else _named_formats(names)
    peers: dict[str, Coder] = {}
    for name in wanted.values():
        peer = PEERS[name]
        if names is None and not peer.available:
            output.say(f"{peer.label}: left out; pip install {peer.requirement}")
            continue
        peer.load()
        peers[name] = peer
    return peers


def _named_formats(names: str) -> dict[str, str]:
    known = {**FORMATS, **{name: name for name in PEERS}}
    listed = [] if names.strip() == "none" else [name.strip() for name in names.split(",")]
    if unknown := [name for name in listed if name not in known]:
        raise typer.BadParameter(f"--peers: no {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: known[name] for name in listed}


def _bundles(request: Request) -> dict[str, Coder]:
    qualities = _qualities(request.qualities)
    coders: dict[str, Coder] = {}
    for model in dict.fromkeys(request.models):
        codec = request.options.load(model)
        open_encoder(codec)
        name = codec.bundle.path.name
        if f"edgeae-{name}" in coders:  # two folders of one name
            name = model
        coders[f"edgeae-{name}"] = EdgeaeCoder(f"edgeae {name}", codec, qualities, request.effort)
    return coders


def _qualities(text: str | None) -> tuple[int, ...]:
    if text is None:
        return EDGEAE_QUALITIES
    try:
        qualities = sorted({int(part) for part in text.split(",")})
    except ValueError:
        qualities = []
    if not qualities or qualities[0] < 0 or qualities[-1] > 100:
        raise typer.BadParameter(f"--qualities: {text!r} is not whole numbers of 0..100 and commas")
    return tuple(qualities)


def _measure_all(
    coders: Mapping[str, Coder], paths: Sequence[Path], max_pixels: int, *, as_json: bool
) -> tuple[dict[str, dict[Path, list[Point]]], int]:
    """Return the points by codec and picture, and how many pictures failed.

    A picture that one codec cannot code counts for none: the means are over the same pictures.
    """

    @lru_cache(maxsize=1)
    def read(path: Path) -> NDArray[np.uint8]:
        return read_picture(path, max_pixels=max_pixels).pixels

    def work(step: tuple[Path, str]) -> list[Point]:
        path, name = step
        return measure(coders[name], read(path))

    measured: dict[Path, dict[str, list[Point]]] = {path: {} for path in paths}
    with batch.progress(list(product(paths, coders)), quiet=False) as (steps, say):
        for path, name in steps:
            if path not in measured:
                continue
            try:
                measured[path][name] = batch.within_memory((path, name), work)
            except EdgeaeError as error:
                named = _naming(path, error)
                if as_json:
                    fields = {"picture": str(path), "error": str(named), "exit": named.exit_code}
                    output.print_line(json.dumps(fields))
                if len(paths) == 1:
                    raise named from error
                say(f"edgeae: {named}")
                del measured[path]
    points = {name: {path: found[name] for path, found in measured.items()} for name in coders}
    return points if measured else {}, len(paths) - len(measured)


def _results(
    inputs: Sequence[str],
    coders: Mapping[str, Coder],
    points: Mapping[str, Mapping[Path, list[Point]]],
) -> Results:
    paths = list(next(iter(points.values())))
    digests = {path: file_digest(path) for path in paths}
    times = Counter(path.name for path in paths)
    return Results(
        folder=Path(inputs[0]).resolve().name if len(inputs) == 1 else "pictures",
        files={p.name if times[p.name] == 1 else p.as_posix(): d for p, d in digests.items()},
        labels={name: coder.label for name, coder in coders.items()},
        points={
            name: {digests[path]: found for path, found in of_pictures.items()}
            for name, of_pictures in points.items()
        },
        settings={
            name: coder.settings for name, coder in coders.items() if isinstance(coder, EdgeaeCoder)
        },
    )


def _print_results(results: Results, failed: int, *, as_json: bool) -> None:
    curves, rates = results.curves(), results.bd_rates()
    if as_json:
        for name, curve in curves.items():
            fields = {
                "codec": name,
                "label": results.labels[name],
                "bd_rate": rates[name],
                "points": [dataclasses.asdict(point) for point in curve],
            }
            output.print_line(json.dumps(fields))
        summary = {"pictures": len(results.files), "failed": failed, "anchor": ANCHOR}
        summary |= {"settings": results.settings, "versions": versions()}
        output.print_line(json.dumps(summary))
        return
    rows = [_point_row(results.labels[name], p) for name, curve in curves.items() for p in curve]
    print_table(POINT_HEADINGS, rows)
    if any(rates.values()):
        output.print_line("")
        print_table(RATE_HEADINGS, [_rate_row(results.labels[n], r) for n, r in rates.items()])
    elif ANCHOR in curves and not bd_rate.available():
        output.say("no BD-rates: pip install 'edgeae[plot]'")


def _point_row(label: str, point: Point) -> tuple[str, ...]:
    similarity = "-" if point.ms_ssim is None else f"{point.ms_ssim:.4f}"
    return label, str(point.quality), f"{point.bpp:.3f}", f"{point.psnr_db:.2f}", similarity


def _rate_row(label: str, rates: Mapping[str, float | None]) -> tuple[str, ...]:
    percents = (rates.get("psnr"), rates.get("ms_ssim"))
    return label, *("-" if percent is None else f"{percent:+.1f} %" for percent in percents)


def _drawing(target: Path | None) -> Callable[[Results], bytes]:
    """Return what draws the plot; what hinders it is said before minutes of measuring."""
    if target is None:
        return lambda _: b""
    format = target.suffix.lower().lstrip(".")
    if format not in PLOT_FORMATS:
        raise typer.BadParameter(f"--plot: {target} does not end in {', '.join(PLOT_FORMATS)}")
    from edgeae.evaluation.plot import plot, series_of

    def draw(results: Results) -> bytes:
        count = len(results.files)
        title = f"{results.folder}, {count} picture{'' if count == 1 else 's'}"
        return plot(series_of(results), title, format)

    return draw


def _naming(path: Path, error: EdgeaeError) -> EdgeaeError:
    text = " ".join(str(error).splitlines())
    return type(error)(text if text.startswith(f"{path}: ") else f"{path}: {text}")


def _write(data: bytes, target: Path, *, force: bool) -> None:
    output.write_in_folder(data, target, force=force)
    output.say(f"wrote {target}")
