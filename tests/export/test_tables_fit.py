from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeae_export.freeze import (
    freeze_channel_tables,
    freeze_scale_tables,
    integer_frequencies,
)
from edgeae_export.histograms import MAGNITUDES, Histograms, count_symbols
from edgeae_export.networks.photo import HYPER_CLIP, SCALES
from edgeae_export.networks.prior import ChannelPrior, laplace_bits
from export.made_pictures import made_picture
from export.random_codec import random_model

pytestmark = pytest.mark.torch

CHANNELS = 3
EMPTY = Histograms(
    np.zeros((SCALES, MAGNITUDES), np.int64), np.zeros((CHANNELS, 2 * HYPER_CLIP + 1), np.int64)
)
SANE_BITS = 60.0  # of the most surprising value there is


@given(st.integers(2, 256), st.floats(0, 4), st.integers(0, 1000), st.sampled_from([8, 12, 14]))
@settings(max_examples=60, deadline=None)
def test_frequencies_sum_to_the_total_and_are_close_to_the_best(
    size: int, steepness: float, seed: int, precision: int
) -> None:
    weights = np.random.default_rng(seed).exponential(size=size) ** steepness
    probabilities = weights / weights.sum()
    frequencies = integer_frequencies(probabilities, precision)
    assert frequencies.min() >= 1
    assert frequencies.sum() == 2**precision
    entropy = -(probabilities @ np.log2(np.maximum(probabilities, 1e-300)))
    cost = probabilities @ (precision - np.log2(frequencies))
    # One count for each symbol and the rest by probability, rounded down, costs no more than this.
    share = 1 - size / 2**precision
    assert entropy - 1e-9 <= cost <= entropy - (np.log2(share) if share else -np.inf) + 1e-9


@pytest.mark.parametrize("index", [1, 12, 30, 45, 63])
def test_laplace_symbols_cost_what_the_laplace_model_says(index: int) -> None:
    random = np.random.default_rng(index)
    scale = np.exp(-4 + index * 8.2 / 63)
    symbols = np.rint(random.laplace(0, scale, 50_000)).astype(np.int32)
    counts = EMPTY.magnitudes.copy()
    counts[index] = np.bincount(np.abs(symbols), minlength=MAGNITUDES)
    tables = freeze_scale_tables(Histograms(counts, EMPTY.hyper))
    fresh = np.rint(random.laplace(0, scale, 50_000)).astype(np.int32)
    cost = tables.cost_bits(fresh, np.full(fresh.shape, index)).mean()
    ideal = laplace_bits(torch.from_numpy(fresh).float(), torch.tensor(float(index))).mean()
    assert cost < 1.01 * float(ideal) + 0.002  # 1 % is what a row of 256 costs at scale 66


def test_rows_learn_what_the_model_does_not_know() -> None:
    counts = EMPTY.magnitudes.copy()
    counts[30, [0, 7]] = 500_000  # far from Laplace
    tables = freeze_scale_tables(Histograms(counts, EMPTY.hyper))
    cost = tables.cost_bits(np.array([0, 7, -7, 1]), np.full(4, 30))
    assert cost[:3] == pytest.approx([1, 2, 2], abs=0.01)
    assert 10 < cost[3] < 20


def test_every_value_keeps_a_sane_price_though_nothing_was_seen() -> None:
    scales = freeze_scale_tables(EMPTY)
    values = np.array([0, 1, -1, 2, 50, 300, -5000, 32767])
    assert len(scales) == SCALES
    for index in range(1, SCALES):
        assert scales.cost_bits(values, np.full(len(values), index)).max() < SANE_BITS
    channels = freeze_channel_tables(EMPTY, ChannelPrior(CHANNELS))
    every = np.arange(-HYPER_CLIP, HYPER_CLIP + 1)
    assert len(channels) == CHANNELS
    assert channels.cost_bits(every, np.full(len(every), 1)).max() < SANE_BITS


def test_row_zero_codes_nothing() -> None:
    tables = freeze_scale_tables(EMPTY)
    assert tables.cost_bits(np.zeros(5, np.int32), np.zeros(5, np.int64)).sum() == 0


def test_hyper_rows_follow_their_channel() -> None:
    counts = EMPTY.hyper.copy()
    values = np.arange(-HYPER_CLIP, HYPER_CLIP + 1)
    counts[0, values == 100] = 100_000
    counts[1, (values >= 20) & (values < 24)] = 100_000
    counts[2] = 100_000
    tables = freeze_channel_tables(Histograms(EMPTY.magnitudes, counts), ChannelPrior(CHANNELS))
    ones = tables.cost_bits(np.array([100, 22, -127, 127]), np.array([0, 1, 2, 2]))
    assert ones == pytest.approx([0, 2, np.log2(255), np.log2(255)], abs=0.05)
    assert tables.frequencies[2].size == 256
    assert tables.frequencies[1].size < 30
    assert tables.cost_bits(np.array([-127, 127]), np.array([0, 0])).max() < SANE_BITS


def test_histograms_count_every_position_once() -> None:
    codec = random_model().codec
    pictures = [made_picture(0, 64, 128), made_picture(1, 50, 40)]
    histograms = count_symbols(codec, pictures, (0.0, 60.0))
    latents = 2 * (4 * 8 + 4 * 4) * codec.shape.latent_channels
    assert histograms.magnitudes.sum() == latents
    assert (histograms.hyper.sum(axis=1) == 2 * (2 + 1)).all()
    assert histograms.magnitudes[0, 1:].sum() == 0  # index 0 means symbol 0
    assert np.count_nonzero(histograms.magnitudes.sum(axis=1)) > 3
