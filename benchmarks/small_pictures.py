"""Sizes and speed for thousands of small pictures of one bundle.

    python benchmarks/small_pictures.py BUNDLE PICTURES [--count 10000] [--workers 2]

PICTURES is an IDX file such as MNIST's, or a .npy file of uint8 (N, H, W). Compared are whole
files: .eae, PNG (optimized), WebP without loss (method 6), and the float latents as a zipped .npz.
The speed is that of ``Codec.compress_many`` and ``decompress_many`` in one thread, and of the
command with a file for each picture and so many workers; per second of the processor as well, which
other programs disturb less.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeae.bundle import find_bundle
from edgeae.codec import Codec

Result = TypeVar("Result")

SIZED = 500  # pictures that the other formats are tried on


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="name or folder")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2, help="processes of the command")
    options = parser.parse_args()
    pictures = read(options.pictures)[: options.count]
    codec = Codec.load(options.bundle, precision="fp32", threads=1)
    next(codec.compress_many(pictures[:1]))
    files, coded = timed(lambda: list(codec.compress_many(pictures)))
    arrays, back = timed(lambda: np.stack(list(codec.decompress_many(files))))
    error = np.square(arrays.astype(np.float32) - pictures).mean() / 255**2
    some = pictures[:SIZED]
    result = {
        "bundle": codec.bundle.manifest.name,
        "pictures": len(pictures),
        "mean squared error": round(float(error), 6),
        "bytes": {
            "eae": mean(len(data) for data in files),
            "png": mean(saved(p, "PNG", optimize=True) for p in some),
            "webp": mean(saved(p, "WEBP", lossless=True, quality=100, method=6) for p in some),
            "zipped float latents": mean(zipped(y) for y in codec.embed(some)),
        },
        "compress_many, per CPU second": round(len(pictures) / coded),
        "decompress_many, per CPU second": round(len(pictures) / back),
        f"edgeae compress -r -j {options.workers}": command_rates(
            options.bundle, pictures, options.workers
        ),
    }
    print(json.dumps(result, indent=2))


def read(path: Path) -> NDArray[np.uint8]:
    """Return (N, H, W) or (N, H, W, 3)."""
    if path.suffix == ".npy":
        array: NDArray[np.uint8] = np.load(path)
        return array
    data = path.read_bytes()
    header = 4 + 4 * data[3]
    shape = [int.from_bytes(data[k : k + 4], "big") for k in range(4, header, 4)]
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def mean(values: object) -> float:
    """Return the mean, rounded."""
    return round(float(np.mean(list(values))), 1)  # type: ignore[call-overload]  # numbers


def saved(picture: NDArray[np.uint8], name: str, **options: object) -> int:
    """Return the bytes of a picture in another format."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, name, **options)
    return buffer.tell()


def zipped(latents: NDArray[np.float32]) -> int:
    """Return the bytes of the latents as numpy compresses them."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, latents)
    return buffer.tell()


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return what ``work`` does, and how many seconds of the processor it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def command_rates(bundle: str, pictures: NDArray[np.uint8], workers: int) -> dict[str, int]:
    """Return the rates from PNG files to .eae files, start of the program included."""
    model = str(find_bundle(bundle).absolute())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        source.mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(source / f"{number:06}.png")
        command = [sys.executable, "-m", "edgeae", "compress", "-r", "in", "-o", "out", "--quiet"]
        command += ["-m", model, "--threads", "1", "-j", str(workers), "--precision", "fp32"]
        before, start = os.times(), time.perf_counter()
        subprocess.run(command, cwd=folder, check=True)
        wall, after = time.perf_counter() - start, os.times()
    used = sum(after[2:4]) - sum(before[2:4])  # of children, user and system
    return {
        "per second": round(len(pictures) / wall),
        "per CPU second": round(len(pictures) / used),
    }


if __name__ == "__main__":
    main()
