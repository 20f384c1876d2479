"""The start of a codec with more latents than the one it goes on from.

The added components are those in which pictures differ most from what the earlier codec makes of
them without any rounding: an error that no rate takes away (docs/experiments.md). They begin as a
linear path of their own beside it; everything else begins with what it had.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from edgeae.errors import BoundError
from edgeae_export import ridge
from edgeae_export.klt import BATCH, PATCHES, RIDGE, best_steps, patches_of, principal_components
from edgeae_export.networks.photo import (
    GREY,
    INDEX_BITS,
    LOG_SCALE_MAX,
    LOG_SCALE_MIN,
    SCALES,
    PhotoCodec,
)

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.checkpoint import Checkpoint
    from edgeae_export.pictures import CropSampler
    from edgeae_export.recipe import Recipe

LAST = 32  # components from whose scales those of the added ones are taken
OF_CODEC = "codec."
WEIGHTS = ("model", "average")  # groups of a checkpoint that hold weights
# Where the latents are inputs, the added ones say nothing yet.
INPUTS = {
    "decoder.head.weight",
    "hyper_encoder.head.weight",
    "hyper_decoder.mean.context.weight",
    "hyper_decoder.scale.context.weight",
}
# Where they are outputs, on the first or the last axis, nothing is said of them yet.
FIRST = {
    "encoder.tail.weight",
    "encoder.tail.bias",
    "hyper_decoder.mean.tail.weight",
    "hyper_decoder.mean.tail.bias",
}


def check_latents(start: Recipe, recipe: Recipe, *, frozen: bool) -> None:
    """Raise BoundError unless a codec of ``recipe`` can go on from one of ``start``.

    ``frozen``: with the entropy networks as they are, which know the latents of the start.
    """
    before, after = start.latent_channels, recipe.latent_channels
    if before > after or (frozen and before != after):
        reason = ", and --freeze-entropy cannot add any" if before < after else ""
        raise BoundError(
            f"--init: {start.name} has {before} latents, recipe {recipe.name} {after}{reason}; "
            f"use a recipe with latent_channels = {before}"
        )


def grown(start: Checkpoint[Recipe], recipe: Recipe, sampler: CropSampler) -> Checkpoint[Recipe]:
    """Return ``start`` with the latents of ``recipe``, whose added ones come from its crops.

    The optimizer's moments of the weights that grow are left out.
    """
    codec = PhotoCodec(start.recipe.shape)
    weights = start.group("average")
    of_codec = {k.removeprefix(OF_CODEC): v for k, v in weights.items() if k.startswith(OF_CODEC)}
    codec.load_state_dict(of_codec)
    count = recipe.latent_channels - start.recipe.latent_channels
    added = _added(codec, count, recipe, sampler)
    names = {f".{OF_CODEC}{name}" for name in added}
    tensors = {k: v for k, v in start.tensors.items() if k[k.find(".") :] not in names}
    for group in WEIGHTS:
        for name, (axis, values) in added.items():
            key = f"{group}.{OF_CODEC}{name}"
            tensors[key] = torch.cat([start.tensors[key], values], dim=axis)
    shape = replace(start.recipe, latent_channels=recipe.latent_channels)
    return replace(start, recipe=shape, tensors=tensors)


@torch.no_grad()
def _added(
    codec: PhotoCodec, count: int, recipe: Recipe, sampler: CropSampler
) -> dict[str, tuple[int, Tensor]]:
    """Return what ``count`` more latents add to each weight, and along which axis."""
    patches, missing, latents = _unrounded(codec, recipe.crop, sampler)
    basis, _ = principal_components([missing], count)  # [count, 768]
    analysis = _least_squares(patches, missing @ basis.T).T  # what the patch says of them
    synthesis = _least_squares(patches @ analysis.T, missing).T  # [768, count]
    norms = synthesis.norm(dim=0)  # one step is then worth as much as of an orthonormal component
    analysis, synthesis = analysis * norms[:, None], synthesis / norms

    log_steps = torch.tensor(best_steps(recipe.lambdas())).log()[:, None].expand(-1, count)
    state = codec.state_dict()
    found: dict[str, tuple[int, Tensor]] = {
        "encoder.linear": (0, analysis),
        "decoder.linear": (1, synthesis),
        "gain.log": (1, -log_steps),
        "inverse_gain.log": (1, log_steps),
    }
    found |= {name: (1, torch.zeros(len(state[name]), count)) for name in INPUTS}
    found |= {name: (0, torch.zeros(count, *state[name].shape[1:])) for name in FIRST}

    # Scales as of the last components, but for how much wider or narrower the latents are.
    last_steps = -codec.gain.log.mean(dim=0)[-LAST:]
    last = (latents[:, -LAST:].abs().mean(dim=0).log() - last_steps).mean()
    log_width = (patches @ analysis.T).abs().mean(dim=0).log() - log_steps.mean(dim=0)
    an_index = (LOG_SCALE_MAX - LOG_SCALE_MIN) / (SCALES - 1)
    wider = (log_width - last) / an_index / 2**INDEX_BITS
    tail = "hyper_decoder.scale.tail"
    rows = state[f"{tail}.weight"][-LAST:].mean(dim=0)
    found[f"{tail}.weight"] = 0, rows.expand(count, -1)
    found[f"{tail}.bias"] = 0, state[f"{tail}.bias"][-LAST:].mean() + wider
    steps = state[f"{tail}_step"][:, -LAST:].mean(dim=1, keepdim=True)
    found[f"{tail}_step"] = 1, steps.expand(-1, count)
    return found


def _unrounded(codec: PhotoCodec, side: int, sampler: CropSampler) -> tuple[Tensor, Tensor, Tensor]:
    """Return patches [n, 768], what their reconstructions lack, and the latents [n, C]."""
    patches, missing, latents = [], [], []
    best = torch.full((BATCH,), 100.0)  # of the quality: there latents are least shrunk
    for _ in range(max(1, PATCHES // 4 // (BATCH * (side // 16) ** 2))):
        pixels = torch.from_numpy(sampler.crops(BATCH, side)).float()
        y = codec.encoder(pixels)
        y_hat = y * codec.gain(best) * codec.inverse_gain(best)
        lack = pixels - codec.decoder(y_hat).clamp(0, 255)
        latents.append(y.flatten(0, 2))
        patches.append(patches_of(pixels - GREY).flatten(0, 2))
        missing.append(patches_of(lack).flatten(0, 2))
    return torch.cat(patches), torch.cat(missing), torch.cat(latents)


def _least_squares(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Return weights [in, out] that best make ``outputs`` [n, out] of ``inputs`` [n, in]."""
    return ridge.solve((inputs.T @ inputs).double(), (inputs.T @ outputs).double(), RIDGE).float()
