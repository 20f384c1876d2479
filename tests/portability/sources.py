"""Pictures and arrays that the golden files are made of, the same on every machine.

Crops of the project's own photo, and pictures in integer arithmetic: neither a random generator nor
a sine takes part.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "docs" / "pictures" / "cat.png"


def noise(seed: int, shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int16]:
    """Whole numbers low..high without a pattern: SplitMix64 of a counter."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed << 32)
    x *= np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return ((x % np.uint64(high - low + 1)).astype(np.int64) + low).astype(np.int16).reshape(shape)


@cache
def _photo() -> Pixels:
    from PIL import Image

    with Image.open(PHOTO) as image:
        return np.asarray(image.convert("RGB"))


def _crop(top: int, left: int, height: int, width: int) -> Pixels:
    return np.ascontiguousarray(_photo()[top : top + height, left : left + width])


def _mirrored(height: int, width: int) -> Pixels:
    """The photo and its mirror images beside each other."""
    row = np.concatenate([_photo(), _photo()[:, ::-1]], axis=1)
    plane = np.concatenate([row, row[::-1]], axis=0)
    return np.ascontiguousarray(plane[:height, :width])


def made(height: int, width: int, channels: int) -> Pixels:
    """Slopes, an edge and some noise, (height, width, channels)."""
    y, x, c = np.mgrid[:height, :width, :channels]
    levels = 40 + (3 + c) * x // 2 + (2 * c + 1) * y // 3
    inside = (abs(y - height // 2) < height // 4) & (abs(x - width // 2) < width // 3)
    levels = np.where(inside, 220 - 60 * c + y % 7, levels)
    return (levels + noise(1, levels.shape, -4, 4)).clip(0, 255).astype(np.uint8)


def grey(pixels: Pixels) -> Pixels:
    """(H, W): the mean of the channels."""
    return (pixels.astype(np.int64).sum(axis=2) // pixels.shape[2]).astype(np.uint8)


def with_alpha(pixels: Pixels, alpha: Pixels) -> Pixels:
    """(H, W, 2) or (H, W, 4)."""
    return np.dstack([pixels, alpha])


def slope(height: int, width: int) -> Pixels:
    """An alpha plane with a soft border, opaque in the middle."""
    y, x = np.mgrid[:height, :width]
    nearest = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x))
    return (nearest * 40).clip(0, 255).astype(np.uint8)


def digit(kind: int, side: int) -> Pixels:
    """A grey ring, bar or cross, (side, side), bright on black."""
    y, x = np.mgrid[:side, :side] * 28 // side - 14
    distance = x * x + y * y
    shapes = (
        255 - 9 * abs(distance - 60),
        np.where((abs(y) < 10) & (abs(x + y // 4) < 3), 250, 0),
        np.where((abs(x) < 2) & (abs(y) < 9) | (abs(y) < 2) & (abs(x) < 9), 230, 0),
    )
    return shapes[kind].clip(0, 255).astype(np.uint8)


SOURCES: dict[str, Callable[[], NDArray[Any]]] = {
    "photo": lambda: _mirrored(512, 768),
    "face": lambda: _crop(60, 120, 192, 192),
    "eye": lambda: _crop(100, 150, 96, 112),
    "fur": lambda: _crop(200, 20, 64, 64),
    "pixel": lambda: _crop(10, 10, 1, 1),
    "strip": lambda: with_alpha(_crop(120, 160, 3, 17), slope(3, 17)),
    "column": lambda: grey(_crop(120, 160, 17, 3)),
    "grey": lambda: grey(_crop(100, 150, 70, 66)),
    "grey-alpha": lambda: with_alpha(grey(_crop(100, 150, 50, 66)), slope(50, 66)),
    "opaque": lambda: with_alpha(_crop(100, 150, 65, 64), np.full((65, 64), 255, np.uint8)),
    "flat": lambda: np.full((64, 128, 3), (90, 128, 200), np.uint8),
    "graphic": lambda: made(80, 100, 3),
    "graphic-alpha": lambda: with_alpha(
        made(65, 40, 3), noise(2, (65, 40), 0, 255).astype(np.uint8)
    ),
    "graphic-wide": lambda: made(16, 16, 3),
    "graphic-small": lambda: made(7, 21, 3),
    "ring": lambda: digit(0, 28),
    "bar": lambda: digit(1, 28),
    "cross": lambda: digit(2, 28),
    "ring-8": lambda: digit(0, 8),
    "series": lambda: noise(3, (4, 6), -1000, 1000).astype(np.float32) / 16,
}
