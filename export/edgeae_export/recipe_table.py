"""From a recipe's ``network`` to its class, and from a name or file to the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeae.errors import BoundError
from edgeae_export.autoencoder_recipes import ConvAutoencoderRecipe, DenoiseRecipe, VaeRecipe
from edgeae_export.recipe import Recipe, recipe_values

AnyRecipe = Recipe | ConvAutoencoderRecipe | VaeRecipe | DenoiseRecipe

RECIPES: Mapping[str, type[AnyRecipe]] = {
    "photo": Recipe,
    "conv-ae": ConvAutoencoderRecipe,
    "vae": VaeRecipe,
    "denoise": DenoiseRecipe,
    "denoise-photo": DenoiseRecipe,
}


def recipe_of(values: Mapping[str, Any]) -> AnyRecipe:
    """Return the recipe with these keys; without ``network`` it is one of a photo codec.

    Raises
    ------
    TypeError
        A key is missing or unknown, or a value of another type.
    ValueError
        No such network, or a value out of its range.
    """
    network = values.get("network", "photo")
    if network not in RECIPES:
        raise ValueError(f"network {network!r} is none of {', '.join(RECIPES)}")
    return RECIPES[network](**values)


def load_recipe(name: str) -> AnyRecipe:
    """Read a recipe of the package by its name, or a TOML file by its path.

    Raises
    ------
    BoundError
        No such recipe, or the file has missing or unknown keys, or values out of range.
    """
    values, where = recipe_values(name)
    try:
        return recipe_of(values)
    except (TypeError, ValueError) as error:
        raise BoundError(f"{where}: {error}; compare it with one of the package") from error
