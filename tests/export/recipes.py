"""Recipes of photo codecs, for tests that train or export one."""

from __future__ import annotations

from pathlib import Path

from edgeae_export.recipe import Recipe
from edgeae_export.recipe_table import load_recipe

TINY = str(Path(__file__).with_name("tiny.toml"))


def photo_recipe(name: str = TINY) -> Recipe:
    """Return a photo codec's recipe by its name or file."""
    recipe = load_recipe(name)
    assert isinstance(recipe, Recipe)
    return recipe
