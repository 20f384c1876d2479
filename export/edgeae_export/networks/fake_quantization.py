"""The trunks as int8 kernels compute them, in float, with gradients that pass the rounding.

    stream -> Q -> depthwise -> Q -> 1x1, ReLU -> Q -> 1x1 -> Q -> + stream

Each Q rounds a tensor as QuantizeLinear and DequantizeLinear do: 256 levels from one scale, after
each channel was divided by its own factor (equalization, which an export folds into the weights).
Weights are rounded to +-63 levels for each output channel. Layers replace their float twins
and hold the same parameters under the same names; ranges are measured by
``edgeae_export.activation_ranges``. Linear paths, gains and hyper networks stay float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from edgeae_export.networks.layers import Block, Depthwise, Pointwise, depthwise

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.networks.photo import PhotoCodec

ACTIVATION_LEVELS = 255  # steps of uint8
EQUALIZATION = 0.5  # exponent: halfway between coarse activations and coarse weights
WEIGHT_LEVELS = 63  # 7 bits: sums of two products then fit in the 16 bits of older processors


class _Rounding(torch.autograd.Function):
    """``scale`` times the nearest level of ``x / scale`` within low..high, ties to even."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
        level = (x / scale).round()
        clipped = level.clamp(low, high)
        # A mask by comparison would be the same, but compiled code stores bool without vectors.
        inside = 1 - (level - clipped).abs().clamp(max=1)
        ctx.save_for_backward(inside.to(torch.uint8))
        return clipped * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def _rounded(x: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    result: Tensor = _Rounding.apply(x, scale, low, high)  # type: ignore[no-untyped-call]
    return result


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """``x`` as uint8 keeps it; the gradient passes within the range and stops outside.

    ``scale`` is broadcast over channels, ``zero_point`` a whole number in 0..255.
    """
    return _rounded(x, scale, -zero_point, ACTIVATION_LEVELS - zero_point)


def fake_quantize_weight(weight: Tensor, inputs: int) -> Tensor:
    """``weight`` in 127 levels about zero, its own scale for each output channel.

    ``inputs`` is the axis over which one output channel's weights lie.
    """
    largest = weight.detach().abs().amax(inputs, keepdim=True)
    scale = torch.where(largest > 0, largest / WEIGHT_LEVELS, 1.0)
    limit = torch.full((), float(WEIGHT_LEVELS), device=weight.device)
    return _rounded(weight, scale, -limit, limit)


class ActivationQuantizer(nn.Module):
    """Quantization of one tensor whose last axis is its channels.

    The buffers are no part of the state dict: they are measured anew where a run goes on.
    """

    low: Tensor  # [C], running means of the least and the largest value of each channel
    high: Tensor
    factor: Tensor  # [C], equalization: channel c is divided by factor c before it is rounded
    scale: Tensor  # [C], the tensor's one scale times the factors
    zero_point: Tensor  # []

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("low", "high"):
            self.register_buffer(name, torch.zeros(channels), persistent=False)
        for name in ("factor", "scale"):
            self.register_buffer(name, torch.ones(channels), persistent=False)
        self.register_buffer("zero_point", torch.zeros(()), persistent=False)

    def exact(self, x: Tensor) -> Tensor:
        """Return what is rounded."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Round [..., C] in float32."""
        return fake_quantize(x.float(), self.scale, self.zero_point)


class RectifiedQuantizer(ActivationQuantizer):
    """ReLU and quantization in one: the range starts at zero, and zero is level 0."""

    def exact(self, x: Tensor) -> Tensor:
        """Return what is rounded."""
        return F.relu(x)


class QuantizedPointwise(Pointwise):
    """A 1x1 convolution with rounded weights and, where asked for, rounded input and output."""

    def __init__(self, layer: Pointwise, *, of_input: bool = True, of_output: bool = False) -> None:
        nn.Module.__init__(self)
        self.weight, self.bias = layer.weight, layer.bias
        outputs, inputs = layer.weight.shape
        self.inputs = ActivationQuantizer(inputs) if of_input else None
        self.outputs = ActivationQuantizer(outputs) if of_output else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        rows = x.reshape(-1, x.shape[-1])
        if self.inputs is None:
            weight = fake_quantize_weight(self.weight, 1)
        else:
            rows, factor = self.inputs(rows), self.inputs.factor
            weight = fake_quantize_weight(self.weight * factor, 1) / factor
        # bfloat16 would round what is rounded once more: such trainings diverged.
        with torch.autocast(rows.device.type, enabled=False):
            y = F.linear(rows.float(), weight, self.bias)
        if self.outputs is not None:
            y = self.outputs(y)
        return y.view(*x.shape[:-1], -1)


class QuantizedDepthwise(Depthwise):
    """A depthwise 3x3 convolution with rounded weights; its input is rounded already."""

    def __init__(self, layer: Depthwise) -> None:
        nn.Module.__init__(self)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Filter each channel of [N, h, w, C] with its own kernel."""
        return depthwise(x, fake_quantize_weight(self.weight, 0), self.bias)


class QuantizedBlock(Block):
    """A block on the rounded stream; the sum at its end is rounded by the layer behind it."""

    expand: QuantizedPointwise
    project: QuantizedPointwise

    def __init__(self, block: Block) -> None:
        nn.Module.__init__(self)
        self.depthwise = QuantizedDepthwise(block.depthwise)
        self.expand = QuantizedPointwise(block.expand)
        self.project = QuantizedPointwise(block.project, of_output=True)
        self.project.inputs = RectifiedQuantizer(block.project.weight.shape[1])
        self.stream = ActivationQuantizer(len(block.depthwise.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Refine [N, h, w, C] at the same size."""
        x = self.stream(x)
        change: Tensor = self.project(self.expand(self.depthwise(x)))
        return x + change


@dataclass(frozen=True, slots=True)
class Group:
    """Quantizers that share the factors of ``channels``, since their tensors are summed.

    The factors are the channels' ranges to the power of ``exponent``. Behind a space-to-depth and
    before a depth-to-space each channel occurs several times.
    """

    channels: int
    exponent: float
    quantizers: tuple[ActivationQuantizer | None, ...]


def quantize_trunks(codec: PhotoCodec) -> tuple[Group, ...]:
    """Replace the layers of both trunks; return their quantizers, which have no ranges yet."""
    encoder, decoder = codec.encoder, codec.decoder
    head = QuantizedPointwise(encoder.head, of_input=False)  # pixels are whole numbers
    down = QuantizedPointwise(encoder.down)
    tail = QuantizedPointwise(encoder.tail, of_output=True)
    encoder.head, encoder.down, encoder.tail = head, down, tail
    groups = _quantize_stream(encoder.blocks8, codec.shape.width8, down.inputs)
    groups += _quantize_stream(encoder.blocks16, codec.shape.width16, tail.inputs)
    groups.append(Group(len(tail.bias), 1.0, (tail.outputs,)))  # factors undone in float

    head = QuantizedPointwise(decoder.head)
    up = QuantizedPointwise(decoder.up, of_output=True)
    pixels = QuantizedPointwise(decoder.pixels, of_output=True)
    tail = QuantizedPointwise(decoder.tail, of_output=True)
    decoder.head, decoder.up, decoder.pixels, decoder.tail = head, up, pixels, tail
    groups.append(Group(codec.shape.latent_channels, 1.0, (head.inputs,)))
    groups += _quantize_stream(decoder.blocks16, codec.shape.width16, up.inputs)
    groups += _quantize_stream(
        decoder.blocks8, codec.shape.width8, up.outputs, pixels.outputs, tail.inputs
    )
    groups.append(Group(len(tail.bias), 0.0, (pixels.inputs,)))  # 192 values of alike pixels
    groups.append(Group(len(tail.bias), 1.0, (tail.outputs,)))
    return tuple(groups)


def _quantize_stream(
    blocks: nn.Sequential, channels: int, *ends: ActivationQuantizer | None
) -> list[Group]:
    """Replace ``blocks``; return the groups of their stream, with its ``ends``, and inside them."""
    stream, groups = list(ends), []
    for number, block in enumerate(blocks):
        quantized = QuantizedBlock(cast("Block", block))
        blocks[number] = quantized
        stream += [quantized.stream, quantized.project.outputs]
        groups += [
            Group(layer.weight.shape[1], EQUALIZATION, (layer.inputs,))
            for layer in (quantized.expand, quantized.project)
        ]
    return [Group(channels, EQUALIZATION, tuple(stream)), *groups]
