from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeae.images.padding import as_rgb, crop, pad, padded_size

sides = st.integers(1, 150)
multiples = st.sampled_from([1, 2, 16, 64])


def pattern(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) * 37 % 251).astype(np.uint8).reshape(shape)


@given(sides, sides, multiples, st.booleans())
def test_pad_then_crop_is_identity(height: int, width: int, multiple: int, grey: bool) -> None:
    pixels = pattern(height, width) if grey else pattern(height, width, 3)
    padded = pad(pixels, multiple)
    assert padded.shape[:2] == padded_size(height, width, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height < multiple
    assert padded.flags.c_contiguous
    np.testing.assert_array_equal(crop(padded, height, width), pixels)


@given(sides, sides, multiples)
def test_padding_repeats_the_edge_as_numpy_does(height: int, width: int, multiple: int) -> None:
    pixels = pattern(height, width, 3)
    padded_height, padded_width = padded_size(height, width, multiple)
    margins = ((0, padded_height - height), (0, padded_width - width), (0, 0))
    np.testing.assert_array_equal(pad(pixels, multiple), np.pad(pixels, margins, mode="edge"))


def test_picture_that_fits_is_not_copied() -> None:
    pixels = pattern(128, 64, 3)
    assert pad(pixels) is pixels


def test_crop_is_a_view() -> None:
    padded = pattern(64, 64, 3)
    assert np.shares_memory(crop(padded, 3, 5), padded)


def test_grey_as_rgb_pads_to_contiguous() -> None:
    assert pad(as_rgb(pattern(64, 64))).flags.c_contiguous


def test_rgb_stays_the_same_array() -> None:
    pixels = pattern(4, 4, 3)
    assert as_rgb(pixels) is pixels


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0), (4,), (1, 1, 1, 1)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not empty"):
        pad(np.zeros(shape, np.uint8))


def test_crop_beyond_the_picture_names_both_sizes() -> None:
    with pytest.raises(ValueError, match="cannot crop 64x32 to 65x32"):
        crop(np.zeros((32, 64), np.uint8), 32, 65)


def test_multiple_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        padded_size(4, 4, 0)
