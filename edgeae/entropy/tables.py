"""Integer tables: which symbol a value is, and which value a symbol.

`ScaleTables` for latents (one row a scale index, signs apart), `ChannelTables` for hyper-latents
and for the latents of plain autoencoders (one row a channel).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.escape import join_overflow, split_overflow
from edgeae.entropy.tables_base import (
    PRECISION_BITS,
    Integers,
    Positions,
    SplitValues,
    Tables,
    frozen,
    integers,
    rows_from_arrays,
)
from edgeae.errors import DAMAGED, ContainerError

__all__ = ["PRECISION_BITS", "ChannelTables", "ScaleTables", "Tables"]


class ScaleTables(Tables):
    """Magnitudes by scale index, signs apart; index 0 means symbol 0, which is not coded.

    Row 0 keeps the numbering and is never used. Values reach +-32767.
    """

    VALUE_LIMIT = 32767

    def coded(self, indexes: Integers) -> Positions:
        """Return the positions with an index above 0."""
        return np.flatnonzero(indexes != 0)  # of bool: ten times faster

    def split(self, values: Integers, rows: Integers) -> SplitValues:
        """Return magnitudes, capped by the row, and the signs of the non-zero ones."""
        magnitudes = np.abs(values.astype(np.int32))
        top = self.escape[rows]
        escapes = np.flatnonzero(magnitudes >= top)
        classes, remainders = split_overflow(magnitudes[escapes].astype(np.int64) - top[escapes])
        signs = (values[np.flatnonzero(magnitudes != 0)] < 0).astype(np.uint8)
        symbols = np.minimum(magnitudes, top).astype(np.uint8)
        return SplitValues(symbols, escapes, classes, remainders, signs)

    def signed(self, nonzero: Positions) -> Positions:
        """Return all of them."""
        return nonzero

    def join(self, split: SplitValues, rows: Integers, nonzero: Positions) -> NDArray[np.int32]:
        """Return symbol plus overflow, with its sign."""
        values = split.symbols.astype(np.int32)
        values[split.escapes] += join_overflow(split.classes, split.remainders).astype(np.int32)
        _check_decoded(values[split.escapes], self.VALUE_LIMIT)
        negative = nonzero[split.signs.view(np.bool_)]
        values[negative] = -values[negative]
        return values

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the tables that `to_arrays` gave.

        Raises
        ------
        ValueError
            If an array is missing, unknown, or not as `to_arrays` makes it.
        """
        names = ("frequencies", "lengths", "precision")
        rows, precision = rows_from_arrays(*integers(arrays, names))
        return cls(rows, precision=precision)


@dataclass(frozen=True, eq=False)
class ChannelTables(Tables):
    """One row a channel with its own lowest value; every position is coded, row 0 as well.

    Values reach +-32000.

    Parameters
    ----------
    frequencies : sequence of (m,) integers
        As in `Tables`.
    minimum : (rows,) int16
        Value of each row's first symbol, -256..256.
    """

    minimum: Integers

    VALUE_LIMIT = 32000

    def __post_init__(self) -> None:
        super().__post_init__()
        minimum = np.asarray(self.minimum)
        if minimum.shape != (len(self),) or minimum.dtype.kind not in "iu":
            raise ValueError(f"tables: minimum must be ({len(self)},) integers")
        if minimum.min() < -256 or minimum.max() > 256:
            raise ValueError(f"tables: minimum {minimum.min()}..{minimum.max()} beyond +-256")
        object.__setattr__(self, "minimum", frozen(minimum, np.int16))

    def coded(self, indexes: Integers) -> slice:
        """Return all positions."""
        return slice(None)

    def split(self, values: Integers, rows: Integers) -> SplitValues:
        """Return distances from the row's minimum; those below it interleave with those above."""
        shifted = values.astype(np.int32) - self.minimum[rows]
        top = self.escape[rows].astype(np.int32)
        inside = (shifted >= 0) & (shifted < top)
        escapes = np.flatnonzero(~inside)
        outside = shifted[escapes].astype(np.int64)
        overflow = np.where(outside >= 0, 2 * (outside - top[escapes]), -2 * outside - 1)
        symbols = np.where(inside, shifted, top).astype(np.uint8)
        return SplitValues(symbols, escapes, *split_overflow(overflow), np.empty(0, np.uint8))

    def signed(self, nonzero: Positions) -> Positions:
        """Return none: the sign is in the symbol."""
        return nonzero[:0]

    def join(self, split: SplitValues, rows: Integers, nonzero: Positions) -> NDArray[np.int32]:
        """Return minimum plus symbol, or what the overflow says."""
        minimum = self.minimum[rows].astype(np.int32)
        values = minimum + split.symbols
        overflow = join_overflow(split.classes, split.remainders).astype(np.int32)
        above = values[split.escapes] + (overflow >> 1)
        below = minimum[split.escapes] - 1 - (overflow >> 1)
        values[split.escapes] = np.where(overflow & 1, below, above)
        _check_decoded(values[split.escapes], self.VALUE_LIMIT)
        return values

    def to_arrays(self) -> dict[str, Integers]:
        """Return plain arrays for ``tables.npz``; `from_arrays` is the inverse."""
        return {**super().to_arrays(), "minimum": self.minimum}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the tables that `to_arrays` gave.

        Raises
        ------
        ValueError
            If an array is missing, unknown, or not as `to_arrays` makes it.
        """
        names = ("frequencies", "lengths", "precision", "minimum")
        *rest, minimum = integers(arrays, names)
        rows, precision = rows_from_arrays(*rest)
        return cls(rows, minimum, precision=precision)


def _check_decoded(values: NDArray[np.int32], limit: int) -> None:
    worst = int(np.abs(values).max(initial=0))
    if worst > limit:
        raise ContainerError(f"latents: an escape decodes to {worst}, beyond +-{limit}; {DAMAGED}")
