"""Write tests/bundles/tiny: a photo codec of 8 channels, trained for seconds on made pictures.

    python tests/make_tiny_bundle.py [FOLDER]

It compresses, if not well, and weighs less than 120 kB. Deterministic on one machine and version
of torch; the bundle is committed, so that tests need no torch.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from export.made_pictures import made_picture
from export.recipes import photo_recipe
from numpy.typing import NDArray

from edgeae_export import klt
from edgeae_export.checkpoint import Progress
from edgeae_export.export import export
from edgeae_export.pictures import CropSampler
from edgeae_export.processes import ALONE
from edgeae_export.recipe import Recipe
from edgeae_export.state import Run
from edgeae_export.train import loss_of, step_once
from edgeae_export.write_bundle import Label

TINY = Path(__file__).parent / "bundles" / "tiny"
STEPS = 300
LABEL = Label(
    name="tiny",
    description="Smallest bundle that works, for tests; do not use it for pictures.",
    latent_space="tiny-1",
)
RECIPE = replace(
    photo_recipe(),
    overlap=1,  # each component here is 14 kB of the file
    learning_rate=2e-3,
    averaging=0.98,
)


def trained_run(recipe: Recipe, pictures: list[NDArray[np.uint8]], steps: int) -> Run:
    """A run of ``steps`` from the KLT start, counted in steps instead of minutes."""
    torch.set_num_threads(1)
    sampler = CropSampler(pictures, recipe.seed)
    torch.manual_seed(recipe.seed)
    run = Run(recipe, "cpu")
    klt.start(run.model.codec, sampler, recipe.lambdas(), recipe.crop)
    run.average = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    for step in range(steps):
        rate = recipe.learning_rate * min(1.0, 2 * (1 - step / steps))
        step_once(run, loss_of, sampler, rate, ALONE)
        run.progress = Progress(step + 1, 0.0, (step + 1) * recipe.batch * recipe.crop**2 / 1e6)
    return run


def main(folder: Path) -> None:
    """Write the bundle."""
    pictures = [made_picture(seed, 192, 256) for seed in range(24)]
    held_out = [made_picture(seed, 192, 256) for seed in range(100, 104)]
    run = trained_run(RECIPE, pictures, STEPS)
    history = {"data": "made by tests/make_tiny_bundle.py", "device": "cpu"}
    shutil.rmtree(folder, ignore_errors=True)
    export(run.to_checkpoint(history), pictures, held_out, folder, LABEL)
    size = sum(path.stat().st_size for path in folder.iterdir())
    sys.stderr.write(f"{folder}: {size} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TINY)
