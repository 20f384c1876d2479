"""Pictures of few colours, exactly: a palette and a plane of indexes, in place of latents.

Black text on white is where a transform keeps least for its bits, and such a picture is often
smaller this way than its latents are. docs/FORMAT.md, section 8.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import DAMAGED, ContainerError
from edgeae.planes import decode_plane, encode_plane_within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

COLOURS_MAX = 256
_SECTION = "colours"
# Pixels looked at together: the first few rows of a photo have more colours than fit.
_BLOCK_PIXELS = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class Indexed:
    """The pixels of a picture of few colours."""

    palette: NDArray[np.uint8]  # (n,) or (n, 3), ascending
    indexes: NDArray[np.uint8]  # (H, W), of the palette


def indexed(pixels: NDArray[np.uint8]) -> Indexed | None:
    """Return (H, W) or (H, W, 3) uint8 ``pixels`` by colour, None if there are more than 256."""
    return _indexed_grey(pixels) if pixels.ndim == 2 else _indexed_rgb(pixels)


def encode_colours(picture: Indexed, limit: int) -> bytes | None:
    """Return ``picture`` coded in at most ``limit`` bytes, or None if it takes more."""
    head = bytes([len(picture.palette) - 1]) + picture.palette.tobytes()
    plane = encode_plane_within(_packed(picture.indexes, len(picture.palette)), limit - len(head))
    return None if plane is None else head + plane


def decode_colours(data: bytes, height: int, width: int, mode: str) -> NDArray[np.uint8]:
    """Return the pixels that `encode_colours` coded, (height, width) or (height, width, 3).

    Raises
    ------
    ContainerError
        ``data`` is not the coding of a picture of exactly this size and mode.
    """
    each = () if mode.startswith("L") else (3,)
    count = data[0] + 1 if data else 1
    size = math.prod((count, *each))
    if len(data) < 1 + size:
        raise ContainerError(
            f"colours: {count} take {1 + size} bytes, {len(data)} are there; {DAMAGED}"
        )
    palette = np.frombuffer(data, np.uint8, size, offset=1).reshape(count, *each)
    numbers = _numbers(palette) if each else palette
    if (numbers[1:] <= numbers[:-1]).any():
        raise ContainerError("colours: they do not ascend; the file's writer is at fault")
    bits = _bits(count)
    plane = decode_plane(data[1 + size :], height, -(-width * bits // 8), _SECTION)
    indexes = _unpacked(plane, bits)
    if indexes[:, width:].any():
        raise ContainerError("colours: bits beyond the last column; the file's writer is at fault")
    if indexes.max() >= count:
        raise ContainerError(
            f"colours: index {indexes.max()} is not below {count}; the file's writer is at fault"
        )
    return _looked_up(palette, indexes[:, :width])


def _indexed_grey(pixels: NDArray[np.uint8]) -> Indexed:
    present = np.zeros(COLOURS_MAX, np.bool_)
    for rows in _blocks(pixels):
        present[pixels[rows]] = True
    place = (np.cumsum(present) - 1).astype(np.uint8)
    return Indexed(np.flatnonzero(present).astype(np.uint8), _looked_up(place, pixels))


def _indexed_rgb(pixels: NDArray[np.uint8]) -> Indexed | None:
    numbers = np.empty(0, np.uint32)
    for rows in _blocks(pixels):
        numbers = np.union1d(numbers, _numbers(pixels[rows]))
        if len(numbers) > COLOURS_MAX:
            return None
    indexes = np.empty(pixels.shape[:2], np.uint8)
    for rows in _blocks(pixels):
        indexes[rows] = np.searchsorted(numbers, _numbers(pixels[rows]))
    palette = np.stack([numbers >> 16, numbers >> 8 & 0xFF, numbers & 0xFF], axis=1)
    return Indexed(palette.astype(np.uint8), indexes)


def _bits(count: int) -> int:
    """Return the bits of an index: whole ones in each byte, so that rows deflate well."""
    return next(bits for bits in (1, 2, 4, 8) if count <= 1 << bits)


def _packed(indexes: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return rows of bytes, several indexes in each if there are few colours, the first on top."""
    bits = _bits(count)
    if bits == 8:
        return indexes
    each = 8 // bits
    filled = np.pad(indexes, ((0, 0), (0, -indexes.shape[1] % each)))
    packed = np.zeros((len(indexes), filled.shape[1] // each), np.uint8)
    for place in range(each):
        packed |= filled[:, place::each] << np.uint8(8 - bits * (place + 1))
    return packed


def _unpacked(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Return what `_packed` took, with the indexes that fill up the last byte of a row."""
    if bits == 8:
        return packed
    each = 8 // bits
    indexes = np.empty((len(packed), packed.shape[1] * each), np.uint8)
    for place in range(each):
        indexes[:, place::each] = packed >> np.uint8(8 - bits * (place + 1)) & ((1 << bits) - 1)
    return indexes


def _looked_up(table: NDArray[np.uint8], indexes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = np.empty((*indexes.shape, *table.shape[1:]), np.uint8)
    for rows in _blocks(indexes):  # numpy makes eight bytes of each index
        found[rows] = table[indexes[rows]]
    return found


def _blocks(pixels: NDArray[np.uint8]) -> Iterator[slice]:
    """Yield slices of rows, some at a time: what is made of all at once would take much memory."""
    step = max(1, _BLOCK_PIXELS // pixels.shape[1])
    for top in range(0, len(pixels), step):
        yield slice(top, top + step)


def _numbers(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return a number for each RGB colour (..., 3), in the order of its bytes."""
    wide = colours.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)
