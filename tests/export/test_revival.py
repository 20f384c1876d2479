from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeae_export import klt
from edgeae_export.networks.layers import Block
from edgeae_export.pictures import CropSampler, load_pictures
from edgeae_export.recipe import Recipe
from edgeae_export.revival import revive
from edgeae_export.state import Run
from edgeae_export.train import start_from
from export.made_pictures import write_pictures

pytestmark = pytest.mark.torch

RECIPE = Recipe.load(str(Path(__file__).with_name("tiny.toml")))
KILLED = {"encoder.blocks8.0": [1, 5], "encoder.blocks16.0": [0], "decoder.blocks16.0": [2, 3, 15]}


@pytest.fixture
def sampler(tmp_path: Path) -> CropSampler:
    folder = write_pictures(tmp_path / "photos", 6)
    return CropSampler(load_pictures([folder], smallest_side=64), seed=1)


@pytest.fixture
def run(sampler: CropSampler) -> Run:
    """A codec whose blocks say something, and in which some units are never on."""
    torch.manual_seed(1)
    run = Run(RECIPE, "cpu")
    codec = run.model.codec.requires_grad_(requires_grad=False)
    klt.start(codec, sampler, RECIPE.lambdas(), RECIPE.crop)
    for name, module in codec.named_modules():
        if isinstance(module, Block):
            module.project.weight.normal_(0, 0.1)
            module.expand.bias += 0.5
            module.expand.bias[KILLED.get(name, [])] = -1e4
    for network in (codec.encoder, codec.decoder):
        network.tail.weight.normal_(0, 0.1)
    run.average = {k: v.clone() for k, v in run.model.named_parameters()}
    return run


def test_dead_units_come_back_and_the_outputs_stay(run: Run, sampler: CropSampler) -> None:
    codec = run.model.codec
    crops = torch.from_numpy(sampler.crops(16, 64)).float()
    y = codec.encoder(crops)
    pixels = codec.decoder(y.round())
    new = revive(codec, crops)
    assert {
        k.removesuffix(".expand.bias"): v.nonzero().flatten().tolist()
        for k, v in new.items()
        if k.endswith("bias") and v.any()
    } == KILLED
    torch.testing.assert_close(codec.encoder(crops), y)
    torch.testing.assert_close(codec.decoder(y.round()), pixels)
    shares = {}
    for name in KILLED:
        expand = codec.get_submodule(f"{name}.expand")
        expand.register_forward_hook(
            lambda _, __, out, name=name: shares.update({name: (out > 0).float().mean(dim=0)})
        )
    codec.decoder((codec.encoder(crops)).round())
    for name, units in KILLED.items():
        assert ((shares[name][units] > 0.1) & (shares[name][units] < 0.9)).all()


def test_units_that_are_on_at_times_stay_as_they_are(run: Run, sampler: CropSampler) -> None:
    codec = run.model.codec
    before = {k: v.clone() for k, v in codec.named_parameters()}
    new = revive(codec, torch.from_numpy(sampler.crops(16, 64)).float())
    for name, parameter in codec.named_parameters():
        kept = ~new.get(name, torch.tensor(data=False)).expand(parameter.shape)
        assert torch.equal(parameter[kept], before[name][kept])


def test_a_run_from_given_weights_begins_without_dead_units(run: Run, sampler: CropSampler) -> None:
    torch.manual_seed(2)
    other = Run(RECIPE, "cpu")
    start_from(run.to_checkpoint({}), other, sampler)
    for name, units in KILLED.items():
        for of in (dict(other.model.named_parameters()), other.average):
            assert (of[f"codec.{name}.expand.bias"][units] > -1e3).all()
            assert not of[f"codec.{name}.project.weight"][:, units].any()


def test_where_all_places_are_alike_nothing_is_new(run: Run, sampler: CropSampler) -> None:
    codec = run.model.codec
    block = codec.encoder.blocks8[0]
    block.depthwise.weight.zero_()
    block.depthwise.bias.copy_(torch.rand(8) + 0.1234567)
    before = block.expand.bias.clone()
    new = revive(codec, torch.from_numpy(sampler.crops(4, 64)).float())
    assert not new["encoder.blocks8.0.expand.bias"].any()
    assert torch.equal(block.expand.bias, before)
    assert all(torch.isfinite(p).all() for p in codec.parameters())
