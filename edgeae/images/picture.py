"""A picture in memory: samples, alpha and metadata, and the arrays users pass and get.

Numpy only; files are the job of ``files.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 65_535  # pixels; what an .eae header can say
MAX_PIXELS = 268_435_456  # 16384 x 16384; the limit unless the user raises it


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    r"""One picture, upright, 8 bits a sample.

    Attributes
    ----------
    pixels : (H, W) or (H, W, 3) uint8
        Grey or RGB, C-contiguous, sides of 1 to 65 535.
    alpha : (H, W) uint8, optional
        Not premultiplied into ``pixels``.
    icc : bytes, optional
        Colour profile of ``pixels``, as found.
    exif : bytes, optional
        ``Exif\0\0`` and a TIFF structure, as Pillow passes it, without an orientation.
    notes : tuple of str
        What reading reduced, for the user: ``16 bit reduced to 8``.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_samples(self.pixels)
        shape = self.pixels.shape
        if shape[2:] not in ((), (3,)):
            raise ValueError(f"pixels are (H, W) or (H, W, 3), got {shape}")
        if self.alpha is not None:
            _check_samples(self.alpha)
            if self.alpha.shape != shape[:2]:
                raise ValueError(f"alpha is {self.alpha.shape}, pixels are {shape[:2]}")

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.pixels.shape[1])

    @property
    def mode(self) -> str:
        """``L``, ``LA``, ``RGB`` or ``RGBA``, in Pillow's words."""
        colour = "L" if self.pixels.ndim == 2 else "RGB"
        return colour if self.alpha is None else f"{colour}A"

    def part(self, rows: slice, columns: slice) -> Picture:
        """Return some of its rows and columns, with all that belongs to it."""
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[rows, columns])
        return replace(self, pixels=np.ascontiguousarray(self.pixels[rows, columns]), alpha=alpha)

    def without_metadata(self) -> Picture:
        """Return the same samples with neither colour profile nor Exif."""
        return replace(self, icc=None, exif=None)


def picture_from_array(
    array: NDArray[Any], *, icc: bytes | None = None, exif: bytes | None = None
) -> Picture:
    """Return the picture that an array shows; its samples are shared where they can be.

    Parameters
    ----------
    array : (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4) uint8
        Grey, grey, grey with alpha, RGB, RGB with alpha.
    icc, exif : bytes, optional
        Metadata to keep with it.

    Raises
    ------
    TypeError
        The samples are not uint8.
    ValueError
        The shape is none of these, or a side is outside 1..65535.
    """
    _check_samples(array)
    channels = array.shape[2:]
    if channels in ((), (3,)):
        return Picture(np.ascontiguousarray(array), None, icc, exif)
    if channels == (1,):
        return Picture(np.ascontiguousarray(array[:, :, 0]), None, icc, exif)
    alpha = np.ascontiguousarray(array[:, :, -1])
    colour = array[:, :, 0] if channels == (2,) else array[:, :, :3]
    return Picture(np.ascontiguousarray(colour), alpha, icc, exif)


def to_array(picture: Picture) -> NDArray[np.uint8]:
    """Return (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8; no copy if there is no alpha."""
    if picture.alpha is None:
        return picture.pixels
    return np.dstack((picture.pixels, picture.alpha))


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a picture from outside whose size is not worth decoding.

    Raises
    ------
    ImageError
        It has no pixels, a side above 65 535, or more than ``max_pixels`` pixels.
    """
    if width < 1 or height < 1:
        raise ImageError(f"a picture of {width}x{height} has no pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"{width}x{height} is more than {MAX_SIDE} pixels a side; split it")
    if width * height > max_pixels:
        raise ImageError(
            f"{width}x{height} is {width * height} pixels, the limit is {max_pixels}; "
            "raise it (--max-pixels) if you trust the file"
        )


def _check_samples(array: NDArray[Any]) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"a picture is a numpy array, got {type(array).__name__}")
    if array.dtype != np.uint8:
        raise TypeError(
            f"samples are uint8 in 0..255, got {array.dtype}; scale them, "
            "for 0..1 floats: (array * 255).round().astype(np.uint8)"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(f"a picture is (H, W) or (H, W, 1 to 4), got {array.shape}")
    height, width = array.shape[:2]
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ValueError(f"a picture of {width}x{height} is outside 1..{MAX_SIDE} pixels a side")
