"""Find the weights of `edgeae.correction` that pay for a picture: least squares, then bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.correction import (
    PAIRS,
    REACH,
    SECTION_BITS,
    UNIT,
    WEIGHT_MAX,
    at,
    corrected_inside,
    feature_count,
    pair_of,
    to_planes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# What squared errors of the planes are in those of samples, by the number of channels.
_METRICS = {
    1: np.array([[1]]) / 16,
    3: np.array([[3, 0, -1], [0, 2, 0], [-1, 0, 3]]) / 16,
}
_FEATURES_STRIP = 1 << 13  # samples whose features fit into the cache
# A small share of the squared error is worth so many times that share of the file's bits: photos
# need 20 to 30 % more for a dB.
BITS_PER_ERROR = 1.1
_ROUNDS = 4  # over all weights; later ones change little


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Sums over samples of products: of features, of features and errors, of errors."""

    features: NDArray[np.float64]  # (features, features)
    targets: NDArray[np.float64]  # (features, channels), of errors as planes
    squares: float  # of the errors of samples

    @property
    def finite(self) -> bool:
        """Whether all are numbers; not every BLAS on every processor gives such."""
        return bool(np.isfinite(self.features).all() and np.isfinite(self.targets).all())


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Weights that pay, and what they make of the decoded samples that they were found by."""

    weights: NDArray[np.int8]  # (channels, features)
    corrected: tuple[NDArray[np.uint8], ...]  # (h, w) or (h, w, 3) each


def find_weights(
    pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], bits: float
) -> Fit | None:
    """Return the weights that pay for a picture and what they make of it; None if none do.

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
    if not moments.squares or not moments.finite:
        return None
    worth = BITS_PER_ERROR * bits / moments.squares
    weights = _cheapest(moments, worth, _METRICS[channels])
    if not weights.any():
        return None
    corrected = tuple(
        np.concatenate([*corrected_inside(decoded.reshape(*decoded.shape[:2], channels), weights)])
        for _, decoded in pairs
    )
    left = sum(
        _squares(original, found) for (original, _), found in zip(pairs, corrected, strict=True)
    )
    saved = worth * (moments.squares - left)
    return Fit(weights, corrected) if saved > _cost(weights) + SECTION_BITS else None


def _features(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (features, h, w) of the samples within their surroundings."""
    centre = at(planes, 0, 0)
    channels = len(planes)
    found = np.empty((feature_count(channels), *centre.shape[1:]), np.float32)
    found[: channels - 1] = centre[1:]
    twice = 2 * centre
    for offset, pair in zip(PAIRS, np.split(found[channels - 1 :], len(PAIRS)), strict=True):
        pair_of(planes, offset, twice, pair)
    return found


def _moments(
    pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], channels: int
) -> _Moments:
    """Return the sums over all original samples."""
    count = feature_count(channels)
    features, targets = np.zeros((count, count)), np.zeros((count, channels))
    squares = 0.0
    for original, decoded in pairs:
        height, width = original.shape[:2]
        step = max(1, _FEATURES_STRIP // width)
        for top in range(0, height, step):
            rows = original[top : top + step]
            around = decoded[top : top + len(rows) + 2 * REACH]
            around = around.reshape(*around.shape[:2], channels)
            error = rows.reshape(*rows.shape[:2], channels).astype(np.float32)
            error -= around[REACH:-REACH, REACH:-REACH]
            seen = _features(to_planes(around)).reshape(count, -1)
            with np.errstate(all="ignore"):  # some processors' products raise flags for nothing
                features += seen @ seen.T
                targets += seen @ to_planes(error).reshape(channels, -1).T
            squares += float(np.square(error).sum(dtype=np.float64))
    return _Moments(features, targets, squares)


def _cheapest(moments: _Moments, worth: float, metric: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return weights with the least of bits and squared error, ``worth`` bits each.

    From the rounded solution of least squares, one weight after the other.
    """
    features, targets = moments.features, moments.targets
    ridge = 1e-6 * (np.trace(features) / len(features) + 1) * np.eye(len(features))
    solved = np.linalg.solve(features + ridge, targets) * (UNIT / 4)
    weights = np.clip(np.rint(np.nan_to_num(solved)), -WEIGHT_MAX, WEIGHT_MAX)
    step = 4 / UNIT
    for _ in range(_ROUNDS):
        before = weights.copy()
        for feature, channel in np.ndindex(weights.shape):
            bend = features[feature, feature] * metric[channel, channel] * step**2
            error = np.einsum("f,fc->c", features[feature], weights) * step - targets[feature]
            slope = float((error * metric[channel]).sum()) * step
            now = weights[feature, channel]
            best = now - slope / bend if bend > 0 else 0.0
            options = {0.0, math.floor(best), math.ceil(best)}
            weights[feature, channel] = min(
                (w for w in options if abs(w) <= WEIGHT_MAX),
                key=lambda w: worth * ((w - now) * (2 * slope + bend * (w - now))) + _bits(w),
            )
        if np.array_equal(weights, before):
            break
    return np.ascontiguousarray(weights.T.astype(np.int8))


def _squares(original: NDArray[np.uint8], found: NDArray[np.uint8]) -> float:
    return float(np.square(found - original.astype(np.float32)).sum(dtype=np.float64))


def _bits(weight: float) -> float:
    return abs(weight) + (2 if weight else 1)


def _cost(weights: NDArray[np.int8]) -> float:
    return float(np.abs(weights.astype(int)).sum() + weights.size + np.count_nonzero(weights))
