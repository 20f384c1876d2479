"""Decode the golden files here and say whether their symbols are the same; nothing is written.

    python tests/portability/run.py > here.json

Needs edgeae, installed or by PYTHONPATH, and no more than it needs. Printed, as JSON: versions, the
processor, and for each precision how many files gave the same symbols, the largest difference of a
pixel, and the processor time for a megapixel. Pictures are encoded anew too, and differing symbols
counted: an encoder may round otherwise on another machine. Exit code 1 if a file decodes to other
symbols.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from golden import GOLDEN, Golden, GoldenSet, load_pixels, read_golden, sha256
from machine import machine, versions
from sources import ROOT, SOURCES

from edgeae.bundle import FP32, INT8
from edgeae.codec import Codec
from edgeae.errors import EdgeaeError
from edgeae.npy import latents_from_npy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgeae.latents import Latents

REPEATS = 5


class Reader:
    """Decodes files of a set in one precision, with one thread."""

    def __init__(self, golden: GoldenSet, precision: str, provider: str) -> None:
        self.golden = golden
        self.precision = precision
        used = {file.bundle for file in golden.files}
        self.codecs = {
            name: Codec.load(
                ROOT / bundle["path"], precision=precision, provider=provider, threads=1
            )
            for name, bundle in golden.bundles.items()
            if name in used and (precision == FP32 or _has_int8(ROOT / bundle["path"]))
        }

    def report(self, file: Golden) -> dict[str, Any]:
        """Return what became of a file; an error is part of it."""
        try:
            return self._decoded(file)
        except EdgeaeError as error:
            return {"file": file.file, "symbols_equal": False, "error": str(error)}

    def encoded(self, file: Golden) -> dict[str, Any]:
        """Return how many symbols differ when the source is encoded here."""
        assert file.source is not None
        assert file.effort is not None
        there, codec = self._read(file), self.codecs[file.bundle]
        here = codec.encode(SOURCES[file.source](), file.quality, effort=file.effort)
        return {
            "file": file.file,
            "symbols": there.symbols.size + there.z.size,
            "differing": int((here.symbols != there.symbols).sum() + (here.z != there.z).sum()),
        }

    def milliseconds_per_megapixel(self, file: Golden) -> float:
        """Return the median processor time to decode a file, from bytes to pixels."""
        data = (self.golden.folder / file.file).read_bytes()
        times = []
        for _ in range(REPEATS + 1):  # the first makes sessions
            start = time.process_time()
            self.codecs[file.bundle].decompress(data)
            times.append(time.process_time() - start)
        return round(1e9 * statistics.median(times[1:]) / (file.width * file.height), 1)

    def _decoded(self, file: Golden) -> dict[str, Any]:
        latents, codec = self._read(file), self.codecs[file.bundle]
        equal = [sha256(latents.symbols) == file.symbols_sha256, sha256(latents.z) == file.z_sha256]
        if file.form == "npy":  # its symbols are stored as they are, so let the coder have them
            again = codec.from_bytes(codec.to_bytes(latents))
            equal += [sha256(again.symbols) == file.symbols_sha256]
        row: dict[str, Any] = {"file": file.file, "symbols_equal": all(equal)}
        if self.precision in file.pixels:
            found = codec.decode_array(latents).astype(np.float64)
            difference = abs(found - self._stored(file, self.precision))
            row["largest_difference"] = float(difference.max())
            row["differing_samples"] = int((difference > 0).sum())
            row["samples"] = difference.size
            row["squares_from_fp32"] = float(((found - self._stored(file, FP32)) ** 2).sum())
        return row

    def _stored(self, file: Golden, precision: str) -> NDArray[Any]:
        return load_pixels(self.golden.folder / file.pixels[precision])

    def _read(self, file: Golden) -> Latents:
        data = (self.golden.folder / file.file).read_bytes()
        if file.form == "npy":
            return latents_from_npy(data)
        return self.codecs[file.bundle].from_bytes(data)


def in_precision(
    golden: GoldenSet, precision: str, provider: str, *, encode: bool, speed: bool
) -> dict[str, Any]:
    """Return the report of one precision."""
    reader = Reader(golden, precision, provider)
    files = [file for file in golden.files if file.bundle in reader.codecs]
    rows = [reader.report(file) for file in files]
    compared = [row for row in rows if "samples" in row]
    result: dict[str, Any] = {
        "files": len(rows),
        "symbols_equal": sum(row["symbols_equal"] for row in rows),
        "largest_difference": max((row["largest_difference"] for row in compared), default=None),
        "differing_samples": sum(row["differing_samples"] for row in compared),
        "samples": sum(row["samples"] for row in compared),
        "psnr_to_fp32_db": _psnr_db(compared),
        "provider": sorted({codec.decoder_provider for codec in reader.codecs.values()}),
    }
    if speed:
        largest = max(files, key=lambda file: file.width * file.height)
        result["speed_file"] = largest.file
        result["ms_per_megapixel"] = reader.milliseconds_per_megapixel(largest)
    if encode:
        again = [reader.encoded(file) for file in files if file.source and file.form == "eae"]
        result["encoded_symbols"] = sum(row["symbols"] for row in again)
        result["encoded_differing"] = sum(row["differing"] for row in again)
    result["unequal"] = [row for row in rows if not row["symbols_equal"]]
    result["pixels_differ"] = [
        {key: row[key] for key in ("file", "largest_difference", "differing_samples", "samples")}
        for row in compared
        if row["differing_samples"]
    ]
    return result


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="folder of the set")
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--max-pixels", type=int, help="leave larger pictures out")
    parser.add_argument("--no-encode", action="store_true", help="decode only")
    parser.add_argument("--no-speed", action="store_true", help="measure no time")
    arguments = parser.parse_args()
    golden = read_golden(arguments.golden)
    if (limit := arguments.max_pixels) is not None:
        small = tuple(file for file in golden.files if file.width * file.height <= limit)
        golden = GoldenSet(folder=golden.folder, bundles=golden.bundles, files=small)
    int8 = any(_has_int8(ROOT / golden.bundles[file.bundle]["path"]) for file in golden.files)
    options = {"encode": not arguments.no_encode, "speed": not arguments.no_speed}
    precisions = {
        precision: in_precision(golden, precision, arguments.provider, **options)
        for precision in ((FP32, INT8) if int8 else (FP32,))
    }
    print(json.dumps({"versions": versions(), **machine(), "precisions": precisions}, indent=1))
    sys.exit(any(found["unequal"] for found in precisions.values()))


def _psnr_db(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the PSNR of all pixels together against those of fp32; None if they are the same."""
    squares, samples = (sum(row[key] for row in rows) for key in ("squares_from_fp32", "samples"))
    return round(10 * math.log10(255**2 * samples / squares), 2) if squares else None


def _has_int8(bundle: Path) -> bool:
    return (bundle / "decoder.int8.onnx").is_file()


if __name__ == "__main__":
    main()
