"""The denoiser: a fully convolutional pair that restores pictures of any size.

    x [N, C, H, W] -> features at 1/2 -> features at 1/4 -> y [N, L, H/4, W/4]
    y -> features at 1/4 -> features at 1/2 -> x_hat [N, C, H, W]

Beside the features a linear path runs from the pixels into the latents and from the latents to the
pixels. At the start it copies the picture (16 C of the L channels hold one 4x4 block each) and the
rest adds nothing, so that the layers learn what to take away from the picture: the residual
learning of DnCNN (arXiv:1608.03981), in a form that can be cut in two at the latents.
The pair is told no noise level. Pixels are float32 in 0..1, channels first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.autoencoder_recipes import DenoiseRecipe

STRIDE = 4  # pixels a side of one latent


class Residual(nn.Module):
    """``x + conv(relu(conv(x)))``, 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the shape of ``x``."""
        y: Tensor = x + self.second(F.relu(self.first(x)))
        return y


class Encoder(nn.Module):
    """Damaged pixels in 0..1 to latents [N, L, H/4, W/4]."""

    def __init__(self, recipe: DenoiseRecipe) -> None:
        super().__init__()
        copied = STRIDE**2 * recipe.channels
        self.linear = nn.Conv2d(recipe.channels, recipe.latents, STRIDE, STRIDE, bias=False)
        self.layers = nn.Sequential(
            nn.Conv2d(recipe.channels, recipe.filters2, 4, stride=2, padding=1),
            *(Residual(recipe.filters2) for _ in range(recipe.blocks2)),
            nn.Conv2d(recipe.filters2, recipe.filters4, 2, stride=2),
            *(Residual(recipe.filters4) for _ in range(recipe.blocks4)),
            nn.ReLU(),
        )
        self.output = nn.Conv2d(recipe.filters4, recipe.latents, 1, bias=False)
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.weight[:copied] = torch.eye(copied).view(copied, -1, STRIDE, STRIDE)
            self.output.weight[:copied] = 0

    def forward(self, pixels: Tensor) -> Tensor:
        """Latents of ``pixels`` [N, C, H, W]; H and W are multiples of 4."""
        y: Tensor = self.linear(pixels) + self.output(self.layers(pixels))
        return y


class Decoder(nn.Module):
    """Latents to restored pixels in 0..1; ``unbounded`` are the pixels before the clip."""

    def __init__(self, recipe: DenoiseRecipe) -> None:
        super().__init__()
        copied = STRIDE**2 * recipe.channels
        self.linear = nn.Conv2d(recipe.latents, copied, 1, bias=False)
        self.layers = nn.Sequential(
            nn.Conv2d(recipe.latents, recipe.filters4, 1),
            *(Residual(recipe.filters4) for _ in range(recipe.blocks4)),
            nn.Conv2d(recipe.filters4, 4 * recipe.filters2, 1),
            nn.PixelShuffle(2),
            *(Residual(recipe.filters2) for _ in range(recipe.blocks2)),
            nn.ReLU(),
        )
        self.output = nn.Conv2d(recipe.filters2, 4 * recipe.channels, 3, padding=1, bias=False)
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.weight[:, :copied] = torch.eye(copied)[..., None, None]
            self.output.weight.zero_()

    def unbounded(self, y: Tensor) -> Tensor:
        """Pixels [N, C, H, W], a little beyond 0..1 in places."""
        copy = F.pixel_shuffle(self.linear(y), STRIDE)
        return copy + F.pixel_shuffle(self.output(self.layers(y)), 2)

    def forward(self, y: Tensor) -> Tensor:
        """Restored pixels [N, C, H, W] in 0..1."""
        return self.unbounded(y).clamp(0, 1)


class Denoiser(nn.Module):
    """The pair."""

    def __init__(self, recipe: DenoiseRecipe) -> None:
        super().__init__()
        self.encoder = Encoder(recipe)
        self.decoder = Decoder(recipe)

    def forward(self, pixels: Tensor) -> Tensor:
        """Restored pixels [N, C, H, W] in 0..1."""
        restored: Tensor = self.decoder(self.encoder(pixels))
        return restored
