"""Real latents to integer symbols: to the nearest, or one nearer to zero where that pays.

A symbol costs bits and its rounding error costs quality; the thresholds between neighbouring
magnitudes minimize the sum under the exact tables (rate-distortion optimized quantization, one
symbol at a time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import GraphError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.entropy.tables import ScaleTables

MAGNITUDES = 32  # thresholds a row; beyond it the price of one more is flat and errors are small
# Bits that one squared quantization step is worth. For uniform steps and high rates theory says
# 26 / 3; an encoder network was trained against the rate and has shrunk its latents already, so
# more is right, measured on training photos (docs/decisions/0006).
BITS_PER_SQUARE = 48.0
# The same where the target knows what the other latents lost (`edgeae.refine`).
REFINED_BITS_PER_SQUARE = 22.0


def nearest(values: NDArray[np.float32], limit: int) -> NDArray[np.int16]:
    """Return the nearest integers, within ``limit``.

    Raises
    ------
    GraphError
        A value is not finite.
    """
    rounded = np.rint(values)
    lowest, highest = rounded.min(initial=0), rounded.max(initial=0)
    if not -limit <= lowest <= highest <= limit:
        if not np.isfinite(lowest + highest):
            raise GraphError(
                "the encoder gave latents that are not finite numbers; train the model further"
            )
        np.clip(rounded, -limit, limit, out=rounded)
    return rounded.astype(np.int16)


def thresholds(
    tables: ScaleTables, bits_per_square: float = BITS_PER_SQUARE
) -> NDArray[np.float32]:
    """Return (rows, MAGNITUDES): below entry [r, n - 1] a magnitude of row r is n - 1, not n.

    Entry [r, n - 1] is where ``bits(n - 1) + bits_per_square * (x - n + 1)**2`` equals the same for
    n, kept within n - 1/2 and n so that no symbol moves by more than one.
    """
    magnitudes = np.arange(MAGNITUDES + 1)
    levels = magnitudes[1:].astype(np.float64)
    rows = np.arange(1, len(tables))
    each = np.tile(magnitudes, rows.size), np.repeat(rows, magnitudes.size)
    bits = tables.cost_bits(*each).reshape(rows.size, magnitudes.size)
    found = np.empty((len(tables), MAGNITUDES))
    found[0] = levels  # row 0 holds zeros alone
    found[1:] = levels - 0.5 + np.diff(bits, axis=1) / (2 * bits_per_square)
    return np.clip(found, levels - 0.5, levels).astype(np.float32)


def cheapest(
    values: NDArray[np.float32],
    rows: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    limit: int,
) -> NDArray[np.int16]:
    """Return symbols (n,) of real ``values`` (n,) coded with table ``rows`` (n,).

    ``bounds`` are those of `thresholds`. Row 0 gives 0. Raises what `nearest` does.
    """
    symbols = nearest(values, limit)
    symbols[rows == 0] = 0  # by definition of row 0, and without a bit
    at = np.flatnonzero(symbols != 0)
    magnitudes = np.abs(symbols[at])
    last = np.minimum(magnitudes, MAGNITUDES)
    pays = np.abs(values[at]) < bounds[rows[at], last - 1]
    pays &= magnitudes <= MAGNITUDES
    moved = at[pays]
    symbols[moved] -= np.sign(symbols[moved])
    return symbols
