"""Types and bounds of a recipe's values, said before anything is computed with them."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

SHARE = (0.0, 1.0)
COUNT = (1, math.inf)
MAYBE_NONE = (0, math.inf)
POSITIVE = (1e-12, math.inf)
TYPES: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


def check_types(recipe: DataclassInstance) -> None:
    """Raise TypeError unless numbers and words are where the fields say so."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        types = TYPES.get(str(field.type))
        if types is not None and (isinstance(value, bool) or not isinstance(value, types)):
            raise TypeError(f"{field.name} is {value!r}, not of type {field.type}")


def check_ranges(recipe: DataclassInstance, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError unless each of these attributes is a number within its range."""
    for name, (low, high) in ranges.items():
        value = getattr(recipe, name)
        if not low <= value <= high:
            bound = f"at least {low:g}" if math.isinf(high) else f"within {low:g}..{high:g}"
            raise ValueError(f"{name} is {value}, not {bound}")


def check_order(recipe: DataclassInstance, low: str, high: str) -> None:
    """Raise ValueError if the value of one field is above that of another."""
    if getattr(recipe, low) > getattr(recipe, high):
        raise ValueError(
            f"{low} is {getattr(recipe, low)}, above {high}, which is {getattr(recipe, high)}"
        )
