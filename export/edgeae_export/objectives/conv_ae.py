"""The objective of the classic convolutional autoencoder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgeae_export import losses
from edgeae_export.objectives.pixels import device_of, to_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgeae_export.autoencoder_recipes import ConvAutoencoderRecipe
    from edgeae_export.networks.conv_ae import ConvAutoencoder

    Pictures = NDArray[np.uint8]


def losses_of(
    network: ConvAutoencoder,
    recipe: ConvAutoencoderRecipe,
    batch: Pictures,
    epoch: float,
    random: np.random.Generator,
) -> dict[str, Tensor]:
    """Return the recipe's loss, and the mean squared error in 0..1."""
    del epoch, random
    choices: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "mse": losses.squared_error,
        "bce": losses.cross_entropy,
        "weighted": partial(losses.weighted_error, alpha=recipe.alpha),
    }
    pixels = to_pixels(batch, device_of(network))
    code = network.encoder(pixels)
    logits = network.decoder.logits(code)
    error = losses.squared_error(pixels, code, logits)
    return {"loss": choices[recipe.loss](pixels, code, logits), "mse": error}


def figures_of(
    network: ConvAutoencoder, recipe: ConvAutoencoderRecipe, held_out: Sequence[Pictures]
) -> dict[str, float]:
    """Mean squared error and cross-entropy of a pixel over the held-out examples."""
    del recipe
    rows = []
    for batch in held_out:
        pixels = to_pixels(batch, device_of(network))
        code = network.encoder(pixels)
        logits = network.decoder.logits(code)
        mse = losses.squared_error(pixels, code, logits)
        bce = losses.cross_entropy(pixels, code, logits)
        rows.append((len(batch), float(mse), float(bce)))
    count = sum(n for n, _, _ in rows)
    mse_mean = sum(n * mse for n, mse, _ in rows) / count
    return {
        "mse": mse_mean,
        "bce": sum(n * bce for n, _, bce in rows) / count,
        "psnr_db": -10 * float(np.log10(mse_mean)),
    }
