"""Large pictures through a network piece by piece, without seams and in bounded memory.

A tile is given so much of its surroundings that none of its pixels can tell it from the whole
picture; where a network sees farther than that, no tiles are made. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

TILE_SIDE = 512  # pixels that one run is for, in each direction


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in pixels of the picture."""

    start: int  # kept: from here
    stop: int  # to before here
    first: int  # seen by the network: from here
    last: int  # to before here

    @property
    def kept(self) -> slice:
        """Where the result belongs in the picture."""
        return slice(self.start, self.stop)

    @property
    def seen(self) -> slice:
        """What the network is given of the picture."""
        return slice(self.first, self.last)

    @property
    def inside(self) -> slice:
        """Where the result is in what the network gives."""
        return slice(self.start - self.first, self.stop - self.first)


def spans(length: int, *, multiple: int, halo: int, side: int = TILE_SIDE) -> Iterator[Span]:
    """Yield the tiles along an axis of ``length`` pixels, in order.

    Parameters
    ----------
    length : int
        At least 1.
    multiple : int
        Every tile begins at such a pixel: the network's grid lies as in the whole picture.
    halo : int
        Pixels of context that each kept pixel needs, on each side, if the picture has them.
    side : int
        Pixels kept of a tile, before rounding up to ``multiple``.
    """
    step, context = (-(-pixels // multiple) * multiple for pixels in (side, halo))
    for start in range(0, length, step):
        stop = min(start + step, length)
        yield Span(start, stop, max(0, start - context), min(length, stop + context))


def fits_one_tile(height: int, width: int, *, side: int = TILE_SIDE) -> bool:
    """Return whether a picture needs no tiles."""
    return max(height, width) <= side


def run_in_tiles(
    pixels: NDArray[np.uint8],
    work: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    *,
    multiple: int,
    halo: int,
    side: int = TILE_SIDE,
) -> NDArray[np.uint8]:
    """Return ``work(pixels)``, from tiles.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
    work : callable
        From pixels to pixels of the same shape; a result depends on nothing more than ``halo``
        pixels away, and on where it lies relative to ``multiple``.
    """
    height, width = pixels.shape[:2]
    result = np.empty_like(pixels)
    for rows in spans(height, multiple=multiple, halo=halo, side=side):
        for columns in spans(width, multiple=multiple, halo=halo, side=side):
            found = work(np.ascontiguousarray(pixels[rows.seen, columns.seen]))
            result[rows.kept, columns.kept] = found[rows.inside, columns.inside]
    return result
