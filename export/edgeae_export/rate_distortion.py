"""Rate and distortion of a batch of crops, in bits per pixel and squared grey levels.

Training measures the rate on noise and the distortion on straight-through rounding
(Minnen 2020, arXiv:2007.08739, section 3.3); evaluation rounds both to the
nearest. The product rounds by rate and distortion besides (``edgeae.rounding``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edgeae_export.distortion import Distortion
from edgeae_export.networks.integer import straight_through
from edgeae_export.networks.photo import HYPER_CLIP, PhotoCodec
from edgeae_export.networks.prior import ChannelPrior, laplace_bits

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PLAIN = Distortion()


class PhotoModel(nn.Module):
    """The photo codec with the prior that only training needs.

    ``dtype`` is that of the matrix products in the transforms and the hyper-analysis while
    training; gains, rates, means and scales are always float32. ``distortion`` is what training
    lowers beside the rate.
    """

    def __init__(
        self,
        codec: PhotoCodec,
        dtype: torch.dtype = torch.float32,
        distortion: Distortion = PLAIN,
    ) -> None:
        super().__init__()
        self.codec = codec
        self.dtype = dtype
        self.distortion = distortion
        self.prior = ChannelPrior(codec.shape.hyper_channels)

    def forward(
        self, pixels: Tensor, quality: Tensor, noise_y: Tensor, noise_z: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Bits per pixel of y and of z, and the distortion, each [N].

        ``pixels`` [N, H, W, 3] in 0..255, ``quality`` [N] in 0..100, noises uniform in +-0.5 of
        the shapes of y and z; all-zero noise is not rounding: see ``evaluate``.
        """
        codec = self.codec
        with self._reduced(pixels):
            y = codec.encoder(pixels).float()
        scaled = y * codec.gain(quality)
        with self._reduced(pixels):
            z_real = codec.hyper_encoder(scaled).float()
        z = straight_through(z_real, z_real.round().clamp(-HYPER_CLIP, HYPER_CLIP))
        symbols, mean, index = code_steps(codec, scaled, z)
        y_bits = laplace_bits(scaled - mean + noise_y, index)
        z_bits = self.prior.bits(z_real + noise_z)
        y_hat = (symbols + mean) * codec.inverse_gain(quality)
        with self._reduced(pixels):
            decoded = codec.decoder(y_hat).float()
        # As in the product: what lies beyond black or white is no error, and may be aimed at.
        decoded = straight_through(decoded, decoded.clamp(0, 255))
        area = pixels.shape[1] * pixels.shape[2]
        error = self.distortion(decoded, pixels)
        return y_bits.sum((1, 2, 3)) / area, z_bits.sum((1, 2, 3)) / area, error

    def _reduced(self, pixels: Tensor) -> torch.autocast:
        device = pixels.device.type
        return torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32)

    @torch.no_grad()
    def evaluate(self, pixels: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bits per pixel of y and of z [N], and the decoded pictures [N, H, W, 3].

        Symbols, hyper-latents and pixels are rounded to the nearest integer.
        """
        codec = self.codec
        scaled = codec.encoder(pixels) * codec.gain(quality)
        z = codec.hyper_encoder(scaled).round().clamp(-HYPER_CLIP, HYPER_CLIP)
        symbols, mean, index = code_steps(codec, scaled, z)
        y_bits = torch.where(index > 0, laplace_bits(symbols, index), 0.0)
        z_bits = self.prior.bits(z)
        decoded = codec.decoder((symbols + mean) * codec.inverse_gain(quality))
        decoded = decoded.round().clamp(0, 255)
        area = pixels.shape[1] * pixels.shape[2]
        return y_bits.sum((1, 2, 3)) / area, z_bits.sum((1, 2, 3)) / area, decoded


def nearest(residual: Tensor, index: Tensor) -> Tensor:
    """Symbols of the residuals, whatever the scale index."""
    return residual.round()


def code_steps(
    codec: PhotoCodec,
    scaled: Tensor,
    z: Tensor,
    rounding: Callable[[Tensor, Tensor], Tensor] = nearest,
) -> tuple[Tensor, Tensor, Tensor]:
    """Symbols, mean and scale index [N, h, w, C] of the encoder's loop over the masks.

    ``rounding`` maps residuals and scale indexes to symbols; gradients pass straight through it.
    """
    trunks = (codec.hyper_decoder.mean.trunk(z), codec.hyper_decoder.scale.trunk(z))
    symbols = torch.zeros_like(scaled)
    mean, index = torch.zeros_like(scaled), torch.zeros_like(scaled)
    for step, mask in enumerate(codec.tiled_masks(*scaled.shape[1:3])):
        step_mean, step_index = codec.hyper_decoder.step(trunks, symbols, step)
        residual = scaled - step_mean
        rounded = straight_through(residual, rounding(residual, step_index)) * (step_index > 0)
        symbols = symbols + rounded * mask
        mean = mean + step_mean * mask
        index = index + step_index * mask
    return symbols, mean, index
