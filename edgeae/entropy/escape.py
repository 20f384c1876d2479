"""Exp-Golomb classes for the values outside a table row; integers only.

An overflow ``u >= 0`` is class ``e = floor(log2(u + 1))``, coded with one fixed table, and the
``e`` bits of ``u + 1 - 2**e``, which are not modelled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = 16  # the largest overflow is 2**16 - 2; values stay within 15 bits and a sign


def escape_frequencies(precision: int) -> NDArray[np.uint16]:
    """Return the one table of classes, (16,) uint16, halving from class to class.

    Parameters
    ----------
    precision : int
        Bits of the table's total, 8..16.
    """
    total = 1 << precision
    frequencies = [max(1, total >> (i + 1)) for i in range(CLASSES)]
    frequencies[0] -= sum(frequencies) - total
    return np.array(frequencies, np.uint16)


def split_overflow(overflow: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the class of each overflow, (n,) uint8, and its remainder of as many bits."""
    classes = (np.frexp((overflow + 1).astype(np.float64))[1] - 1).astype(np.uint8)
    return classes, overflow + 1 - (np.int64(1) << classes.astype(np.int64))


def join_overflow(classes: NDArray[np.uint8], remainders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the overflows that `split_overflow` took apart, (n,) int64."""
    return (np.int64(1) << classes.astype(np.int64)) - 1 + remainders
