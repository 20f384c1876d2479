"""How weights start: He et al. 2015 (arXiv:1502.01852), the variance kept from ReLU to ReLU.

The library's default start shrinks a signal to 0.4 of its size in each layer; behind eight of them
a variational autoencoder sees nothing of its latents and spends an epoch on the mean picture.
"""

from __future__ import annotations

from torch import nn


def he_start(network: nn.Module) -> None:
    """Draw the weights of all convolutions in ``network`` anew; biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
