"""What each network of the family trains on, minimizes and is judged by.

A task's functions share one shape, so that the loop (``train_autoencoder``) knows no network.
Losses are dicts of scalars; the one that is minimized is called ``loss``, and all are logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeae.manifest import MIXTURE
from edgeae_export.autoencoder_recipes import AutoencoderRecipe
from edgeae_export.datasets import Crops, Examples, WholeExamples, central_crops, load_examples
from edgeae_export.networks.conv_ae import ConvAutoencoder
from edgeae_export.networks.denoise import STRIDE, Denoiser
from edgeae_export.networks.vae import Vae
from edgeae_export.objectives import conv_ae, denoise, vae
from edgeae_export.pictures import load_pictures

Pictures = NDArray[np.uint8]
VALIDATION_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The parts of a training that depend on its network."""

    network: Callable[[Any], nn.Module]  # from its recipe; has ``encoder`` and ``decoder``
    examples: Callable[[Sequence[Path], Any], Examples]
    held_out: Callable[[Sequence[Path], Any], list[Pictures]]  # batches (N, H, W, C)
    # of network, recipe, batch (N, H, W, C), epoch so far and random numbers
    losses: Callable[[Any, Any, Pictures, float, np.random.Generator], dict[str, Tensor]]
    figures: Callable[[Any, Any, Sequence[Pictures]], dict[str, float]]
    prior: str | None  # of the latents, from which the bundle is sampled


def whole_examples(sources: Sequence[Path], recipe: AutoencoderRecipe) -> Examples:
    """Examples of the recipe's size, each once an epoch."""
    pictures = load_examples(sources, recipe.height, recipe.width, recipe.channels)
    return WholeExamples(pictures, recipe.seed)


def whole_held_out(sources: Sequence[Path], recipe: AutoencoderRecipe) -> list[Pictures]:
    """Held-out examples in batches."""
    pictures = load_examples(sources, recipe.height, recipe.width, recipe.channels)
    return [pictures[k : k + VALIDATION_BATCH] for k in range(0, len(pictures), VALIDATION_BATCH)]


def photo_crops(sources: Sequence[Path], recipe: AutoencoderRecipe) -> Examples:
    """Random crops of photos."""
    return Crops(load_pictures(sources, smallest_side=recipe.height), recipe.height, recipe.seed)


def photo_held_out(sources: Sequence[Path], recipe: AutoencoderRecipe) -> list[Pictures]:
    """Held-out photos, each a batch of its own."""
    del recipe
    return [photo[np.newaxis] for photo in central_crops(sources, STRIDE)]


_DENOISE = Task(
    network=Denoiser,
    examples=whole_examples,
    held_out=whole_held_out,
    losses=denoise.losses_of,
    figures=denoise.figures_of,
    prior=None,
)
TASKS: Mapping[str, Task] = {
    "conv-ae": Task(
        network=ConvAutoencoder,
        examples=whole_examples,
        held_out=whole_held_out,
        losses=conv_ae.losses_of,
        figures=conv_ae.figures_of,
        prior=None,
    ),
    "vae": Task(
        network=Vae,
        examples=whole_examples,
        held_out=whole_held_out,
        losses=vae.losses_of,
        figures=vae.figures_of,
        prior=MIXTURE,
    ),
    "denoise": _DENOISE,
    "denoise-photo": replace(_DENOISE, examples=photo_crops, held_out=photo_held_out),
}
