from __future__ import annotations

import numpy as np
import pytest

from edgeae_export.corruption import (
    GaussianNoise,
    JpegArtefacts,
    MissingPatches,
    OneOf,
    corrupt,
)
from export.made_pictures import made_picture

pytestmark = pytest.mark.torch


def test_noise_has_the_deviation_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = GaussianNoise(25, 25)(grey, np.random.default_rng(1)).astype(float)
    assert noisy.std() == pytest.approx(25, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_noise_levels_spread_over_their_range() -> None:
    pictures = np.full((200, 16, 16, 1), 128, np.uint8)
    noisy = corrupt(pictures, GaussianNoise(5, 35), np.random.default_rng(2)).astype(float)
    deviations = noisy.std(axis=(1, 2, 3))
    assert deviations.min() < 7
    assert deviations.max() > 32
    assert deviations.mean() == pytest.approx(20, abs=1.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_worse_jpeg_is_further_from_the_picture(channels: int) -> None:
    picture = made_picture(4)[..., :channels]
    random = np.random.default_rng(3)
    errors = [
        np.square(JpegArtefacts(q, q)(picture, random).astype(float) - picture).mean()
        for q in (5, 30, 90)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_patches_are_black_squares_and_the_original_stays() -> None:
    white = np.full((28, 28, 1), 255, np.uint8)
    damaged = MissingPatches(1, 7)(white, np.random.default_rng(0))
    assert (damaged == 0).sum() == 49
    assert (white == 255).all()


def test_one_of_keeps_to_its_shares() -> None:
    white = np.full((400, 8, 8, 1), 255, np.uint8)
    mixed = OneOf((MissingPatches(1, 2), GaussianNoise(0, 0)), (0.25, 0.75))
    damaged = corrupt(white, mixed, np.random.default_rng(5))
    assert 0.2 < (damaged.min(axis=(1, 2, 3)) == 0).mean() < 0.3
