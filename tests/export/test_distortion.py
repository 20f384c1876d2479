from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeae.errors import BoundError
from edgeae.metrics import ms_ssim
from edgeae_export import similarity
from edgeae_export.distortion import DISSIMILARITY, Distortion
from export.made_pictures import made_picture
from export.recipes import photo_recipe

pytestmark = pytest.mark.torch


def pair(noise: float) -> tuple[np.ndarray, np.ndarray]:
    picture = made_picture(1, 192, 208)
    random = np.random.default_rng(2)
    damaged = picture + random.normal(0, noise, picture.shape)
    return damaged.round().clip(0, 255).astype(np.uint8), picture


def batch(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture[None]).float()


@pytest.mark.parametrize("noise", [1, 10, 60])
def test_similarity_is_the_one_that_is_reported(noise: float) -> None:
    damaged, picture = pair(noise)
    found = similarity.ms_ssim(batch(damaged), batch(picture)).item()
    assert found == pytest.approx(ms_ssim(picture, damaged), abs=2e-4)


def test_similarity_of_each_picture_stands_for_itself() -> None:
    rows = [pair(noise) for noise in (1, 10)]
    damaged, pictures = (torch.cat([batch(row[k]) for row in rows]) for k in (0, 1))
    apart = [similarity.ms_ssim(batch(d), batch(p)) for d, p in rows]
    torch.testing.assert_close(similarity.ms_ssim(damaged, pictures), torch.cat(apart))


def test_small_pictures_have_no_similarity() -> None:
    small = torch.zeros(1, 160, 256, 3)
    with pytest.raises(ValueError, match="161"):
        similarity.ms_ssim(small, small)


def test_crops_too_small_for_it_are_refused_with_the_recipe() -> None:
    with pytest.raises(BoundError, match="161"):
        replace(photo_recipe("photo-vivid"), crop=128)


def test_shares_are_of_one_sum() -> None:
    damaged, picture = (batch(array) for array in pair(10))
    squared = Distortion()(damaged, picture)
    unlike = DISSIMILARITY * (1 - similarity.ms_ssim(damaged, picture))
    mixed = Distortion(structure_share=0.75)(damaged, picture)
    torch.testing.assert_close(mixed, 0.25 * squared + 0.75 * unlike)
    assert Distortion(structure_share=1.0)(picture, picture).item() == pytest.approx(0, abs=0.01)


def test_following_its_gradient_makes_pictures_alike() -> None:
    torch.manual_seed(0)
    picture = batch(made_picture(1, 192, 192))
    decoded = (picture + 5 * torch.randn_like(picture)).requires_grad_()
    for _ in range(3):
        (1 - similarity.ms_ssim(decoded, picture)).sum().backward()
        assert decoded.grad is not None
        assert decoded.grad.isfinite().all()
        with torch.no_grad():
            before = similarity.ms_ssim(decoded, picture)
            decoded -= 2e4 * decoded.grad
            assert similarity.ms_ssim(decoded, picture) > before
            decoded.grad = None
