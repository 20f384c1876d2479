"""From batches of bytes to tensors on the network's device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn


def to_pixels(batch: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels float32 [N, C, H, W] in 0..1 of (N, H, W, C) uint8; channels last in memory."""
    levels = torch.tensor(batch).permute(0, 3, 1, 2)  # a copy: batches may be read-only
    return levels.to(device, torch.float32).contiguous(memory_format=torch.channels_last) / 255


def normal(shape: Sequence[int], random: np.random.Generator, device: torch.device) -> Tensor:
    """Draw standard normal float32 from ``random``, whatever the device, so that runs repeat."""
    return torch.from_numpy(random.standard_normal(shape, dtype=np.float32)).to(device)


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's weights."""
    return next(network.parameters()).device
