"""One codec, shared by the threads of a pool.

    python examples/thread_pool.py photos/*.png

A codec is safe to share. With one thread a picture and a thread a processor, many pictures take the
least time; where a single picture must be fast, give the codec all threads and use no pool.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

import edgeae

UNREADABLE = (OSError, ValueError, Image.DecompressionBombError, edgeae.EdgeaeError)


def compress_all(
    paths: Iterable[Path], *, model: str = "photo", workers: int | None = None
) -> Iterator[tuple[Path, bytes | Exception]]:
    """Yield each path with its .eae file, or with what was wrong with it, in order."""
    codec = edgeae.Codec.load(model, threads=1)

    def work(path: Path) -> tuple[Path, bytes | Exception]:
        try:
            with Image.open(path) as image:
                return path, codec.compress(image, quality=50)
        except UNREADABLE as error:
            return path, error

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        yield from pool.map(work, paths)


if __name__ == "__main__":
    for path, result in compress_all(map(Path, sys.argv[1:])):
        if isinstance(result, bytes):
            path.with_suffix(".eae").write_bytes(result)
        else:
            print(f"{path}: {result}", file=sys.stderr)
