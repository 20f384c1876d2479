"""Sizes of a pair: found by running it, not by reading it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import BoundError, GraphError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeae_export.plain.pair import Floats, Pair

NOT_THIS_SIZE = (RuntimeError, ValueError, TypeError, IndexError, GraphError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What the manifest says of sizes."""

    input: str  # "rgb", "grey" or "array"
    shape: tuple[int, ...]  # of the example: (H, W, C), or of an array
    latents: tuple[int, int, int]  # of the example, (C, h, w)
    stride: int
    any_size: bool
    batches: bool = True  # whether the graphs take several at once

    @property
    def takes(self) -> str:
        """What the autoencoder takes, in words."""
        if self.input == "array":
            return f"arrays of {'x'.join(map(str, self.shape))}"
        colours = "grey pictures" if self.input == "grey" else "pictures"
        size = "any size" if self.any_size else f"{self.shape[1]}x{self.shape[0]}"
        return f"{colours} of {size}"

    @property
    def batch_axis(self) -> int | str:
        """Length of the first axis of every tensor."""
        return "N" if self.batches else 1

    @property
    def pixel_axes(self) -> tuple[int | str, ...]:
        """Lengths of the other axes of the pixels."""
        return ("H", "W", self.shape[-1]) if self.any_size else self.shape

    @property
    def latent_axes(self) -> tuple[int | str, ...]:
        """Lengths of the other axes of the latents."""
        return (self.latents[0], "h", "w") if self.any_size else self.latents


def input_kind(example: Floats) -> str:
    """Return the manifest's ``input`` for a picture (H, W, 1) or (H, W, 3)."""
    return {1: "grey", 3: "rgb"}[example.shape[-1]]


def find_geometry(pair: Pair, example: Floats, kind: str) -> Geometry:
    """Return the sizes of ``pair``.

    Pictures may have any size if the pair keeps the size of two others as well, and its latents
    grow with them.

    Parameters
    ----------
    pair : Pair
        The autoencoder.
    example : (H, W, C) picture in 0..1, or an array
        Of the size that the pair was made for.
    kind : str
        "rgb", "grey" or "array".

    Raises
    ------
    BoundError
        The decoder does not give back the size of the example.
    """
    latents, given = _sizes(pair, example[np.newaxis])
    if kind != "array":
        height, width = example.shape[:2]
        for stride in _strides(height / latents[1], width / latents[2]):
            if _takes_any_size(pair, example.shape, latents[0], stride):
                h, w = -(-height // stride), -(-width // stride)
                return Geometry(
                    input=kind,
                    shape=(h * stride, w * stride, example.shape[2]),
                    latents=(latents[0], h, w),
                    stride=stride,
                    any_size=True,
                )
    if given != example.shape:
        raise BoundError(
            f"decoder(encoder(x)) is {given} for x of {example.shape}; it must give back the size "
            f"of what it is given"
        )
    values = math.prod(example.shape if kind == "array" else example.shape[:2])
    ratio = values / (latents[1] * latents[2])
    stride = min(max(1, round(math.sqrt(ratio))), 1024)
    return Geometry(input=kind, shape=example.shape, latents=latents, stride=stride, any_size=False)


def _sizes(pair: Pair, inputs: Floats) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """Return the shapes of one input's latents, and of what the decoder makes of them."""
    y = pair.encode(inputs)
    channels, h, w = y.shape[1:]
    return (channels, h, w), pair.decode(y, inputs.shape[1:]).shape[1:]


def _strides(down: float, across: float) -> Iterator[int]:
    """Yield candidates for ratios of pixels to latents, in case the example was padded inside."""
    if round(down) != round(across) and math.ceil(down) != math.ceil(across):
        return
    power = 1 << math.ceil(math.log2(max(down, 1)))
    yield from dict.fromkeys([max(1, round(down)), math.ceil(down), power])


def _takes_any_size(pair: Pair, shape: tuple[int, ...], channels: int, stride: int) -> bool:
    height, width = (-(-length // stride) for length in shape[:2])
    random = np.random.default_rng(0)
    for h, w in ((height + 1, width + 2), (height + 3, width)):
        pixels = random.random((1, h * stride, w * stride, shape[2]), np.float32)
        try:
            latents, given = _sizes(pair, pixels)
        except NOT_THIS_SIZE:
            return False
        if latents != (channels, h, w) or given != pixels.shape[1:]:
            return False
    return True
