"""What a training starts from and an average is made of: checkpoints, or weights of bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeae.bundle import find_bundle
from edgeae_export.checkpoint import Checkpoint
from edgeae_export.read_weights import BUNDLE, checkpoint_of_bundle

SUFFIX = ".safetensors"


def load_start(name: str) -> Checkpoint[Any]:
    """Return a checkpoint by its path, or a photo codec's weights by its bundle's name or folder.

    Raises
    ------
    BundleError
        There is no such checkpoint or bundle, it is damaged, or a bundle of another network.
    """
    path = Path(name)
    is_checkpoint = path.is_file() or path.suffix == SUFFIX
    return Checkpoint.load(path) if is_checkpoint else checkpoint_of_bundle(find_bundle(name))


def origin(checkpoint: Checkpoint[Any]) -> str:
    """Return what a model card says of a checkpoint that another one was made from."""
    progress, recipe = checkpoint.progress, checkpoint.recipe
    words = f"{recipe.name}, {progress.step} steps, {progress.seconds / 60:.0f} minutes"
    bundle = checkpoint.history.get(BUNDLE)
    return f"{words}, from {bundle}" if bundle else words
