"""A filter that a picture's file brings along, for what its decoder does alike all over it.

A decoder network is one for all pictures: in a given one it leaves errors that neighbouring samples
tell. A symmetric 5x5 filter from all channels to all channels takes back what it can of them. Its
weights are solved for when a picture is encoded, and sent where they save more than they cost
(Wiener filters in the loop: Tsai et al., "Adaptive loop filtering for video coding", 2013). All of
applying it is exact in integers. docs/FORMAT.md, section 8.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.container import ARRAY_MODE
from edgeae.errors import DAMAGED, ContainerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

REACH = 2  # samples that the filter sees in each direction
PAIRS = (  # of samples (dy, dx) and (-dy, -dx) away: the nearest first, zeros at the end are free
    *((0, 1), (1, 0), (1, 1), (1, -1)),
    *((0, 2), (2, 0), (1, 2), (2, 1), (1, -2), (2, -1), (2, 2), (2, -2)),
)
WEIGHT_MAX = 127
UNIT = 256  # what a weight of one 64th is out of, with planes that are four times their samples
# (R, G, B) to four times (Y, Co, Cg), and back from there; a grey picture is a plane by itself.
TO_PLANES = np.array([[1, 2, 1], [2, 0, -2], [-1, 2, -1]], np.float32)
FROM_PLANES = np.array([[1, 1, -1], [1, 0, 1], [1, -1, -1]], np.float32)
GREY = np.array([[4]], np.float32)
_STRIP = 1 << 13  # samples that are worked on at once: their features fit into the cache
# A file gets smaller by this share where its squared error falls by a small share, at equal
# quality: photos need 20 to 30 % more bits for a dB (docs/experiments.md).
BITS_PER_ERROR = 1.1
SECTION_BITS = 48  # type, length and checksum
_ROUNDS = 4  # over all weights; later ones change little


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
        raise ContainerError(f"correction: bits beyond the last of {count} weights; {DAMAGED}")
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
        yield from _in_strips(rows, weights)
        above = rows[-2 * REACH :] if len(rows) > 2 * REACH else rows
    if above is not None:
        yield from _in_strips(
            np.concatenate((above, np.repeat(above[-1:], REACH, axis=0))), weights
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Sums over samples of products: of features, of features and errors, of errors."""

    features: NDArray[np.float64]  # (features, features)
    targets: NDArray[np.float64]  # (features, channels), of errors as planes
    squares: float  # of the errors of samples


def find_weights(
    pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], bits: float
) -> NDArray[np.int8] | None:
    """Return the weights that pay for a picture; None if none do.

    Parameters
    ----------
    pairs : sequence of two (h, w) or (h, w, 3) uint8
        Original samples, of the picture or of parts that stand for it, and the decoded ones within
        `REACH` more on each side.
    bits : float
        Of the picture's file: what a share of its squared error is worth grows with them.
    """
    channels = 1 if pairs[0][0].ndim == 2 else 3
    moments = _moments(pairs, channels)
    if not moments.squares:
        return None
    weights = _cheapest(moments, BITS_PER_ERROR * bits / moments.squares, channels)
    saved = _error_change(moments, weights, channels) * BITS_PER_ERROR * bits / moments.squares
    return weights.astype(np.int8) if saved + _cost(weights) + SECTION_BITS < 0 else None


def surrounded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a whole picture with `REACH` more on each side, as the filter sees it."""
    sides = ((REACH, REACH), (REACH, REACH), (0, 0))
    return np.pad(pixels, sides[: pixels.ndim], mode="edge")


def _beside(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows (n, W) or (n, W, 3) as (n, W + 2 REACH, channels)."""
    planes = rows if rows.ndim == 3 else rows[..., np.newaxis]
    return np.pad(planes, ((0, 0), (REACH, REACH), (0, 0)), mode="edge")


def _in_strips(rows: NDArray[np.uint8], weights: NDArray[np.int8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the corrected inside of ``rows`` with their surroundings, some at a time."""
    width = rows.shape[1] - 2 * REACH
    step = max(1, _STRIP // width)
    for top in range(REACH, len(rows) - REACH, step):
        bottom = min(top + step, len(rows) - REACH)
        yield _correct(rows[top - REACH : bottom + REACH], weights)


def _correct(around: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    channels = around.shape[-1]
    inside = around[REACH:-REACH, REACH:-REACH]
    # Integers below 2^24 whatever the weights, so float32 is exact in any order of summation.
    change = _features(around).T @ weights.T.astype(np.float32)
    if channels == 3:
        change = change @ FROM_PLANES.T
    change *= 1 / UNIT
    change += 0.5
    np.floor(change, out=change)
    found = change.reshape(inside.shape)
    found += inside
    samples: NDArray[np.uint8] = np.clip(found, 0, 255, out=found).astype(np.uint8)
    return samples[..., 0] if channels == 1 else samples


def _features(around: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (features, n) of the samples (h, w, channels) within their surroundings."""
    channels = around.shape[-1]
    matrix = GREY if channels == 1 else TO_PLANES
    planes = np.tensordot(matrix, around.astype(np.float32), axes=(1, 2))
    height, width = (side - 2 * REACH for side in planes.shape[1:])

    def at(dy: int, dx: int) -> NDArray[np.float32]:
        y, x = REACH + dy, REACH + dx
        shifted: NDArray[np.float32] = planes[:, y : y + height, x : x + width]
        return shifted

    centre = at(0, 0)
    found = np.empty((feature_count(channels), height, width), np.float32)
    found[: channels - 1] = centre[1:]
    twice = 2 * centre
    for n, (dy, dx) in enumerate(PAIRS):
        first = channels - 1 + n * channels
        pair = np.add(at(dy, dx), at(-dy, -dx), out=found[first : first + channels])
        pair -= twice
    return found.reshape(len(found), -1)


def _moments(
    pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], channels: int
) -> _Moments:
    """Return the sums over all original samples."""
    count = feature_count(channels)
    features, targets = np.zeros((count, count)), np.zeros((count, channels))
    matrix = GREY if channels == 1 else TO_PLANES
    squares = 0.0
    for original, decoded in pairs:
        height, width = original.shape[:2]
        step = max(1, _STRIP // width)
        for top in range(0, height, step):
            rows = original[top : top + step]
            around = decoded[top : top + len(rows) + 2 * REACH]
            around = around.reshape(*around.shape[:2], channels)
            error = rows.reshape(-1, channels).astype(np.float32)
            error -= around[REACH:-REACH, REACH:-REACH].reshape(-1, channels)
            seen = _features(around)
            features += seen @ seen.T
            targets += seen @ (error @ matrix.T)
            squares += float(np.square(error).sum(dtype=np.float64))
    return _Moments(features, targets, squares)


def _cheapest(moments: _Moments, worth: float, channels: int) -> NDArray[np.float64]:
    """Return weights with the least of bits and squared error, ``worth`` bits each.

    From the rounded solution of least squares, one weight after the other.
    """
    metric = _metric(channels)
    scale = np.trace(moments.features) / len(moments.features)
    ridge = (1e-6 * scale + 1e-6) * np.eye(len(moments.features))
    solved = np.linalg.solve(moments.features + ridge, moments.targets) * (UNIT / 4)
    weights = np.clip(np.rint(solved), -WEIGHT_MAX, WEIGHT_MAX)
    step = 4 / UNIT
    for _ in range(_ROUNDS):
        before = weights.copy()
        for feature, channel in np.ndindex(weights.shape):
            bend = moments.features[feature, feature] * metric[channel, channel] * step**2
            error = moments.features[feature] @ weights * step - moments.targets[feature]
            slope = error @ metric[:, channel] * step
            now = weights[feature, channel]
            best = now - slope / bend if bend > 0 else 0.0
            options = {0.0, math.floor(best), math.ceil(best)}
            weights[feature, channel] = min(
                (w for w in options if abs(w) <= WEIGHT_MAX),
                key=lambda w: worth * ((w - now) * (2 * slope + bend * (w - now))) + _bits(w),
            )
        if np.array_equal(weights, before):
            break
    return weights.T


def _error_change(moments: _Moments, weights: NDArray[np.float64], channels: int) -> float:
    """Return by how much the weights change the squared error of samples."""
    moved = weights.T * (4 / UNIT)
    change = moved.T @ (moments.features @ moved - 2 * moments.targets)
    return float(np.trace(_metric(channels) @ change))


def _metric(channels: int) -> NDArray[np.float64]:
    """Return what squared errors of planes are in those of samples: (channels, channels)."""
    back = np.ones((1, 1)) if channels == 1 else FROM_PLANES.astype(np.float64)
    return back.T @ back / 16


def _bits(weight: float) -> float:
    return abs(weight) + (2 if weight else 1)


def _cost(weights: NDArray[np.float64]) -> float:
    return float(np.abs(weights).sum() + weights.size + np.count_nonzero(weights))
