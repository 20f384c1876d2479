"""Grids, comparisons, captions and animations: sizes and samples."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from edgeae.errors import ImageError
from edgeae.images.drawing import CAPTION_HEIGHT, animation, caption
from edgeae.images.grids import GAP, PAPER, compare, comparison_grid, enlarge, grid, shrink


def numbered(count: int, *shape: int) -> list[np.ndarray]:
    return [np.full(shape, k, np.uint8) for k in range(count)]


@given(count=st.integers(1, 70), columns=st.integers(1, 80))
def test_every_picture_is_in_its_cell(count: int, columns: int) -> None:
    sheet = grid(numbered(count, 3, 4), columns=columns)
    used = min(columns, count)
    assert sheet.shape == (-(-count // used) * (3 + GAP) + GAP, used * (4 + GAP) + GAP)
    for k in range(count):
        row, column = divmod(k, used)
        top, left = GAP + row * (3 + GAP), GAP + column * (4 + GAP)
        assert (sheet[top : top + 3, left : left + 4] == k).all()
    assert (sheet[:GAP] == PAPER).all()
    assert (sheet[-GAP:] == PAPER).all()


def test_grid_is_about_a_square() -> None:
    assert grid(numbered(64, 28, 28)).shape == (242, 242)
    height, width = grid(numbered(20, 10, 40)).shape
    assert 0.5 < height / width < 2


def test_pictures_of_several_sizes_and_kinds_share_a_grid() -> None:
    sheet = grid([np.zeros((2, 9), np.uint8), np.full((5, 3, 3), 7, np.uint8)], columns=2)
    assert sheet.shape == (5 + 2 * GAP, 2 * 9 + 3 * GAP, 3)
    assert (sheet[GAP : GAP + 2, GAP : GAP + 9] == 0).all()
    assert (sheet[GAP : GAP + 5, 2 * GAP + 9 : 2 * GAP + 12] == 7).all()
    assert (sheet[GAP + 2 : GAP + 5, GAP : GAP + 9] == PAPER).all()


def test_grid_that_no_file_holds_is_refused() -> None:
    with pytest.raises(ImageError, match=r"3 pictures make a grid of 72008x"):
        grid(numbered(3, 1, 24_000), columns=3)


def test_enlarged_pixels_are_squares() -> None:
    assert (enlarge(np.array([[1, 2]], np.uint8), 2) == [[1, 1, 2, 2], [1, 1, 2, 2]]).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_shrunk_pictures_fit(height: int, width: int, side: int, colour: bool) -> None:
    pixels = np.full((height, width, 3) if colour else (height, width), 91, np.uint8)
    small = shrink(pixels, side)
    assert max(small.shape[:2]) <= side
    assert small.shape[2:] == pixels.shape[2:]
    assert (small == 91).all()


def test_shrinking_means_means() -> None:
    assert (shrink(np.array([[0, 10, 5, 5], [20, 30, 6, 7]], np.uint8), 2) == [[15, 6]]).all()


def test_comparison_shows_three_pictures_and_the_largest_difference_white() -> None:
    original = np.array([[10, 20], [30, 40]], np.uint8)
    made = np.array([[13, 20], [30, 34]], np.uint8)
    comparison = compare(original, made, side=99)
    text = np.zeros((CAPTION_HEIGHT, 5), np.uint8)
    sheet = comparison_grid([comparison], [text])
    row = (2 + 2 * GAP, 3 * 2 + 4 * GAP)
    assert sheet.shape == (row[0] + CAPTION_HEIGHT + 2 * GAP, row[1] + 2 * GAP)
    lines = sheet[2 * GAP : 2 * GAP + 2]
    shown = [lines[:, 2 * GAP + k * (2 + GAP) :][:, :2].tolist() for k in range(3)]
    assert shown == [original.tolist(), made.tolist(), [[128, 0], [0, 255]]]
    below = sheet[GAP + row[0] : GAP + row[0] + CAPTION_HEIGHT, GAP : GAP + row[1]]
    assert (below[:, :5] == 0).all()
    assert (below[:, 5:] == PAPER).all()


def test_caption_longer_than_its_pictures_is_cut() -> None:
    comparison = compare(*numbered(2, 2, 2, 3), side=99)
    sheet = comparison_grid([comparison], [np.zeros((CAPTION_HEIGHT, 500), np.uint8)])
    assert sheet.shape[1:] == (3 * 2 + 6 * GAP, 3)


def test_caption_is_ink_on_paper() -> None:
    line = caption("0.0123 a.png")
    assert line.shape[0] == CAPTION_HEIGHT
    assert {0, 255} <= set(np.unique(line).tolist())
    assert line.shape[1] > caption("0.0123").shape[1]
    assert (caption("日本") == caption("??")).all()
    assert caption("").shape == (CAPTION_HEIGHT, 1)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_animation_has_all_frames(shape: tuple[int, ...]) -> None:
    frames = [np.full(shape, 30 * k, np.uint8) for k in range(8)]
    with Image.open(io.BytesIO(animation(frames, milliseconds=80))) as image:
        assert (image.format, image.n_frames, image.size) == ("GIF", 8, (8, 6))  # type: ignore[attr-defined]  # of a GIF
        assert image.info["loop"] == 0
        shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)]
        assert image.info["duration"] == 80
    for frame, expected in zip(shown, frames, strict=True):
        assert (frame == expected.flat[0]).all()
    assert all((one != other).all() for one, other in pairwise(shown))
