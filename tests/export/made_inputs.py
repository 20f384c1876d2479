"""Small pictures and arrays for tests of plain autoencoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blobs(count: int, side: int = 12, seed: int = 0) -> NDArray[np.uint8]:
    """Grey pictures (count, side, side): one soft spot each."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    spots = []
    for _ in range(count):
        row, column, width = *random.uniform(2, side - 2, 2), random.uniform(1, 4)
        spots.append(np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2)))
    return (255 * np.stack(spots)).round().astype(np.uint8)


def waves(count: int, length: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Arrays (count, 2, length) in a subspace of six dimensions, far from 0..1."""
    random = np.random.default_rng(seed)
    t = np.arange(length) / length * 2 * np.pi
    basis = np.stack([np.sin(k * t) for k in (1, 2, 3)])
    found: NDArray[np.float32] = (500 * random.normal(size=(count, 2, 3)) @ basis).astype(
        np.float32
    )
    return found
