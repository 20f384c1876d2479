"""The start of the context: the first components' means by least squares, and scales to match.

Smooth pictures spend much of their bits on the blocks' mean colours and slopes. What neighbours
say of those is nearly linear (docs/experiments.md), so it is solved for and not searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgeae_export import ridge
from edgeae_export.networks.layers import neighbours
from edgeae_export.networks.photo import (
    ANCHOR_STEP,
    ANCHORS,
    HYPER_CLIP,
    INDEX_BITS,
    NEARBY,
    SCALES,
    SYMBOL_CLIP,
    PhotoCodec,
)
from edgeae_export.networks.prior import laplace_bits, laplace_scale

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 1e-3  # of the mean square of the inputs
SMALLEST_SCALE = 0.3  # steps
SHIFTS = tuple(range(-12, 13))  # of scale indexes, that are tried


@torch.no_grad()
def start(codec: PhotoCodec, crops: Tensor) -> None:
    """Set ``linear_step`` and ``tail_step`` of ``codec`` from ``crops`` [N, H, W, 3].

    The quality rises from crop to crop over the anchors.
    """
    anchors = torch.arange(len(crops), device=crops.device) % ANCHORS
    scaled = codec.encoder(crops) * codec.gain(anchors * ANCHOR_STEP)
    z = codec.hyper_encoder(scaled).round().clamp(-HYPER_CLIP, HYPER_CLIP)
    networks = codec.hyper_decoder
    trunks = networks.mean.trunk(z), networks.scale.trunk(z)
    networks.mean.linear_step.zero_()
    networks.scale.tail_step.zero_()
    symbols = torch.zeros_like(scaled)
    for step, mask in enumerate(codec.tiled_masks(*scaled.shape[1:3])):
        mean, index = networks.step(trunks, symbols, step)
        if step > 0:
            clipped_off = symbols - symbols.clamp(-SYMBOL_CLIP, SYMBOL_CLIP)
            first = clipped_off[..., : codec.shape.predicted]
            scale = laplace_scale(index).clamp(min=SMALLEST_SCALE)
            networks.mean.linear_step[step] = _weights(first, scaled - mean, scale, mask)
            mean, index = networks.step(trunks, symbols, step)
        rounded = (scaled - mean).round()
        networks.scale.tail_step[step] = _shift(rounded, index, mask) / 2**INDEX_BITS
        symbols = symbols + rounded * mask


def _weights(known: Tensor, wanted: Tensor, scale: Tensor, mask: Tensor) -> Tensor:
    """Weights [P, 25 * P] from ``known`` [N, h, w, P] around to what is wanted under the mask."""
    around = torch.cat(neighbours(known, NEARBY), dim=-1)
    weights = []
    for channel in range(known.shape[-1]):
        here = mask[..., channel] > 0
        sharp = 1 / scale[:, here][..., channel].reshape(-1, 1)  # counts more where more is known
        inputs = around[:, here].flatten(0, 1) * sharp
        outputs = wanted[:, here][..., channel].reshape(-1, 1) * sharp
        gram, cross = (inputs.T @ inputs).double(), (inputs.T @ outputs).double()
        weights.append(ridge.solve(gram, cross, RIDGE)[:, 0])
    return torch.stack(weights).float()


def _shift(residual: Tensor, index: Tensor, mask: Tensor) -> Tensor:
    """Scale indexes [C] to add, by trial: those that cost the fewest bits."""
    costs = []
    for shift in SHIFTS:
        bits = laplace_bits(residual, (index + shift).clamp(0, SCALES - 1))
        costs.append((bits * mask).sum((0, 1, 2)))
    return torch.stack(costs).argmin(dim=0) + SHIFTS[0]
