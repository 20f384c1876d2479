"""A picture that costs what photos cost, made from nothing: overlapping leaves with texture.

Discs of all sizes that cover each other have the edges and the spectrum of photos (Lee, Mumford
and Huang, "Occlusion models for natural images", 2001). Numpy only.
"""

from __future__ import annotations

import functools
import math
import random

import numpy as np
from numpy.typing import NDArray

from edgeae.known_answer import known_values

SIDE = 512  # pixels of the square that larger pictures repeat, mirrored
_SEED = 11
_LEAVES = 800  # cover nearly all of the square
_RADII = (10.0, 300.0)  # pixels; of radius r there are about r**-3
_LIGHT = 160.0  # levels between the darkest and the lightest leaf
_COLOUR = 24.0  # levels: standard deviation of a leaf's red, green and blue around its grey
_SHADE = 40.0  # levels from one side of a leaf to the other, at most
_GROUND = 110.0  # level of what no leaf covers
_TEXTURE = (2.0, 40.0)  # levels: standard deviation, from the smoothest leaf to the roughest


def leaves(width: int, height: int) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8, the same in every run and, within a level, everywhere.

    With the bundle `photo` at quality 50 it needs about as many bits per pixel, at about the PSNR,
    as the mean of the Kodak photos.
    """
    return fitted(_square(), width, height)


def fitted(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return (height, width, ...) from the middle of a picture, which is mirrored if too small.

    Nothing is scaled: the pixels cost what they cost.
    """
    missing = [max(0, wanted - has) for wanted, has in zip((height, width), pixels.shape[:2])]  # noqa: B905
    channels = [(0, 0)] * (pixels.ndim - 2)
    whole = np.pad(pixels, [*((0, length) for length in missing), *channels], mode="symmetric")
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


@functools.cache
def _square() -> NDArray[np.uint8]:
    draw = random.Random(_SEED)  # noqa: S311 no secret: the same picture everywhere
    picture = np.full((SIDE, SIDE, 3), _GROUND, np.float32)
    texture = _texture()
    for _ in range(_LEAVES):
        radius = _radius(draw.random())
        y, x = (draw.uniform(-radius, SIDE + radius) for _ in range(2))
        top, bottom = _span(y, radius)
        left, right = _span(x, radius)
        rows, columns = np.ogrid[top:bottom, left:right]
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        grey = 20 + _LIGHT * draw.random()
        colour = np.array([grey + draw.gauss(0, _COLOUR) for _ in range(3)], np.float32)
        angle, depth = draw.uniform(0, 2 * math.pi), draw.uniform(0, _SHADE) / (2 * radius)
        shade = depth * (math.sin(angle) * (rows - y) + math.cos(angle) * (columns - x))
        low, high = _TEXTURE
        rough = low + (high - low) * draw.random() ** 2
        light = shade + rough * texture[top:bottom, left:right]
        leaf = colour + light.astype(np.float32)[..., np.newaxis]
        picture[top:bottom, left:right][inside] = leaf[inside]
    return np.clip(_blurred(picture), 0, 255).round().astype(np.uint8)


def _radius(share: float) -> float:
    """Return the radius that ``share`` (0..1) of the leaves are smaller than."""
    low, high = (radius**-2 for radius in _RADII)
    return float((low + share * (high - low)) ** -0.5)


def _span(centre: float, radius: float) -> tuple[int, int]:
    return max(0, int(centre - radius)), min(SIDE, int(centre + radius) + 2)


def _blurred(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the picture as a lens sees it: edges are a few pixels wide."""
    wide = np.pad(picture, [(1, 1), (1, 1), (0, 0)], mode="edge")
    rows = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4, np.float32)


def _texture() -> NDArray[np.float32]:
    """Return (SIDE, SIDE) noise with the spectrum of photos, of mean 0 and variance 1."""
    noise = known_values(_SEED, (SIDE, SIDE)).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, np.newaxis], np.fft.rfftfreq(SIDE))
    frequency[0, 0] = np.inf
    shaped = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(SIDE, SIDE))
    return np.asarray(shaped / shaped.std(), np.float32)
