"""Layers of the transforms, channels last: pictures and features are float32 [N, H, W, C].

1x1 convolutions are matrix products over flattened positions and depthwise 3x3 convolutions are
nine shifted multiply-adds: on CPUs without bfloat16 units the compiled pair runs 1.3 times as
fast as the library's convolutions (docs/experiments.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


LEAK = 0.005  # of the gradient, where a ReLU is off


def space_to_depth(x: Tensor, block: int) -> Tensor:
    """Fold each ``block`` x ``block`` square into channels, order (dy, dx, c); ONNX's too."""
    n, h, w, c = x.shape
    x = x.view(n, h // block, block, w // block, block, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // block, w // block, block * block * c)


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """Unfold channels in the order (dy, dx, c) into squares; ONNX's DepthToSpace, mode DCR."""
    n, h, w, c = x.shape
    x = x.view(n, h, w, block, block, c // block**2).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * block, w * block, c // block**2)


def neighbours(x: Tensor, side: int = 3) -> list[Tensor]:
    """``side`` x ``side`` shifted views of ``x``, by rows from the upper left, zero outside."""
    h, w = x.shape[1:3]
    padded = F.pad(x, (0, 0, *(4 * (side // 2,))))
    return [padded[:, i : i + h, j : j + w] for i in range(side) for j in range(side)]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution of ``x`` [N, h, w, in] with ``weight`` [out, in]."""
    return F.linear(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], -1)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Depthwise 3x3 convolution of ``x`` [N, h, w, C] with ``weight`` [9, C]."""
    y = bias.expand_as(x)
    for shifted, tap in zip(neighbours(x), weight.unbind(), strict=True):
        y = y + shifted * tap
    return y


class Pointwise(nn.Module):
    """1x1 convolution; ``weight`` [out, in], ``bias`` [out]."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * gain / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, h, w, in] to [N, h, w, out]."""
        return linear(x, self.weight, self.bias)


class Rectified(torch.autograd.Function):
    """ReLU whose gradient keeps a trace, ``LEAK``, of what it cuts off.

    A unit that is on nowhere would never come back without. Adam's steps do not depend on how small
    a gradient is, so a trace is enough.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the positive part of ``x``."""
        y = F.relu(x)
        ctx.save_for_backward(y)  # which the next layer keeps as well
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of the input."""
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, gradient, LEAK * gradient)


def activated(layer: Pointwise, x: Tensor) -> Tensor:
    """``relu(layer(x))``, with the ReLU on the flat rows.

    Behind a reshape the compiler keeps the ReLU's mask in a transposed layout, which costs more
    than the matrix product.
    """
    rows: Tensor = Rectified.apply(layer(x.reshape(-1, x.shape[-1])))  # type: ignore[no-untyped-call]
    return rows.view(*x.shape[:-1], -1)


class Depthwise(nn.Module):
    """Depthwise 3x3 convolution, zero padding; ``weight`` [9, C] row by row, ``bias`` [C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        weight = torch.randn(9, channels) * 0.1
        weight[4] += 1.0
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Filter each channel of [N, h, w, C] with its own kernel."""
        return depthwise(x, self.weight, self.bias)


class Block(nn.Module):
    """``x + W2 relu(W1 dw3x3(x))``; W2 is zero at the start, so a new block is the identity."""

    def __init__(self, channels: int, expansion: int = 2) -> None:
        super().__init__()
        self.depthwise = Depthwise(channels)
        self.expand = Pointwise(channels, expansion * channels, gain=math.sqrt(2))
        self.project = Pointwise(expansion * channels, channels, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Refine [N, h, w, C] at the same size."""
        change: Tensor = self.project(activated(self.expand, self.depthwise(x)))
        return x + change


def blocks(channels: int, count: int) -> nn.Sequential:
    """``count`` blocks of ``channels``, one behind the other."""
    return nn.Sequential(*(Block(channels) for _ in range(count)))
