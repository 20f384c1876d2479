"""The objective of the denoiser: damaged pictures, restored."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from edgeae_export.corruption import (
    Corruption,
    GaussianNoise,
    JpegArtefacts,
    MissingPatches,
    OneOf,
    corrupt,
)
from edgeae_export.objectives.pixels import device_of, to_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgeae_export.autoencoder_recipes import DenoiseRecipe
    from edgeae_export.networks.denoise import Denoiser

    Pictures = NDArray[np.uint8]


VALIDATION_SEED = 1  # of the damage, so that the figures of a run compare


def corruption_of(recipe: DenoiseRecipe) -> Corruption:
    """Return the damage that the recipe trains on."""
    return OneOf(
        (
            GaussianNoise(recipe.noise_low, recipe.noise_high),
            JpegArtefacts(recipe.jpeg_low, recipe.jpeg_high),
            MissingPatches(recipe.patches, recipe.patch_side),
        ),
        (1 - recipe.jpeg_share - recipe.patch_share, recipe.jpeg_share, recipe.patch_share),
    )


def losses_of(
    network: Denoiser,
    recipe: DenoiseRecipe,
    batch: Pictures,
    epoch: float,
    random: np.random.Generator,
) -> dict[str, Tensor]:
    """Return the mean absolute error of restored pixels, and the mean squared error, in 0..1."""
    del epoch
    damaged = to_pixels(corrupt(batch, corruption_of(recipe), random), device_of(network))
    restored = network.decoder.unbounded(network.encoder(damaged))
    target = to_pixels(batch, device_of(network))
    return {"loss": F.l1_loss(restored, target), "mse": F.mse_loss(restored, target)}


def probes(recipe: DenoiseRecipe) -> dict[str, Corruption]:
    """Damage of fixed strength to judge by: three noise levels, and what else is trained on."""
    middle = (recipe.noise_low + recipe.noise_high) / 2
    noise: dict[str, Corruption] = {
        f"noise_{sigma:g}": GaussianNoise(sigma, sigma)
        for sigma in (recipe.noise_low, middle, recipe.noise_high)
    }
    if recipe.jpeg_share > 0:
        noise[f"jpeg_{recipe.jpeg_low}"] = JpegArtefacts(recipe.jpeg_low, recipe.jpeg_low)
    if recipe.patch_share > 0:
        noise["patches"] = MissingPatches(recipe.patches, recipe.patch_side)
    return noise


def figures_of(
    network: Denoiser, recipe: DenoiseRecipe, held_out: Sequence[Pictures]
) -> dict[str, float]:
    """PSNR in dB of restored and, as ``..._before``, of damaged pictures.

    Of the mean squared error over all of them: a patch that falls on black takes nothing away, and
    the infinite PSNR of such a picture would outweigh the rest.
    """
    figures = {}
    for name, corruption in probes(recipe).items():
        random = np.random.default_rng(VALIDATION_SEED)
        before, after = [], []
        for batch in held_out:
            damaged = to_pixels(corrupt(batch, corruption, random), device_of(network))
            target = to_pixels(batch, device_of(network))
            before.append((damaged - target).square().flatten(1).mean(dim=1))
            after.append((network(damaged) - target).square().flatten(1).mean(dim=1))
        figures[name] = psnr_db(torch.cat(after))
        figures[f"{name}_before"] = psnr_db(torch.cat(before))
    return figures


def psnr_db(errors: Tensor) -> float:
    """Return the PSNR of pixels in 0..1 from the squared error of each picture [N]."""
    return -10 * math.log10(max(float(errors.mean()), 1e-10))
