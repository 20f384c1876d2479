"""The rANS state machine one symbol at a time, in Python integers: faster below 64 lanes.

The same bytes as `edgeae.entropy.rows`. Encoding runs backwards and so do the words it emits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.damage import words_ended
from edgeae.entropy.tables_base import Integers, Tables

LOW = 0xFFFF  # the half of a state that leaves as a word; states stay in 2**16..2**32 - 1


class ScalarEncoder:
    """States that take symbols, last symbol first.

    Parameters
    ----------
    states : (L,) uint32
        Start of each lane, 2**16 and its seed bits.
    capacity : int
        Symbols that will come, about; not needed here, `RowEncoder` allocates by it.
    """

    def __init__(self, states: NDArray[np.uint32], capacity: int) -> None:
        del capacity
        self._states: list[int] = states.tolist()
        self._emitted: list[int] = []

    def push(self, positions: Integers, tables: Tables) -> None:
        """Take one list of symbols, given by their positions in the flat tables."""
        states, emit = self._states, self._emitted.append
        lane_mask = len(states) - 1
        k = tables.precision
        limit_shift = 32 - k
        frequencies = tables.frequency[positions].tolist()
        cumulatives = tables.cumulative[positions].tolist()
        for j in range(len(frequencies) - 1, -1, -1):
            x, f = states[j & lane_mask], frequencies[j]
            if x >> limit_shift >= f:
                emit(x & LOW)
                x >>= 16
            states[j & lane_mask] = (x // f << k) + x % f + cumulatives[j]

    @property
    def states(self) -> NDArray[np.uint32]:
        """The states (L,) as the decoder starts from them."""
        return np.array(self._states, np.uint32)

    @property
    def words(self) -> NDArray[np.uint16]:
        """The words (n,) in the decoder's order."""
        return np.array(self._emitted[::-1], np.uint16)


class ScalarDecoder:
    """States that give symbols back, first symbol first.

    Parameters
    ----------
    states : (L,) int64
        As the encoder left them.
    words : (n,) uint16
        All words of the payload; the first L are in the states already.
    """

    def __init__(self, states: NDArray[np.int64], words: NDArray[np.uint16]) -> None:
        self._states: list[int] = states.tolist()
        self._words = words.astype(np.uint16).data  # the machine's own byte order
        self.words_read = len(self._states)

    def pull(self, rows: Integers, tables: Tables) -> NDArray[np.uint8]:
        """Return one list of symbols, a table row for each.

        Raises
        ------
        ContainerError
            The words end before the symbols.
        """
        symbols = bytearray(rows.size)
        try:
            self._pull(rows.tolist(), tables, symbols)
        except IndexError:
            raise words_ended(len(self._words)) from None
        return np.frombuffer(symbols, np.uint8)

    def _pull(self, rows: list[int], tables: Tables, symbols: bytearray) -> None:
        slots, starts, frequency, cumulative = tables.scalar_lookup
        k = tables.precision
        mask = (1 << k) - 1
        states, words, words_read = self._states, self._words, self.words_read
        lane_mask = len(states) - 1
        for j, row in enumerate(rows):
            x = states[j & lane_mask]
            d = x & mask
            symbols[j] = s = slots[row << k | d]
            p = starts[row] + s
            x = frequency[p] * (x >> k) + d - cumulative[p]
            if x <= LOW:
                x = x << 16 | words[words_read]
                words_read += 1
            states[j & lane_mask] = x
        self.words_read = words_read

    @property
    def states(self) -> NDArray[np.int64]:
        """The states (L,) after all symbols so far."""
        return np.array(self._states, np.int64)
