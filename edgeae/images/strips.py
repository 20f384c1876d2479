"""A picture that comes some rows at a time, so that it is never in memory whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgeae.images.picture import picture_from_array, to_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgeae.images.picture import Picture

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True, slots=True, eq=False)
class Strips:
    """What a `Picture` has, with its rows to be taken once, from the top.

    Attributes
    ----------
    width, height : int
        Of the picture in pixels.
    mode : str
        ``L``, ``LA``, ``RGB`` or ``RGBA``.
    rows : iterator of (n, width) or (n, width, channels) uint8
        Alpha is the last channel. May raise what making them raises.
    icc, exif, notes
        As of `Picture`.
    """

    width: int
    height: int
    mode: str
    rows: Iterator[NDArray[np.uint8]]
    icc: bytes | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()

    def without_metadata(self) -> Strips:
        """Return the same rows with neither colour profile nor Exif."""
        return replace(self, icc=None, exif=None)

    def array(self) -> NDArray[np.uint8]:
        """Return all rows, (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
        channels = CHANNELS[self.mode]
        shape = (self.height, self.width, channels)[: 2 if channels == 1 else 3]
        whole = np.empty(shape, np.uint8)
        top = 0
        for rows in self.rows:
            whole[top : top + len(rows)] = rows
            top += len(rows)
        return whole

    def picture(self) -> Picture:
        """Return the picture."""
        return picture_from_array(self.array(), icc=self.icc, exif=self.exif)


def strips_of(picture: Picture) -> Strips:
    """Return a picture that is in memory as one strip."""
    return Strips(
        width=picture.width,
        height=picture.height,
        mode=picture.mode,
        rows=iter([to_array(picture)]),
        icc=picture.icc,
        exif=picture.exif,
        notes=picture.notes,
    )
