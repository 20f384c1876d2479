"""Small grey pictures that an autoencoder learns within seconds, and IDX files of them."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def made_digits(count: int, seed: int = 0, side: int = 28) -> NDArray[np.uint8]:
    """Bright discs of random place and size on black (count, side, side)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    centre = random.uniform(side / 4, 3 * side / 4, (count, 2, 1, 1))
    radius = random.uniform(side / 10, side / 4, (count, 1, 1))
    distance = np.hypot(y - centre[:, 0], x - centre[:, 1])
    return (255 * np.clip(radius - distance + 0.5, 0, 1)).astype(np.uint8)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(path: Path, array: NDArray[np.uint8]) -> Path:
    data = idx_bytes(array)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
