"""What a second thread gains on one large picture: whole processes of edgeae, wall clock.

    python benchmarks/threads.py KODAK

Pictures of the folder, turned to landscape and set side by side, make one of 1.6 megapixels, which
is run whole, and one of 9.4, which is run in tiles. Both cores have to be free. Medians; commands
take turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = ((2, 2), (6, 4))  # rows and columns of pictures
SIDES = (768, 512)
THREADS = (1, 2)


def mosaic(paths: list[Path], rows: int, columns: int) -> Image.Image:
    """Return the first ``rows * columns`` pictures side by side, cropped to equal sides."""
    tiles = []
    for path in paths[: rows * columns]:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        turned = picture.rotate(90, expand=True) if picture.width < picture.height else picture
        tiles.append(np.asarray(turned.crop((0, 0, *SIDES))))
    joined = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return Image.fromarray(np.vstack(joined))


def seconds(arguments: list[str]) -> float:
    """Return the wall time of an edgeae command."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "edgeae", *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Make the pictures, time compress and decompress, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="at least 24 pictures of 768x512")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--precision", default="int8")
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.png"))
    if len(paths) < max(rows * columns for rows, columns in SHAPES):
        parser.error(f"{options.folder}: {len(paths)} PNG files are too few")
    common = ["--force", "--quiet", "--precision", options.precision]
    with tempfile.TemporaryDirectory() as folder:
        picture, file = f"{folder}/p.png", f"{folder}/p.eae"
        commands = {
            "compress": ["compress", picture, "-o", file],
            "decompress to PNG": ["decompress", file, "-o", f"{folder}/q.png"],
            "decompress to PPM": ["decompress", file, "-o", f"{folder}/q.ppm"],
        }
        print(
            "| megapixels | command | s, 1 thread | s, 2 threads | times |\n|---|---|---|---|---|"
        )
        for rows, columns in SHAPES:
            mosaic(paths, rows, columns).save(picture)
            size = rows * columns * SIDES[0] * SIDES[1] / 1e6
            for name, command in commands.items():
                runs = [
                    [seconds([*command, *common, "--threads", str(n)]) for n in THREADS]
                    for _ in range(options.runs)
                ]
                one, two = (statistics.median(times) for times in zip(*runs, strict=True))
                print(f"| {size:.1f} | {name} | {one:.2f} | {two:.2f} | {one / two:.2f} |")


if __name__ == "__main__":
    main()
