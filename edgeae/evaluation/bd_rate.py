"""BD-rate: how many percent more bits one rate-distortion curve needs than another.

Bjontegaard, VCEG-M33 (2001), with pchip interpolation over the whole overlap of the two curves, by
package ``bjontegaard``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import MissingExtraError
from edgeae.evaluation.compare import LOSSLESS_DB
from edgeae.metrics import ms_ssim_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeae.evaluation.rate_distortion import Point

PACKAGE = "bjontegaard"


def available() -> bool:
    """Whether the package that computes it is installed."""
    return find_spec(PACKAGE) is not None


def bd_rates(anchor: Sequence[Point], curve: Sequence[Point]) -> dict[str, float | None]:
    """Return the BD-rate in percent by PSNR and by MS-SSIM in decibels; None where undefined.

    Raises
    ------
    MissingExtraError
        Package ``bjontegaard`` is not installed.
    """
    return {
        "psnr": bd_rate([(p.bpp, p.psnr_db) for p in anchor], [(p.bpp, p.psnr_db) for p in curve]),
        "ms_ssim": bd_rate(_ms_ssim_curve(anchor), _ms_ssim_curve(curve)),
    }


def bd_rate(
    anchor: Sequence[tuple[float, float]], curve: Sequence[tuple[float, float]]
) -> float | None:
    """Return how many percent more bits ``curve`` needs than ``anchor`` for equal quality.

    Both are (bpp, decibels). None if they do not overlap, have fewer than two points, or are not
    strictly increasing: an average over such a curve would mean nothing.

    Raises
    ------
    MissingExtraError
        Package ``bjontegaard`` is not installed.
    """
    if not available():
        raise MissingExtraError(
            f"BD-rates need package {PACKAGE}; install it: pip install 'edgeae[plot]'"
        )
    rates_and_decibels = []
    for points in (anchor, curve):
        if len(points) < 2 or any(np.diff([decibels for _, decibels in points]) <= 0):
            return None
        rates_and_decibels += [np.array(column) for column in zip(*points, strict=True)]
    low = max(rates_and_decibels[1][0], rates_and_decibels[3][0])
    high = min(rates_and_decibels[1][-1], rates_and_decibels[3][-1])
    if low >= high:
        return None
    import bjontegaard  # with scipy, which takes longer to load than everything else

    return float(
        bjontegaard.bd_rate(
            *rates_and_decibels, method="pchip", require_matching_points=False, min_overlap=0
        )
    )


def _ms_ssim_curve(curve: Sequence[Point]) -> list[tuple[float, float]]:
    return [
        (p.bpp, min(ms_ssim_db(p.ms_ssim), LOSSLESS_DB)) for p in curve if p.ms_ssim is not None
    ]
