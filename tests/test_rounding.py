from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeae.bundle import Bundle
from edgeae.entropy.tables import ScaleTables
from edgeae.errors import GraphError
from edgeae.rounding import BITS_PER_SQUARE, cheapest, nearest, thresholds

TABLES = ScaleTables(
    (
        np.array([16382, 1, 1]),
        np.array([16000, 300, 84]),
        np.array([9000, 6000, 1200, 184]),
        np.array([4000, 5000, 4000, 2500, 884]),
    )
)


def drawn(count: int, rows: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    random = np.random.default_rng(3)
    values = random.laplace(0, random.choice([0.3, 2.0, 30.0], count)).astype(np.float32)
    return values, random.integers(0, rows, count).astype(np.uint8)


def cost(
    symbols: NDArray[np.int64],
    values: NDArray[np.float32],
    rows: NDArray[np.uint8],
    bits_per_square: float,
) -> NDArray[np.float64]:
    bits = TABLES.cost_bits(symbols, rows)
    return np.asarray(bits + bits_per_square * (values.astype(np.float64) - symbols) ** 2)


@pytest.mark.parametrize("bits_per_square", [BITS_PER_SQUARE, 12.0])
def test_no_neighbour_nearer_to_zero_is_cheaper(bits_per_square: float) -> None:
    values, rows = drawn(20_000, 4)
    bounds = thresholds(TABLES, bits_per_square)
    symbols = cheapest(values, rows, bounds, 32_767).astype(np.int64)
    coded = (rows > 0) & (np.abs(symbols) <= 32)
    symbols, values, rows = symbols[coded], values[coded], rows[coded]
    chosen = cost(symbols, values, rows, bits_per_square)
    plain = np.rint(values).astype(np.int64)
    lower = plain - np.sign(plain)
    best = np.minimum(*(cost(way, values, rows, bits_per_square) for way in (plain, lower)))
    # Where theory would move a symbol by more than one, the bound stops it at the integer.
    free = np.abs(values) < np.abs(plain) + 1e-6
    np.testing.assert_allclose(chosen[free], best[free], atol=1e-3)
    assert (symbols != plain).any()


def test_symbols_move_by_one_at_most_and_never_away_from_zero() -> None:
    values, rows = drawn(20_000, 4)
    symbols = cheapest(values, rows, thresholds(TABLES), 32_767)
    moved = np.abs(np.rint(values)) - np.abs(symbols)
    assert set(np.unique(moved[rows > 0])) == {0, 1}
    assert (symbols[rows == 0] == 0).all()
    assert (symbols * values >= 0).all()


def test_thresholds_lie_between_the_half_and_the_integer(tiny_bundle: Path) -> None:
    tables = Bundle.load(tiny_bundle).scale_tables
    assert tables is not None
    found = thresholds(tables)
    levels = np.arange(1, found.shape[1] + 1)
    assert (found >= levels - 0.5).all()
    assert (found <= levels).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_latents_that_are_no_numbers_are_a_graph_error(value: float) -> None:
    with pytest.raises(GraphError, match="not finite"):
        nearest(np.array([0, value], np.float32), 100)


def test_latents_beyond_the_limit_are_clipped_to_it() -> None:
    assert nearest(np.array([-1e9, 0.6, 1e9], np.float32), 100).tolist() == [-100, 1, 100]
