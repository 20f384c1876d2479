"""Small photo codecs with random weights in every layer, for tests of the exporter."""

from __future__ import annotations

import torch

from edgeae_export.networks.photo import PhotoCodec, PhotoShape
from edgeae_export.photo_graphs import is_kernel
from edgeae_export.rate_distortion import PhotoModel

SMALL = PhotoShape(
    latent_channels=8,
    hyper_channels=4,
    width8=8,
    width16=12,
    encoder_blocks8=2,
    encoder_blocks16=1,
    decoder_blocks8=1,
    decoder_blocks16=2,
    overlap=2,
    hyper_width=8,
    context_width=8,
    steps=3,
    predicted=3,
)
WIDE = PhotoShape(  # the product's hyper-decoder; wide layers get other kernels than narrow ones
    latent_channels=320,
    hyper_channels=96,
    width8=8,
    width16=8,
    encoder_blocks8=1,
    encoder_blocks16=1,
    decoder_blocks8=1,
    decoder_blocks16=1,
    overlap=1,
    hyper_width=128,
    context_width=96,
    steps=2,
    predicted=24,
)


def random_model(shape: PhotoShape = SMALL, seed: int = 1) -> PhotoModel:
    """No layer is zero, and kernels are as half precision holds them."""
    torch.manual_seed(seed)
    model = PhotoModel(PhotoCodec(shape)).eval()
    with torch.no_grad():
        for name, parameter in model.codec.named_parameters():
            if not parameter.any():
                parameter.normal_(0, 0.04)
            if is_kernel(name):
                parameter.copy_(parameter.half())
        for gain, sign in ((model.codec.gain, 1.0), (model.codec.inverse_gain, -1.0)):
            rates = torch.linspace(-4, -1, len(gain.log))[:, None]
            gain.log.copy_(sign * (rates + gain.log))
    return model.requires_grad_(requires_grad=False)


def steepen_scale_path(codec: PhotoCodec, factor: float) -> None:
    """Use the whole range of weights, activations and indexes."""
    with torch.no_grad():
        for parameter in codec.hyper_decoder.scale.parameters():
            parameter.mul_(factor)
        codec.hyper_decoder.scale.tail.bias.add_(2.0)
