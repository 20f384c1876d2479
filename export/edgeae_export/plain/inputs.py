"""Pictures and arrays of a data set, in batches of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.errors import ImageError
from edgeae.images.padding import pad

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgeae_export.plain.geometry import Geometry

BATCH_VALUES = 1 << 20  # of the inputs of a batch; the networks hold many times as much
MEASURED = 512  # inputs that the quantizer and the parity look at
MEASURED_VALUES = 1 << 21
MEASURED_SIDE = 256  # pixels; larger pictures are cropped for it
COUNTED_VALUES = 1 << 27  # of the inputs that the tables are fitted to
HELD_OUT_SHARE = 10  # every tenth, if the caller has none


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What the tables are fitted to, and what rates and distortions are measured on."""

    fitted: Sequence[NDArray[Any]]
    held_out: Sequence[NDArray[Any]]


def split(data: Sequence[NDArray[Any]], held_out: Sequence[NDArray[Any]] | None) -> Inputs:
    """Return ``data`` with every tenth held out, unless there are others or few."""
    if held_out is not None and len(held_out):
        return Inputs(data, held_out)
    if len(data) < 2 * HELD_OUT_SHARE:
        return Inputs(data, data)
    return Inputs(
        [item for k, item in enumerate(data) if k % HELD_OUT_SHARE], data[::HELD_OUT_SHARE]
    )


def standard(item: NDArray[Any]) -> NDArray[Any]:
    """Return a picture as uint8 (H, W, 1) or (H, W, 3), an array as float32.

    Raises
    ------
    ImageError
        Not a picture, not numbers, or not finite.
    """
    array = np.asarray(item)
    if array.dtype == np.uint8:
        picture = array[..., np.newaxis] if array.ndim == 2 else array
        if picture.ndim != 3 or picture.shape[2] not in (1, 3) or picture.size == 0:
            raise ImageError(f"uint8 of {array.shape} is no picture (H, W) or (H, W, 3)")
        return picture
    if array.dtype.kind != "f" or array.ndim == 0 or array.size == 0:
        raise ImageError(
            f"{array.dtype} of {array.shape} is neither a picture (uint8) nor an array of floats"
        )
    if not np.isfinite(array).all():
        raise ImageError("an array with values that are not finite numbers; remove it")
    return array.astype(np.float32)


def check_inputs(items: Sequence[NDArray[Any]], geometry: Geometry) -> None:
    """Raise ImageError unless all items are what the pair takes."""
    if not len(items):
        raise ImageError("no data: the quantizer and the tables are fitted to real inputs")
    for number, item in enumerate(items):
        found = standard(item).shape
        fits = found[2:] == geometry.shape[2:] if geometry.any_size else found == geometry.shape
        if not fits or (standard(item).dtype == np.uint8) != (geometry.input != "array"):
            size = "any size" if geometry.any_size else "this one size"
            raise ImageError(
                f"input {number} is {item.dtype} {found}, the autoencoder is for {geometry.input} "
                f"of {geometry.shape}, {size}"
            )


def batches(items: Sequence[NDArray[Any]], geometry: Geometry) -> Iterator[NDArray[Any]]:
    """Yield padded inputs of equal size together, in their order."""
    group: list[NDArray[Any]] = []
    for item in items:
        padded = _padded(standard(item), geometry)
        if group and (
            padded.shape != group[0].shape or (len(group) + 1) * padded.size > BATCH_VALUES
        ):
            yield np.stack(group)
            group = []
        group.append(padded)
    if group:
        yield np.stack(group)


def measured(items: Sequence[NDArray[Any]], geometry: Geometry) -> Sequence[NDArray[Any]]:
    """Return an even selection that is small enough to be run hundreds of times."""
    chosen = items[:: -(-len(items) // MEASURED)]
    if geometry.any_size:
        chosen = [_central(item) for item in chosen]
    values = sum(item.size for item in chosen)
    return chosen[:: -(-values // MEASURED_VALUES)]


def counted(items: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    """Return an even selection of what is coded for the tables."""
    values = sum(item.size for item in items)
    return items[:: max(1, -(-values // COUNTED_VALUES))]


def _central(picture: NDArray[Any]) -> NDArray[Any]:
    top, left = (max(0, length - MEASURED_SIDE) // 2 for length in picture.shape[:2])
    return picture[top : top + MEASURED_SIDE, left : left + MEASURED_SIDE]


def _padded(item: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    return pad(item, geometry.stride) if geometry.any_size else item
