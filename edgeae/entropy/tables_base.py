"""What all frequency tables share: checked rows, flat lookup arrays, ideal costs.

A row holds 2 to 256 frequencies, each at least 1, that sum to ``2**precision``; its last symbol is
the escape for values the row does not reach. Tables are stored as integers and never computed from
floats at run time, so that every machine decodes with the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.escape import escape_frequencies

PRECISION_BITS = 14  # 0.01 to 0.05 % above the exact probabilities, and 16 kB of lookup a row
PRECISIONS = range(8, 17)  # 8: room for 256 symbols; 16: the limit of a 32-bit state
ROW_SYMBOLS = range(2, 257)
MAX_ROWS = 4096  # bounds the decoder's lookup: 64 MB at 14 bits
COST_UNIT_BITS = 2.0**-20  # costs are multiples of this, so sums are exact in any order

Integers = NDArray[np.integer[Any]]
Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class SplitValues:
    """Values as what is coded: symbols of their rows, and what the rows do not say."""

    symbols: NDArray[np.uint8]  # (n,) position in the row
    escapes: Positions  # (E,) positions among the n
    classes: NDArray[np.uint8]  # (E,) bits of each remainder
    remainders: NDArray[np.int64]  # (E,)
    signs: NDArray[np.uint8]  # (T,) 1 = negative


@dataclass(frozen=True, eq=False)  # no slots: cached_property needs __dict__
class Tables(ABC):
    """Rows of integer frequencies; use `ScaleTables` or `ChannelTables`.

    Parameters
    ----------
    frequencies : sequence of (m,) integers, 2 <= m <= 256
        One row per index; kept as read-only uint16.
    precision : int
        Bits of each row's total, 8..16.

    Raises
    ------
    ValueError
        If a row or the precision is not as said above.
    """

    frequencies: tuple[Integers, ...]
    precision: int = field(default=PRECISION_BITS, kw_only=True)

    VALUE_LIMIT: ClassVar[int]

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"tables: precision {self.precision} is not in 8..16 bits")
        if not 1 <= len(self.frequencies) <= MAX_ROWS:
            raise ValueError(f"tables: {len(self.frequencies)} rows are not in 1..{MAX_ROWS}")
        rows = tuple(
            _checked_row(row, number, self.precision) for number, row in enumerate(self.frequencies)
        )
        object.__setattr__(self, "frequencies", rows)

    def __len__(self) -> int:
        return len(self.frequencies)

    @abstractmethod
    def coded(self, indexes: Integers) -> Positions | slice:
        """Return what selects the positions that have a symbol in the payload."""

    @abstractmethod
    def split(self, values: Integers, rows: Integers) -> SplitValues:
        """Return coded values (n,), within the limit, as symbols of their rows."""

    @abstractmethod
    def signed(self, nonzero: Positions) -> Positions:
        """Return those positions of non-zero symbols that carry a sign bit."""

    @abstractmethod
    def join(self, split: SplitValues, rows: Integers, nonzero: Positions) -> NDArray[np.int32]:
        """Return the values (n,) int32 that `split` took apart.

        Raises
        ------
        ContainerError
            If a value is outside the limit: the payload was not written by an encoder.
        """

    @cached_property
    def escape(self) -> NDArray[np.uint8]:
        """The escape symbol of each row, (rows,)."""
        return np.array([row.size - 1 for row in self.frequencies], np.uint8)

    @cached_property
    def start(self) -> Positions:
        """Where each row begins in the flat arrays; last the table of escape classes."""
        sizes = [row.size for row in self.frequencies]
        return np.cumsum([0, *sizes]).astype(np.intp)

    @cached_property
    def frequency(self) -> NDArray[np.int64]:
        """Frequencies of all symbols of all rows, then of the escape classes, flat."""
        rows = (*self.frequencies, escape_frequencies(self.precision))
        return np.concatenate(rows).astype(np.int64)

    @cached_property
    def cumulative(self) -> NDArray[np.int64]:
        """Sum of the frequencies before each symbol in its row, flat."""
        before = np.cumsum(self.frequency) - self.frequency
        return before & ((1 << self.precision) - 1)  # every earlier row sums to 2**precision

    @cached_property
    def slots(self) -> NDArray[np.uint8]:
        """Symbol of each of a row's ``2**precision`` slots, row after row, flat."""
        rows = (*self.frequencies, escape_frequencies(self.precision))
        symbols = np.concatenate([np.arange(row.size, dtype=np.uint8) for row in rows])
        return np.repeat(symbols, self.frequency)

    @cached_property
    def entries(self) -> NDArray[np.uint32]:
        """Frequency << 16 | cumulative of each symbol, flat, as the kernel takes it."""
        return (self.frequency << 16 | self.cumulative).astype(np.uint32)

    @cached_property
    def starts(self) -> NDArray[np.uint32]:
        """`start` as the kernel takes it."""
        return self.start.astype(np.uint32)

    @cached_property
    def scalar_lookup(self) -> tuple[bytes, list[int], list[int], list[int]]:
        """Slots, start, frequency and cumulative as what Python indexes fastest."""
        return (
            self.slots.tobytes(),
            self.start.tolist(),
            self.frequency.tolist(),
            self.cumulative.tolist(),
        )

    @cached_property
    def symbol_cost_bits(self) -> NDArray[np.float64]:
        """Ideal cost of each symbol, flat, in bits."""
        exact = self.precision - np.log2(self.frequency)
        return np.round(exact / COST_UNIT_BITS) * COST_UNIT_BITS

    def cost_bits(self, values: Integers, indexes: Integers) -> NDArray[np.float64]:
        """Return what each value costs under these integer tables, in bits.

        Signs, escape classes and remainders are included; the coder adds only its start and its
        end (about half a byte a lane).

        Parameters
        ----------
        values : (n,) integers
            As for `edgeae.entropy.rans.encode`.
        indexes : (n,) integers
            Table row of each value.

        Raises
        ------
        ValueError
            If a value or an index cannot be coded.
        """
        coded, rows, split = self.split_checked(values, indexes)
        bits = self.symbol_cost_bits[self.start[rows] + split.symbols]
        bits[self.signed(np.flatnonzero(split.symbols != 0))] += 1
        classes = split.classes.astype(np.intp)
        bits[split.escapes] += self.symbol_cost_bits[self.start[-1] + classes] + classes
        cost = np.zeros(values.size, np.float64)
        cost[coded] = bits
        return cost

    def split_checked(
        self, values: Integers, indexes: Integers
    ) -> tuple[Positions | slice, Integers, SplitValues]:
        """Return the coded positions, their rows and their values as symbols.

        Raises
        ------
        ValueError
            If a value or an index cannot be coded.
        """
        self.check_indexes(indexes)
        if values.shape != indexes.shape or values.dtype.kind not in "iu":
            raise ValueError(
                f"symbols: {values.dtype} {values.shape} must be integers of the indexes' shape "
                f"{indexes.shape}"
            )
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if max(-low, high) > self.VALUE_LIMIT:
            raise ValueError(f"symbols: {low}..{high} is beyond +-{self.VALUE_LIMIT}")
        coded = self.coded(indexes)
        rows, chosen = indexes[coded], values[coded]
        if np.count_nonzero(chosen != 0) != np.count_nonzero(values != 0):
            raise ValueError("symbols: index 0 stands for symbol 0, but a symbol there is not 0")
        return coded, rows, self.split(chosen, rows)

    def check_indexes(self, indexes: Integers) -> None:
        """Raise ValueError unless ``indexes`` is (n,) integers within the rows."""
        if indexes.ndim != 1 or indexes.dtype.kind not in "iu":
            raise ValueError(f"indexes: {indexes.dtype} {indexes.shape} must be (n,) integers")
        low, high = int(indexes.min(initial=0)), int(indexes.max(initial=0))
        if low < 0 or high >= len(self):
            raise ValueError(f"indexes: {low}..{high} is outside the {len(self)} rows")

    def to_arrays(self) -> dict[str, Integers]:
        """Return plain arrays for ``tables.npz``; `from_arrays` is the inverse."""
        return {
            "frequencies": np.concatenate(self.frequencies),
            "lengths": np.array([row.size for row in self.frequencies], np.uint16),
            "precision": np.array(self.precision, np.uint8),
        }

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the tables that `to_arrays` gave; ValueError for anything else."""


def integers(arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the named arrays as int64, in the order of ``names``, which must be all there are.

    Raises
    ------
    ValueError
        If a name is missing or unknown, or an array is not of integers of at most 32 bits.
    """
    if set(arrays) != set(names):
        raise ValueError(f"tables: arrays {sorted(arrays)} are not {sorted(names)}")
    for name in names:
        if arrays[name].dtype.kind not in "iu" or arrays[name].dtype.itemsize > 4:
            raise ValueError(f"tables: {name} is {arrays[name].dtype}, not small integers")
    return [arrays[name].astype(np.int64) for name in names]


def rows_from_arrays(
    frequencies: NDArray[np.int64], lengths: NDArray[np.int64], precision: NDArray[np.int64]
) -> tuple[tuple[NDArray[np.int64], ...], int]:
    """Return concatenated rows apart, and the precision as an int.

    Raises
    ------
    ValueError
        If the lengths do not cover the frequencies exactly, or the precision is not one number.
    """
    if precision.ndim != 0:
        raise ValueError(f"tables: precision has shape {precision.shape}, not ()")
    if frequencies.ndim != 1 or lengths.ndim != 1 or not 1 <= lengths.size <= MAX_ROWS:
        raise ValueError(f"tables: {frequencies.shape} frequencies in {lengths.shape} rows")
    if lengths.min() < 1 or lengths.sum() != frequencies.size:
        raise ValueError(f"tables: lengths do not cover {frequencies.size} frequencies")
    return tuple(np.split(frequencies, np.cumsum(lengths)[:-1])), int(precision)


def frozen(array: NDArray[Any], dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """Return a read-only copy in ``dtype``."""
    copy = array.astype(dtype)
    copy.setflags(write=False)
    return copy


def _checked_row(row: NDArray[Any], number: int, precision: int) -> NDArray[np.uint16]:
    array = np.asarray(row)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.size not in ROW_SYMBOLS:
        raise ValueError(
            f"tables: row {number} must be 2..256 integers, not {array.dtype} {array.shape}"
        )
    total = 1 << precision
    if array.min() < 1 or array.max() >= total or int(array.sum()) != total:
        raise ValueError(
            f"tables: row {number} has frequencies {array.min()}..{array.max()} with sum "
            f"{array.sum()}; each must be at least 1 and the sum {total}"
        )
    return frozen(array, np.uint16)
