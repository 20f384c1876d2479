"""Which state machine codes a payload: the kernel in C, numpy rows, or the scalar loop.

All three give the same bytes, so this is about time alone.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.kernel import KernelDecoder, KernelEncoder
from edgeae.entropy.rows import RowDecoder, RowEncoder
from edgeae.entropy.scalar import ScalarDecoder, ScalarEncoder
from edgeae.kernel.library import kernel

LaneEncoder: TypeAlias = KernelEncoder | RowEncoder | ScalarEncoder
LaneDecoder: TypeAlias = KernelDecoder | RowDecoder | ScalarDecoder

ROW_LANES = 64  # from here numpy rows are faster than the scalar loop, below they are slower


def lane_encoder(states: NDArray[np.uint32], capacity: int) -> LaneEncoder:
    """Return the encoder that starts from ``states`` (L,); ``capacity`` symbols will come."""
    library = kernel()
    if library is not None:
        return KernelEncoder(states, library)
    return (RowEncoder if states.size >= ROW_LANES else ScalarEncoder)(states, capacity)


def lane_decoder(states: NDArray[np.int64], words: NDArray[np.uint16]) -> LaneDecoder:
    """Return the decoder that starts from ``states`` (L,), the first of ``words`` in them."""
    library = kernel()
    if library is not None:
        return KernelDecoder(states, words, library)
    return (RowDecoder if states.size >= ROW_LANES else ScalarDecoder)(states, words)
