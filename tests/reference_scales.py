"""Slow, plain integer evaluation of the hyper-decoder's scale indexes, for tests.

Written from the description in the design, not from the graph builder: int64 numpy, no floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
PATH = "hyper_decoder.scale."


def scale_indexes(
    weights: Mapping[str, NDArray[Any]],
    z: NDArray[np.int16],
    symbols: NDArray[np.int16],
    step: int,
) -> NDArray[np.uint8]:
    """Indexes (C, h, w) of z (Cz, h / 4, w / 4) and symbols (C, h, w), from the initializers."""
    w = {
        key.removeprefix(PATH): as_integers(array)
        for key, array in weights.items()
        if key.startswith(PATH)
    }
    hyper = np.clip(z.astype(np.int64), -127, 127)
    magnitudes = np.minimum(np.abs(symbols.astype(np.int64)), 8) * 32

    x = shifted(pointwise(w, "head", hyper), 1)
    x = unfold(shifted(pointwise(w, "up32", x), 7))
    x = shifted(depthwise(w, "depthwise32", x), 6)
    trunk = unfold(shifted(pointwise(w, "up16", x), 7))

    total = pointwise(w, "mix", trunk) + pointwise(w, "context", magnitudes)
    x = shifted(total + w["step"][step].reshape(-1, 1, 1), 7)
    x = shifted(depthwise(w, "depthwise16", x), 6)
    x = np.clip(trunk + (pointwise(w, "project", x) >> 7), 0, 255)
    total = pointwise(w, "tail", x) + w["tail_step"][step].reshape(-1, 1, 1)
    index: NDArray[np.uint8] = np.clip(total >> 9, 0, 63).astype(np.uint8)
    return index


def as_integers(array: NDArray[Any]) -> Integers:
    integers = array.astype(np.int64)
    assert (integers == array).all()
    return integers


def shifted(total: Integers, bits: int) -> Integers:
    activations: Integers = np.clip(total >> bits, 0, 255)  # an arithmetic shift is a floor
    return activations


def pointwise(w: Mapping[str, Integers], layer: str, x: Integers) -> Integers:
    kernel = w[f"{layer}.weight"]
    sums = kernel.reshape(len(kernel), -1) @ x.reshape(len(x), -1)
    return sums.reshape(-1, *x.shape[1:]) + w[f"{layer}.bias"].reshape(-1, 1, 1)


def depthwise(w: Mapping[str, Integers], layer: str, x: Integers) -> Integers:
    kernel = w[f"{layer}.weight"]
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    total = np.zeros_like(x) + w[f"{layer}.bias"].reshape(-1, 1, 1)
    for dy in range(3):
        for dx in range(3):
            taps = kernel[:, 0, dy, dx].reshape(-1, 1, 1)
            total += taps * padded[:, dy : dy + height, dx : dx + width]
    return total


def unfold(x: Integers) -> Integers:
    """Depth to space by 2: channels (dy, dx, c)."""
    channels, height, width = x.shape[0] // 4, *x.shape[1:]
    squares = x.reshape(2, 2, channels, height, width).transpose(2, 3, 0, 4, 1)
    return squares.reshape(channels, 2 * height, 2 * width)
