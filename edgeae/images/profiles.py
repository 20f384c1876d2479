"""Colour profiles that say what is meant without one: sRGB.

The commonest of them takes 3144 bytes, more than the latents of a small photo.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_LEVELS = 9  # of each channel, from black to full
_SAME = 1  # level of 255; one is what rounding leaves
_KEPT = 16  # profiles that are remembered; cameras of one batch have few


def needed(icc: bytes | None) -> bytes | None:
    """Return a picture's profile, or None if colours are the same without it.

    That is if it takes no sRGB colour further than a level of 255 from itself. What cannot be read
    as a profile of RGB is returned as it is, and so is everything where Pillow lacks LittleCMS.
    """
    return icc if icc and not _is_srgb(icc) else None


@lru_cache(maxsize=_KEPT)
def _is_srgb(icc: bytes) -> bool:
    levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(_LEVELS, -1, 3)
    try:
        stored = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(stored, srgb, "RGB", "RGB", intent)
        shown = np.asarray(transform.apply(Image.fromarray(colours)))
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return False
    return bool(np.abs(shown.astype(int) - colours).max() <= _SAME)
