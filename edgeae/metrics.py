"""Rate and distortion of a picture: bits per pixel, PSNR and MS-SSIM.

Arrays in, floats out: no files and no Pillow. MS-SSIM is that of Z. Wang, E. P. Simoncelli and
A. C. Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003, with
the settings that the field's tables use: Gaussian window of 11 taps, valid windows only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    Samples: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

PEAK = 255  # data range of a uint8 sample

WINDOW_TAPS = 11
WINDOW_SIGMA = 1.5  # samples; Wang 2004 (SSIM), section III-B
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, section 3.2
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2

_OFFSETS = np.arange(WINDOW_TAPS) - WINDOW_TAPS // 2
_GAUSSIAN = np.exp(-(_OFFSETS**2) / (2 * WINDOW_SIGMA**2))
WINDOW = tuple((_GAUSSIAN / _GAUSSIAN.sum()).tolist())

# The coarsest scale must still hold one whole window.
MS_SSIM_MIN_SIDE = (WINDOW_TAPS - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1

_STRIP_SAMPLES = 1 << 20  # differences are squared in pieces: 4 MB beside the two pictures
_SSIM_STRIP_SAMPLES = 1 << 16  # maps of 0.5 MB: stay in the cache, 4 times as fast as whole planes


def bits_per_pixel(byte_count: int, height: int, width: int) -> float:
    """Return the bits of a whole file per pixel of its picture, headers included."""
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}x{height} has no pixels to divide by")
    return 8 * byte_count / (height * width)


def psnr_db(reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio over all samples; infinite for equal pictures.

    Parameters
    ----------
    reference, picture : (H, W) or (H, W, 3) uint8
        The squared error is averaged over pixels and channels before the logarithm (PSNR-RGB).

    Returns
    -------
    float
        Decibels for a peak of 255.

    Raises
    ------
    TypeError, ValueError
        The arrays are not uint8, or their shapes differ or are empty.
    """
    _check_pair(reference, picture)
    rows = max(1, _STRIP_SAMPLES // max(1, reference[0].size))
    total = 0
    for top in range(0, reference.shape[0], rows):
        strip = slice(top, top + rows)
        difference = np.subtract(reference[strip], picture[strip], dtype=np.int32)
        total += int(np.square(difference, out=difference).sum(dtype=np.int64))
    if total == 0:
        return math.inf
    return 10 * math.log10(PEAK**2 * reference.size / total)


def ms_ssim(reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    """Return the multi-scale structural similarity, averaged over channels; 1 for equal pictures.

    Parameters
    ----------
    reference, picture : (H, W) or (H, W, 3) uint8
        Both sides at least ``MS_SSIM_MIN_SIDE`` (161) pixels.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    TypeError, ValueError
        The arrays are not uint8, their shapes differ, or a side is too short.

    Notes
    -----
    Wang 2003, equation 7, with contrast and structure joined in one term. A negative mean of that
    term counts as 0, which keeps the fractional powers real. An odd side is extended by its last
    row before halving, as in the authors' code; packages that pad with zeros differ for odd sides.
    """
    _check_pair(reference, picture)
    height, width = reference.shape[:2]
    if min(height, width) < MS_SSIM_MIN_SIDE:
        raise ValueError(
            f"MS-SSIM needs both sides of at least {MS_SSIM_MIN_SIDE} pixels, "
            f"the picture has {width}x{height}; use PSNR for small pictures"
        )
    x: Samples = np.atleast_3d(reference)
    y: Samples = np.atleast_3d(picture)
    channels = np.ones(x.shape[2])
    for weight in SCALE_WEIGHTS[:-1]:
        _, contrast_structure = _ssim_terms(x, y)
        channels *= np.maximum(contrast_structure, 0.0) ** weight
        x, y = _halve(x), _halve(y)
    similarity, _ = _ssim_terms(x, y)
    channels *= np.maximum(similarity, 0.0) ** SCALE_WEIGHTS[-1]
    return float(channels.mean())


def ms_ssim_db(similarity: float) -> float:
    """Return ``-10 log10(1 - similarity)``: the scale on which MS-SSIM curves are compared."""
    return math.inf if similarity >= 1 else -10 * math.log10(1 - similarity)


def _check_pair(reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> None:
    for array in (reference, picture):
        if array.dtype != np.uint8:
            raise TypeError(f"pictures are compared as uint8, got {array.dtype}")
    if reference.shape != picture.shape:
        raise ValueError(f"pictures of {reference.shape} and {picture.shape} cannot be compared")
    if reference.ndim not in (2, 3) or reference.size == 0:
        raise ValueError(f"a picture is (H, W) or (H, W, C) and not empty, got {reference.shape}")


def _ssim_terms(x: Samples, y: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the means of luminance * contrast * structure and of contrast * structure, (C,)."""
    height, width = (side - WINDOW_TAPS + 1 for side in x.shape[:2])
    rows = max(1, _SSIM_STRIP_SAMPLES // x[0].size)
    totals = np.zeros((2, width, x.shape[2]))  # over rows
    for top in range(0, height, rows):
        strip = slice(top, min(top + rows, height) + WINDOW_TAPS - 1)
        maps = _ssim_maps(x[strip].astype(np.float64), y[strip].astype(np.float64))
        totals += [terms.sum(axis=0) for terms in maps]
    similarity, contrast_structure = totals.sum(axis=1) / (height * width)
    return similarity, contrast_structure


def _ssim_maps(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both terms for every window inside a strip, (h - 10, w - 10, C)."""
    mu_x, mu_y = _blur(x), _blur(y)
    mu_xx, mu_yy, mu_xy = mu_x * mu_x, mu_y * mu_y, mu_x * mu_y
    # The sum of both variances is all that the formula needs: one blur less.
    variances = _blur(x * x + y * y) - mu_xx - mu_yy
    covariance = _blur(x * y) - mu_xy
    contrast_structure = (2 * covariance + C2) / (variances + C2)
    luminance = (2 * mu_xy + C1) / (mu_xx + mu_yy + C1)
    return luminance * contrast_structure, contrast_structure


def _blur(strip: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means over all windows that lie inside the strip, (h - 10, w - 10, C)."""
    height, width = (side - WINDOW_TAPS + 1 for side in strip.shape[:2])
    columns = _weighted([strip[tap : tap + height] for tap in range(WINDOW_TAPS)])
    return _weighted([columns[:, tap : tap + width] for tap in range(WINDOW_TAPS)])


def _weighted(taps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sum by the window's weights; it is symmetric, so two taps share a product."""
    middle = WINDOW_TAPS // 2
    result: NDArray[np.float64] = WINDOW[middle] * taps[middle]
    pair = np.empty_like(result)
    for tap in range(middle):
        np.add(taps[tap], taps[-1 - tap], out=pair)
        pair *= WINDOW[tap]
        result += pair
    return result


def _halve(plane: Samples) -> NDArray[np.float32]:
    """Means of 2x2 blocks; exact in float32: 8 bits and 2 more for each halving."""
    height, width = plane.shape[:2]
    even: Samples = plane
    if height % 2 or width % 2:
        even = np.pad(  # type: ignore[assignment]  # numpy's stub forgets the samples' type
            plane, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"
        )
    blocks: NDArray[np.float32] = np.add(even[0::2, 0::2], even[1::2, 0::2], dtype=np.float32)
    blocks += even[0::2, 1::2]
    blocks += even[1::2, 1::2]
    blocks *= np.float32(0.25)
    return blocks
