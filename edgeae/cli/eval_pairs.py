"""The first use of eval: pictures and their originals, a line each and the mean."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from edgeae.bundle import find_bundle, find_by_coding_id, read_manifest
from edgeae.cli import batch
from edgeae.cli.output import print_line, say
from edgeae.cli.packed import read_whole
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.sources import LATENT_SUFFIX
from edgeae.cli.table import print_table
from edgeae.container import read_header
from edgeae.errors import BatchError, EdgeaeError, ImageError
from edgeae.evaluation.compare import Comparison, compare, mean
from edgeae.evaluation.peers import load_plugins
from edgeae.exact import read_exact
from edgeae.images.files import read_picture
from edgeae.images.profiles import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgeae.cli.codecs import CodecOptions
    from edgeae.cli.pairs import Pair
    from edgeae.codec import Codec
    from edgeae.images.picture import Picture

HEADINGS = ("picture", "pixels", "size", "bpp", "PSNR dB", "MS-SSIM")


@dataclass(frozen=True, slots=True)
class _Result:
    pair: Pair
    width: int
    height: int
    byte_count: int
    comparison: Comparison
    notes: tuple[str, ...]


def compare_pairs(
    pairs: Sequence[Pair],
    unmatched: Mapping[Path, ImageError],
    *,
    models: Sequence[str],
    options: CodecOptions,
    max_pixels: int,
    as_json: bool,
) -> None:
    """Compare pictures with their originals and print what came of it.

    Raises
    ------
    EdgeaeError
        The only pair failed.
    BatchError
        Some of several pairs failed, or a picture is unmatched; each was reported.
    """
    load_plugins()
    for path, error in unmatched.items():
        if as_json:
            print_line(json.dumps(_error_fields(path, error)))
        say(f"edgeae: {error}")
    read = _reader(models, options, max_pixels)
    results = _compare_each(pairs, read, alone=not unmatched and len(pairs) == 1, as_json=as_json)
    count = len(unmatched) + len(pairs)
    failed = count - len(results)
    if as_json:
        print_line(json.dumps(_summary(results, failed)))
    elif results:
        print_table(HEADINGS, [*map(_row, results), *_mean_rows(results)])
    if failed:
        raise BatchError(f"{failed} of {count} pictures were not compared")


def _compare_each(
    pairs: Sequence[Pair], read: Callable[[Path], Picture], *, alone: bool, as_json: bool
) -> list[_Result]:
    """Return the results of the pairs that can be compared; the error of one alone is raised."""
    results: list[_Result] = []
    with batch.progress(pairs, quiet=False) as (remaining, say):
        for pair in remaining:
            try:
                result = batch.within_memory(pair, lambda p: _compare(p, read))
            except EdgeaeError as error:
                if as_json:
                    print_line(json.dumps(_error_fields(pair.picture, error)))
                if alone:
                    raise
                say(f"edgeae: {_one_line(error)}")
                continue
            results.append(result)
            if as_json:
                print_line(json.dumps(_fields(result)))
            elif result.notes:
                say(f"{pair.name}: {', '.join(result.notes)}")
    return results


def _compare(pair: Pair, read: Callable[[Path], Picture]) -> _Result:
    reference, picture = read(pair.reference), read(pair.picture)
    byte_count = pair.picture.stat().st_size
    try:
        comparison = compare(reference, picture, byte_count)
    except ImageError as error:
        raise ImageError(f"{pair.picture}: {error}") from error
    notes = dict.fromkeys((*reference.notes, *picture.notes))
    if reference.alpha is not None or picture.alpha is not None:
        notes["alpha ignored"] = None
    if needed(reference.icc) != needed(picture.icc):
        notes["colour profiles differ, ignored"] = None
    return _Result(pair, picture.width, picture.height, byte_count, comparison, tuple(notes))


def _reader(
    models: Sequence[str], options: CodecOptions, max_pixels: int
) -> Callable[[Path], Picture]:
    """Return a function from a file, .eae or any picture, to the picture in it."""
    folders = {bytes.fromhex(read_manifest(p).coding_id): p for p in map(find_bundle, models)}

    @lru_cache(maxsize=4)
    def codec_for(coding_id: bytes) -> Codec:
        return options.load(folders.get(coding_id) or find_by_coding_id(coding_id))

    def read(path: Path) -> Picture:
        if path.suffix.lower() != LATENT_SUFFIX:
            return read_picture(path, max_pixels=max_pixels)
        try:
            with path.open("rb") as file:
                data = read_whole(file)
            exact = read_exact(data, None, max_pixels=max_pixels)
            if exact is not None:
                return exact
            codec = codec_for(read_header(data).coding_id)
            return codec.decompress_picture(data, max_pixels=max_pixels)
        except OSError as error:
            raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
        except EdgeaeError as error:
            raise type(error)(f"{path}: {error}") from error

    return read


def _one_line(error: EdgeaeError) -> str:
    return " ".join(str(error).splitlines())


def _error_fields(path: Path, error: EdgeaeError) -> dict[str, object]:
    return {"picture": str(path), "error": _one_line(error), "exit": error.exit_code}


def _row(result: _Result) -> tuple[str, ...]:
    return (
        result.pair.name,
        f"{result.width}x{result.height}",
        readable_bytes(result.byte_count),
        *_figures(result.comparison),
    )


def _mean_rows(results: Sequence[_Result]) -> list[tuple[str, ...]]:
    if len(results) == 1:
        return []
    size = sum(result.byte_count for result in results) / len(results)
    figures = _figures(mean([result.comparison for result in results]))
    return [(f"mean of {len(results)}", "", readable_bytes(round(size)), *figures)]


def _figures(comparison: Comparison) -> tuple[str, str, str]:
    similarity = comparison.ms_ssim
    return (
        f"{comparison.bpp:.3f}",
        f"{comparison.psnr_db:.2f}" if math.isfinite(comparison.psnr_db) else "equal",
        "-" if similarity is None else f"{similarity:.4f}",
    )


def _fields(result: _Result) -> dict[str, object]:
    return {
        "reference": str(result.pair.reference),
        "picture": str(result.pair.picture),
        "width": result.width,
        "height": result.height,
        "bytes": result.byte_count,
        **_json_figures(result.comparison),
        "equal": math.isinf(result.comparison.psnr_db),
        "notes": list(result.notes),
    }


def _summary(results: Sequence[_Result], failed: int) -> dict[str, object]:
    comparisons = [result.comparison for result in results]
    return {
        "pairs": len(results),
        "failed": failed,
        "mean": _json_figures(mean(comparisons)) if comparisons else None,
        "with_ms_ssim": sum(c.ms_ssim is not None for c in comparisons),
    }


def _json_figures(comparison: Comparison) -> dict[str, float | None]:
    decibels, similarity = comparison.psnr_db, comparison.ms_ssim
    return {
        "bpp": round(comparison.bpp, 6),
        "psnr_db": round(decibels, 4) if math.isfinite(decibels) else None,  # no infinity in JSON
        "ms_ssim": None if similarity is None else round(similarity, 6),
    }
