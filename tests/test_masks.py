from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeae.masks import MAX_STEPS, check_masks, gather, scatter, scatter_pieces


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    steps, channels = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    owner = np.random.default_rng(draw(st.integers(0, 999))).integers(steps, size=(channels, 2, 2))
    return np.equal(np.arange(steps)[:, None, None, None], owner)


@given(masks(), st.integers(1, 4), st.integers(1, 4))
def test_scatter_undoes_gather_over_all_steps(masks: np.ndarray, rows: int, columns: int) -> None:
    shape = (masks.shape[1], 2 * rows, 2 * columns)
    latents = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    copy = np.full(shape, -1, np.int16)
    for mask in masks:
        scatter(copy, mask, gather(latents, mask))
    assert (copy == latents).all()


@given(masks(), st.integers(1, 4), st.integers(1, 4))
def test_gather_takes_planes_in_the_order_of_the_format(
    masks: np.ndarray, rows: int, columns: int
) -> None:
    shape = (masks.shape[1], 2 * rows, 2 * columns)
    latents = np.arange(np.prod(shape)).reshape(shape)
    for mask in masks:
        expected = [
            latents[c, dy + 2 * i, dx + 2 * j]
            for c, dy, dx in np.argwhere(mask)
            for i in range(rows)
            for j in range(columns)
        ]
        assert gather(latents, mask).tolist() == expected


@given(masks(), st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(0, 90), max_size=5))
def test_pieces_of_any_length_are_scattered_as_the_whole(
    masks: np.ndarray, rows: int, columns: int, cuts: list[int]
) -> None:
    shape = (masks.shape[1], 2 * rows, 2 * columns)
    latents = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    copy = np.full(shape, -1, np.int16)
    for mask in masks:
        scatter_pieces(copy, mask, np.split(gather(latents, mask), sorted(cuts)))
    assert (copy == latents).all()


@pytest.mark.parametrize("count", [12, 15, 17])
def test_values_that_do_not_fit_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="the mask has 4"):
        scatter(np.zeros((1, 4, 4), np.int16), np.ones((1, 2, 2), bool), np.ones(count, np.int16))


def test_scatter_into_a_strided_view_is_refused_since_it_would_be_lost() -> None:
    latents = np.zeros((1, 4, 8), np.int16)[:, :, ::2]
    with pytest.raises(ValueError, match="C-contiguous"):
        scatter(latents, np.ones((1, 2, 2), np.bool_), np.ones(16, np.int16))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.ones((1, 3, 2, 2), np.uint8), "masks are uint8"),
        (np.ones((1, 3, 2, 4), np.bool_), "not bool"),
        (np.zeros((1, 3, 2, 2), np.bool_), "exactly once"),
        (np.ones((2, 3, 2, 2), np.bool_), "exactly once"),
        (np.zeros((MAX_STEPS + 1, 3, 2, 2), np.bool_), "16 masks"),
    ],
)
def test_masks_that_do_not_cover_each_position_once_are_refused(
    broken: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_masks(broken)


def test_no_masks_are_a_plain_autoencoder() -> None:
    check_masks(np.zeros((0, 3, 2, 2), np.bool_))
