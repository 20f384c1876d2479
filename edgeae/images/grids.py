"""Many small pictures as one: grids of samples, and pictures beside their reconstructions.

Arrays in, arrays out: no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import ImageError
from edgeae.images.padding import as_rgb
from edgeae.images.picture import MAX_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]

GAP = 2  # pixels between two pictures, and around all
PAPER = 255  # what they lie on


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A picture, what a network made of it, and how far apart they are; (H, W) or (H, W, 3)."""

    original: Pixels
    reconstruction: Pixels
    difference: Pixels  # absolute


def grid(pictures: Sequence[Pixels], *, columns: int | None = None, gap: int = GAP) -> Pixels:
    """Return pictures side by side, row by row, in cells of the size of the largest.

    Parameters
    ----------
    pictures : sequence of (H, W) or (H, W, 3) uint8
        At least one.
    columns : int, optional
        By default so many that the grid is about a square.
    gap : int
        White pixels between the cells and around them.

    Returns
    -------
    (H', W') or (H', W', 3) uint8
        Grey if all are.

    Raises
    ------
    ImageError
        It would have more than 65 535 pixels a side.
    """
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    if columns is None:
        # rows * (height + gap) about columns * (width + gap)
        columns = max(1, round(math.sqrt(len(pictures) * (height + gap) / (width + gap))))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap)
    if max(shape) > MAX_SIDE:
        raise ImageError(
            f"{len(pictures)} pictures make a grid of {shape[1]}x{shape[0]}, a side has at most "
            f"{MAX_SIDE} pixels; take fewer (-n)"
        )
    grey = all(picture.ndim == 2 for picture in pictures)
    paper = np.full(shape if grey else (*shape, 3), PAPER, np.uint8)
    for position, picture in enumerate(pictures):
        row, column = divmod(position, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        cell = picture if grey else as_rgb(picture)
        paper[top : top + picture.shape[0], left : left + picture.shape[1]] = cell
    return paper


def enlarge(pixels: Pixels, factor: int) -> Pixels:
    """Return every pixel as a square of ``factor`` pixels a side."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Return means of squares, as small as makes both sides at most ``side``; or ``pixels``."""
    height, width = pixels.shape[:2]
    factor = -(-max(height, width) // side)
    if factor == 1:
        return pixels
    rows, columns = max(1, height // factor), max(1, width // factor)
    down, right = min(factor, height), min(factor, width)
    cut = pixels[: rows * down, : columns * right]
    squares = cut.reshape(rows, down, columns, right, *pixels.shape[2:])
    total = squares.sum((1, 3), np.uint32) + down * right // 2
    means: Pixels = (total // (down * right)).astype(np.uint8)
    return means


def compare(original: Pixels, reconstruction: Pixels, *, side: int) -> Comparison:
    """Return two pictures of one shape and their difference, shrunk to at most ``side`` pixels."""
    difference = np.maximum(original, reconstruction) - np.minimum(original, reconstruction)
    return Comparison(*(shrink(pixels, side) for pixels in (original, reconstruction, difference)))


def comparison_grid(comparisons: Sequence[Comparison], captions: Sequence[Pixels]) -> Pixels:
    """Return original, reconstruction and difference of each in a row, over its caption.

    Differences are brighter by one factor for all, so that the largest of them is white.

    Parameters
    ----------
    comparisons : sequence of Comparison
        At least one.
    captions : sequence of (h, w) uint8
        As many; what is longer than its row of three is cut off.
    """
    largest = max(int(one.difference.max()) for one in comparisons)
    gain = np.round(np.arange(256) * (255 / max(1, largest))).clip(0, 255).astype(np.uint8)
    cells = [
        _over(grid([one.original, one.reconstruction, gain[one.difference]], columns=3), caption)
        for one, caption in zip(comparisons, captions, strict=True)
    ]
    return grid(cells)


def _over(pixels: Pixels, caption: Pixels) -> Pixels:
    """Return ``pixels`` with a caption below it, both from the left."""
    width = pixels.shape[1]
    line = np.full((caption.shape[0], width), PAPER, np.uint8)
    cut = caption[:, :width]
    line[:, : cut.shape[1]] = cut
    return np.concatenate([pixels, line if pixels.ndim == 2 else as_rgb(line)])
