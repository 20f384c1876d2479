"""Histograms of what a trained codec really codes: rounded symbols by scale index, z by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae.images.padding import pad
from edgeae.rounding import cheapest, thresholds
from edgeae_export.networks.photo import HYPER_CLIP, SCALES
from edgeae_export.rate_distortion import code_steps, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgeae.entropy.tables import ScaleTables
    from edgeae_export.networks.photo import PhotoCodec

MAGNITUDES = 2048  # larger ones are counted as the largest; rows end at 254 anyway
HYPER_STRIDE = 64  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """Counts of coded values."""

    magnitudes: NDArray[np.int64]  # (SCALES, MAGNITUDES), by scale index
    hyper: NDArray[np.int64]  # (Cz, 2 * HYPER_CLIP + 1), of z = -HYPER_CLIP..HYPER_CLIP


def product_rounding(tables: ScaleTables) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the rounding that the product's encoder does with ``tables``, for `code_steps`."""
    bounds = thresholds(tables)

    def rounding(residual: Tensor, index: Tensor) -> Tensor:
        rows = index.numpy().astype(np.uint8).reshape(-1)
        symbols = cheapest(residual.numpy().reshape(-1), rows, bounds, tables.VALUE_LIMIT)
        return torch.from_numpy(symbols.astype(np.float32)).view_as(residual)

    return rounding


@torch.no_grad()
def count_symbols(
    codec: PhotoCodec,
    pictures: Iterable[NDArray[np.uint8]],
    qualities: Sequence[float],
    rounding: Callable[[Tensor, Tensor], Tensor] = nearest,
) -> Histograms:
    """Return the histograms of ``pictures`` (H, W, 3) coded at each of ``qualities``."""
    magnitudes = torch.zeros(SCALES * MAGNITUDES, dtype=torch.int64)
    channels = codec.shape.hyper_channels
    values = 2 * HYPER_CLIP + 1
    hyper = torch.zeros(channels * values, dtype=torch.int64)
    for picture in pictures:
        padded = torch.from_numpy(pad(picture, HYPER_STRIDE).copy())
        y = codec.encoder(padded[None].float())
        for quality in qualities:
            scaled = y * codec.gain(torch.tensor([quality]))
            z = codec.hyper_encoder(scaled).round().clamp(-HYPER_CLIP, HYPER_CLIP)
            symbols, _, index = code_steps(codec, scaled, z, rounding)
            flat = index.long() * MAGNITUDES + symbols.abs().clamp(max=MAGNITUDES - 1).long()
            magnitudes += torch.bincount(flat.flatten(), minlength=len(magnitudes))
            flat = torch.arange(channels) * values + z.long() + HYPER_CLIP
            hyper += torch.bincount(flat.flatten(), minlength=len(hyper))
    return Histograms(
        magnitudes.view(SCALES, MAGNITUDES).numpy(), hyper.view(channels, values).numpy()
    )
