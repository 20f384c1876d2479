"""Arrays of floats as what a codec takes in place of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgeae.container import ARRAY_MODE
from edgeae.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class FloatArray:
    """One array, with what files say of pictures: it has no alpha, no profile and no Exif."""

    values: NDArray[np.float32]

    mode: ClassVar[str] = ARRAY_MODE
    alpha: ClassVar[None] = None
    icc: ClassVar[None] = None
    exif: ClassVar[None] = None
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def height(self) -> int:
        """Product of the lengths of all axes but the last."""
        return math.prod(self.values.shape[:-1])

    @property
    def width(self) -> int:
        """Length of the last axis."""
        return int(self.values.shape[-1])

    def without_metadata(self) -> FloatArray:
        """Return the array: there is none."""
        return self


def to_float_array(
    values: NDArray[Any] | FloatArray | object, shape: tuple[int, ...]
) -> FloatArray:
    """Return an array of floats of any precision, of exactly ``shape``, as float32.

    Raises
    ------
    TypeError
        Not an array of floating point numbers.
    ImageError
        Of another shape, or with values that are not finite in float32.
    """
    if isinstance(values, FloatArray):
        values = values.values
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise TypeError(f"this bundle takes arrays of floats, got {found}; convert it to float32")
    if values.shape != shape:
        raise ImageError(f"an array of {values.shape}, but the bundle takes {shape} only")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(converted).all():
        raise ImageError(
            "the array has values that are NaN, infinite or beyond float32; replace them first"
        )
    return FloatArray(converted)
