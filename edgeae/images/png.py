"""PNG files written row by row: what Pillow writes takes the picture in memory, three times.

Every row has the filter whose residuals are smallest in sum, as libpng chooses (PNG 1.2, 9.6).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from edgeae.images.outputs import PNG_LEVEL
from edgeae.images.strips import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgeae.images.strips import Strips

    Bytes = NDArray[np.uint8]

_MAGIC = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}
_ROWS = 32  # that are filtered at once: their residuals stay in the cache
_EXIF_PREFIX = b"Exif\0\0"


def png_pieces(strips: Strips) -> Iterator[bytes]:
    """Yield the file of a picture, piece by piece; ``strips.rows`` are taken on the way."""
    yield _MAGIC
    colour = _COLOUR_TYPES[strips.mode]
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", strips.width, strips.height, 8, colour, 0, 0, 0))
    if strips.icc:
        yield _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(strips.icc))
    if strips.exif:
        yield _chunk(b"eXIf", strips.exif.removeprefix(_EXIF_PREFIX))
    coder = zlib.compressobj(PNG_LEVEL)
    channels = CHANNELS[strips.mode]
    above = np.zeros((1, channels + strips.width * channels), np.uint8)
    for rows in strips.rows:
        flat = rows.reshape(len(rows), -1)
        for top in range(0, len(flat), _ROWS):
            part = flat[top : top + _ROWS]
            # One pixel of zeros on the left, as the filters want it, and the row above.
            padded = np.zeros((1 + len(part), channels + part.shape[1]), np.uint8)
            padded[0], padded[1:, channels:] = above, part
            above = padded[-1:]
            if data := coder.compress(_filtered(padded, channels).data):
                yield _chunk(b"IDAT", data)
    yield _chunk(b"IDAT", coder.flush())
    yield _chunk(b"IEND", b"")


def _filtered(padded: Bytes, channels: int) -> Bytes:
    """Return (n, 1 + m): the rows but the first, each with its filter's number and residuals."""
    x, left = padded[1:, channels:], padded[1:, :-channels]
    up, corner = padded[:-1, channels:], padded[:-1, :-channels]
    average = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
    residuals = np.stack([x, x - left, x - up, x - average, x - _paeth(left, up, corner)])
    sums = np.abs(residuals.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    chosen = np.argmin(sums, axis=0)
    rows = np.empty((len(x), 1 + x.shape[1]), np.uint8)
    rows[:, 0] = chosen
    rows[:, 1:] = np.take_along_axis(residuals, chosen[np.newaxis, :, np.newaxis], axis=0)[0]
    return rows


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Return whichever of the three neighbours is nearest to left + up - corner."""
    a, b, c = (values.astype(np.int16) for values in (left, up, corner))
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
