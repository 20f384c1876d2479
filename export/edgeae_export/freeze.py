"""Histograms and trained priors to the integer tables of the product.

A row's probabilities are its histogram with the prior as a few pseudo-counts, so that a symbol
that the training photos never showed keeps a sane price. The row's length, and with it what is
left to the escape, is the one of least expected cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae.entropy.tables import PRECISION_BITS, ChannelTables, ScaleTables
from edgeae_export.histograms import MAGNITUDES
from edgeae_export.networks.photo import HYPER_CLIP, SCALES
from edgeae_export.networks.prior import laplace_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae_export.histograms import Histograms
    from edgeae_export.networks.prior import ChannelPrior

    Floats = NDArray[np.float64]

PSEUDO_COUNTS = 20.0  # weight of the prior against the histogram, in symbols a row
ROW_LENGTHS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
# Of a channel's values, left to the escape on each side; the large ones are for wide channels.
TAIL_SHARES = (0.0, *(2.0**-bits for bits in (14, 12, 10, 8, 6, 4, 2)))
NEGLIGIBLE = 2.0**-20  # share of escapes below which a longer row gains nothing
LONGEST = ROW_LENGTHS[-1]
MINIMUM_LIMIT = 256  # of a channel's lowest value; docs/FORMAT.md 5.1


def freeze_scale_tables(histograms: Histograms) -> ScaleTables:
    """Return one row of magnitudes for each scale index; row 0 is never coded."""
    rows = [np.full(2, 2 ** (PRECISION_BITS - 1))]
    magnitudes = torch.arange(MAGNITUDES).float()
    for index in range(1, SCALES):
        laplace = np.exp2(-laplace_bits(magnitudes, torch.tensor(float(index))).double().numpy())
        laplace[1:] *= 2  # both signs
        rows.append(_scale_row(_smooth(histograms.magnitudes[index], laplace)))
    return ScaleTables(tuple(rows))


def freeze_channel_tables(histograms: Histograms, prior: ChannelPrior) -> ChannelTables:
    """Return one row of values for each channel of z."""
    values = torch.arange(-HYPER_CLIP, HYPER_CLIP + 1).float()
    with torch.no_grad():
        bits = prior.bits(values[:, None].expand(-1, len(histograms.hyper)))
    priors = np.exp2(-bits.double().numpy()).T
    fitted = [
        channel_row(_smooth(counts, expected), -HYPER_CLIP)
        for counts, expected in zip(histograms.hyper, priors, strict=True)
    ]
    minimum = np.array([low for low, _ in fitted], np.int16)
    return ChannelTables(tuple(row for _, row in fitted), minimum)


def integer_frequencies(
    probabilities: Floats, precision: int = PRECISION_BITS
) -> NDArray[np.int64]:
    """Return frequencies of at least 1 that sum to ``2**precision``, as cheap as possible.

    From the rounded ones, single counts are given or taken where that costs least (in bits).
    """
    total = 1 << precision
    frequencies = np.maximum(1, np.rint(probabilities * total)).astype(np.int64)
    excess = int(frequencies.sum()) - total
    for _ in range(excess):
        loss = np.full(len(frequencies), np.inf)
        many = frequencies > 1
        loss[many] = probabilities[many] * -np.log1p(-1 / frequencies[many])
        frequencies[np.argmin(loss)] -= 1
    for _ in range(-excess):
        frequencies[np.argmax(probabilities * np.log1p(1 / frequencies))] += 1
    return frequencies


def _smooth(counts: NDArray[np.int64], prior: Floats) -> Floats:
    weighted = counts + PSEUDO_COUNTS * prior
    smoothed: Floats = weighted / weighted.sum()
    return smoothed


def _scale_row(probabilities: Floats) -> NDArray[np.int64]:
    """Return the row of least cost for the probabilities of magnitudes 0, 1, ..."""
    costs, rows = [], []
    for length in ROW_LENGTHS:
        inside, outside = probabilities[: length - 1], probabilities[length - 1 :]
        row = integer_frequencies(np.append(inside, outside.sum()))
        rows.append(row)
        costs.append(_cost_bits(inside, outside, np.arange(len(outside)), row))
        if outside.sum() < NEGLIGIBLE:
            break
    return rows[int(np.argmin(costs))]


def channel_row(probabilities: Floats, lowest: int) -> tuple[int, NDArray[np.int64]]:
    """Return the first value and the row of least cost for probabilities of ``lowest`` and up."""
    costs, rows = [], []
    rising = np.cumsum(probabilities)
    for share in TAIL_SHARES:
        low = int(np.searchsorted(rising, share, side="right")) if share else 0
        high = int(np.searchsorted(rising, 1 - share)) + 1 if share else len(probabilities)
        low = min(max(low, -MINIMUM_LIMIT - lowest), len(probabilities) - 1, MINIMUM_LIMIT - lowest)
        high = min(high, low + LONGEST - 1)
        high = min(max(high, low + 1), len(probabilities))
        inside = probabilities[low:high]
        outside = np.concatenate([probabilities[:low], probabilities[high:]])
        above = 2 * np.arange(len(probabilities) - high)  # those below interleave with those above
        below = 2 * np.arange(low, 0, -1) - 1
        row = integer_frequencies(np.append(inside, outside.sum()))
        rows.append((low + lowest, row))
        costs.append(_cost_bits(inside, outside, np.concatenate([below, above]), row))
    return rows[int(np.argmin(costs))]


def _cost_bits(
    inside: Floats, outside: Floats, overflow: NDArray[np.int64], row: NDArray[np.int64]
) -> float:
    """Return the expected bits of a symbol; an escape costs its class and its remainder."""
    bits = PRECISION_BITS - np.log2(row)
    classes = np.floor(np.log2(overflow + 1))
    escapes = outside @ (bits[-1] + 2 * classes + 1)
    return float(inside @ bits[:-1] + escapes)
