"""The three networks: shapes, starts and the recipes that describe them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgeae.errors import BoundError
from edgeae_export.autoencoder_recipes import (
    AutoencoderRecipe,
    ConvAutoencoderRecipe,
    DenoiseRecipe,
    VaeRecipe,
)
from edgeae_export.networks.conv_ae import ConvAutoencoder
from edgeae_export.networks.denoise import Denoiser
from edgeae_export.networks.vae import Vae
from edgeae_export.recipe_table import load_recipe

pytestmark = pytest.mark.torch

NAMES = ["conv-ae", "vae", "vae-color", "denoise", "denoise-photo"]
MEGABYTE_OF_FLOATS = 1_000_000 // 4


@pytest.mark.parametrize("name", NAMES)
def test_recipes_of_the_package_load_and_fit_a_megabyte(name: str) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, AutoencoderRecipe)
    assert recipe.name == name
    network = NETWORKS[type(recipe)](recipe)
    assert sum(p.numel() for p in network.parameters()) < MEGABYTE_OF_FLOATS
    pixels = torch.rand(2, recipe.channels, recipe.height, recipe.width)
    restored = network(pixels)
    assert restored.shape == pixels.shape
    assert restored.min() >= 0
    assert restored.max() <= 1


NETWORKS = {ConvAutoencoderRecipe: ConvAutoencoder, VaeRecipe: Vae, DenoiseRecipe: Denoiser}


def test_the_code_of_a_digit_has_8_channels_of_7x7_and_no_negative_number() -> None:
    recipe = load_recipe("conv-ae")
    assert isinstance(recipe, ConvAutoencoderRecipe)
    code = ConvAutoencoder(recipe).encoder(torch.rand(3, 1, 28, 28))
    assert code.shape == (3, 8, 7, 7)
    assert code.min() == 0


@pytest.mark.parametrize(("side", "filters"), [(28, (4, 8)), (32, (4, 8)), (64, (4, 8, 8))])
def test_a_vae_of_any_size_has_latents_of_four_axes(side: int, filters: tuple[int, ...]) -> None:
    recipe = load_recipe("vae")
    assert isinstance(recipe, VaeRecipe)
    small = replace(recipe, channels=3, height=side, width=side, filters=filters, latents=5)
    vae = Vae(small)
    mean, log_variance = vae.encoder(torch.rand(2, 3, side, side))
    assert mean.shape == log_variance.shape == (2, 5, 1, 1)
    assert vae.decoder(mean).shape == (2, 3, side, side)


def test_an_untrained_vae_shows_its_latents() -> None:
    torch.manual_seed(0)
    recipe = load_recipe("vae")
    assert isinstance(recipe, VaeRecipe)
    logits = Vae(recipe).decoder.logits(torch.randn(64, recipe.latents, 1, 1))
    assert logits.std(dim=0).mean() > 0.2  # 0.002 with the library's own start


@pytest.mark.parametrize("name", ["denoise", "denoise-photo"])
def test_an_untrained_denoiser_returns_the_picture(name: str) -> None:
    torch.manual_seed(0)
    recipe = load_recipe(name)
    assert isinstance(recipe, DenoiseRecipe)
    pixels = torch.rand(1, recipe.channels, 24, 36)
    torch.testing.assert_close(Denoiser(recipe)(pixels), pixels, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("conv-ae", "alpha", "alhpa", "alhpa"),
        ("conv-ae", '"mse" ', '"l1"', "none of mse, bce, weighted"),
        ("conv-ae", "height = 28", "height = 30", "30x28 is not a multiple of 4"),
        ("vae", '"bernoulli"', '"poisson"', "none of bernoulli, gaussian"),
        ("vae", '"vae"\n#', '"gan"\n#', "network 'gan' is none of photo, conv-ae"),
        ("denoise", "channels = 1", "channels = 4", "not 1 .grey. or 3"),
        ("denoise-photo", "latents = 96", "latents = 40", "below 16 x 3"),
    ],
)
def test_a_wrong_recipe_is_named(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    package = Path(__file__).parents[2] / "export/edgeae_export/recipes"
    text = (package / f"{name}.toml").read_text()
    assert old in text
    (tmp_path / "bad.toml").write_text(text.replace(old, new))
    with pytest.raises(BoundError, match=message):
        load_recipe(str(tmp_path / "bad.toml"))
