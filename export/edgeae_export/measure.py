"""Rates and distortions of a finished bundle, through the same door as a user's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeae.bundle import FP32
from edgeae.codec import Codec
from edgeae.evaluation.compare import LOSSLESS_DB
from edgeae.metrics import bits_per_pixel, psnr_db

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

QUALITIES = (0.0, 15.0, 30.0, 50.0, 70.0, 85.0, 100.0)


def rate_distortion(
    bundle: Path, pictures: Sequence[NDArray[np.uint8]]
) -> tuple[tuple[float, float, float], ...]:
    """Return (quality, bits per pixel, PSNR in dB) at some qualities, means over ``pictures``.

    In them a picture that comes back without an error counts as 100 dB.
    """
    codec = Codec.load(bundle, precision=FP32, threads=1)
    points = []
    for quality in QUALITIES:
        rates, psnrs = [], []
        for picture in pictures:
            data = codec.compress(picture, quality)
            rates.append(bits_per_pixel(len(data), *picture.shape[:2]))
            psnrs.append(min(psnr_db(picture, codec.decompress(data)), LOSSLESS_DB))
        count = len(pictures)
        points.append(
            (quality, round(math.fsum(rates) / count, 5), round(math.fsum(psnrs) / count, 3))
        )
    return tuple(points)
