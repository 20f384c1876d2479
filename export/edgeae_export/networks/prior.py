"""Rates of latents and hyper-latents while training; the product's tables are fitted at export."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from edgeae_export.networks.photo import LOG_SCALE_MAX, LOG_SCALE_MIN, SCALES

if TYPE_CHECKING:
    from torch import Tensor

LIKELIHOOD_MIN = 1e-9  # keeps the logarithm finite; 30 bits


def laplace_scale(index: Tensor) -> Tensor:
    """Scale of the Laplace distribution, in steps: logarithmic from exp(-4) to exp(4.2) at 63."""
    return _log_scale(index).exp()


def laplace_bits(residual: Tensor, index: Tensor) -> Tensor:
    """Bits of ``residual`` (steps) under a Laplace distribution integrated over one step.

    ``index`` 0..63 is that of `laplace_scale`. Outside +-0.5 the logarithm is taken in closed form,
    so that no far outlier loses its gradient.
    """
    inverse = torch.exp(-_log_scale(index))
    magnitude = residual.abs()
    tail = (magnitude - 0.5).clamp(min=0.0) * inverse
    outside = tail - torch.log(0.5 * -torch.expm1(-inverse))
    near = (0.5 - magnitude).clamp(min=0.0)  # the two exponents below stay negative
    inside = 1 - 0.5 * (torch.exp(-near * inverse) + torch.exp(-(1 - near) * inverse))
    inside_bits = -torch.log(inside.clamp(min=LIKELIHOOD_MIN))
    return torch.where(magnitude < 0.5, inside_bits, outside) / math.log(2)


def _log_scale(index: Tensor) -> Tensor:
    return LOG_SCALE_MIN + index * ((LOG_SCALE_MAX - LOG_SCALE_MIN) / (SCALES - 1))


class ChannelPrior(nn.Module):
    """Factorized prior of z: a mixture of three logistic distributions for each channel."""

    COMPONENTS = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        spread = torch.linspace(-1, 1, self.COMPONENTS)
        self.weight = nn.Parameter(torch.zeros(channels, self.COMPONENTS))
        self.mean = nn.Parameter(spread.repeat(channels, 1).clone())
        self.log_scale = nn.Parameter(torch.zeros(channels, self.COMPONENTS))

    def bits(self, z: Tensor) -> Tensor:
        """Bits of each element of z [N, h, w, Cz], integrated over one step."""
        centred = z[..., None] - self.mean
        inverse = torch.exp(-self.log_scale)
        upper = torch.sigmoid((centred + 0.5) * inverse)
        lower = torch.sigmoid((centred - 0.5) * inverse)
        likelihood = ((upper - lower) * F.softmax(self.weight, dim=-1)).sum(-1)
        return -torch.log2(likelihood.clamp(min=LIKELIHOOD_MIN))
