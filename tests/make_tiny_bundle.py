"""Write tests/bundles/tiny: a photo codec of 8 channels, trained for seconds on made pictures.

    python tests/make_tiny_bundle.py [FOLDER]

It compresses, if not well, and weighs less than 100 kB. Deterministic on one machine and version
of torch; the bundle is committed, so that tests need no torch.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edgeae_export import klt
from edgeae_export.checkpoint import Progress
from edgeae_export.export import export
from edgeae_export.pictures import CropSampler
from edgeae_export.recipe import Recipe
from edgeae_export.train import Run, loss_of, step_once
from edgeae_export.write_bundle import Label

TINY = Path(__file__).parent / "bundles" / "tiny"
STEPS = 300
LABEL = Label(
    name="tiny",
    description="Smallest bundle that works, for tests; do not use it for pictures.",
    latent_space="tiny-1",
)
RECIPE = replace(
    Recipe.load("photo-s"),
    name="tiny",
    latent_channels=8,
    hyper_channels=4,
    width8=8,
    width16=8,
    encoder_blocks8=1,
    encoder_blocks16=1,
    decoder_blocks8=1,
    decoder_blocks16=1,
    overlap=1,
    hyper_width=8,
    context_width=8,
    crop=64,
    learning_rate=2e-3,
    averaging=0.98,
)


def made_pictures(count: int, height: int, width: int, seed: int) -> list[NDArray[np.uint8]]:
    """Pictures (height, width, 3): coloured noise at every scale, and edges across it."""
    random = np.random.default_rng(seed)
    return [_made_picture(random, height, width) for _ in range(count)]


def _made_picture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    picture = np.full((height, width, 3), random.uniform(60, 200))
    for octave in range(1, 7):
        shape = (2**octave, 2**octave, 3)
        noise = random.normal(0, 1, shape) * 0.3 + random.normal(0, 1, (*shape[:2], 1))
        picture += 22 * _enlarged(noise, height, width) / octave
    rows, columns = np.mgrid[:height, :width] / height
    for _ in range(5):
        angle, offset = random.uniform(0, np.pi), random.uniform(0, 1)
        side = np.cos(angle) * (columns - offset) + np.sin(angle) * (rows - offset) > 0
        picture[side] += random.normal(0, 25, 3)
    made: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return made


def _enlarged(noise: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    planes = [
        Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        for plane in np.moveaxis(noise, -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def trained_run(recipe: Recipe, pictures: list[NDArray[np.uint8]], steps: int) -> Run:
    """A run of ``steps`` from the KLT start, counted in steps instead of minutes."""
    torch.set_num_threads(1)
    sampler = CropSampler(pictures, recipe.seed)
    run = Run(recipe, "cpu")
    klt.start(run.model.codec, sampler, recipe.lambdas(), recipe.crop)
    run.average = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    for step in range(steps):
        rate = recipe.learning_rate * min(1.0, 2 * (1 - step / steps))
        step_once(run, loss_of, sampler, rate, "cpu")
        run.progress = Progress(step + 1, 0.0, (step + 1) * recipe.batch * recipe.crop**2 / 1e6)
    return run


def main(folder: Path) -> None:
    """Write the bundle."""
    pictures = made_pictures(24, 256, 320, seed=1)
    run = trained_run(RECIPE, pictures, STEPS)
    history = {"data": "made by tests/make_tiny_bundle.py", "device": "cpu"}
    shutil.rmtree(folder, ignore_errors=True)
    export(run.to_checkpoint(history), pictures, made_pictures(4, 192, 256, seed=2), folder, LABEL)
    size = sum(path.stat().st_size for path in folder.iterdir())
    sys.stderr.write(f"{folder}: {size} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TINY)
