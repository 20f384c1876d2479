"""Blocks in smooth places: steps between neighbouring columns across block borders and inside.

    python benchmarks/blocks.py FOLDER

Mean steps in grey levels where the original varies by less than 1.5 levels over 9 x 9 pixels, at
borders of 16-pixel blocks and in their middle. A codec without blocks has the original's steps at
both; steps at borders well above those inside are blocks to be seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeae.cli.pairs import pictures_of
from edgeae.codec import Codec
from edgeae.images.files import read_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 16  # pixels a side of a latent's block
WINDOW = 9
SMOOTH = 1.5  # grey levels
QUALITIES = (5, 20, 50, 80)


def box_mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over windows of 9 x 9 around each pixel, borders repeated."""
    padded = np.pad(plane, WINDOW // 2, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW))
    means: NDArray[np.float64] = views.mean(axis=(2, 3))
    return means


def smooth(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture (H, W, 3) is smooth, (H, W)."""
    grey = pixels.astype(np.float64).mean(axis=2)
    return box_mean(np.abs(grey - box_mean(grey))) < SMOOTH


def steps(pixels: NDArray[np.uint8], where: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean step across block borders and in the middle of blocks, where smooth."""
    size = np.abs(np.diff(pixels.astype(np.float64), axis=1)).mean(axis=2)
    column = np.arange(size.shape[1]) % BLOCK
    at = where[:, : size.shape[1]]
    border, middle = column == BLOCK - 1, np.isin(column, (6, 7, 8))
    return float(size[:, border][at[:, border]].mean()), float(
        size[:, middle][at[:, middle]].mean()
    )


def main() -> None:
    """Print a line a quality, and one for the originals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo")
    options = parser.parse_args()
    codec = Codec.load(options.model, precision="fp32", threads=1)
    paths = pictures_of([options.folder], recursive=False)
    pictures = [read_picture(path).pixels for path in paths]
    pairs = [(p, smooth(p)) for p in pictures if p.ndim == 3]
    pairs = [(p, where) for p, where in pairs if where.sum() > BLOCK * BLOCK * WINDOW]
    border, middle = np.mean([steps(p, where) for p, where in pairs], axis=0)
    print(f"{len(pairs)} of {len(paths)} pictures have smooth places")
    print(f"original    borders {border:.2f}  middle {middle:.2f}")
    for quality in QUALITIES:
        decoded = [(codec.decompress(codec.compress(p, quality)), where) for p, where in pairs]
        border, middle = np.mean([steps(p, where) for p, where in decoded], axis=0)
        print(f"quality {quality:3} borders {border:.2f}  middle {middle:.2f}")


if __name__ == "__main__":
    main()
