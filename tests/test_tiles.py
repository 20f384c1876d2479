"""Tiles make the whole, whatever the size; a halo too small would show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeae.tiles import fits_one_tile, run_in_tiles, spans

RADIUS = 3
Pixels = NDArray[np.uint8]


def spread(pixels: Pixels) -> Pixels:
    """Mean over 7x7, of zeros outside, plus a pattern of period 4 that lies on a grid."""
    height, width = pixels.shape[:2]
    edge = ((RADIUS, RADIUS), (RADIUS, RADIUS)) + ((0, 0),) * (pixels.ndim - 2)
    padded = np.pad(pixels.astype(np.int64), edge)
    total = sum(
        padded[y : y + height, x : x + width]
        for y in range(2 * RADIUS + 1)
        for x in range(2 * RADIUS + 1)
    )
    y, x = np.mgrid[:height, :width]
    pattern = (y % 4) * 4 + x % 4
    pattern = pattern.reshape(*pattern.shape, *(1,) * (pixels.ndim - 2))
    result: Pixels = (np.asarray(total) // 64 + pattern).astype(np.uint8)
    return result


@given(
    length=st.integers(1, 300),
    multiple=st.sampled_from([1, 2, 4, 64]),
    halo=st.integers(0, 40),
    side=st.integers(1, 100),
)
def test_each_pixel_is_kept_once_and_has_its_surroundings(
    length: int, multiple: int, halo: int, side: int
) -> None:
    kept: list[int] = []
    for span in spans(length, multiple=multiple, halo=halo, side=side):
        kept += range(length)[span.kept]
        assert span.first % multiple == 0
        assert span.first <= max(0, span.start - halo)
        assert span.last >= min(length, span.stop + halo)
        assert span.last == length or span.last % multiple == 0
        assert list(range(length)[span.seen][span.inside]) == list(range(length)[span.kept])
        assert span.last - span.first <= side + 2 * halo + 3 * multiple
    assert kept == list(range(length))


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    side=st.integers(1, 30),
    colour=st.booleans(),
)
def test_tiles_are_the_whole(height: int, width: int, side: int, colour: bool) -> None:
    shape = (height, width, 3) if colour else (height, width)
    pixels = np.random.default_rng(height * width).integers(0, 256, shape, np.uint8)
    found = run_in_tiles(pixels, spread, multiple=4, halo=RADIUS, side=side)
    np.testing.assert_array_equal(found, spread(pixels))


@pytest.mark.parametrize(("multiple", "halo"), [(1, RADIUS - 1), (2, 1), (1, RADIUS)])
def test_too_little_context_or_another_grid_would_show(multiple: int, halo: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    found = run_in_tiles(pixels, spread, multiple=multiple, halo=halo, side=10)
    assert (found != spread(pixels)).any()


def test_small_pictures_need_no_tiles() -> None:
    assert fits_one_tile(512, 512)
    assert not fits_one_tile(513, 1)
    assert not fits_one_tile(1, 513)
