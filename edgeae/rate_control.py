"""What a picture may be asked to come to, and the search for the quality that gives it.

Nothing here knows of graphs or pictures: a search gets a function that measures one quality and
one that predicts all of them, and asks for as few measurements as it can. Qualities are whole
hundredths, 0..10000, as files store them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Forecast: TypeAlias = Callable[[int], float]  # quality -> what a measurement would give, about

QUALITY_LIMIT = 10_000  # hundredths
SIZE_TOLERANCE = 0.03  # of the target, below it
PSNR_TOLERANCE_DB = 0.1
PSNR_LIMIT_DB = 120.0  # of what can be asked for; equal pictures count as this
_GUESSES = 6  # measurements that trust the prediction; from then on intervals are halved


@dataclass(frozen=True, slots=True)
class TargetSize:
    """The largest file of at most ``size_bytes``."""

    size_bytes: int

    def __post_init__(self) -> None:
        if type(self.size_bytes) is not int or self.size_bytes < 1:
            raise ValueError(f"a target of {self.size_bytes!r} bytes is not an integer above 0")

    def limit_bytes(self, pixels: int) -> int:
        """Return the size that must not be exceeded by a picture of this many pixels."""
        return self.size_bytes


@dataclass(frozen=True, slots=True)
class TargetBpp:
    """The largest file of at most so many bits per pixel, everything in it counted."""

    bits_per_pixel: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bits_per_pixel) and self.bits_per_pixel > 0):
            raise ValueError(f"a target of {self.bits_per_pixel} bits per pixel is not above 0")

    def limit_bytes(self, pixels: int) -> int:
        """Return the size that must not be exceeded by a picture of this many pixels."""
        return max(1, math.floor(self.bits_per_pixel * pixels / 8 + 1e-6))


@dataclass(frozen=True, slots=True)
class TargetPsnr:
    """A peak signal-to-noise ratio of the decoded samples, alpha not counted, within 0.1 dB."""

    psnr_db: float

    def __post_init__(self) -> None:
        if not 0 < self.psnr_db <= PSNR_LIMIT_DB:
            raise ValueError(f"a target of {self.psnr_db} dB is not within 0..{PSNR_LIMIT_DB:.0f}")


Target: TypeAlias = TargetSize | TargetBpp | TargetPsnr


@dataclass(frozen=True, slots=True)
class Window:
    """What a measurement should come to: ``aim``, or anything from ``low`` to ``high``."""

    low: float
    aim: float
    high: float


def size_window(limit_bytes: float) -> Window:
    """Return the window of the logarithm of a size in bytes."""
    high = math.log(limit_bytes)
    margin = -math.log1p(-SIZE_TOLERANCE)
    return Window(high - 0.95 * margin, high - 0.4 * margin, high)


def psnr_window(psnr_db: float) -> Window:
    """Return the window of a PSNR in dB."""
    return Window(psnr_db - PSNR_TOLERANCE_DB, psnr_db, psnr_db + PSNR_TOLERANCE_DB)


def search(
    measure: Callable[[int], float],
    predict: Callable[[Mapping[int, float]], Forecast],
    window: Window,
    known: Mapping[int, float] | None = None,
) -> tuple[int, float]:
    """Return a quality, and its measurement, in ``window``; or the last one below it.

    Parameters
    ----------
    measure : callable
        Returns what a quality gives; should grow with the quality, and may waver.
    predict : callable
        Returns a forecast for all qualities from the measurements so far.
    window : Window
    known : mapping, optional
        Measurements made before.

    Returns
    -------
    quality : int
        Hundredths. Where no quality is in the window: the one below a jump over it,
        ``QUALITY_LIMIT`` if all are too low, 0 if all are too high.
    value : float
        What ``measure`` returned for it.

    Notes
    -----
    Ends after at most 6 + 14 measurements: the interval between one that was too low and one that
    was too high shrinks each time, by halves once six predictions have missed.
    """
    points = dict(known or {})
    lowest, highest = -1, QUALITY_LIMIT + 1  # too low, too high; the ends are not qualities
    for quality, value in sorted(points.items()):
        if quality < highest and not window.low <= value <= window.high:
            lowest, highest = (quality, highest) if value < window.low else (lowest, quality)
    guesses = 0
    while highest - lowest > 1:
        if guesses < _GUESSES:
            quality = solve(predict(points), window.aim, lowest + 1, highest - 1)
        else:
            quality = (lowest + highest) // 2
        guesses += 1
        if quality not in points:
            points[quality] = measure(quality)
        value = points[quality]
        if window.low <= value <= window.high:
            return quality, value
        if value < window.low:
            lowest = quality
        else:
            highest = quality
    quality = max(lowest, 0)
    return quality, points[quality]


def corrected(forecast: Forecast, points: Mapping[int, float]) -> Forecast:
    """Return the forecast moved through ``points``.

    Its error is interpolated between them. Beyond the last two it goes on as between them, no
    farther than they are apart: close points say little about a slope.
    """
    qualities = sorted(points)
    if not qualities:
        return forecast
    errors = [points[quality] - forecast(quality) for quality in qualities]
    if len(qualities) == 1:
        return lambda quality: forecast(quality) + errors[0]

    def value(quality: int) -> float:
        right = min(max(bisect_left(qualities, quality), 1), len(qualities) - 1)
        left = right - 1
        part = (quality - qualities[left]) / (qualities[right] - qualities[left])
        part = min(max(part, -1.0), 2.0)
        return forecast(quality) + (1 - part) * errors[left] + part * errors[right]

    return value


def solve(forecast: Forecast, aim: float, first: int = 0, last: int = QUALITY_LIMIT) -> int:
    """Return the quality of ``first``..``last`` where a growing forecast comes nearest to aim."""
    quality = bisect_left(range(first, last), aim, key=forecast) + first
    if quality > first and aim - forecast(quality - 1) < forecast(quality) - aim:
        return quality - 1
    return quality
