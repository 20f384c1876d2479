"""Hypothesis strategies for tables and sections; values come from seeded generators, for speed."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgeae.entropy.rans import Section
from edgeae.entropy.tables import ChannelTables, ScaleTables, Tables
from edgeae.entropy.tables_base import Integers

PRECISIONS = st.sampled_from([8, 12, 14, 16])


@st.composite
def table_rows(draw: st.DrawFn, precision: int) -> Integers:
    """One row: 2..256 frequencies from flat to all but certain, in any order."""
    size = draw(st.one_of(st.integers(2, 6), st.sampled_from([17, 255, 256])))
    steepness = draw(st.sampled_from([0.0, 0.05, 0.7, 5.0]))
    weights = np.exp(-steepness * np.arange(size))
    spare = (1 << precision) - size
    frequencies = 1 + np.floor(weights / weights.sum() * spare).astype(np.int64)
    frequencies[0] += (1 << precision) - frequencies.sum()
    return np.roll(frequencies, draw(st.integers(0, size - 1)))


@st.composite
def scale_tables(draw: st.DrawFn) -> ScaleTables:
    """Two to four rows; row 0 is there and never used."""
    precision = draw(PRECISIONS)
    rows = draw(st.lists(table_rows(precision), min_size=2, max_size=4))
    return ScaleTables(tuple(rows), precision=precision)


@st.composite
def channel_tables(draw: st.DrawFn) -> ChannelTables:
    """One to three rows with their minima, extremes included."""
    precision = draw(PRECISIONS)
    rows = draw(st.lists(table_rows(precision), min_size=1, max_size=3))
    minimum = [draw(st.one_of(st.integers(-20, 5), st.sampled_from([-256, 256]))) for _ in rows]
    return ChannelTables(tuple(rows), np.array(minimum, np.int16), precision=precision)


def draw_values(tables: Tables, indexes: Integers, seed: int, escape_share: float) -> Integers:
    """Values by the tables' own probabilities, a share of them anywhere up to the limit."""
    rng = np.random.default_rng(seed)
    positions = (indexes.astype(np.int64) << tables.precision) + rng.integers(
        0, 1 << tables.precision, indexes.size
    )
    values = tables.slots[positions].astype(np.int32)
    if isinstance(tables, ChannelTables):
        values += tables.minimum[indexes]
    else:
        values *= rng.choice([-1, 1], indexes.size).astype(np.int32)
    limit = tables.VALUE_LIMIT
    anywhere = rng.integers(-limit, limit + 1, indexes.size) >> rng.integers(0, 16, indexes.size)
    anywhere[rng.random(indexes.size) < 0.1] = limit
    anywhere[rng.random(indexes.size) < 0.1] = -limit
    values = np.where(rng.random(indexes.size) < escape_share, anywhere, values)
    return np.where(tables_code(tables, indexes), values, 0).astype(np.int32)


def tables_code(tables: Tables, indexes: Integers) -> np.ndarray:
    """Whether each index has symbols other than 0, (n,) bool."""
    coded = np.zeros(indexes.size, bool)
    coded[tables.coded(indexes)] = True
    return coded


@st.composite
def sections(draw: st.DrawFn, max_symbols: int = 400) -> Section:
    """Zero to ``max_symbols`` symbols, lengths around whole rows of lanes included."""
    tables = draw(st.one_of(scale_tables(), channel_tables()))
    lengths = [n for n in (31, 32, 33, 64, 128, 1023, 1024, 1025) if n <= max_symbols]
    size = draw(st.one_of(st.integers(0, 5), st.sampled_from(lengths), st.integers(0, max_symbols)))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(tables), size).astype(np.uint8)
    escape_share = draw(st.sampled_from([0.0, 0.02, 0.5]))
    return Section(draw_values(tables, indexes, seed + 1, escape_share), indexes, tables)


def payload_sections(max_symbols: int = 400) -> st.SearchStrategy[list[Section]]:
    """One to four sections, any of them empty."""
    return st.lists(sections(max_symbols), min_size=1, max_size=4)
