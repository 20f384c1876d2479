"""A part of a picture, as ``--region`` names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import BoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edgeae.tiles import Tile

    Region: TypeAlias = tuple[int, int, int, int]  # x, y, width, height in pixels


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        """Its rows in the picture."""
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        """Its columns in the picture."""
        return slice(self.x, self.x + self.width)

    def grown(self, margin: int, width: int, height: int) -> Crop:
        """Return it with ``margin`` pixels more on each side, where the picture has them."""
        left, top = max(0, self.x - margin), max(0, self.y - margin)
        right = min(width, self.x + self.width + margin)
        bottom = min(height, self.y + self.height + margin)
        return Crop(left, top, right - left, bottom - top)

    def cut_rows(
        self, strips: Iterable[NDArray[np.uint8]], around: Crop
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield its share of the rows of a larger part of the picture, ``around``."""
        left, skip, wanted = self.x - around.x, self.y - around.y, self.height
        for strip in strips:
            rows = strip[skip : skip + wanted, left : left + self.width]
            skip, wanted = max(0, skip - len(strip)), wanted - len(rows)
            if len(rows):
                yield rows

    def of(self, tiles: Sequence[Sequence[Tile]]) -> list[list[Tile]]:
        """Return those tiles that have a share in it, row by row."""
        rows = [row for row in tiles if _meet(row[0].rows.kept, self.rows)]
        return [[tile for tile in row if _meet(tile.columns.kept, self.columns)] for row in rows]

    def cut(self, row: Sequence[Tile], found: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return its share of a row of tiles, of which ``found`` are the kept pixels."""
        top = row[0].rows.start
        rows = slice(max(0, self.y - top), self.y + self.height - top)
        left = row[0].columns.start
        columns = slice(self.x - left, self.x - left + self.width)
        return np.concatenate([pixels[rows] for pixels in found], axis=1)[:, columns]


def crop_of(region: Region | None, width: int, height: int) -> Crop:
    """Return the part of a picture of this size that ``region`` is, all of it if None.

    Raises
    ------
    BoundError
        It is not within the picture.
    ValueError
        It has no pixels, or begins before 0.
    """
    if region is None:
        return Crop(0, 0, width, height)
    crop = Crop(*region)
    if min(crop.x, crop.y) < 0 or min(crop.width, crop.height) < 1:
        raise ValueError(
            f"region {','.join(map(str, region))}: X and Y are at least 0, W and H at least 1"
        )
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise BoundError(
            f"region {','.join(map(str, region))} reaches beyond the picture, which has "
            f"{width}x{height} pixels; ask for a part of it"
        )
    return crop


def _meet(one: slice, other: slice) -> bool:
    return bool(one.start < other.stop and other.start < one.stop)
