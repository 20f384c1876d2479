"""Rate-distortion points of a coder on a picture, and their means over pictures.

Real files in memory: bpp is the length of the bytes, decoded again by the coder's own decoder.
Colour or grey samples alone are coded; alpha is left out, for all coders alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgeae.bundle import MANIFEST, file_sha256
from edgeae.evaluation.compare import LOSSLESS_DB, ms_ssim_if_large
from edgeae.metrics import bits_per_pixel, psnr_db

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgeae.codec import Codec

EDGEAE_QUALITIES = tuple(range(0, 101, 10))


class Coder(Protocol):
    """What is measured: pixels to the bytes of a file, and back."""

    @property
    def label(self) -> str:
        """How the table and the plot call it."""

    @property
    def qualities(self) -> tuple[int, ...]:
        """Where its curve is measured, ascending."""

    def compress(self, pixels: NDArray[np.uint8], quality: int) -> bytes:
        """Return the file of (H, W) or (H, W, 3) uint8 pixels."""

    def decompress(self, data: bytes) -> NDArray[np.uint8]:
        """Return the pixels of a file."""


@dataclass(frozen=True, slots=True)
class EdgeaeCoder:
    """One model of edgeae."""

    label: str
    codec: Codec
    qualities: tuple[int, ...] = EDGEAE_QUALITIES
    effort: int = 1

    @property
    def settings(self) -> dict[str, object]:
        """What its points depend on: effort, precision, and the SHA-256 of the manifest."""
        bundle = file_sha256(self.codec.bundle.path / MANIFEST)
        return {"effort": self.effort, "precision": self.codec.precision, "bundle": bundle}

    def compress(self, pixels: NDArray[np.uint8], quality: int) -> bytes:
        """Return the file of (H, W) or (H, W, 3) uint8 pixels."""
        return self.codec.compress(pixels, quality, effort=self.effort)

    def decompress(self, data: bytes) -> NDArray[np.uint8]:
        """Return the pixels of a file."""
        return self.codec.decompress(data)


@dataclass(frozen=True, slots=True)
class Point:
    """One picture, or the mean of several, at one quality."""

    quality: int
    bpp: float
    psnr_db: float  # at most 100, which stands for equal pictures
    ms_ssim: float | None  # None: a side is shorter than the metric needs

    def to_json(self) -> list[float | None]:
        """Return what ``from_json`` reads."""
        return [self.quality, self.bpp, self.psnr_db, self.ms_ssim]

    @classmethod
    def from_json(cls, row: Sequence[float | None]) -> Point:
        """Return the point of a row of a result file."""
        quality, bpp, psnr, similarity = row
        if quality is None or bpp is None or psnr is None:
            raise ValueError(f"a point needs quality, bpp and PSNR, got {row}")
        return cls(int(quality), bpp, psnr, similarity)


def measure(coder: Coder, pixels: NDArray[np.uint8]) -> list[Point]:
    """Return one point for each quality of a coder.

    Raises
    ------
    EdgeaeError
        The coder cannot code this picture.
    """
    points = []
    height, width = pixels.shape[:2]
    for quality in coder.qualities:
        data = coder.compress(pixels, quality)
        decoded = coder.decompress(data)
        if decoded.ndim > pixels.ndim:  # formats without a grey mode
            decoded = np.rint(decoded.mean(axis=-1)).astype(np.uint8)
        bpp = bits_per_pixel(len(data), height, width)
        distortion_db = min(psnr_db(pixels, decoded), LOSSLESS_DB)
        points.append(Point(quality, bpp, distortion_db, ms_ssim_if_large(pixels, decoded)))
    return points


def mean_curve(pictures: Iterable[Sequence[Point]]) -> list[Point]:
    """Return the mean over pictures at each quality; MS-SSIM only if all pictures have it."""
    curve = []
    for points in zip(*pictures, strict=True):
        similarities = [p.ms_ssim for p in points if p.ms_ssim is not None]
        curve.append(
            Point(
                points[0].quality,
                float(np.mean([p.bpp for p in points])),
                float(np.mean([p.psnr_db for p in points])),
                float(np.mean(similarities)) if len(similarities) == len(points) else None,
            )
        )
    return curve
