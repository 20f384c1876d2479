"""Squares of a picture that stand for all of it where all of it would take too long.

Arrays in, arrays out; positions are pixels, on the grid of the latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SPOTS, MAX_SPOTS = 2, 16
_AREA = 10  # spots that a picture has room for if looking at some saves anything
_AREA_PER_SPOT = 24  # and for which one more is added
_SIDE = 128  # pixels, or the next multiple of what pictures are padded to
LARGE_PIXELS = 1 << 19  # of all large spots together
_LARGE_SIDE = 256
_MARGIN = 16  # pixels along its border that a decoder spoils, seeing nothing beyond
_GOLDEN = 0.618034  # its multiples, modulo 1, leave no large gap


@dataclass(frozen=True, slots=True)
class Spots:
    """Corners of squares, and what of each square is looked at."""

    corners: tuple[tuple[int, int], ...]  # top, left
    side: int
    margin: int

    @property
    def inside(self) -> Spots:
        """The squares without their margins."""
        return self.with_margin(0)

    def with_margin(self, margin: int) -> Spots:
        """Return the squares with a smaller margin."""
        cut = self.margin - margin
        corners = tuple((top + cut, left + cut) for top, left in self.corners)
        return Spots(corners, self.side - 2 * cut, margin)

    @property
    def in_mosaic(self) -> Spots:
        """Where the squares are in their mosaic."""
        corners = tuple((0, n * self.side) for n in range(len(self.corners)))
        return Spots(corners, self.side, self.margin)

    def mosaic(self, pixels: NDArray[Any], stride: int = 1) -> NDArray[Any]:
        """Return the squares of (H, W, ..) pixels, or of latents in that order, side by side."""
        side = self.side // stride
        corners = ((top // stride, left // stride) for top, left in self.corners)
        squares = [pixels[top : top + side, left : left + side] for top, left in corners]
        return np.concatenate(squares, axis=1)


def choose_spots(height: int, width: int, stride: int, multiple: int) -> Spots | None:
    """Return spots spread over a picture; None if it is so small that they would not pay."""
    side = -(-_SIDE // multiple) * multiple
    area = height * width // side**2
    if area < _AREA or min(height, width) < side:
        return None
    count = min(MAX_SPOTS, MIN_SPOTS + area // _AREA_PER_SPOT)
    return _spread(height, width, count, side, stride, -(-_MARGIN // stride) * stride)


def large_spots(height: int, width: int, stride: int, multiple: int) -> Spots | None:
    """Return spots of half a megapixel in all; None of a picture too narrow for any.

    Their corners are multiples of ``multiple``: hyper-latents can be cut out as well.
    """
    side = min(_LARGE_SIDE, height, width) // multiple * multiple
    margin = -(-_MARGIN // stride) * stride
    if side <= 2 * margin:
        return None
    return _spread(height, width, LARGE_PIXELS // side**2, side, multiple, margin)


def _spread(height: int, width: int, count: int, side: int, grid: int, margin: int) -> Spots:
    corners = tuple(
        (
            int((n + 0.5) / count * (height - side)) // grid * grid,
            int((0.5 + n * _GOLDEN) % 1 * (width - side)) // grid * grid,
        )
        for n in range(count)
    )
    return Spots(corners, side, margin)
