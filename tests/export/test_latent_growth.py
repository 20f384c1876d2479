from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgeae.errors import BoundError
from edgeae_export import klt
from edgeae_export.checkpoint import Checkpoint
from edgeae_export.latent_growth import check_latents, grown
from edgeae_export.networks.photo import PhotoCodec
from edgeae_export.pictures import CropSampler, load_pictures
from edgeae_export.recipe import Recipe
from edgeae_export.state import Run
from export.made_pictures import write_pictures
from export.recipes import photo_recipe

pytestmark = pytest.mark.torch

FEW = photo_recipe()
MORE = replace(FEW, latent_channels=24)
GROWN = {
    "encoder.linear",
    "encoder.tail.weight",
    "encoder.tail.bias",
    "gain.log",
    "inverse_gain.log",
    "hyper_encoder.head.weight",
    "hyper_decoder.mean.context.weight",
    "hyper_decoder.mean.tail.weight",
    "hyper_decoder.mean.tail.bias",
    "hyper_decoder.scale.context.weight",
    "hyper_decoder.scale.tail.weight",
    "hyper_decoder.scale.tail.bias",
    "hyper_decoder.scale.tail_step",
    "decoder.linear",
    "decoder.head.weight",
}


@pytest.fixture
def sampler(tmp_path: Path) -> CropSampler:
    folder = write_pictures(tmp_path / "photos", 6)
    return CropSampler(load_pictures([folder], smallest_side=64), seed=1)


@pytest.fixture
def start(sampler: CropSampler) -> Checkpoint[Recipe]:
    """A codec at its start as a block transform, with moments in every weight."""
    torch.manual_seed(1)
    run = Run(FEW, "cpu")
    klt.start(run.model.codec, sampler, FEW.lambdas(), FEW.crop)
    run.average = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    for parameter in run.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    run.optimizer.step()
    return run.to_checkpoint({})


def codec_of(checkpoint: Checkpoint[Recipe]) -> PhotoCodec:
    run = Run(checkpoint.recipe, "cpu")
    assert not run.adopt(checkpoint)
    return run.model.codec.requires_grad_(requires_grad=False)


def test_added_latents_lower_the_error_that_no_rate_takes_away(
    start: Checkpoint[Recipe], sampler: CropSampler
) -> None:
    pixels = torch.from_numpy(sampler.crops(8, 64)).float()

    def unrounded_error(codec: PhotoCodec) -> float:
        quality = torch.full((8,), 100.0)
        y = codec.encoder(pixels) * codec.gain(quality) * codec.inverse_gain(quality)
        return float((codec.decoder(y) - pixels).square().mean())

    before, after = (codec_of(c) for c in (start, grown(start, MORE, sampler)))
    assert unrounded_error(after) < 0.5 * unrounded_error(before)


def test_all_else_is_as_it_was(start: Checkpoint[Recipe], sampler: CropSampler) -> None:
    few, more = (codec_of(c) for c in (start, grown(start, MORE, sampler)))
    pixels = torch.from_numpy(sampler.crops(2, 64)).float()
    quality = torch.tensor([20.0, 80.0])
    y, longer = (codec.encoder(pixels) * codec.gain(quality) for codec in (few, more))
    torch.testing.assert_close(longer[..., :8], y)
    torch.testing.assert_close(more.hyper_encoder(longer), few.hyper_encoder(y))
    z = few.hyper_encoder(y).round()
    predicted = few.hyper_decoder(z, y.round(), 1)
    of_more = more.hyper_decoder(z, longer.round(), 1)
    for one, other in zip(of_more, predicted, strict=True):
        torch.testing.assert_close(one[..., :8], other)
    longer[..., 8:] = 0
    torch.testing.assert_close(more.decoder(longer), few.decoder(y))


def test_the_steps_of_added_latents_are_those_of_the_block_transform(
    start: Checkpoint[Recipe], sampler: CropSampler
) -> None:
    codec = codec_of(grown(start, MORE, sampler))
    torch.testing.assert_close(codec.gain.log[:, 8:], codec.gain.log[:, :1].expand(-1, 16))
    torch.testing.assert_close(codec.inverse_gain.log, -codec.gain.log)
    torch.testing.assert_close(codec.decoder.linear[:, 8:].norm(dim=0), torch.ones(16))


def test_moments_stay_where_no_weight_grew(start: Checkpoint[Recipe], sampler: CropSampler) -> None:
    after = grown(start, MORE, sampler)
    assert after.recipe == replace(start.recipe, latent_channels=24)
    names = {key.removeprefix("codec.") for key in after.group("model")}
    assert names - {key.removeprefix("codec.") for key in after.group("first")} == GROWN
    for key in GROWN:
        for group in ("model", "average"):
            shapes = [c.group(group)[f"codec.{key}"].shape for c in (start, after)]
            assert shapes[0] != shapes[1]


def test_latents_are_neither_lost_nor_added_to_a_frozen_entropy_model() -> None:
    check_latents(FEW, FEW, frozen=True)
    check_latents(FEW, MORE, frozen=False)
    with pytest.raises(BoundError, match="tiny has 24 latents, recipe tiny 8; use a recipe with"):
        check_latents(MORE, FEW, frozen=False)
    with pytest.raises(BoundError, match="8 latents, recipe tiny 24, and --freeze-entropy cannot"):
        check_latents(FEW, MORE, frozen=True)
