"""The rANS state machine in C, where the library was built: several times faster, the same bytes.

`edgeae.entropy.rows` and `edgeae.entropy.scalar` are the reference; without the library they run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.damage import words_ended
from edgeae.entropy.tables_base import Integers, Tables


class KernelEncoder:
    """States that take symbols, last symbol first.

    Parameters
    ----------
    states : (L,) uint32
        Start of each lane, 2**16 and its seed bits.
    library : ctypes.CDLL
        Of `edgeae.kernel.library.load`.
    """

    def __init__(self, states: NDArray[np.uint32], library: Any) -> None:
        self.states = states.astype(np.uint32)
        self._push = library.edgeae_rans_push
        self._words: list[NDArray[np.uint16]] = []  # of each list, the last one first

    def push(self, positions: Integers, tables: Tables) -> None:
        """Take one list of symbols, given by their positions in the flat tables."""
        flat = np.ascontiguousarray(positions, np.int32)
        words = np.empty(flat.size, np.uint16)  # each symbol emits at most one
        entries = tables.entries  # held: another thread may put its own in their place
        first = self._push(
            *(self.states.ctypes.data, self.states.size, flat.ctypes.data, flat.size),
            *(entries.ctypes.data, tables.precision, words.ctypes.data, words.size),
        )
        self._words.append(words[first:].copy())

    @property
    def words(self) -> NDArray[np.uint16]:
        """The words (n,) in the decoder's order."""
        return np.concatenate([np.empty(0, np.uint16), *self._words[::-1]])


class KernelDecoder:
    """States that give symbols back, first symbol first.

    Parameters
    ----------
    states : (L,) int64
        As the encoder left them.
    words : (n,) uint16
        All words of the payload; the first L are in the states already.
    library : ctypes.CDLL
        Of `edgeae.kernel.library.load`.
    """

    def __init__(self, states: NDArray[np.int64], words: NDArray[np.uint16], library: Any) -> None:
        self._states = states.astype(np.uint32)
        self._words = np.ascontiguousarray(words, np.uint16)  # the machine's own byte order
        self._pull = library.edgeae_rans_pull
        self.words_read = self._states.size

    def pull(self, rows: Integers, tables: Tables) -> NDArray[np.uint8]:
        """Return one list of symbols, a table row for each.

        Raises
        ------
        ContainerError
            The words end before the symbols.
        """
        chosen = np.ascontiguousarray(rows, np.uint16)
        symbols = np.empty(chosen.size, np.uint8)
        # Held: another thread may put its own in their place.
        slots, starts, entries = tables.slots, tables.starts, tables.entries
        read = self._pull(
            *(self._states.ctypes.data, self._states.size, chosen.ctypes.data, chosen.size),
            *(slots.ctypes.data, starts.ctypes.data, entries.ctypes.data),
            *(tables.precision, self._words.ctypes.data, self._words.size, self.words_read),
            symbols.ctypes.data,
        )
        if read < 0:
            raise words_ended(self._words.size)
        self.words_read = read
        return symbols

    @property
    def states(self) -> NDArray[np.int64]:
        """The states (L,) after all symbols so far."""
        return self._states.astype(np.int64)
