"""Damage as data: what a denoiser learns to mend. Pictures in, pictures out, all uint8.

Noise is clipped and rounded to grey levels, as it is in every picture that comes from a file.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


class Corruption(Protocol):
    """A random damage."""

    def __call__(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Return a damaged copy of ``picture`` (H, W, C)."""
        ...


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """White noise; its deviation is uniform in ``low``..``high`` grey levels."""

    low: float
    high: float

    def __call__(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Return ``picture`` (H, W, C) with noise, clipped and rounded."""
        sigma = np.float32(random.uniform(self.low, self.high))
        noisy = picture + sigma * random.standard_normal(picture.shape, dtype=np.float32)
        return np.rint(noisy).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class JpegArtefacts:
    """A JPEG of a quality uniform in ``low``..``high``, decoded again."""

    low: int
    high: int

    def __call__(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Return what a JPEG file leaves of ``picture`` (H, W, C), C 1 or 3."""
        quality = int(random.integers(self.low, self.high, endpoint=True))
        grey = picture.shape[2] == 1
        buffer = io.BytesIO()
        Image.fromarray(picture[..., 0] if grey else picture).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as image:
            return np.asarray(image).reshape(picture.shape)


@dataclass(frozen=True, slots=True)
class MissingPatches:
    """From one to ``count`` black squares of ``side`` pixels."""

    count: int
    side: int

    def __call__(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Return ``picture`` (H, W, C) with squares set to 0."""
        damaged = picture.copy()
        height, width = picture.shape[:2]
        for _ in range(int(random.integers(1, self.count, endpoint=True))):
            top = int(random.integers(max(height - self.side, 0) + 1))
            left = int(random.integers(max(width - self.side, 0) + 1))
            damaged[top : top + self.side, left : left + self.side] = 0
        return damaged


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several corruptions for each picture, drawn by their shares."""

    choices: tuple[Corruption, ...]
    shares: tuple[float, ...]  # sum to 1

    def __call__(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Return ``picture`` (H, W, C) with one damage."""
        return self.choices[int(random.choice(len(self.choices), p=self.shares))](picture, random)


def corrupt(
    pictures: Sequence[Picture] | Picture, corruption: Corruption, random: np.random.Generator
) -> Picture:
    """Damage each of ``pictures`` (N, H, W, C) on its own."""
    return np.stack([corruption(picture, random) for picture in pictures])
