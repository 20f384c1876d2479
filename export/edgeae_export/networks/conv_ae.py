"""The classic convolutional autoencoder: two rounds of convolution and pooling, and their mirror.

    [N, C, H, W] -> conv, pool -> conv, pool -> code [N, 8, H/4, W/4]
    code -> conv, double -> conv, double -> conv, sigmoid -> [N, C, H, W]

Convolutions are 3x3 and followed by ReLU, except for the last; so a code is never negative.
Pixels are float32 in 0..1, channels first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from edgeae_export.networks.start import he_start

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.autoencoder_recipes import ConvAutoencoderRecipe

STRIDE = 4  # pixels a side of one position of the code


class Encoder(nn.Sequential):
    """Pixels [N, C, H, W] in 0..1 to the code [N, code, H/4, W/4], at least 0."""

    def __init__(self, channels: int, filters: int, code_channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, filters, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(filters, code_channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )


class Decoder(nn.Module):
    """The code to pixels in 0..1; ``logits`` are the pixels before the sigmoid."""

    def __init__(self, channels: int, filters: int, code_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(code_channels, code_channels, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(code_channels, filters, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(filters, channels, 3, padding=1),
        )

    def logits(self, code: Tensor) -> Tensor:
        """Log-odds of the pixels [N, C, H, W]."""
        logits: Tensor = self.layers(code)
        return logits

    def forward(self, code: Tensor) -> Tensor:
        """Pixels [N, C, H, W] in 0..1."""
        return self.logits(code).sigmoid()


class ConvAutoencoder(nn.Module):
    """The pair; ``forward`` is the way through both."""

    def __init__(self, recipe: ConvAutoencoderRecipe) -> None:
        super().__init__()
        shape = (recipe.channels, recipe.filters, recipe.code_channels)
        self.encoder = Encoder(*shape)
        self.decoder = Decoder(*shape)
        he_start(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """Reconstruction [N, C, H, W] in 0..1."""
        reconstruction: Tensor = self.decoder(self.encoder(pixels))
        return reconstruction
