"""Frequency tables: what is accepted, lookups, costs and their arrays."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import channel_tables, draw_values, scale_tables

from edgeae.entropy.escape import escape_frequencies, join_overflow, split_overflow
from edgeae.entropy.tables import ChannelTables, ScaleTables, Tables

HALVES = np.array([128, 128])
ANY_TABLES = st.one_of(scale_tables(), channel_tables())


def assert_same(tables: Tables, other: Tables) -> None:
    assert type(tables) is type(other)
    mine, theirs = tables.to_arrays(), other.to_arrays()
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.parametrize("precision", range(8, 17))
def test_escape_classes_fill_the_precision(precision: int) -> None:
    frequencies = escape_frequencies(precision)
    assert frequencies.sum() == 1 << precision
    assert frequencies.min() == 1
    assert escape_frequencies(14)[0] == 8191
    assert escape_frequencies(12)[0] == 2045


def test_overflows_return_from_their_classes() -> None:
    overflow = np.arange(2**16 - 1)
    classes, remainders = split_overflow(overflow)
    assert classes.max() == 15
    assert np.all(remainders < 1 << classes.astype(np.int64))
    np.testing.assert_array_equal(join_overflow(classes, remainders), overflow)


@given(ANY_TABLES)
def test_slots_are_the_symbols_of_their_frequencies(tables: Tables) -> None:
    k = tables.precision
    assert tables.slots.size == (len(tables) + 1) << k
    for number, row in enumerate(tables.frequencies):
        slots = tables.slots[number << k : (number + 1) << k]
        np.testing.assert_array_equal(np.bincount(slots, minlength=row.size), row)
        assert np.all(np.diff(slots.astype(np.int64)) >= 0)
        flat = slice(tables.start[number], tables.start[number + 1])
        np.testing.assert_array_equal(tables.frequency[flat], row)
        np.testing.assert_array_equal(tables.cumulative[flat], np.cumsum(row) - row)


@given(ANY_TABLES)
def test_arrays_and_pickles_return_the_tables(tables: Tables) -> None:
    assert_same(type(tables).from_arrays(tables.to_arrays()), tables)
    assert_same(pickle.loads(pickle.dumps(tables)), tables)


def test_arrays_are_small_integers_without_pickle() -> None:
    tables = ChannelTables((HALVES,), np.array([-3]), precision=8)
    types = {name: array.dtype.str for name, array in tables.to_arrays().items()}
    assert types == {
        "frequencies": "<u2",
        "lengths": "<u2",
        "precision": "|u1",
        "minimum": "<i2",
    }


@given(ANY_TABLES, st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_costs_are_never_negative_and_add_up_exactly(tables: Tables, size: int, seed: int) -> None:
    indexes = np.random.default_rng(seed).integers(0, len(tables), size)
    cost = tables.cost_bits(draw_values(tables, indexes, seed, 0.1), indexes)
    assert cost.shape == (size,)
    assert np.all(cost >= 0)
    assert cost.sum() == cost[::-1].sum() == sum(cost.tolist())


def test_costs_include_signs_classes_and_remainders() -> None:
    tables = ScaleTables((HALVES, np.array([128, 64, 64])), precision=8)
    cost = tables.cost_bits(np.array([0, 0, 1, -1, 2, -3, 5]), np.array([0, 1, 1, 1, 1, 1, 1]))
    first = 8 - np.log2(escape_frequencies(8)[0])
    expected = [0, 1, 2 + 1, 2 + 1, 2 + 1 + first, 2 + 1 + 2 + 1, 2 + 1 + 3 + 2]
    np.testing.assert_allclose(cost, expected, atol=2e-6)


def test_costs_of_channels_have_no_signs() -> None:
    tables = ChannelTables((np.array([128, 64, 64]),), np.array([-1]), precision=8)
    first = 8 - np.log2(escape_frequencies(8)[0])
    cost = tables.cost_bits(np.array([-1, 0, 1, -2]), np.zeros(4, np.uint8))
    np.testing.assert_allclose(cost, [1, 2, 2 + first, 2 + 2 + 1], atol=2e-6)


@pytest.mark.parametrize(
    ("rows", "precision", "message"),
    [
        ((), 8, "0 rows"),
        ((HALVES,), 7, "precision 7"),
        ((HALVES,), 17, "precision 17"),
        ((HALVES,), 9, "sum 256; .* the sum 512"),
        ((HALVES, np.array([256])), 8, "row 1 must be 2..256 integers"),
        ((np.array([256, 0]),), 8, "0..256"),
        ((np.array([300, -44]),), 8, "-44..300"),
        ((np.array([1] * 257),), 8, "row 0 must be 2..256 integers"),
        ((np.array([128.0, 128.0]),), 8, "float64"),
        ((np.array([[128, 128]]),), 8, r"\(1, 2\)"),
        ((np.array([2**64 - 1, 257], np.uint64),), 8, "each must be at least 1"),
        ((np.array([128, 128], object),), 8, "object"),
    ],
)
def test_rows_that_cannot_code_raise(
    rows: tuple[np.ndarray, ...], precision: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ScaleTables(rows, precision=precision)


@pytest.mark.parametrize(
    "minimum", [np.array([0, 0]), np.array([257]), np.array([-257]), np.array([0.5]), np.array(0)]
)
def test_minima_that_do_not_fit_raise(minimum: np.ndarray) -> None:
    with pytest.raises(ValueError, match="minimum"):
        ChannelTables((HALVES,), minimum, precision=8)


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": np.array([2])},
        {"lengths": np.array([2, 3], np.uint16)},
        {"lengths": np.array([4, 0], np.uint16)},
        {"lengths": np.array([[2, 2]], np.uint16)},
        {"lengths": np.array([], np.uint16)},
        {"frequencies": np.array([128, 128, 128, 127], np.uint16)},
        {"frequencies": np.array([128, 128, 128, 128.0])},
        {"precision": np.array([8, 8], np.uint8)},
        {"precision": np.array(300, np.uint16)},
        {"surplus": np.array(0, np.uint8)},
    ],
)
@pytest.mark.parametrize("kind", [ScaleTables, ChannelTables])
def test_foreign_arrays_raise(kind: type[Tables], change: dict[str, np.ndarray]) -> None:
    arrays: dict[str, np.ndarray] = {
        "frequencies": np.array([128, 128, 128, 128], np.uint16),
        "lengths": np.array([2, 2], np.uint16),
        "precision": np.array(8, np.uint8),
    }
    if kind is ChannelTables:
        arrays["minimum"] = np.array([0, 0], np.int16)
    kind.from_arrays(arrays)
    with pytest.raises(ValueError, match="tables:"):
        kind.from_arrays(arrays | change)
    for name in arrays:
        with pytest.raises(ValueError, match="are not"):
            kind.from_arrays({other: arrays[other] for other in arrays if other != name})


def test_tables_keep_their_own_read_only_rows() -> None:
    row = HALVES.copy()
    tables = ScaleTables((row,), precision=8)
    row[0] = 7
    assert tables.frequencies[0].tolist() == [128, 128]
    with pytest.raises(ValueError, match="read-only"):
        tables.frequencies[0][0] = 7
    with pytest.raises(FrozenInstanceError):
        tables.precision = 9  # type: ignore[misc]
