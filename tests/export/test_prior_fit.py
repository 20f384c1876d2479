from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeae.entropy.tables import ChannelTables
from edgeae_export.freeze import integer_frequencies
from edgeae_export.prior_fit import prior_of

pytestmark = pytest.mark.torch

LOWEST, HIGHEST = -12, 12


def table_of(*channels: np.ndarray) -> ChannelTables:
    """One row a channel from probabilities of -12..12, next to nothing for the escape."""
    rows = tuple(integer_frequencies(np.append(shares, 1e-6)) for shares in channels)
    return ChannelTables(rows, np.full(len(rows), LOWEST, np.int16))


def test_prior_costs_what_the_tables_cost() -> None:
    values = np.arange(LOWEST, HIGHEST + 1)
    narrow = np.exp(-np.abs(values - 3) / 0.3)
    wide = np.exp(-0.5 * (values / 4.0) ** 2)
    double = np.exp(-np.abs(values + 6)) + np.exp(-np.abs(values - 5))
    channels = [shares / shares.sum() for shares in (narrow, wide, double)]
    prior = prior_of(table_of(*channels))

    grid = torch.from_numpy(values).float()[:, None].expand(-1, len(channels))
    with torch.no_grad():
        bits = prior.bits(grid).double().numpy().T
    for shares, cost in zip(channels, bits, strict=True):
        entropy = -(shares * np.log2(shares)).sum()
        assert entropy <= (shares * cost).sum() <= entropy + 0.05
