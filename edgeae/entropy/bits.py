"""Bit strings: fields of varying width, and the reader that starts at a payload's last byte.

A bit string is an array of 0 and 1, uint8, most significant bit first. In a payload it begins in
the last byte and runs backwards, towards the words that begin at the front.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeae.errors import ContainerError


def pack_fields(values: NDArray[np.int64], widths: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the bit string of ``values``, each in its own width, most significant bit first.

    Parameters
    ----------
    values : (n,) int64
        ``0 <= values < 2**widths``.
    widths : (n,) integers
        Bits of each field, 0 allowed.
    """
    width = widths.astype(np.int64)
    end = np.cumsum(width)
    bits = np.zeros(int(width.sum()), np.uint8)
    for weight in range(int(width.max(initial=0))):
        wide = np.flatnonzero(width > weight)
        bits[end[wide] - 1 - weight] = values[wide] >> weight & 1
    return bits


def unpack_fields(bits: NDArray[np.uint8], widths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the values that `pack_fields` wrote, (n,) int64; ``bits`` are theirs alone."""
    width = widths.astype(np.int64)
    end = np.cumsum(width)
    values = np.zeros(width.size, np.int64)
    for weight in range(int(width.max(initial=0))):
        wide = np.flatnonzero(width > weight)
        values[wide] |= bits[end[wide] - 1 - weight].astype(np.int64) << weight
    return values


def to_tail(bits: NDArray[np.uint8]) -> bytes:
    """Return the bytes that end a payload whose reader finds ``bits``; spare bits are 0."""
    return np.packbits(bits)[::-1].tobytes()


class TailReader:
    """Bits from the last byte of a payload backwards.

    Parameters
    ----------
    payload : (n,) uint8
        The whole payload, words included.
    """

    def __init__(self, payload: NDArray[np.uint8]) -> None:
        self._payload = payload
        self._position = 0  # bits read

    def read(self, count: int) -> NDArray[np.uint8]:
        """Return the next ``count`` bits.

        Raises
        ------
        ContainerError
            The payload has fewer bits; checked before anything is allocated.
        """
        left = 8 * self._payload.size - self._position
        if count > left:
            raise ContainerError(
                f"latents: needs {count} more bits, {left} left of {self._payload.size} bytes; "
                "the file is truncated or damaged, copy it again"
            )
        bits = self._bits(self._position, self._position + count)
        self._position += count
        return bits

    @property
    def bytes_read(self) -> int:
        """Bytes of which at least one bit was read."""
        return (self._position + 7) // 8

    def spare_bits(self) -> NDArray[np.uint8]:
        """Return the unread bits of the last byte read from, without reading them."""
        return self._bits(self._position, 8 * self.bytes_read)

    def _bits(self, start: int, stop: int) -> NDArray[np.uint8]:
        first, size = start // 8, self._payload.size
        chunk = self._payload[size - (stop + 7) // 8 : size - first][::-1]
        return np.unpackbits(chunk)[start - 8 * first : stop - 8 * first]
