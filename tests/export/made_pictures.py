"""Small pictures with edges, gradients and texture, made from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def made_picture(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    picture = np.empty((height, width, 3))
    for channel in range(3):
        slope = random.uniform(-1, 1, 2)
        wave = 30 * np.sin(x / random.uniform(3, 20) + y / random.uniform(3, 20))
        picture[..., channel] = 128 + slope[0] * x + slope[1] * y + wave
    cx, cy, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(10, 40)
    picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] += random.uniform(-80, 80, 3)
    picture += random.normal(0, 3, picture.shape)
    return picture.round().clip(0, 255).astype(np.uint8)


def write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for seed in range(count):
        Image.fromarray(made_picture(seed)).save(folder / f"{seed:02}.png")
    return folder
