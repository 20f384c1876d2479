"""What the autoencoders minimize: pure functions of tensors, pixels 0..1 in [N, C, H, W].

Reconstructions come as logits (log-odds, before the sigmoid), which keeps logarithms finite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

ACTIVE_VARIANCE = 0.01  # of a unit's posterior mean over the data; Burda 2016, section 5.2


def squared_error(target: Tensor, code: Tensor, logits: Tensor) -> Tensor:
    """Mean of ``(x_hat - x)**2`` over pixels; the code plays no part."""
    del code
    return F.mse_loss(logits.sigmoid(), target)


def cross_entropy(target: Tensor, code: Tensor, logits: Tensor) -> Tensor:
    """Mean binary cross-entropy of a pixel in nats, grey levels as probabilities."""
    del code
    return F.binary_cross_entropy_with_logits(logits, target)


def code_as_picture(code: Tensor, height: int, width: int) -> Tensor:
    """``U(z)``: the mean over the code's channels, enlarged by repetition to [N, 1, H, W]."""
    mean = code.mean(dim=1, keepdim=True)
    return F.interpolate(mean, size=(height, width), mode="nearest")


def weighted_error(target: Tensor, code: Tensor, logits: Tensor, *, alpha: float) -> Tensor:
    """``alpha * L_enc + (1 - alpha) * L_dec``, both as means over pixels.

    ``L_dec = ||x_hat - x||**2`` is the reconstruction error. ``L_enc`` asks the code to look like
    the picture. Textbooks write it as ``||x - z||**2``, but z has another shape than x: a map
    between the two is needed. Here it is the fixed ``U`` of `code_as_picture`, so that ``L_enc =
    ||x - U(z)||**2``, U(z) compared with each channel of x.
    """
    picture = code_as_picture(code, *target.shape[2:])
    encoder_error = F.mse_loss(picture.expand_as(target), target)
    return alpha * encoder_error + (1 - alpha) * squared_error(target, code, logits)


def bernoulli_nats(target: Tensor, logits: Tensor) -> Tensor:
    """``-log p(x | z)`` [N], pixels as Bernoulli variables.

    For a grey target it is the expectation over pixels drawn with the grey levels as probabilities.
    """
    nats = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return nats.flatten(1).sum(dim=1)


def gaussian_nats(target: Tensor, logits: Tensor, *, deviation: float) -> Tensor:
    """``-log p(x | z)`` [N], pixels as Gaussians of a fixed ``deviation`` around the sigmoid."""
    squares = ((target - logits.sigmoid()) / deviation).square().flatten(1)
    constant = math.log(deviation) + 0.5 * math.log(2 * math.pi)
    return (0.5 * squares + constant).sum(dim=1)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``KL(N(mean, exp(log_variance)) || N(0, 1))`` of each latent, in nats [N, D, ...].

    Kingma and Welling 2014 (arXiv:1312.6114), appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def active_units(means: Tensor) -> int:
    """How many latents of posterior means [N, D] vary over the data by more than 0.01.

    Burda, Grosse and Salakhutdinov 2016 (arXiv:1509.00519), section 5.2.
    """
    variance = torch.var(means, dim=0, correction=0)
    return int((variance > ACTIVE_VARIANCE).sum())
