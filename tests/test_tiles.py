"""Tiles make the whole, whatever the size; a halo too small would show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeae.errors import GraphError
from edgeae.tiles import (
    WHOLE_PIXELS,
    Tile,
    needs_tiles,
    run_in_tiles,
    run_rows,
    spans,
    tiles_of,
)

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
    stride = max(1, multiple // 4)
    for span in spans(length, multiple=multiple, stride=stride, halo=halo, side=side):
        kept += range(length)[span.kept]
        assert (span.start % multiple, span.first % stride) == (0, 0)
        assert span.first <= max(0, span.start - halo)
        assert span.last >= min(length, span.stop + halo)
        assert span.last == length or span.last % stride == 0
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


def test_lengths_are_about_equal() -> None:
    found = spans(2100, multiple=64, stride=16, halo=0, side=1024)
    assert [span.stop - span.start for span in found] == [704, 704, 692]


def test_small_pictures_need_no_tiles() -> None:
    assert not needs_tiles(1024, WHOLE_PIXELS // 1024)
    assert not needs_tiles(5000, 3)
    assert needs_tiles(1025, WHOLE_PIXELS // 1024)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_rows_come_in_order_and_no_more_are_begun_than_that_takes(workers: int) -> None:
    tiles = tiles_of(200, 30, multiple=1, stride=1, halo=0, side=10)
    begun = []

    def work(tile: Tile) -> tuple[slice, slice]:
        begun.append(tile)
        return tile.kept

    for number, (row, found) in enumerate(run_rows(tiles, work, workers)):
        assert found == [tile.kept for tile in row]
        assert row[0].rows.start == 10 * number
        assert len(begun) <= 3 * (number + 1) + workers + 2
    assert len(begun) == 60


def test_an_error_of_a_tile_is_the_error_of_all() -> None:
    def work(tile: Tile) -> None:
        if tile.rows.start == 20:
            raise GraphError("no such tile")

    tiles = tiles_of(100, 10, multiple=1, stride=1, halo=0, side=10)
    with pytest.raises(GraphError, match="no such tile"):
        list(run_rows(tiles, work, workers=3))
