"""The photo codec: four networks in the roles of Balle 2018 (arXiv:1802.01436), DESIGN section 3.

    pixels -> Encoder -> y -> HyperEncoder -> scaled y, z
    z, symbols known so far, step -> HyperDecoder -> mean, scale index
    y_hat -> Decoder -> pixels

Channels last inside; pixels are float32 in grey levels 0..255. A linear path (a 16x16 block
transform, started as a KLT) carries the picture from the first step on; the deep paths beside it
are zero at the start and correct it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from edgeae_export.networks.integer import (
    ACTIVATION_BITS,
    IntegerDepthwise,
    IntegerPointwise,
    activate,
    clip,
    quantize_bias,
    shift,
)
from edgeae_export.networks.layers import (
    Block,
    Pointwise,
    activated,
    blocks,
    depth_to_space,
    linear,
    neighbours,
    space_to_depth,
)

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 768  # 16 x 16 x 3 pixels of a latent position
ANCHORS = 8  # rate anchors; quality 0..100 runs over 0..ANCHORS - 1
ANCHOR_STEP = 100 / (ANCHORS - 1)  # of quality, from anchor to anchor
GREY = 128.0  # subtracted from pixels
PIXEL_SCALE = 1 / 64  # of the deep paths' inputs, so that they are near unit size
SYMBOL_CLIP = 8  # largest symbol magnitude that the networks of the context look at
NEARBY = 5  # latents a side of the neighbourhood that predicts the first components
HYPER_CLIP = 127  # hyper-latents are integers within +-127
SYMBOL_BITS = 5  # a clipped magnitude of 1 enters the scale path as 32, which stands for 0.5
INDEX_BITS = 4  # the scale path's 1.0 is 16 scale indexes
SCALES = 64  # scale indexes; row 0 of the tables stands for "always zero"
LOG_SCALE_MIN, LOG_SCALE_MAX = -4.0, 4.2  # natural logarithm of the Laplace scale, in steps


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoShape:
    """Widths and depths; the profiles S, M and L are three of these."""

    latent_channels: int  # C, channels of y
    hyper_channels: int  # Cz, channels of z
    width8: int  # channels at 1/8 resolution
    width16: int  # channels at 1/16 resolution
    encoder_blocks8: int
    encoder_blocks16: int
    decoder_blocks8: int
    decoder_blocks16: int
    overlap: int  # components whose 3x3 neighbourhood feeds the linear synthesis
    hyper_width: int  # channels inside the hyper-analysis and at 1/32 and 1/64 of the synthesis
    context_width: int  # channels of means' and scales' features at 1/16
    steps: int  # masks, in as many of which the latents are coded: 1, 2 or 3
    predicted: int  # components whose means large symbols in the 5x5 latents around predict


def anchor_weights(quality: Tensor) -> Tensor:
    """Weights [N, ANCHORS] of linear interpolation between anchors; ``quality`` [N] 0..100."""
    position = quality / ANCHOR_STEP
    anchors = torch.arange(ANCHORS, dtype=quality.dtype, device=quality.device)
    return (1 - (position[:, None] - anchors).abs()).clamp(min=0)


class Gain(nn.Module):
    """Factors of each channel, by quality; geometric interpolation between anchors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(ANCHORS, channels))

    def forward(self, quality: Tensor) -> Tensor:
        """Gains [N, 1, 1, C] of ``quality`` [N], 0..100."""
        return (anchor_weights(quality) @ self.log).exp()[:, None, None]


class Encoder(nn.Module):
    """Analysis transform g_a: pixels [N, H, W, 3] to latents y [N, H/16, W/16, C]."""

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.zeros(shape.latent_channels, PATCH))
        self.head = Pointwise(192, shape.width8)
        self.blocks8 = blocks(shape.width8, shape.encoder_blocks8)
        self.down = Pointwise(4 * shape.width8, shape.width16)
        self.blocks16 = blocks(shape.width16, shape.encoder_blocks16)
        self.tail = Pointwise(shape.width16, shape.latent_channels, gain=0.0)

    def forward(self, pixels: Tensor) -> Tensor:
        """Latents in grey levels times the square root of the patch's energy (orthonormal)."""
        x = space_to_depth(pixels - GREY, 8)
        klt = linear(space_to_depth(x, 2), self.linear, None)
        deep: Tensor = self.blocks8(self.head(x * PIXEL_SCALE))
        deep = self.tail(self.blocks16(self.down(space_to_depth(deep, 2))))
        return klt + deep / PIXEL_SCALE


class Decoder(nn.Module):
    """Synthesis transform g_s: y_hat [N, h, w, C] to pixels [N, 16h, 16w, 3], unrounded."""

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        self.overlap = shape.overlap
        self.linear = nn.Parameter(torch.zeros(PATCH, shape.latent_channels))
        self.linear_overlap = nn.Parameter(torch.zeros(PATCH, 9 * shape.overlap))
        self.linear_bias = nn.Parameter(torch.zeros(PATCH))
        self.head = Pointwise(shape.latent_channels, shape.width16)
        self.blocks16 = blocks(shape.width16, shape.decoder_blocks16)
        self.up = Pointwise(shape.width16, 4 * shape.width8)
        self.pixels = Pointwise(192, shape.width8)
        self.blocks8 = blocks(shape.width8, shape.decoder_blocks8)
        self.tail = Pointwise(shape.width8, 192, gain=0.0)

    def forward(self, y_hat: Tensor) -> Tensor:
        """Pixels in grey levels 0..255, before rounding and clipping."""
        around = torch.cat(neighbours(y_hat[..., : self.overlap]), dim=-1)
        klt = linear(y_hat, self.linear, self.linear_bias) + linear(
            around, self.linear_overlap, None
        )
        klt = depth_to_space(klt, 2)
        deep = self.up(self.blocks16(self.head(y_hat * PIXEL_SCALE)))
        deep = self.blocks8(depth_to_space(deep, 2) + self.pixels(klt * PIXEL_SCALE))
        return depth_to_space(klt + self.tail(deep) / PIXEL_SCALE, 8) + GREY


class HyperEncoder(nn.Module):
    """Hyper-analysis h_a: scaled y [N, h, w, C] to unrounded z [N, h/4, w/4, Cz]."""

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        width = shape.hyper_width
        self.head = Pointwise(shape.latent_channels, width)
        self.block16 = Block(width)
        self.down32 = Pointwise(4 * width, width)
        self.block32 = Block(width)
        self.down64 = Pointwise(4 * width, width)
        self.tail = Pointwise(width, shape.hyper_channels)

    def forward(self, scaled: Tensor) -> Tensor:
        """Real-valued hyper-latents, to be rounded and clipped to +-HYPER_CLIP."""
        x = self.block16(activated(self.head, scaled))
        x = self.block32(activated(self.down32, space_to_depth(x, 2)))
        z: Tensor = self.tail(activated(self.down64, space_to_depth(x, 2)))
        return z


class MeanPath(nn.Module):
    """Means of the latents, float: from z (trunk), corrected by the symbols known so far.

    The network sees the symbols clipped. What the clip takes from the first components, the blocks'
    mean colours and slopes, predicts those of the blocks around: linearly, and with weights of its
    own in each step, as which neighbours are known differs.
    """

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        width, narrow, steps = shape.hyper_width, shape.context_width, shape.steps
        self.predicted = shape.predicted
        self.head = Pointwise(shape.hyper_channels, width, gain=math.sqrt(2))
        self.up32 = Pointwise(width, 4 * width, gain=math.sqrt(2))
        self.block32 = Block(width)
        self.up16 = Pointwise(width, 4 * narrow)
        self.context = Pointwise(shape.latent_channels, narrow)
        self.step = nn.Parameter(torch.zeros(steps, narrow))
        self.block16 = Block(narrow, expansion=1)
        self.tail = Pointwise(narrow, shape.latent_channels, gain=0.1)
        taps = NEARBY**2 * shape.predicted
        self.linear_step = nn.Parameter(torch.zeros(steps, shape.predicted, taps))

    def trunk(self, z: Tensor) -> Tensor:
        """Features [N, h, w, context_width] of z alone."""
        x = activated(self.up32, activated(self.head, z))
        return depth_to_space(self.up16(self.block32(depth_to_space(x, 2))), 2)

    def forward(self, trunk: Tensor, symbols: Tensor, step: int) -> Tensor:
        """Means [N, h, w, C] in steps of the quantizer."""
        known = symbols.clamp(-SYMBOL_CLIP, SYMBOL_CLIP)
        x = trunk + self.context(known) + self.step[step]
        mean: Tensor = self.tail(self.block16(x))
        around = neighbours((symbols - known)[..., : self.predicted], NEARBY)
        near = linear(torch.cat(around, dim=-1), self.linear_step[step], None)
        return mean + F.pad(near, (0, mean.shape[-1] - self.predicted))


class ScalePath(nn.Module):
    """Scale indexes of the latents, integer: the one computation that must agree everywhere."""

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        width, narrow, steps = shape.hyper_width, shape.context_width, shape.steps
        self.head = IntegerPointwise(shape.hyper_channels, width, 0, gain=math.sqrt(2))
        self.up32 = IntegerPointwise(width, 4 * width, ACTIVATION_BITS, gain=math.sqrt(2))
        self.depthwise32 = IntegerDepthwise(width)
        self.up16 = IntegerPointwise(width, 4 * narrow, ACTIVATION_BITS, gain=math.sqrt(2))
        self.mix = IntegerPointwise(narrow, narrow, ACTIVATION_BITS)
        self.context = IntegerPointwise(shape.latent_channels, narrow, ACTIVATION_BITS, gain=0.3)
        self.step = nn.Parameter(torch.zeros(steps, narrow))
        self.depthwise16 = IntegerDepthwise(narrow)
        self.project = IntegerPointwise(narrow, narrow, ACTIVATION_BITS, gain=0.1)
        self.tail = IntegerPointwise(narrow, shape.latent_channels, ACTIVATION_BITS, gain=0.3)
        self.tail_step = nn.Parameter(torch.zeros(steps, shape.latent_channels))

    def trunk(self, z: Tensor) -> Tensor:
        """Activations [N, h, w, context_width] of integer z."""
        x = activate(self.head(z), self.head.total_bits)
        x = depth_to_space(activate(self.up32(x), self.up32.total_bits), 2)
        x = activate(self.depthwise32(x), self.depthwise32.total_bits)
        return depth_to_space(activate(self.up16(x), self.up16.total_bits), 2)

    def step_biases(self) -> tuple[Tensor, Tensor]:
        """Integers [steps, context_width] and [steps, C] that tell the steps apart."""
        features = quantize_bias(self.step, self.mix.total_bits)
        return features, quantize_bias(self.tail_step, self.tail.total_bits)

    def forward(self, trunk: Tensor, magnitudes: Tensor, step: int) -> Tensor:
        """Indexes [N, h, w, C], integers 0..63; ``magnitudes`` integers 0..SYMBOL_CLIP."""
        features, indexes = (biases[step] for biases in self.step_biases())
        total = self.mix(trunk) + self.context(magnitudes * 2**SYMBOL_BITS)
        x = activate(total + features, self.mix.total_bits)
        x = activate(self.depthwise16(x), self.depthwise16.total_bits)
        project = self.project
        x = clip(trunk + shift(project(x), project.total_bits - ACTIVATION_BITS), 255)
        total = self.tail(x) + indexes
        return clip(shift(total, self.tail.total_bits - INDEX_BITS), SCALES - 1)


class HyperDecoder(nn.Module):
    """Hyper-synthesis h_s with context: z and known symbols to means and scale indexes."""

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        self.mean = MeanPath(shape)
        self.scale = ScalePath(shape)

    def forward(self, z: Tensor, symbols: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Mean (steps) and scale index (0..63) [N, h, w, C] from integers z and symbols."""
        return self.step((self.mean.trunk(z), self.scale.trunk(z)), symbols, step)

    def step(
        self, trunks: tuple[Tensor, Tensor], symbols: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Run the part that differs from step to step; ``trunks`` are of z alone."""
        magnitudes = symbols.abs().clamp(max=SYMBOL_CLIP)
        return self.mean(trunks[0], symbols, step), self.scale(trunks[1], magnitudes, step)


# The step in which each place of 2x2 is coded, by the number of steps. Channels take turns in
# where they begin, so that each place has something known early.
ORDERS = {
    1: (((0, 0), (0, 0)),),
    2: (((0, 1), (1, 0)), ((1, 0), (0, 1))),
    3: (((0, 2), (2, 1)), ((1, 2), (2, 0)), ((2, 0), (1, 2)), ((2, 1), (0, 2))),
}


def step_masks(channels: int, steps: int) -> Tensor:
    """Masks bool [steps, C, 2, 2]: what is coded in each step.

    In two steps a checkerboard; in three a quarter of the places, the quarter diagonal to it, and
    the half that is left, which then knows its neighbours on all four sides.
    """
    orders = torch.tensor(ORDERS[steps])
    coded_in = orders[torch.arange(channels) % len(orders)]
    return torch.stack([coded_in == step for step in range(steps)])


class PhotoCodec(nn.Module):
    """All four networks, the gains and the prior of z; the object that is trained."""

    masks: Tensor

    def __init__(self, shape: PhotoShape) -> None:
        super().__init__()
        self.shape = shape
        masks = step_masks(shape.latent_channels, shape.steps)
        self.register_buffer("masks", masks, persistent=False)
        self.encoder = Encoder(shape)
        self.gain = Gain(shape.latent_channels)
        self.hyper_encoder = HyperEncoder(shape)
        self.hyper_decoder = HyperDecoder(shape)
        self.inverse_gain = Gain(shape.latent_channels)
        self.decoder = Decoder(shape)

    def tiled_masks(self, h: int, w: int) -> list[Tensor]:
        """Return the masks over [h, w, C], float 0 or 1."""
        return [
            m.repeat(1, h // 2, w // 2).permute(1, 2, 0).to(self.gain.log.dtype) for m in self.masks
        ]
