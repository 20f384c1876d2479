"""Bounds of a recipe's numbers, said before anything is computed with them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARE = (0.0, 1.0)
COUNT = (1, math.inf)
MAYBE_NONE = (0, math.inf)
POSITIVE = (1e-12, math.inf)


def check_ranges(recipe: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError unless each of these attributes is a number within its range."""
    for name, (low, high) in ranges.items():
        value = getattr(recipe, name)
        if not low <= value <= high:
            bound = f"at least {low:g}" if math.isinf(high) else f"within {low:g}..{high:g}"
            raise ValueError(f"{name} is {value}, not {bound}")
