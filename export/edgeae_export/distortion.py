"""What training lowers beside the rate: errors of decoded pictures, in squared grey levels.

Decoded pictures and originals are [N, H, W, 3] in grey levels 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgeae_export.similarity import ms_ssim

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 16  # pixels a side of a latent's block
SMOOTH_VARIANCE = 4.0  # squared grey levels, at which a border's error counts half
LEAST_ERROR = 1e-3  # squared grey levels, for logarithms: flat pictures come back without any
DISSIMILARITY = 1500.0  # squared grey levels that 1 - MS-SSIM stands for (docs/experiments.md)


@dataclass(frozen=True, slots=True)
class Distortion:
    """A mixture of errors.

    Parameters
    ----------
    border_weight : float
        Of `border_error`, beside the rest.
    structure_share : float
        0..1, how much of the rest is ``1 - MS-SSIM`` in place of the squared error. The two are of
        about one size, so that quality 0..100 stays near its range of rates.
    """

    border_weight: float = 0.0
    structure_share: float = 0.0

    def __call__(self, decoded: Tensor, pixels: Tensor) -> Tensor:
        """Error of each picture [N]."""
        error = (1 - self.structure_share) * squared_error(decoded, pixels)
        if self.structure_share > 0:
            unlike = 1 - ms_ssim(decoded, pixels)
            error = error + self.structure_share * DISSIMILARITY * unlike
        if self.border_weight > 0:
            error = error + self.border_weight * border_error(decoded, pixels)
        return error


def squared_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Mean over pixels and channels [N]."""
    return (decoded - pixels).square().mean((1, 2, 3))


def measured_psnr(error: Tensor) -> Tensor:
    """Return the PSNR in dB of squared errors; one below a thousandth counts as that, 78 dB."""
    return 10 * torch.log10(255**2 / error.clamp(min=LEAST_ERROR))


def border_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Squared error of the steps across block borders in smooth places, a pixel [N].

    Eyes see blocks in skies that the squared error of pixels hardly counts. Both [N, H, W, 3].
    """
    columns = _border_error_of_columns(decoded, pixels)
    return columns + _border_error_of_columns(decoded.transpose(1, 2), pixels.transpose(1, 2))


def _border_error_of_columns(decoded: Tensor, pixels: Tensor) -> Tensor:
    count, height, width, channels = pixels.shape
    half = BLOCK // 2
    # Windows of one block around each border, along the rows.
    around = pixels[:, :, half : width - half].reshape(count, height, -1, BLOCK, channels)
    smoothness = 1 / (1 + around.var(dim=3) / SMOOTH_VARIANCE)
    error = decoded - pixels
    step = error[:, :, BLOCK::BLOCK] - error[:, :, BLOCK - 1 : -1 : BLOCK]
    return (smoothness * step.square()).sum((1, 2, 3)) / (height * width * channels)
