"""From a checkpoint of any network to its bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeae.bundle import Bundle
from edgeae.errors import BoundError
from edgeae.manifest import Manifest
from edgeae_export.autoencoder_state import trained_network
from edgeae_export.export import export
from edgeae_export.pictures import load_pictures
from edgeae_export.plain.export import export_autoencoder
from edgeae_export.tasks import TASKS
from edgeae_export.write_bundle import Label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae_export.autoencoder_recipes import AutoencoderRecipe
    from edgeae_export.checkpoint import Checkpoint
    from edgeae_export.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Exporter:
    """How the checkpoints of one network become bundles."""

    # of checkpoint, data, held-out data, folder, label, how many pictures the tables are of, and
    # the bundle whose tables are kept instead
    export: Callable[
        [Any, Sequence[Path], Sequence[Path], Path, Label, int, Bundle | None], Manifest
    ]
    pictures: int  # if none are asked for


def export_photo_codec(
    checkpoint: Checkpoint[Recipe],
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    label: Label,
    pictures: int,
    entropy_of: Bundle | None,
) -> Manifest:
    """Export a photo codec; every so many pictures of ``data``, if tables are to be fitted."""
    chosen = []
    if entropy_of is None:
        available = load_pictures(data)
        chosen = available[:: -(-len(available) // pictures)]
    held_out = load_pictures(validation)
    return export(checkpoint, chosen, held_out, out, label, entropy_of=entropy_of)


def export_autoencoder_checkpoint(
    checkpoint: Checkpoint[AutoencoderRecipe],
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    label: Label,
    pictures: int,
    entropy_of: Bundle | None,
) -> Manifest:
    """Export an autoencoder.

    A denoiser gets clean pictures as well: measured against noisy ones, its own correction would
    count as an error, and the steps of its latents would be far too coarse.

    Raises
    ------
    BoundError
        ``entropy_of`` is given: the latents have no entropy model but their tables.
    """
    if entropy_of is not None:
        raise BoundError(f"recipe {checkpoint.recipe.name} is no photo codec's; give --data")
    recipe, task = checkpoint.recipe, TASKS[checkpoint.recipe.network]
    available = _pictures(data, recipe)
    chosen = available[:: -(-len(available) // pictures)]
    network: Any = trained_network(checkpoint)
    return export_autoencoder(
        network.encoder,
        network.decoder,
        chosen[0],
        out,
        data=chosen,
        held_out=_pictures(validation, recipe)[:pictures],
        name=label.name,
        description=label.description,
        latent_space=label.latent_space,
        prior=task.prior,
        training={
            **checkpoint.history,
            "steps": checkpoint.progress.step,
            "minutes": round(checkpoint.progress.seconds / 60, 1),
            "recipe": asdict(recipe),
        },
    )


def _pictures(sources: Sequence[Path], recipe: AutoencoderRecipe) -> list[NDArray[np.uint8]]:
    """Pictures (H, W) or (H, W, 3)."""
    batches = TASKS[recipe.network].held_out(sources, recipe)
    whole = [picture for batch in batches for picture in batch]
    return [picture[..., 0] for picture in whole] if recipe.channels == 1 else whole


EXPORTERS: Mapping[str, Exporter] = {
    "photo": Exporter(export_photo_codec, 200),
    **dict.fromkeys(TASKS, Exporter(export_autoencoder_checkpoint, 10_000)),
}
