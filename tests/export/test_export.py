from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeae.bundle import Bundle
from edgeae.codec import Codec
from edgeae.errors import BoundError, BundleError, OutputError
from edgeae.known_file import compare, read_known_file
from edgeae.metrics import psnr_db
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.export import export
from edgeae_export.klt import principal_components
from edgeae_export.networks.layers import space_to_depth
from edgeae_export.networks.photo import GREY, PhotoCodec
from edgeae_export.photo_graphs import fractional_bits, is_kernel
from edgeae_export.read_weights import checkpoint_of_bundle, read_weights
from edgeae_export.recipe_table import load_recipe
from edgeae_export.write_bundle import Label
from export.made_pictures import made_picture
from export.random_codec import random_model
from export.recipes import photo_recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RECIPE = photo_recipe()
PICTURES = [made_picture(seed, 96, 128) for seed in range(4)]
HELD_OUT = [made_picture(9, 70, 100)]
LABEL = Label(name="small", description="For a test.", latent_space="small-1")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A transform codec without training: principal components, deep paths switched off."""
    model = random_model(RECIPE.shape)
    codec = model.codec
    pixels = torch.from_numpy(np.stack([p[:64, :128] for p in PICTURES])).float() - GREY
    patches = space_to_depth(space_to_depth(pixels, 8), 2)
    basis, _ = principal_components([patches], RECIPE.latent_channels)
    codec.encoder.linear.copy_(basis)
    codec.decoder.linear.copy_(basis.T)
    for switched_off in (codec.encoder.tail, codec.decoder.tail):
        for parameter in switched_off.parameters():
            parameter.zero_()
    codec.decoder.linear_overlap.zero_()
    codec.inverse_gain.log.copy_(-codec.gain.log)
    codec.hyper_decoder.scale.tail.bias.add_(2)
    tensors = {f"average.{key}": value for key, value in model.state_dict().items()}
    return Checkpoint(RECIPE, Progress(3, 90.0, 1.5), tensors, {"data": "made"})


@pytest.fixture(scope="module")
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "small"
    export(checkpoint, PICTURES, HELD_OUT, folder, LABEL)
    return folder


def test_bundle_is_whole_and_codes_pictures(bundle: Path) -> None:
    opened = Bundle.load(bundle)
    opened.verify()
    assert opened.manifest.name == "small"
    assert opened.manifest.halo is not None  # large pictures can be run in tiles
    assert opened.manifest.training["steps"] == 3
    codec = Codec(opened, threads=1)
    picture = made_picture(20, 90, 61)
    small, large = codec.compress(picture, 0), codec.compress(picture, 100)
    assert len(small) < len(large)
    assert psnr_db(picture, codec.decompress(large)) > psnr_db(picture, codec.decompress(small))
    known = read_known_file(opened)
    assert known is not None
    assert compare(codec, known).complaints() == []


def test_rates_and_distortions_rise_with_quality(bundle: Path) -> None:
    points = np.array(Bundle.load(bundle).manifest.rate_distortion)
    assert points.shape == (7, 3)
    assert (np.diff(points[:, 1]) > 0).all()
    assert points[-1, 2] > points[0, 2]


def test_card_says_what_where_from_and_how_well(bundle: Path) -> None:
    text = (bundle / "card.md").read_text(encoding="utf-8")
    for part in ("# small", "| data | made |", "| 100 |", "largest sum", "edgeae export"):
        assert part in text


def test_recipe_of_the_card_is_the_one_that_was_trained_by(
    bundle: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    text = (bundle / "card.md").read_text(encoding="utf-8")
    assert "--recipe recipe.toml" in text
    file = tmp_path / "recipe.toml"
    file.write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert load_recipe(str(file)) == checkpoint.recipe


def test_equal_checkpoints_give_equal_files(
    bundle: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    export(checkpoint, PICTURES, HELD_OUT, tmp_path / "again", LABEL)
    for path in sorted(bundle.iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_a_tuned_decoder_keeps_the_files_of_the_bundle(
    bundle: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    key = "average.codec.decoder.linear_bias"
    tensors = {**checkpoint.tensors, key: checkpoint.tensors[key] + 10}
    tuned = replace(checkpoint, tensors=tensors, history={"tuning": "freeze-entropy"})
    base = Bundle.load(bundle)
    label = replace(LABEL, name="brighter")
    export(tuned, [], HELD_OUT, tmp_path / "brighter", label, entropy_of=base)
    one, other = Codec(base, threads=1), Codec.load(tmp_path / "brighter", threads=1)
    assert other.bundle.coding_id == base.coding_id
    file = one.compress(made_picture(20, 90, 61), 50)
    assert other.decompress(file).mean() > one.decompress(file).mean() + 8
    text = (tmp_path / "brighter" / "card.md").read_text(encoding="utf-8")
    assert "--freeze-entropy" in text
    assert "--entropy-of BUNDLE --val" in text
    assert f"BUNDLE is bundle small, coding id {base.manifest.coding_id}." in text

    apart = replace(label, latent_space="apart")
    export(tuned, [], HELD_OUT, tmp_path / "apart", apart, entropy_of=base)
    assert Bundle.load(tmp_path / "apart").coding_id != base.coding_id
    text = (tmp_path / "apart" / "card.md").read_text(encoding="utf-8")
    assert "--entropy-of BUNDLE --latent-space apart --val" in text


def test_another_hyper_decoder_is_not_of_the_bundle(
    bundle: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    key = "average.codec.hyper_decoder.scale.tail.bias"
    tuned = replace(checkpoint, tensors={**checkpoint.tensors, key: checkpoint.tensors[key] + 1})
    with pytest.raises(BoundError, match="train with --freeze-entropy"):
        export(tuned, [], HELD_OUT, tmp_path / "b", LABEL, entropy_of=Bundle.load(bundle))
    assert list(tmp_path.iterdir()) == []


def test_training_can_start_again_from_the_bundle(bundle: Path, checkpoint: Checkpoint) -> None:
    codec = PhotoCodec(checkpoint.recipe.shape)
    codec.load_state_dict(read_weights(bundle))
    average = checkpoint.group("average")
    for key, value in codec.state_dict().items():
        expected, unit = average[f"codec.{key}"], 1e-7
        if key.startswith("hyper_decoder.scale."):
            unit = 1 / 128
            if is_kernel(key):
                most = 127 * 2.0 ** -fractional_bits(codec)[key]
                expected = expected.clamp(-most, most)
        torch.testing.assert_close(value, expected, atol=unit, rtol=1e-3)


@pytest.mark.parametrize(
    ("key", "value"), [("megapixels", None), ("minutes", "long"), ("recipe", {"crop": 100})]
)
def test_a_bundle_that_does_not_say_how_it_was_trained_is_refused(
    bundle: Path, tmp_path: Path, key: str, value: object
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    document = json.loads((copy / "manifest.json").read_text())
    whole = document["training"][key]
    document["training"][key] = whole | value if isinstance(value, dict) else value
    (copy / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="its manifest"):
        checkpoint_of_bundle(copy)


def test_held_out_pictures_that_come_back_exactly_are_measured(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    points = export(checkpoint, PICTURES, [white], tmp_path / "b", LABEL).rate_distortion
    assert max(psnr for _, _, psnr in points) == 100


def test_a_name_that_none_could_have_is_refused_first(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(BoundError, match="'my model' cannot be a bundle's name"):
        export(checkpoint, [], [], tmp_path / "b", replace(LABEL, name="my model"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists; remove it"):
        export(checkpoint, PICTURES, HELD_OUT, tmp_path, LABEL)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_bound_leaves_no_folder(checkpoint: Checkpoint, tmp_path: Path) -> None:
    key = "average.codec.hyper_decoder.scale.head.bias"
    tensors = {**checkpoint.tensors, key: checkpoint.tensors[key] + 1e6}
    with pytest.raises(BoundError, match=r"scale\.head: channel \d may sum to 128"):
        export(replace(checkpoint, tensors=tensors), PICTURES, HELD_OUT, tmp_path / "b", LABEL)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_without_a_weight_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    tensors = dict(checkpoint.tensors)
    del tensors["average.codec.gain.log"]
    with pytest.raises(BundleError, match=r"checkpoint of tiny: .*codec\.gain\.log"):
        export(replace(checkpoint, tensors=tensors), PICTURES, HELD_OUT, tmp_path / "b", LABEL)
