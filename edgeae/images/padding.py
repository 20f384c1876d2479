"""Pad a picture to the stride of the networks, and crop it back.

Arrays in, arrays out: no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MULTIPLE = 64  # stride of the hyper-latents, in pixels


def padded_size(height: int, width: int, multiple: int = MULTIPLE) -> tuple[int, int]:
    """Return the smallest height and width that hold the picture and divide by ``multiple``."""
    if multiple < 1:
        raise ValueError(f"a multiple is at least 1, got {multiple}")
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def pad(pixels: NDArray[np.uint8], multiple: int = MULTIPLE) -> NDArray[np.uint8]:
    """Return the picture extended below and to the right by its last row and column.

    Repeating the edge costs few bits: it adds no contrast that the picture does not have.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
        H and W at least 1.
    multiple : int
        What the padded sides divide by.

    Returns
    -------
    (H', W') or (H', W', 3) uint8
        C-contiguous; ``pixels`` itself if it fits already.

    Raises
    ------
    ValueError
        The picture is empty, has another number of axes, or ``multiple`` is below 1.
    """
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ValueError(f"a picture is (H, W) or (H, W, C) and not empty, got {pixels.shape}")
    height, width = pixels.shape[:2]
    return extend(pixels, *padded_size(height, width, multiple))


def extend(pixels: NDArray[np.uint8], padded_height: int, padded_width: int) -> NDArray[np.uint8]:
    """Return the picture extended to a size, as `pad` does; itself if it has that size."""
    height, width = pixels.shape[:2]
    if (padded_height, padded_width) == (height, width):
        return np.ascontiguousarray(pixels)
    # np.pad needs three times as long: it builds the result axis by axis.
    padded = np.empty((padded_height, padded_width, *pixels.shape[2:]), pixels.dtype)
    padded[:height, :width] = pixels
    padded[:height, width:] = pixels[:, -1:]
    padded[height:] = padded[height - 1 : height]
    return padded


def crop(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return the top left ``height`` x ``width`` of a padded picture, as a view.

    Raises
    ------
    ValueError
        The picture is smaller than that.
    """
    if not (1 <= height <= pixels.shape[0] and 1 <= width <= pixels.shape[1]):
        raise ValueError(f"cannot crop {pixels.shape[1]}x{pixels.shape[0]} to {width}x{height}")
    return pixels[:height, :width]


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3): grey on three channels as a read-only view, RGB as it is."""
    if pixels.ndim == 3:
        return pixels
    return np.broadcast_to(pixels[:, :, np.newaxis], (*pixels.shape, 3))
