"""The objective of the variational autoencoder: the negative ELBO."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae_export import losses
from edgeae_export.networks.vae import sample_posterior
from edgeae_export.objectives.pixels import device_of, normal, to_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgeae_export.autoencoder_recipes import VaeRecipe
    from edgeae_export.networks.vae import Vae

    Pictures = NDArray[np.uint8]


VALIDATION_SEED = 1  # of the noise, so that the figures of a run compare


def negative_log_likelihood(recipe: VaeRecipe) -> Callable[[Tensor, Tensor], Tensor]:
    """Return ``-log p(x | z)`` [N] of pixels and logits, as the recipe has it."""
    likelihoods: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "bernoulli": losses.bernoulli_nats,
        "gaussian": partial(losses.gaussian_nats, deviation=recipe.deviation),
    }
    return likelihoods[recipe.likelihood]


def losses_of(
    network: Vae, recipe: VaeRecipe, batch: Pictures, epoch: float, random: np.random.Generator
) -> dict[str, Tensor]:
    """Return the negative ELBO in nats an example, with ``beta`` on its way to the recipe's."""
    pixels = to_pixels(batch, device_of(network))
    mean, log_variance = network.encoder(pixels)
    z = sample_posterior(mean, log_variance, normal(mean.shape, random, pixels.device))
    reconstruction = negative_log_likelihood(recipe)(pixels, network.decoder.logits(z)).mean()
    kl = losses.kl_to_standard_normal(mean, log_variance).flatten(1).sum(dim=1).mean()
    warm = min(1.0, epoch / recipe.beta_warmup_epochs) if recipe.beta_warmup_epochs > 0 else 1.0
    loss = reconstruction + recipe.beta * warm * kl
    return {"loss": loss, "reconstruction": reconstruction, "kl": kl}


def figures_of(network: Vae, recipe: VaeRecipe, held_out: Sequence[Pictures]) -> dict[str, float]:
    """Negative ELBO (beta 1) with its parts, in nats an example; units that are in use.

    One sample of the posterior for each example. ``binarized``, of a Bernoulli likelihood, is the
    negative ELBO of pixels drawn as 0 or 1 with their grey levels as probabilities; the encoder
    then sees the drawn pixels.
    """
    random = np.random.default_rng(VALIDATION_SEED)
    nats = negative_log_likelihood(recipe)
    grey: list[Tensor] = []  # of each batch: reconstruction and KL [2, N]
    binarized: list[Tensor] = []
    means = []
    for batch in held_out:
        pixels = to_pixels(batch, device_of(network))
        targets = [(pixels, grey)]
        if recipe.likelihood == "bernoulli":
            drawn = torch.from_numpy(random.random(pixels.shape, np.float32)).to(pixels.device)
            targets.append(((drawn < pixels).float(), binarized))
        for target, terms in targets:
            mean, log_variance = network.encoder(target)
            z = sample_posterior(mean, log_variance, normal(mean.shape, random, pixels.device))
            kl = losses.kl_to_standard_normal(mean, log_variance).flatten(1)
            terms.append(torch.stack([nats(target, network.decoder.logits(z)), kl.sum(dim=1)]))
            if terms is grey:
                means.append(mean.flatten(1))
    reconstruction, kl_mean = torch.cat(grey, dim=1).mean(dim=1).tolist()
    found = {
        "negative_elbo": reconstruction + kl_mean,
        "reconstruction": reconstruction,
        "kl": kl_mean,
        "active_units": losses.active_units(torch.cat(means)),
    }
    if binarized:
        found["binarized"] = float(torch.cat(binarized, dim=1).mean(dim=1).sum())
    return found
