"""From a bundle's tables of hyper-latents back to the prior that training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae_export.networks.prior import ChannelPrior

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae.entropy.tables import ChannelTables

STEPS = 300
LEARNING_RATE = 0.05


def prior_of(tables: ChannelTables) -> ChannelPrior:
    """Return the prior whose bits of z, expected under ``tables``, are least.

    What a row leaves to its escape plays no part.
    """
    values, shares = _distributions(tables)
    mean = (shares * values).sum(dim=1)
    deviation = (shares * (values - mean[:, None]).square()).sum(dim=1).sqrt()
    prior = ChannelPrior(len(tables))
    with torch.no_grad():
        prior.mean.mul_(deviation[:, None]).add_(mean[:, None])
        prior.log_scale.add_(deviation.clamp(min=0.2).log()[:, None] - 1)
    optimizer = torch.optim.Adam(prior.parameters(), lr=LEARNING_RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            expected = (shares * prior.bits(values.T).T).sum(dim=1)
            optimizer.zero_grad()
            expected.sum().backward()  # type: ignore[no-untyped-call]  # of torch
            optimizer.step()
    return prior


def _distributions(tables: ChannelTables) -> tuple[Tensor, Tensor]:
    """Return values and their shares [channels, n]; short rows are padded with shares of 0."""
    inside = [row[:-1].astype(np.float64) for row in tables.frequencies]
    longest = max(len(row) for row in inside)
    shares = np.stack([np.pad(row / row.sum(), (0, longest - len(row))) for row in inside])
    values = tables.minimum[:, np.newaxis] + np.arange(longest)
    return torch.from_numpy(values).float(), torch.from_numpy(shares).float()
