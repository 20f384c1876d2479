"""The rANS state machine a row of lanes at a time, in numpy: faster from 64 lanes up.

The same bytes as `edgeae.entropy.scalar`. Symbol j of a list uses lane j mod L, so that L symbols
are one step of all states; lanes take words in ascending order. The loop reuses its buffers, since
at 64 to 1024 lanes the calls cost as much as the arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.damage import words_ended
from edgeae.entropy.tables_base import Integers, Tables

ROWS_PER_BLOCK = 64  # rows looked up at once: their buffers stay in the L2 cache


class RowEncoder:
    """States that take symbols, last symbol first.

    Parameters
    ----------
    states : (L,) uint32
        Start of each lane, 2**16 and its seed bits.
    capacity : int
        Symbols that will come, about; each emits at most one word.
    """

    def __init__(self, states: NDArray[np.uint32], capacity: int) -> None:
        self.states = states.astype(np.uint32)
        self._words = np.empty(capacity, np.uint16)
        self._first = capacity

    def push(self, positions: Integers, tables: Tables) -> None:
        """Take one list of symbols, given by their positions in the flat tables."""
        lanes, size = self.states.size, positions.size
        whole = size - size % lanes
        self._reserve(size)
        frequency = tables.frequency.astype(np.uint32)
        cumulative = tables.cumulative.astype(np.uint32)
        blocks = [slice(whole, size)]
        step = ROWS_PER_BLOCK * lanes
        blocks += [slice(a, min(a + step, whole)) for a in reversed(range(0, whole, step))]
        for block in blocks:
            chosen = positions[block]
            row = (-1, min(lanes, max(1, chosen.size)))
            f = frequency.take(chosen).reshape(row)
            self._push_rows(f, cumulative.take(chosen).reshape(row), tables.precision)

    def _push_rows(
        self, frequencies: NDArray[np.uint32], cumulatives: NDArray[np.uint32], k: int
    ) -> None:
        x = self.states[: frequencies.shape[1]]
        quotient, full = np.empty_like(x), np.empty(x.size, np.bool_)
        limits = frequencies << np.uint32(32 - k)
        gaps = np.uint32(1 << k) - frequencies
        words, first = self._words, self._first
        rows = zip(frequencies[::-1], limits[::-1], gaps[::-1], cumulatives[::-1], strict=True)
        for f, limit, gap, c in rows:
            np.greater_equal(x, limit, out=full)
            lanes = full.nonzero()[0]
            if lanes.size:
                leaving = x[lanes]
                words[first - lanes.size : first] = leaving  # the low 16 bits
                first -= lanes.size
                x[lanes] = leaving >> 16
            np.floor_divide(x, f, out=quotient)
            np.multiply(quotient, gap, out=quotient)  # (x // f) * 2**k + x % f is x plus this
            np.add(x, quotient, out=x)
            np.add(x, c, out=x)
        self._first = first

    def _reserve(self, count: int) -> None:
        if count > self._first:
            used = self._words.size - self._first
            words = np.empty(2 * used + count, np.uint16)
            words[words.size - used :] = self.words
            self._words, self._first = words, words.size - used

    @property
    def words(self) -> NDArray[np.uint16]:
        """The words (n,) in the decoder's order."""
        return self._words[self._first :]


class RowDecoder:
    """States that give symbols back, first symbol first.

    Parameters
    ----------
    states : (L,) int64
        As the encoder left them.
    words : (n,) uint16
        All words of the payload; the first L are in the states already.
    """

    def __init__(self, states: NDArray[np.int64], words: NDArray[np.uint16]) -> None:
        self.states = states.astype(np.int64)
        self._words = words
        self.words_read = self.states.size

    def pull(self, rows: Integers, tables: Tables) -> NDArray[np.uint8]:
        """Return one list of symbols, a table row for each.

        Raises
        ------
        ContainerError
            The words end before the symbols.
        """
        lanes, size = self.states.size, rows.size
        whole = size - size % lanes
        step = ROWS_PER_BLOCK * lanes
        symbols = np.empty(size, np.uint8)
        blocks = [slice(a, min(a + step, whole)) for a in range(0, whole, step)]
        for block in (*blocks, slice(whole, size)):
            chosen = rows[block]
            row = (-1, min(lanes, max(1, chosen.size)))
            self._pull_rows(
                chosen.astype(np.intp).reshape(row), tables, symbols[block].reshape(row)
            )
        return symbols

    def _pull_rows(
        self, rows: NDArray[np.intp], tables: Tables, symbols: NDArray[np.uint8]
    ) -> None:
        k = tables.precision
        slots, frequency, cumulative = tables.slots, tables.frequency, tables.cumulative
        # 0-d arrays: numbers would be converted in every call, a third of its time
        mask, shift, radix = (np.array(number, np.int64) for number in ((1 << k) - 1, k, 1 << 16))
        x = self.states[: rows.shape[1]]
        d, f, c, low = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty(x.size, bool)
        words, first = self._words, self.words_read
        starts = tables.start.take(rows)
        for slot, position, s in zip(rows << k, starts, symbols, strict=True):
            np.bitwise_and(x, mask, out=d)
            np.add(slot, d, out=slot, casting="unsafe")  # intp is int32 on 32-bit systems
            slots.take(slot, out=s, mode="clip")
            np.add(position, s, out=position)
            frequency.take(position, out=f, mode="clip")
            cumulative.take(position, out=c, mode="clip")
            np.right_shift(x, shift, out=x)
            np.multiply(x, f, out=x)
            np.add(x, d, out=x)
            np.subtract(x, c, out=x)
            np.less(x, radix, out=low)
            lanes = low.nonzero()[0]
            if lanes.size:
                taken = words[first : first + lanes.size]
                if taken.size < lanes.size:
                    raise words_ended(words.size)
                x[lanes] = (x[lanes] << 16) + taken
                first += lanes.size
        self.words_read = first
