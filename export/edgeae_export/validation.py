"""Held-out pictures: rate and PSNR at each anchor while training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgeae_export.distortion import Distortion, measured_psnr, squared_error
from edgeae_export.networks.photo import ANCHOR_STEP, ANCHORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edgeae_export.rate_distortion import PhotoModel
    from edgeae_export.recipe import Recipe
    from edgeae_export.state import Run


def central_crops(pictures: Sequence[NDArray[np.uint8]], recipe: Recipe) -> Tensor:
    """Cut the centres of the held-out pictures [N, crop, crop, 3], grey levels."""
    side = recipe.crop
    crops = []
    for picture in pictures:
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        crops.append(torch.from_numpy(picture[top : top + side, left : left + side].copy()))
    return torch.stack(crops).float()


def validate(run: Run, held_out: Tensor, recipe: Recipe) -> dict[str, object]:
    """Rate and PSNR at each anchor, averaged weights, everything rounded.

    ``score`` is the mean over anchors of log2(bpp + lambda * error): 0.1 less is 7 % less cost. The
    error is the recipe's without that at borders. Of several processes each looks at a share of the
    pictures: all call it at once.
    """
    processes = run.processes
    weights = {k: p.detach().clone() for k, p in run.model.named_parameters()}
    swap(run.model, run.average)
    share = held_out[processes.rank :: processes.count]
    own = torch.stack([_anchor(run, share, anchor, recipe) for anchor in range(ANCHORS)])
    swap(run.model, weights)
    found = processes.gather({str(processes.rank): own})
    means = torch.cat(list(found.values()), dim=2).mean(dim=2).tolist()
    points = [[round(rate, 4), round(psnr, 3)] for rate, _, psnr in means]
    score = sum(cost for _, cost, _ in means) / ANCHORS
    return {"step": run.progress.step, "validation": points, "score": round(score, 4)}


def _anchor(run: Run, pictures: Tensor, anchor: int, recipe: Recipe) -> Tensor:
    """Rate, logarithm of the cost, and PSNR of each of some pictures [3, N]."""
    distortion = Distortion(structure_share=recipe.structure_share)
    rows = [torch.empty(3, 0)]
    for first in range(0, len(pictures), recipe.batch):
        crop = pictures[first : first + recipe.batch]
        quality = torch.full((len(crop),), anchor * ANCHOR_STEP, device=crop.device)
        y_bpp, z_bpp, decoded = run.model.evaluate(crop, quality)
        rate, error = y_bpp + z_bpp, distortion(decoded, crop)
        cost = (rate + recipe.lambdas()[anchor] * error).log2()
        psnr = measured_psnr(squared_error(decoded, crop))
        rows.append(torch.stack((rate, cost, psnr)).cpu())
    return torch.cat(rows, dim=1)


def swap(model: PhotoModel, weights: dict[str, Tensor]) -> None:
    """Put ``weights`` into the model."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
