"""What a training starts from or goes on with, and an average is made of: checkpoints, bundles."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeae.bundle import find_bundle
from edgeae.errors import BoundError
from edgeae_export.card import OTHERS, SHARES
from edgeae_export.checkpoint import Checkpoint
from edgeae_export.read_weights import BUNDLE, checkpoint_of_bundle

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SUFFIX = ".safetensors"
CHANGED = "changed"  # key of the provenance: what a run had before it went on with something else


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
    if bundle := checkpoint.history.get(BUNDLE):
        words += f", from {bundle}"
    if OTHERS in checkpoint.history:
        others, shares = checkpoint.history[OTHERS], checkpoint.history[SHARES]
        words += f", averaged with {others} (shares {shares})"
    return words


def continued(
    earlier: Checkpoint[Any], recipe: DataclassInstance, history: dict[str, str]
) -> dict[str, str]:
    """Return the provenance of a run that goes on: what it was, and what is different from here.

    Raises
    ------
    BoundError
        The checkpoint is an average of several, which has no course to go on with.
    """
    if OTHERS in earlier.history:
        raise BoundError("the checkpoint is an average; start from it with --init and another -o")
    before, now = asdict(earlier.recipe) | earlier.history, asdict(recipe) | history
    changed = [f"{k} from {before[k]}" for k in now if k in before and before[k] != now[k]]
    joined = earlier.history | history
    if changed:
        at = f"at step {earlier.progress.step}: {', '.join(changed)}"
        joined[CHANGED] = "; ".join(filter(None, (earlier.history.get(CHANGED), at)))
    return joined
