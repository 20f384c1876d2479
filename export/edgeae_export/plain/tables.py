"""Tables of a plain autoencoder from the symbols of real inputs.

One row a channel; and one row a latent where all inputs have one size and that pays: the border of
a digit is always black.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgeae.bundle import PositionTables
from edgeae.entropy.tables import ChannelTables
from edgeae_export.freeze import channel_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Symbols = NDArray[np.int16]

FARTHEST = 4096  # values beyond are counted there; rows end before 512 anyway
PSEUDO_COUNTS = 4.0  # weight of the smooth distribution against the histogram, in symbols
CHANNEL_COUNTS = 16.0  # weight of a channel's distribution against that of a position
VALUES = np.arange(-FARTHEST, FARTHEST + 1)
MOST_POSITIONS = 1024  # rows; a decoder's lookup has 16 kB for each
LEAST_GAIN = 0.03  # of the bits, for which position tables are worth their room


def channel_tables(batches: Sequence[Symbols], channels: int) -> ChannelTables:
    """Return the tables of rounded latents, given as batches (n, C, h, w)."""
    counts = np.zeros((channels, len(VALUES)), np.int64)
    for batch in batches:
        clipped = batch.clip(-FARTHEST, FARTHEST).astype(np.int64) + FARTHEST
        for channel in range(channels):
            counts[channel] += np.bincount(clipped[:, channel].reshape(-1), minlength=len(VALUES))
    return _tables([_smooth(of_channel) for of_channel in counts])


def position_tables(
    batches: Sequence[Symbols], channels: ChannelTables, held_out: Sequence[Symbols]
) -> PositionTables | None:
    """Return a table for each latent, or None if that does not pay.

    Parameters
    ----------
    batches : sequence of (n, C, h, w)
        What they are fitted to.
    channels : ChannelTables
        What they have to beat.
    held_out : sequence of (n, C, h, w)
        By at least 3 % of the bits of these.
    """
    shapes = {batch.shape[1:] for batch in (*batches, *held_out)}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    rows = math.prod(shape)
    if shape[1:] == (1, 1) or rows > MOST_POSITIONS:
        return None
    symbols = np.concatenate([batch.reshape(len(batch), -1) for batch in batches])
    clipped = symbols.clip(-FARTHEST, FARTHEST).astype(np.int64) + FARTHEST
    by_channel = np.repeat(np.arange(shape[0]), rows // shape[0])
    densities = [_density(channels, channel) for channel in range(shape[0])]
    probabilities = []
    for position, channel in enumerate(by_channel):
        counts = np.bincount(clipped[:, position], minlength=len(VALUES))
        weighted = counts + CHANNEL_COUNTS * densities[channel]
        probabilities.append(weighted / weighted.sum())
    found = PositionTables((int(shape[1]), int(shape[2])), _tables(probabilities))
    judged = np.concatenate([batch.reshape(len(batch), -1) for batch in held_out])
    costs = [
        tables.cost_bits(judged.reshape(-1), np.tile(index, len(judged))).sum()
        for tables, index in ((found.tables, np.arange(rows)), (channels, by_channel))
    ]
    return found if costs[0] <= (1 - LEAST_GAIN) * costs[1] else None


def _tables(probabilities: Sequence[NDArray[np.float64]]) -> ChannelTables:
    rows = [channel_row(of_row, -FARTHEST) for of_row in probabilities]
    minimum = np.array([lowest for lowest, _ in rows], np.int16)
    return ChannelTables(tuple(row for _, row in rows), minimum)


def _smooth(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return probabilities: the histogram, and a Laplace density for what it has not shown."""
    total = counts.sum()
    median = VALUES[np.searchsorted(np.cumsum(counts), total / 2)]
    distance = np.abs(VALUES - median)
    mean_distance = max(0.1, float(counts @ distance) / total)
    density = np.exp(-distance / mean_distance)
    weighted = counts + PSEUDO_COUNTS * density / density.sum()
    probabilities: NDArray[np.float64] = weighted / weighted.sum()
    return probabilities


def _density(tables: ChannelTables, channel: int) -> NDArray[np.float64]:
    """Return the probabilities of `VALUES` that a channel's table stands for."""
    indexes = np.full(len(VALUES), channel)
    bits = tables.cost_bits(VALUES, indexes)
    weights = np.exp2(-bits)
    density: NDArray[np.float64] = weights / weights.sum()
    return density
