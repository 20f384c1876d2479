"""Sizes and speed for thousands of small pictures of one bundle.

    python benchmarks/small_pictures.py BUNDLE PICTURES [--count 10000] [--threads 2]

PICTURES is an IDX file such as MNIST's, or a .npy file of uint8 (N, H, W). Compared are whole
files: .eae, PNG (optimized), WebP without loss (method 6), and the float latents as a zipped .npz.
The speed is that of ``Codec.compress_many`` and ``decompress_many``, and of the command with a file
for each picture.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeae.codec import Codec

SIZED = 500  # pictures that the other formats are tried on


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    pictures = read(options.pictures)[: options.count]
    codec = Codec.load(options.bundle, precision="fp32", threads=options.threads)
    next(codec.compress_many(pictures[:1]))
    start, used = time.perf_counter(), time.process_time()
    files = list(codec.compress_many(pictures))
    coded, coded_cpu = time.perf_counter() - start, time.process_time() - used
    start = time.perf_counter()
    decoded = np.stack(list(codec.decompress_many(files)))
    back = time.perf_counter() - start
    error = np.square(decoded.astype(np.float32) - pictures).mean() / 255**2
    some = pictures[:SIZED]
    result = {
        "bundle": codec.bundle.manifest.name,
        "pictures": len(pictures),
        "threads": options.threads,
        "mean squared error": round(float(error), 6),
        "bytes": {
            "eae": mean(len(data) for data in files),
            "png": mean(saved(p, "PNG", optimize=True) for p in some),
            "webp": mean(saved(p, "WEBP", lossless=True, quality=100, method=6) for p in some),
            "zipped float latents": mean(zipped(y) for y in codec.embed(some)),
        },
        "compress_many, per second": round(len(pictures) / coded),
        "compress_many, per CPU second": round(len(pictures) / coded_cpu),
        "decompress_many, per second": round(len(pictures) / back),
        "edgeae compress -r, per second": command_rate(options.bundle, pictures, options.threads),
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


def command_rate(bundle: Path, pictures: NDArray[np.uint8], threads: int) -> int:
    """Return pictures a second from PNG files to .eae files, start of the program included."""
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))
    try:
        (folder / "in").mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / "in" / f"{number:06}.png")
        command = [sys.executable, "-m", "edgeae", "compress", "-r", "in", "-o", "out", "--quiet"]
        command += ["-m", str(bundle.absolute()), "--threads", str(threads)]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True)
        return round(len(pictures) / (time.perf_counter() - start))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
