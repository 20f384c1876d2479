"""Units of the transforms that hardly any picture switches on begin anew, with nothing changed yet.

A ReLU that is never positive has no gradient, so what a run lost in its first steps, behind streams
that do not lie around zero, no later run finds again (docs/experiments.md). Such a unit gets a
direction of its own through the middle of what its block sees, so that it is on at half of all
places, and says nothing until it has learned what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgeae_export.networks.layers import Block
from edgeae_export.networks.photo import ANCHOR_STEP, ANCHORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from edgeae_export.networks.photo import PhotoCodec

LEAST_SHARE = 1e-3  # of all places, where a unit is on; below, it says next to nothing
FLAT = 1e-4  # of the largest mean; a spread below is that of rounding
LEAST_SPREAD = 0.1  # of the widest channel's; narrower ones are not blown up further


@torch.no_grad()
def revive(codec: PhotoCodec, crops: Tensor) -> dict[str, Tensor]:
    """Renew the dead units in the blocks of encoder and decoder.

    Parameters
    ----------
    codec : PhotoCodec
        Its outputs change by no more than dead units gave to them.
    crops : (N, H, W, 3) float32
        Grey levels; the quality rises from crop to crop over the anchors.

    Returns
    -------
    dict of str to bool tensor
        By name of a parameter what of it is new; its shape can be broadcast to the parameter's.
    """
    inputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, args: inputs.update({name: args[0]})

    blocks = {
        name: module
        for name, module in codec.named_modules()
        if isinstance(module, Block) and name.startswith(("encoder.", "decoder."))
    }
    hooks = [b.expand.register_forward_pre_hook(keep(name)) for name, b in blocks.items()]
    quality = torch.arange(len(crops), device=crops.device) % ANCHORS * ANCHOR_STEP
    y = codec.encoder(crops)
    codec.decoder((y * codec.gain(quality)).round() * codec.inverse_gain(quality))
    for hook in hooks:
        hook.remove()
    new = {}
    for name, block in blocks.items():
        dead = _renew(block, inputs[name])
        new[f"{name}.expand.weight"] = dead[:, None]
        new[f"{name}.expand.bias"] = dead
        new[f"{name}.project.weight"] = dead[None]
    return new


def _renew(block: Block, rows: Tensor) -> Tensor:
    """Renew the units of ``block`` that are dead on its inputs ``rows`` [n, C]; return which."""
    expand, project = block.expand, block.project
    dead: Tensor = (expand(rows) > 0).float().mean(dim=0) < LEAST_SHARE
    middle = rows.mean(dim=0)
    centred = rows - middle
    spread = centred.std(dim=0)
    widest = float(spread.max())
    if not dead.any() or widest <= FLAT * float(middle.abs().max()):
        return torch.zeros_like(dead)
    spread = spread.clamp(min=LEAST_SPREAD * widest)
    directions = torch.randn(int(dead.sum()), len(middle), device=rows.device) / spread
    directions /= (centred @ directions.T).std(dim=0)[:, None]
    expand.weight[dead] = directions
    expand.bias[dead] = -directions @ middle
    project.weight[:, dead] = 0.0
    return dead
