"""What values occur: minima, maxima and histograms over runs, and the range of least error.

Two runs over the same inputs: the first finds the extremes, the second fills histograms between
them, so memory does not grow with the number of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae_export.quantize.qdq import LEVELS, Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Values = Mapping[str, NDArray[np.float32]]

BINS = 2048
NARROWEST = 1e-30  # range that is divided into bins; a dead layer's output has none
SHRINKING = np.linspace(1.0, 0.5, 51)  # of either end; beyond, text would suffer for skies


@dataclass(slots=True, eq=False)
class Extremes:
    """By channel (axis 1): smallest and largest value, and mean over runs of the largest size."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    typical: NDArray[np.float64]

    @property
    def largest(self) -> NDArray[np.float64]:
        """Largest magnitude of each channel."""
        sizes: NDArray[np.float64] = np.maximum(-self.low, self.high).astype(np.float64)
        return sizes

    @property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest value of all channels."""
        return float(self.low.min()), float(self.high.max())


def extremes(runs: Iterator[Values]) -> dict[str, Extremes]:
    """Return the extremes of every value in ``runs``."""
    found: dict[str, Extremes] = {}
    count = 0
    for count, values in enumerate(runs, 1):  # noqa: B007  # used after the loop
        for name, array in values.items():
            axes = tuple(a for a in range(array.ndim) if a != 1)
            low, high = np.atleast_1d(array.min(axis=axes)), np.atleast_1d(array.max(axis=axes))
            sizes = np.maximum(-low, high).astype(np.float64)
            if name not in found:
                found[name] = Extremes(low, high, sizes)
                continue
            old = found[name]
            if old.low.shape != low.shape:  # axis 1 is a length, not channels
                old.low, old.high = old.low.min(keepdims=True), old.high.max(keepdims=True)
                old.typical = old.typical.max(keepdims=True)
                low, high, sizes = low.min(), high.max(), sizes.max()
            np.minimum(old.low, low, out=old.low)
            np.maximum(old.high, high, out=old.high)
            old.typical += sizes
    for each in found.values():
        each.typical /= count
    return found


def histograms(
    runs: Iterator[Values], ends: Mapping[str, tuple[float, float]]
) -> dict[str, NDArray[np.int64]]:
    """Return counts [BINS] of every value between its ``ends``."""
    counts: dict[str, NDArray[np.int64]] = {}
    for values in runs:
        for name, array in values.items():
            low, high = ends[name]
            factor = BINS / max(high - low, NARROWEST)
            places = ((array.reshape(-1) - low) * factor).astype(np.int32)
            np.clip(places, 0, BINS - 1, out=places)
            new: NDArray[Any] = np.bincount(places, minlength=BINS)
            counts[name] = counts[name] + new if name in counts else new
    return counts


def least_error(counts: NDArray[np.int64], low: float, high: float) -> Range:
    """Return the range of least squared error for values of this histogram from low to high.

    Shrinking a range trades the error of what is clipped for that of coarser steps; either end is
    tried alone, then the other, twice.
    """
    centres = low + (np.arange(BINS) + 0.5) * ((high - low) / BINS)
    weights = counts / max(1, counts.sum())
    low, high = min(low, 0.0), max(high, 0.0)

    def error(bottom: float, top: float) -> float:
        clipped = centres - np.clip(centres, bottom, top)
        inside = float(weights[clipped == 0].sum())
        return inside * ((top - bottom) / LEVELS) ** 2 / 12 + float(weights @ clipped**2)

    bottom, top = low, high
    for _ in range(2):
        top = min((high * float(s) for s in SHRINKING), key=lambda end: error(bottom, end))
        bottom = min((low * float(s) for s in SHRINKING), key=lambda end: error(end, top))
    return Range.of(bottom, top)
