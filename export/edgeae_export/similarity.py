"""MS-SSIM as something to train for: differentiable, of crops whose five scales are all whole.

The figure that is reported is ``edgeae.metrics.ms_ssim``; this has its window, constants and
weights, in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from edgeae.metrics import C1, C2, MS_SSIM_MIN_SIDE, SCALE_WEIGHTS, WINDOW

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 1e-4  # of a scale's mean term: its gradient stays finite where nothing is alike


def ms_ssim(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Multi-scale structural similarity [N] of pictures [N, H, W, 3] in grey levels 0..255.

    Wang 2003, equation 7, the mean over channels; sides are multiples of 16 and at least 161.
    """
    x, y = decoded.permute(0, 3, 1, 2), pixels.permute(0, 3, 1, 2)
    if min(x.shape[2:]) < MS_SSIM_MIN_SIDE:
        raise ValueError(f"MS-SSIM needs sides of {MS_SSIM_MIN_SIDE} pixels, not {x.shape[2:]}")
    product = torch.ones_like(x[:, :, 0, 0])
    for weight in SCALE_WEIGHTS[:-1]:
        _, contrast_structure = _ssim_terms(x, y)
        product = product * contrast_structure.clamp(min=FLOOR) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    similarity, _ = _ssim_terms(x, y)
    return (product * similarity.clamp(min=FLOOR) ** SCALE_WEIGHTS[-1]).mean(dim=1)


def _ssim_terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Means [N, 3] of luminance * contrast * structure and of contrast * structure."""
    moments = _blur(torch.cat((x, y, x * x + y * y, x * y), dim=1))
    mean_x, mean_y, squares, products = moments.chunk(4, dim=1)
    both, product = mean_x.square() + mean_y.square(), mean_x * mean_y
    contrast_structure = (2 * (products - product) + C2) / (squares - both + C2)
    luminance = (2 * product + C1) / (both + C1)
    return (luminance * contrast_structure).mean((2, 3)), contrast_structure.mean((2, 3))


def _blur(planes: Tensor) -> Tensor:
    """Gaussian means over all windows that lie inside planes [N, C, H, W]."""
    channels = planes.shape[1]
    window = torch.tensor(WINDOW, dtype=planes.dtype, device=planes.device)
    columns = window.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    rows = F.conv2d(planes, columns, groups=channels)
    return F.conv2d(rows, columns.transpose(2, 3), groups=channels)
