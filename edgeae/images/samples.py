"""Samples of a picture as files store them to upright 8-bit samples.

Arrays in, arrays out: no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Exif orientation -> the upright view of (rows, columns); Exif 2.32, table 6.
_UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


def upright(samples: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return (H, W) or (H, W, C) samples as they are to be seen, C-contiguous.

    ``orientation`` is the value of the Exif tag; 1 and values outside 2..8 leave the samples
    where they are, without a copy.
    """
    turn = _UPRIGHT.get(orientation)
    return samples if turn is None else np.ascontiguousarray(turn(samples))


def reduce_to_8_bits(wide: NDArray[Any], transparency: int | None = None) -> NDArray[np.uint8]:
    """Return (H, W) grey samples of 0..65535 rounded to 0..255.

    Parameters
    ----------
    wide : (H, W) integer
        65535 is white.
    transparency : int, optional
        The wide sample that means "nothing here". The result is then (H, W, 2): grey and alpha.

    Raises
    ------
    ImageError
        A sample is outside 0..65535.
    """
    lowest, highest = int(wide.min()), int(wide.max())
    if lowest < 0 or highest > 0xFFFF:
        raise ImageError(f"samples of {lowest}..{highest} are outside 16 bits; scale them first")
    scaled = wide.astype(np.uint32)
    scaled *= 255
    scaled += 0x7FFF
    scaled //= 0xFFFF
    grey = scaled.astype(np.uint8)
    if transparency is None:
        return grey
    return np.dstack((grey, np.where(wide == transparency, 0, 255).astype(np.uint8)))
