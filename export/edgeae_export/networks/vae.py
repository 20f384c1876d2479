"""The variational autoencoder: Kingma and Welling 2014 (arXiv:1312.6114), convolutional.

    [N, C, H, W] -> strided convolutions -> mean, log-variance [N, D, 1, 1]
    latents [N, D, 1, 1] -> two dense layers -> convolutions, doubling -> [N, C, H, W]

Dense layers are written as convolutions over one position, so that latents have the same four axes
as those of every other network. Pixels are float32 in 0..1, channels first.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgeae_export.networks.start import he_start

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.autoencoder_recipes import VaeRecipe

LOG_VARIANCE_LIMIT = 8.0  # of the posterior; exp() of more would only overflow


class Encoder(nn.Module):
    """Pixels to the mean and log-variance of the posterior, both [N, D, 1, 1]."""

    def __init__(self, recipe: VaeRecipe) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((recipe.channels, *recipe.filters)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        widest = recipe.filters[-1]
        self.layers = nn.Sequential(
            *layers,
            nn.Conv2d(widest, widest, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(widest, recipe.dense_channels, 1),
            nn.ReLU(),
        )
        self.mean = nn.Conv2d(recipe.dense_channels, recipe.latents, recipe.grid)
        self.log_variance = nn.Conv2d(recipe.dense_channels, recipe.latents, recipe.grid)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance; no random number is drawn here."""
        features = self.layers(pixels)
        log_variance = self.log_variance(features)
        return self.mean(features), log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


class Decoder(nn.Module):
    """Latents to pixels in 0..1; ``logits`` are the pixels before the sigmoid."""

    def __init__(self, recipe: VaeRecipe) -> None:
        super().__init__()
        height, width = recipe.grid
        widest = recipe.filters[-1]
        layers: list[nn.Module] = [
            nn.Conv2d(recipe.latents, recipe.hidden, 1),
            nn.ReLU(),
            nn.Conv2d(recipe.hidden, recipe.dense_channels * height * width, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Unflatten(1, (recipe.dense_channels, height, width)),
            nn.Conv2d(recipe.dense_channels, widest, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(widest, widest, 3, padding=1),
            nn.ReLU(),
        ]
        for inputs, outputs in pairwise(reversed(recipe.filters)):
            layers += [nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2)]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()]
        # The last doubling has no features at full size: they would cost a third of the time.
        layers += [nn.Conv2d(recipe.filters[0], 4 * recipe.channels, 3, padding=1)]
        layers += [nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def logits(self, latents: Tensor) -> Tensor:
        """Log-odds of the pixels [N, C, H, W]."""
        logits: Tensor = self.layers(latents)
        return logits

    def forward(self, latents: Tensor) -> Tensor:
        """Pixels [N, C, H, W] in 0..1: the mean of the likelihood."""
        return self.logits(latents).sigmoid()


class Vae(nn.Module):
    """The pair."""

    def __init__(self, recipe: VaeRecipe) -> None:
        super().__init__()
        self.encoder = Encoder(recipe)
        self.decoder = Decoder(recipe)
        he_start(self)
        nn.init.zeros_(self.encoder.log_variance.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        """Reconstruction [N, C, H, W] from the posterior's mean."""
        reconstruction: Tensor = self.decoder(self.encoder(pixels)[0])
        return reconstruction


def sample_posterior(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Return latents of the posterior from standard normal ``noise`` of the same shape."""
    return mean + torch.exp(0.5 * log_variance) * noise
