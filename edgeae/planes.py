"""Lossless coding of one 8-bit plane: the alpha channel, or indexes of colours.

A plane is predicted from its neighbours, modulo 256, and deflated; a plane of one value is that
value. docs/FORMAT.md, section 8.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeae.errors import DAMAGED, ContainerError

Plane = NDArray[np.uint8]

_CONSTANT = 0
_RAW_DEFLATE = -15  # window of 32 KiB, no zlib header: the section has its own checksum
_TRIAL_LEVEL = 1  # ranks the filters as the final level does, at a tenth of its time
_TRIAL_SLACK = 1.5  # times the final size, which a trial comes to at most
_LEVEL = 6  # 9 saves 0 to 3 % and takes up to five times as long
_CHUNK_BYTES = 1 << 17  # of inflated plane at a time


def encode_plane(plane: Plane) -> bytes:
    """Return ``plane``, (H, W) uint8 with H, W >= 1, coded with the filter that suits it best."""
    return _coded(plane, _trials(plane, math.inf))


def encode_plane_within(plane: Plane, limit: float) -> bytes | None:
    """Return what `encode_plane` does if it has at most ``limit`` bytes, else None.

    Where it is far from that, little of ``plane`` is looked at.
    """
    trials = _trials(plane, _TRIAL_SLACK * limit)
    if min(trials.values()) > _TRIAL_SLACK * limit:
        return None
    coded = _coded(plane, trials)
    return coded if len(coded) <= limit else None


def decode_plane(data: bytes, height: int, width: int, section: str) -> Plane:
    """Return the (height, width) plane that `encode_plane` coded; ``section`` is for messages.

    Memory grows with what ``data`` inflates to and stops at the plane's size.

    Raises
    ------
    ContainerError
        If ``data`` is not the coding of a plane of exactly this size.
    """
    if not data:
        raise ContainerError(f"{section}: a plane has at least 2 bytes, not 0; {DAMAGED}")
    code, body = data[0], data[1:]
    if code == _CONSTANT:
        if len(body) != 1:
            raise ContainerError(
                f"{section}: a constant plane has 1 byte, not {len(body)}; {DAMAGED}"
            )
        return np.full((height, width), body[0], np.uint8)
    if code not in _FILTERS:
        raise ContainerError(
            f"{section}: filter {code} is not one of 0..{len(_FILTERS)}; {DAMAGED}"
        )
    _, plane = _FILTERS[code]
    residual = np.frombuffer(_inflate(body, height * width, section), np.uint8)
    return plane(residual.reshape(height, width))


def _trials(plane: Plane, limit: float) -> dict[int, int]:
    """Return about how many bytes each filter comes to, or a number beyond ``limit``."""
    if plane.dtype != np.uint8 or plane.ndim != 2 or not plane.size:
        raise TypeError(f"plane is {plane.dtype} {plane.shape}, not uint8 of two dimensions")
    if plane.min() == plane.max():
        return {_CONSTANT: 2}
    return {code: _trial(plane, code, limit) for code in _FILTERS}


def _coded(plane: Plane, trials: dict[int, int]) -> bytes:
    code = min(trials, key=trials.__getitem__)
    if code == _CONSTANT:
        return bytes([code, plane[0, 0]])
    return b"".join([bytes([code]), *_deflate(plane, code, _LEVEL)])


def _trial(plane: Plane, code: int, limit: float) -> int:
    """Return how many bytes a filter comes to by fast deflating, or a number beyond ``limit``."""
    total = 0
    for piece in _deflate(plane, code, _TRIAL_LEVEL):
        total += len(piece)
        if total > limit:
            break
    return total


def _deflate(plane: Plane, code: int, level: int) -> Iterator[bytes]:
    """Yield the deflated residuals of a filter, made of some rows at a time."""
    coder = zlib.compressobj(level, zlib.DEFLATED, _RAW_DEFLATE)
    residual, _ = _FILTERS[code]
    rows = max(1, _CHUNK_BYTES // plane.shape[1])
    for top in range(0, len(plane), rows):
        above = min(top, 1)  # filters look at the row above
        part = residual(plane[top - above : top + rows])[above:]
        yield coder.compress(np.ascontiguousarray(part).data)
    yield coder.flush()


def _inflate(body: bytes, size: int, section: str) -> bytearray:
    decoder, plane = zlib.decompressobj(_RAW_DEFLATE), bytearray()
    rest, waiting = memoryview(body), b""  # given in pieces: what it leaves of them is copied
    try:
        while not decoder.eof and len(plane) <= size:
            if not waiting:
                waiting, rest = bytes(rest[:_CHUNK_BYTES]), rest[_CHUNK_BYTES:]
            # One byte more than fits shows a plane that is too long without inflating it.
            piece = decoder.decompress(waiting, min(_CHUNK_BYTES, size + 1 - len(plane)))
            waiting = decoder.unconsumed_tail
            plane += piece
            if not piece and not waiting and not rest and not decoder.eof:
                break
    except zlib.error as error:
        raise ContainerError(f"{section}: {error}; {DAMAGED}") from error
    unused = len(decoder.unused_data) + len(rest)
    if len(plane) != size or not decoder.eof or unused:
        raise ContainerError(
            f"{section}: inflates to {len(plane)}{'' if decoder.eof else ' or more'} bytes with "
            f"{unused} left over, not to {size}; {DAMAGED}"
        )
    return plane


def _same(plane: Plane) -> Plane:
    return plane


def _minus_left(plane: Plane) -> Plane:
    return np.diff(plane, axis=1, prepend=np.uint8(0))


def _plus_left(residual: Plane) -> Plane:
    for row in residual:
        row[:] = np.cumsum(row, dtype=np.uint8)
    return residual


def _minus_up(plane: Plane) -> Plane:
    return np.diff(plane, axis=0, prepend=np.uint8(0))


def _plus_up(residual: Plane) -> Plane:
    for above, row in pairwise(residual):
        np.add(row, above, out=row)
    return residual


def _minus_both(plane: Plane) -> Plane:
    return _minus_up(_minus_left(plane))


def _plus_both(residual: Plane) -> Plane:
    return _plus_left(_plus_up(residual))


_FILTERS: dict[int, tuple[Callable[[Plane], Plane], Callable[[Plane], Plane]]] = {
    1: (_same, _same),
    2: (_minus_left, _plus_left),
    3: (_minus_up, _plus_up),
    4: (_minus_both, _plus_both),
}
