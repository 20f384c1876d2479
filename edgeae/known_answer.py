"""Known answers: inputs that need no file, and the hashes of what must come of them everywhere.

A machine whose hyper-decoder gives other scale indexes would decode noise; it must say so before
it decodes anything. The exporter computes the hash, the codec compares it. `edgeae.known_file` has
the answer of a whole bundle, to a picture that is made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgeae.masks import gather, none_known, scatter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # (z int16 [1, Cz, hz, wz], symbols int16 [1, C, h, w], step) -> indexes uint8 [1, C, h, w]
    ScaleIndexes: TypeAlias = Callable[
        [NDArray[np.int16], NDArray[np.int16], int], NDArray[np.uint8]
    ]

_AMPLITUDE = 12  # beyond the +-8 at which the hyper-decoder clips what it is given
_WORD = (1 << 32) - 1


def known_values(seed: int, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Return integers in -12..12 that are the same on every machine and in every version.

    An integer hash of the position; numpy's generators promise no fixed stream.
    """
    x = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64) + np.uint64(seed)
    x = (x * np.uint64(2654435761)) & np.uint64(_WORD)
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(2246822519)) & np.uint64(_WORD)
    x ^= x >> np.uint64(13)
    values = (x % np.uint64(2 * _AMPLITUDE + 1)).astype(np.int16) - np.int16(_AMPLITUDE)
    return values.reshape(shape)


def known_picture(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return (height, width, channels) uint8, made by integers alone: the same everywhere.

    Slopes of colour, a disc with a sharp edge, and texture in the lower third.
    """
    y, x, c = np.ogrid[:height, :width, :channels]
    slopes = np.abs((5 * x + 3 * y + 60 * c) % 510 - 255)
    disc = (2 * x - width) ** 2 + (2 * y - height) ** 2 < (min(height, width) // 2) ** 2
    picture = np.where(disc, 40 + 80 * c, slopes)
    texture = 2 * known_values(3, (height, width, 1)).astype(np.int64)
    picture = picture + np.where(3 * y > 2 * height, texture, 0)
    return picture.clip(0, 255).astype(np.uint8)


def symbols_sha256(z: NDArray[np.int16], symbols: NDArray[np.int16]) -> str:
    """Return the SHA-256 of hyper-latents and symbols, with their shapes."""
    digest = hashlib.sha256()
    for array in (z, symbols):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array, "<i2").tobytes())
    return digest.hexdigest()


def index_sha256(
    scale_indexes: ScaleIndexes,
    masks: NDArray[np.bool_],
    seed: int,
    shape: tuple[int, int, int, int],
    scale: int,
) -> str:
    """Return the SHA-256 of the scale indexes of all steps for the known input.

    Parameters
    ----------
    scale_indexes : callable
        Runs the hyper-decoder and returns its indexes.
    masks : (n, C, 2, 2) bool
        The steps of the bundle.
    seed : int
        Of `known_values`; z is made from it and the symbols from ``seed + 1``.
    shape : tuple of int
        Of z: 1, Cz, hz, wz.
    scale : int
        Latents per hyper-latent in each direction, ``hyper_stride // stride``.
    """
    _, _, height, width = shape
    z = known_values(seed, shape)
    later = known_values(seed + 1, (masks.shape[1], height * scale, width * scale))
    known = np.zeros_like(later)
    digest = hashlib.sha256()
    for step, mask in enumerate(masks):
        symbols = known[np.newaxis] if step else none_known(len(known))  # as the codec does
        digest.update(np.ascontiguousarray(scale_indexes(z, symbols, step)).tobytes())
        scatter(known, mask, gather(later, mask))
    return digest.hexdigest()
