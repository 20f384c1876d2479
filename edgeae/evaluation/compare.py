"""How far one picture is from another: pictures in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import ImageError
from edgeae.metrics import MS_SSIM_MIN_SIDE, bits_per_pixel, ms_ssim, psnr_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeae.images.picture import Picture

LOSSLESS_DB = 100.0  # stands for infinity in averages


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a picture cost and how far it is from its original.

    Attributes
    ----------
    bpp : float
        Bits of the picture's whole file per pixel.
    psnr_db : float
        Over all colour samples; infinite if there is no difference.
    ms_ssim : float, optional
        0 to 1; None if a side is shorter than the metric needs, 161 pixels.
    """

    bpp: float
    psnr_db: float
    ms_ssim: float | None


def compare(reference: Picture, picture: Picture, byte_count: int) -> Comparison:
    """Return the comparison of a picture, from a file of ``byte_count`` bytes, with its original.

    Colour or grey samples are compared as they are stored; alpha and colour profiles are ignored.

    Raises
    ------
    ImageError
        The pictures differ in size, or one is grey and the other is not.
    """
    if (reference.width, reference.height) != (picture.width, picture.height):
        raise ImageError(
            f"{picture.width}x{picture.height} pixels, but the original has "
            f"{reference.width}x{reference.height}; scale one to the size of the other"
        )
    if reference.pixels.ndim != picture.pixels.ndim:
        raise ImageError(
            f"{picture.mode}, but the original is {reference.mode}; "
            "convert both to grey or both to RGB"
        )
    return Comparison(
        bits_per_pixel(byte_count, reference.height, reference.width),
        psnr_db(reference.pixels, picture.pixels),
        ms_ssim_if_large(reference.pixels, picture.pixels),
    )


def ms_ssim_if_large(reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float | None:
    """Return `edgeae.metrics.ms_ssim`, or None for pictures too small for it."""
    if min(reference.shape[:2]) < MS_SSIM_MIN_SIDE:
        return None
    return ms_ssim(reference, picture)


def mean(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the mean over pictures, each counting the same.

    An infinite PSNR counts as 100 dB; MS-SSIM is averaged over the pictures that have it.
    """
    similarities = [c.ms_ssim for c in comparisons if c.ms_ssim is not None]
    return Comparison(
        float(np.mean([c.bpp for c in comparisons])),
        float(np.mean([min(c.psnr_db, LOSSLESS_DB) for c in comparisons])),
        float(np.mean(similarities)) if similarities else None,
    )
