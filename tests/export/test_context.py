from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgeae_export import context_start, klt
from edgeae_export.networks.photo import ANCHORS, PhotoCodec, step_masks
from edgeae_export.pictures import CropSampler
from edgeae_export.rate_distortion import PhotoModel
from export.random_codec import SMALL

pytestmark = pytest.mark.torch

LAMBDAS = [0.0006 * 2.22**k for k in range(ANCHORS)]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_every_latent_is_coded_in_one_step(steps: int) -> None:
    masks = step_masks(9, steps)
    assert masks.shape == (steps, 9, 2, 2)
    assert (masks.sum(dim=0) == 1).all()


def test_a_place_of_the_last_step_knows_all_four_neighbours() -> None:
    *_, last = step_masks(8, 3)
    assert last.float().mean() == 0.5
    for shift in ((0, 1), (1, 0)):
        beside = last.roll(shift, dims=(1, 2))  # of a periodic pattern, either side
        assert not (beside & last).any()


def test_at_each_place_channels_begin_in_turns() -> None:
    for step, share in zip(step_masks(8, 3), (2, 2, 4), strict=True):
        assert (step.sum(dim=0) == share).all()


def test_the_start_predicts_the_colours_of_blocks() -> None:
    codec, crops = codec_of_slopes()
    quality = torch.full((len(crops),), 80.0)
    before = bits(codec, crops, quality)
    context_start.start(codec, crops)
    assert codec.hyper_decoder.mean.linear_step[1:].any()
    assert not codec.hyper_decoder.mean.linear_step[0].any()
    assert bits(codec, crops, quality) < 0.9 * before


def codec_of_slopes() -> tuple[PhotoCodec, Tensor]:
    """A codec from the KLT start, and smooth pictures whose blocks differ by many steps."""
    torch.manual_seed(3)
    across = torch.linspace(-1, 1, 96)
    slopes = torch.randn(16, 2, 1, 1, 3) * 60
    crops = 128 + slopes[:, 0] * across[:, None, None] + slopes[:, 1] * across[None, :, None]
    crops = (crops + torch.randn(16, 96, 96, 3)).clamp(0, 255).round()
    codec = PhotoCodec(SMALL)
    sampler = CropSampler([crop.byte().numpy() for crop in crops], 1)
    klt.start(codec, sampler, LAMBDAS, 64)
    return codec, crops[:, :64, :64]


def bits(codec: PhotoCodec, crops: Tensor, quality: Tensor) -> float:
    y_bpp, z_bpp, _ = PhotoModel(codec).evaluate(crops, quality)
    return float((y_bpp + z_bpp).mean())
