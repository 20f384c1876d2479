"""The steps in which latents are coded: masks with a period of two latents in both directions.

A mask is (C, 2, 2) bool and stands for the positions ``[c, 2i + dy, 2j + dx]`` of latents
(C, h, w) with even h and w. Values of a step are ordered by channel, row phase, column phase, then
row and column of the phase's plane: whole planes move, which is many times faster than boolean
indexing and needs no arrays of indexes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
MAX_STEPS = 15  # docs/FORMAT.md: the number of steps has four bits
PERIOD = 2


def gather(latents: NDArray[_Scalar], mask: NDArray[np.bool_]) -> NDArray[_Scalar]:
    """Return the values of ``latents`` (C, h, w) at the positions of ``mask`` (C, 2, 2), flat."""
    return _phases(latents)[mask].reshape(-1)


def scatter(
    latents: NDArray[_Scalar], mask: NDArray[np.bool_], values: NDArray[np.generic]
) -> None:
    """Write ``values``, in the order of `gather`, into C-contiguous ``latents`` (C, h, w)."""
    scatter_pieces(latents, mask, (values,))


def scatter_pieces(
    latents: NDArray[_Scalar], mask: NDArray[np.bool_], pieces: Iterable[NDArray[np.generic]]
) -> None:
    """Write values as `scatter` does that come some at a time, in pieces of any length.

    ValueError if all together they are not as many as the mask has places.
    """
    if not latents.flags.c_contiguous:
        raise ValueError("latents must be C-contiguous, else the values go into a copy")
    phases, positions = _phases(latents), mask.nonzero()
    plane = phases.shape[3:]
    first, waiting = 0, np.empty(0, latents.dtype)
    for piece in pieces:
        values = np.concatenate([waiting, piece]) if waiting.size else piece
        count = values.size // (plane[0] * plane[1])
        own = slice(first, first + count)
        whole = values[: count * plane[0] * plane[1]]
        phases[tuple(axis[own] for axis in positions)] = whole.reshape(count, *plane)
        first, waiting = first + count, values[whole.size :]
    if waiting.size or first != positions[0].size:
        raise ValueError(f"values fill {first} planes, the mask has {positions[0].size}")


def none_known(channels: int) -> NDArray[np.int16]:
    """Return what the hyper-decoder is told of the symbols in step 0, (1, C, 1, 1) zeros.

    One position stands for all, as its convolution of the symbols is 1x1 and its result is added to
    what hyper-latents say of each: the same numbers as of zeros everywhere, without the work.
    """
    return np.zeros((1, channels, 1, 1), np.int16)


def overlay(
    latents: NDArray[_Scalar], values: NDArray[np.generic], mask: NDArray[np.bool_]
) -> None:
    """Copy the positions of ``mask`` (C, 2, 2) from ``values`` to ``latents``, both (C, h, w).

    Either may be a part of a larger array that begins at an even row and column.
    """
    for dy in range(PERIOD):
        for dx in range(PERIOD):
            phase = mask[:, dy, dx], slice(dy, None, PERIOD), slice(dx, None, PERIOD)
            latents[phase] = values[phase]


def check_masks(masks: NDArray[np.bool_]) -> None:
    """Raise ValueError unless ``masks`` (n, C, 2, 2) hold each position just once, or n is 0."""
    if masks.dtype != np.bool_ or masks.ndim != 4 or masks.shape[2:] != (PERIOD, PERIOD):
        raise ValueError(
            f"masks are {masks.dtype} {masks.shape}, not bool (n, C, {PERIOD}, {PERIOD})"
        )
    if len(masks) > MAX_STEPS:
        raise ValueError(f"{len(masks)} masks are more than {MAX_STEPS}")
    if len(masks) and not (masks.sum(axis=0) == 1).all():
        raise ValueError("masks do not hold every position exactly once")


def _phases(latents: NDArray[_Scalar]) -> NDArray[_Scalar]:
    channels, height, width = latents.shape
    planes = latents.reshape(channels, height // PERIOD, PERIOD, width // PERIOD, PERIOD)
    return planes.transpose(0, 2, 4, 1, 3)
