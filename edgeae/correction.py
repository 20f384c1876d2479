"""A filter that a picture's file brings along, for what its decoder does alike all over it.

A decoder network is one for all pictures: in a given one it leaves errors that neighbouring samples
tell. A symmetric 5x5 filter from all channels to all channels takes back what it can of them. Its
weights are solved for when a picture is encoded, and sent where they save more than they cost
(Wiener filters in the loop: Tsai et al., "Adaptive loop filtering for video coding", 2013). All of
applying it is exact in integers. docs/FORMAT.md, section 8.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.container import ARRAY_MODE
from edgeae.errors import DAMAGED, ContainerError
from edgeae.kernel.library import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

REACH = 2  # samples that the filter sees in each direction
PAIRS = (  # of samples (dy, dx) and (-dy, -dx) away: the nearest first, zeros at the end are free
    *((0, 1), (1, 0), (1, 1), (1, -1)),
    *((0, 2), (2, 0), (1, 2), (2, 1), (1, -2), (2, -1), (2, 2), (2, -2)),
)
WEIGHT_MAX = 127
SECTION_BITS = 48  # type, length and checksum
UNIT_BITS = 8
UNIT = 1 << UNIT_BITS  # weights are 64ths, and planes are four times their samples
_STRIP = 1 << 15  # samples that are corrected at once: their planes fit into the cache


def channels_of(mode: str) -> int:
    """Return how many channels a picture's samples have, without alpha."""
    return 1 if mode.startswith("L") else 3


def feature_count(channels: int) -> int:
    """Return how many values the filter weighs for each output of a picture of 1 or 3 channels."""
    return channels * len(PAIRS) + (channels - 1)


def encode_weights(weights: NDArray[np.int8]) -> bytes:
    """Return the section that holds ``weights`` (channels, features); empty if all are 0."""
    bits: list[int] = []
    for weight in weights.T.reshape(-1).tolist():
        bits += [1] * abs(weight) + [0] + ([int(weight < 0)] if weight else [])
    return np.packbits(np.array(bits, np.uint8)).tobytes().rstrip(b"\0")


def section_bits(weights: NDArray[np.int8] | None) -> int:
    """Return what ``weights`` take in a file; None and zeros take nothing."""
    data = b"" if weights is None else encode_weights(weights)
    return 8 * len(data) + SECTION_BITS if data else 0


def check_weights(weights: NDArray[np.int8], mode: str) -> None:
    """Raise TypeError or ValueError unless ``weights`` are a correction of pictures of ``mode``."""
    if mode == ARRAY_MODE:
        raise ValueError("an array and a correction contradict: it is for pictures")
    channels = channels_of(mode)
    shape = (channels, feature_count(channels))
    if weights.dtype != np.int8 or weights.shape != shape:
        raise TypeError(f"correction is {weights.dtype} {weights.shape}, not int8 {shape}")
    if not weights.any() or weights.min() < -WEIGHT_MAX:
        raise ValueError(f"correction has weights beyond +-{WEIGHT_MAX}, or none but 0")


def decode_weights(data: bytes, mode: str) -> NDArray[np.int8]:
    """Return the weights (channels, features) in the section of a picture of ``mode``.

    Raises
    ------
    ContainerError
        They are not coded as they should be.
    """
    channels = channels_of(mode)
    count = channels * feature_count(channels)
    beyond = f"correction: bits beyond the last of {count} weights; {DAMAGED}"
    if 8 * len(data) >= count * (WEIGHT_MAX + 2) + 8:  # before a list of its bits is made
        raise ContainerError(beyond)
    bits = iter(np.unpackbits(np.frombuffer(data, np.uint8)).tolist())
    weights = []
    for _ in range(count):
        weight = 0
        while next(bits, 0):
            weight += 1
        if weight > WEIGHT_MAX:
            raise ContainerError(f"correction: a weight of {weight}; {DAMAGED}")
        weights.append(-weight if weight and next(bits, 0) else weight)
    if any(bits) or not data or not data[-1]:
        raise ContainerError(beyond)
    return np.ascontiguousarray(np.array(weights, np.int8).reshape(-1, channels).T)


def corrected(pixels: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return decoded samples (H, W) or (H, W, 3) with the filter's correction added."""
    return np.concatenate([*corrected_rows([pixels], weights)])


def corrected_rows(
    strips: Iterable[NDArray[np.uint8]], weights: NDArray[np.int8]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the same for a picture that comes some rows at a time, from the top.

    Beyond its borders a picture is as its nearest sample is.
    """
    above: NDArray[np.uint8] | None = None  # rows whose correction needs what comes below
    for strip in strips:
        rows = _beside(strip)
        if above is None:
            above = np.repeat(rows[:1], REACH, axis=0)
        rows = np.concatenate((above, rows))
        yield from corrected_inside(rows, weights)
        above = rows[-2 * REACH :] if len(rows) > 2 * REACH else rows
    if above is not None:
        yield from corrected_inside(
            np.concatenate((above, np.repeat(above[-1:], REACH, axis=0))), weights
        )


def surrounded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a whole picture with `REACH` more on each side, as the filter sees it."""
    sides = ((REACH, REACH), (REACH, REACH), (0, 0))
    return np.pad(pixels, sides[: pixels.ndim], mode="edge")


def _beside(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows (n, W) or (n, W, 3) as (n, W + 2 REACH, channels)."""
    planes = rows if rows.ndim == 3 else rows[..., np.newaxis]
    return np.pad(planes, ((0, 0), (REACH, REACH), (0, 0)), mode="edge")


def corrected_inside(
    rows: NDArray[np.uint8], weights: NDArray[np.int8]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the corrected inside of ``rows`` with their surroundings, some at a time."""
    library = kernel()
    width = rows.shape[1] - 2 * REACH
    if library is not None and len(rows) > 2 * REACH:
        yield _correct_by_kernel(rows, weights, library)
        return
    step = max(1, _STRIP // width)
    for top in range(REACH, len(rows) - REACH, step):
        bottom = min(top + step, len(rows) - REACH)
        yield _correct(rows[top - REACH : bottom + REACH], weights)


def _correct(around: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return the corrected inside of ``around`` (h, w, channels).

    Sums stay below 2^24 whatever the weights, so float32 is exact, and what follows is in integers.
    Term by term: a decoded picture depends on no BLAS.
    """
    planes = to_planes(around)
    centre = at(planes, 0, 0)
    sums = np.zeros(centre.shape, np.float32)
    chroma = len(planes) - 1
    _add(sums, centre[1:], weights[:, :chroma])
    twice, pair = 2 * centre, np.empty(centre.shape, np.float32)
    for offset, own in zip(PAIRS, _by_pair(weights), strict=True):
        if own.any():
            _add(sums, pair_of(planes, offset, twice, pair), own)
    inside = around[REACH:-REACH, REACH:-REACH]
    samples = np.empty(inside.shape, np.uint8)
    for channel, change in enumerate(_to_samples(sums.astype(np.int32))):
        moved = change + UNIT // 2
        moved >>= UNIT_BITS
        moved += inside[..., channel]
        samples[..., channel] = np.clip(moved, 0, 255, out=moved)
    return _as_picture(samples)


def _correct_by_kernel(
    around: NDArray[np.uint8], weights: NDArray[np.int8], library: Any
) -> NDArray[np.uint8]:
    """Return what `_correct` does, of any number of rows."""
    height, width = (side - 2 * REACH for side in around.shape[:2])
    channels = around.shape[2]
    if weights.shape != (channels, feature_count(channels)):  # C would read beyond them
        raise ValueError(f"weights are {weights.shape}, samples have {channels} channels")
    around = np.ascontiguousarray(around, np.uint8)
    weights = np.ascontiguousarray(weights, np.int8)
    scratch = np.empty(library.edgeae_correct_scratch(width, channels), np.float32)
    samples = np.empty((height, width, channels), np.uint8)
    library.edgeae_correct(
        *(around.ctypes.data, height, width, channels),
        *(weights.ctypes.data, scratch.ctypes.data, samples.ctypes.data),
    )
    return _as_picture(samples)


def _as_picture(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return samples[..., 0] if samples.shape[-1] == 1 else samples


def to_planes(samples: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return four times (..., 1), or Y, Co and Cg of (..., 3) samples, the channels first."""
    values = np.moveaxis(samples.astype(np.float32), -1, 0)
    if len(values) == 1:
        return 4 * values
    red, green, blue = values
    both = red + blue
    return np.stack((both + 2 * green, 2 * (red - blue), 2 * green - both))


def _to_samples(planes: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Return what a change of the planes changes of each channel, where four times is one."""
    if len(planes) == 1:
        return [planes[0]]
    y, orange, green = planes
    rest = y - green
    return [rest + orange, y + green, rest - orange]


def at(planes: NDArray[np.float32], dy: int, dx: int) -> NDArray[np.float32]:
    """Return the inside of planes with their surroundings, moved."""
    height, width = (side - 2 * REACH for side in planes.shape[1:])
    y, x = REACH + dy, REACH + dx
    return planes[:, y : y + height, x : x + width]


def pair_of(
    planes: NDArray[np.float32],
    offset: tuple[int, int],
    twice: NDArray[np.float32],
    out: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return how far a sample and the one opposite lie above the one between, in each plane."""
    dy, dx = offset
    pair: NDArray[np.float32] = np.add(at(planes, dy, dx), at(planes, -dy, -dx), out=out)
    pair -= twice
    return pair


def _by_pair(weights: NDArray[np.int8]) -> list[NDArray[np.int8]]:
    """Return the weights (channels, channels) of each pair."""
    return np.split(weights[:, len(weights) - 1 :], len(PAIRS), axis=1)


def _add(sums: NDArray[np.float32], values: NDArray[np.float32], weights: NDArray[np.int8]) -> None:
    """Add to each of ``sums`` the weighted ``values``; what has no weight costs nothing."""
    term = np.empty(sums.shape[1:], np.float32)
    for channel, n in np.argwhere(weights).tolist():
        np.multiply(values[n], np.float32(weights[channel, n]), out=term)
        sums[channel] += term
