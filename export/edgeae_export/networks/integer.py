"""Layers of the scale path: integers in, integers out, trained with straight-through rounding.

Every value is an integer in float32, exact in any order of summation while partial sums stay
below 2**24 (``edgeae_export.integer_bound`` proves it from the exported weights). Activations are
0..255 and stand for 0..4 (``ACTIVATION_BITS`` fractional bits); weights are -127..127.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgeae_export.networks.layers import linear, neighbours

if TYPE_CHECKING:
    from torch import Tensor

ACTIVATION_BITS = 6  # an activation of 64 stands for 1.0
WEIGHT_LIMIT = 127
POINTWISE_BITS = 7  # a pointwise weight of 128 would stand for 1.0
DEPTHWISE_BITS = 6  # depthwise kernels start near 1.0, so they need the wider range
LEAK = 0.02  # gradient outside a clip, so that a saturated unit can come back


def straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    """Return ``rounded``, with the gradient of ``x``."""
    return x + (rounded - x).detach()


def quantize_weight(theta: Tensor, bits: int) -> Tensor:
    """Integers of real weights ``theta`` with ``bits`` fractional bits, within +-127."""
    scaled = theta * 2.0**bits
    return straight_through(scaled, scaled.round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT))


def quantize_bias(theta: Tensor, bits: int) -> Tensor:
    """Integers of real biases ``theta`` with ``bits`` fractional bits."""
    scaled = theta * 2.0**bits
    return straight_through(scaled, scaled.round())


def clip(x: Tensor, high: int) -> Tensor:
    """``x`` clipped to 0..high, with a small gradient outside."""
    clipped = x.clamp(0, high)
    return straight_through(clipped + LEAK * (x - clipped), clipped)


def shift(total: Tensor, bits: int) -> Tensor:
    """``floor(total / 2**bits)``, exact for integers below 2**24."""
    scaled = total * 2.0**-bits
    return straight_through(scaled, scaled.floor())


class IntegerPointwise(nn.Module):
    """1x1 convolution with integer weights; returns the sum before any shift.

    ``input_bits`` are the fractional bits of the input, which with the weight's give the bias its
    unit.
    """

    def __init__(self, inputs: int, outputs: int, input_bits: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * gain / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.total_bits = POINTWISE_BITS + input_bits

    def integers(self) -> tuple[Tensor, Tensor]:
        """Weight [out, in] and bias [out] as the integers that are exported."""
        bias = quantize_bias(self.bias, self.total_bits)
        return quantize_weight(self.weight, POINTWISE_BITS), bias

    def forward(self, x: Tensor) -> Tensor:
        """Integer sums [N, h, w, out] of integers [N, h, w, in]."""
        return linear(x, *self.integers())


class IntegerDepthwise(nn.Module):
    """Depthwise 3x3 convolution with integer weights [9, C] on activations; sums, no shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        weight = torch.randn(9, channels) * 0.05
        weight[4] += 1.0
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.total_bits = DEPTHWISE_BITS + ACTIVATION_BITS

    def integers(self) -> tuple[Tensor, Tensor]:
        """Weight [9, C] and bias [C] as the integers that are exported."""
        bias = quantize_bias(self.bias, self.total_bits)
        return quantize_weight(self.weight, DEPTHWISE_BITS), bias

    def forward(self, x: Tensor) -> Tensor:
        """Integer sums [N, h, w, C] over the 3x3 neighbourhood of each channel."""
        weight, bias = self.integers()
        total = bias.expand_as(x)
        for shifted, tap in zip(neighbours(x), weight.unbind(), strict=True):
            total = total + shifted * tap
        return total


def activate(total: Tensor, total_bits: int) -> Tensor:
    """Activations 0..255 of integer sums with ``total_bits`` fractional bits."""
    return clip(shift(total, total_bits - ACTIVATION_BITS), 255)
