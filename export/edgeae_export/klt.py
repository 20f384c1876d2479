"""The start of the photo codec: a transform codec that works before the first training step.

Linear paths from the principal components of 16x16x3 patches, gains from the step that is optimal
for each rate anchor, scale biases from the components' variances, and the overlapping part of the
synthesis by least squares (DESIGN section 3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae_export import ridge
from edgeae_export.networks.layers import neighbours, space_to_depth
from edgeae_export.networks.photo import (
    GREY,
    INDEX_BITS,
    LOG_SCALE_MAX,
    LOG_SCALE_MIN,
    SCALES,
    PhotoCodec,
)

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.pictures import CropSampler

STEP = 5.1  # grey levels times sqrt(lambda): the best uniform step for bpp + lambda * MSE
PATCHES = 131_072  # for the covariance; a quarter of them for the least squares
BATCH = 32  # crops
RIDGE = 1e-4  # of the mean square of the inputs
DEAD_ZONE = 0.4  # rounding offset of the mild dead zone in the least squares


def start(codec: PhotoCodec, sampler: CropSampler, lambdas: list[float], side: int) -> None:
    """Set the linear paths, gains and scale biases of ``codec`` from crops of ``side`` pixels."""
    batches = max(1, PATCHES // (BATCH * (side // 16) ** 2))
    crops = [torch.from_numpy(sampler.crops(BATCH, side)).float() - GREY for _ in range(batches)]
    patches = [patches_of(c) for c in crops]
    basis, deviation = principal_components(patches, codec.shape.latent_channels)
    steps = best_steps(lambdas)
    with torch.no_grad():
        codec.encoder.linear.copy_(basis)
        codec.decoder.linear.copy_(basis.T)
        codec.decoder.linear_overlap.copy_(
            overlap_weights(patches[: max(1, batches // 4)], basis, steps, codec.shape.overlap)
        )
        log_steps = torch.tensor(steps).log()[:, None]
        codec.gain.log.copy_(-log_steps.expand_as(codec.gain.log))
        codec.inverse_gain.log.copy_(log_steps.expand_as(codec.inverse_gain.log))
        middle = steps[len(steps) // 2 - 1]
        log_scale = (deviation / (math.sqrt(2) * middle)).log()
        index = (log_scale - LOG_SCALE_MIN) * ((SCALES - 1) / (LOG_SCALE_MAX - LOG_SCALE_MIN))
        codec.hyper_decoder.scale.tail.bias.copy_(index.clamp(1, SCALES - 2) / 2**INDEX_BITS)


def patches_of(pixels: Tensor) -> Tensor:
    """Return the 16x16x3 patches [N, h, w, 768] of pixels [N, H, W, 3]."""
    return space_to_depth(space_to_depth(pixels, 8), 2)


def best_steps(lambdas: list[float]) -> list[float]:
    """Return the step of an orthonormal component, in grey levels, that is best at each lambda."""
    return [STEP / math.sqrt(lmbda) for lmbda in lambdas]


def principal_components(patches: list[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """Return the first components [count, 768] of the patches and their deviations [count]."""
    flat = torch.cat([p.reshape(-1, p.shape[-1]) for p in patches]).double()
    covariance = flat.T @ flat / len(flat)  # about mid-grey, which every picture shares
    values, vectors = np.linalg.eigh(covariance.numpy())
    order = np.argsort(values)[::-1][:count]
    basis = torch.from_numpy(vectors[:, order].T.copy()).float()
    return basis, torch.from_numpy(values[order].copy()).clamp(min=1e-3).sqrt().float()


def overlap_weights(
    patches: list[Tensor], basis: Tensor, steps: list[float], overlap: int
) -> Tensor:
    """Weights [768, 9 * overlap] that best predict what the quantized patches miss."""
    total = torch.zeros(basis.shape[1], 9 * overlap, dtype=torch.float64)
    for step in steps:
        gram = torch.zeros(9 * overlap, 9 * overlap, dtype=torch.float64)
        cross = torch.zeros(9 * overlap, basis.shape[1], dtype=torch.float64)
        for patch in patches:
            y = patch @ basis.T
            magnitude = (y.abs() / step + DEAD_ZONE).floor()
            y_hat = y.sign() * magnitude * step
            missing = (patch - y_hat @ basis)[:, 1:-1, 1:-1]
            around = torch.cat(neighbours(y_hat[..., :overlap]), dim=-1)[:, 1:-1, 1:-1]
            flat = around.reshape(-1, 9 * overlap).double()
            gram += flat.T @ flat
            cross += flat.T @ missing.reshape(len(flat), -1).double()
        total += ridge.solve(gram, cross, RIDGE).T
    return (total / len(steps)).float()
