from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeae.metrics import (
    MS_SSIM_MIN_SIDE,
    SCALE_WEIGHTS,
    bits_per_pixel,
    ms_ssim,
    ms_ssim_db,
    psnr_db,
)

pictures = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def test_bits_per_pixel_counts_the_whole_file() -> None:
    assert bits_per_pixel(12_288, 128, 768) == 1.0
    with pytest.raises(ValueError, match="4x0 has no pixels"):
        bits_per_pixel(1, 0, 4)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    picture = scene(9, 9, 3)
    assert psnr_db(picture, picture.copy()) == math.inf


def test_psnr_of_one_level_everywhere_is_48_13_db() -> None:
    grey = np.full((7, 5, 3), 100, np.uint8)
    assert psnr_db(grey, grey + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)


def test_psnr_of_black_and_white_is_zero() -> None:
    black = np.zeros((4, 4), np.uint8)
    assert psnr_db(black, ~black) == 0


@given(pictures, st.data())
def test_psnr_follows_its_formula(reference: np.ndarray, data: st.DataObject) -> None:
    picture = data.draw(hnp.arrays(np.uint8, reference.shape))
    error = np.mean((reference.astype(float) - picture) ** 2)
    expected = math.inf if error == 0 else 10 * math.log10(255**2 / error)
    assert psnr_db(reference, picture) == pytest.approx(expected)
    assert psnr_db(picture, reference) == psnr_db(reference, picture)


def test_psnr_strips_join(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, picture = scene(33, 21, 3), damaged(33, 21, 3)
    whole = psnr_db(reference, picture)
    monkeypatch.setattr("edgeae.metrics._STRIP_SAMPLES", 100)
    assert psnr_db(reference, picture) == whole


def scene(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """A deterministic picture with edges, texture and a gradient, in integers only."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        (x * (3 + c) // 4 + y // (2 + c)) % 256 // 2
        + 60 * ((x // 23 + y // (17 + c)) % 2)
        + (x * 7919 + y * 104_729 + c * 31) % 13
        for c in range(channels)
    ]
    return np.dstack(planes).astype(np.uint8)


def damaged(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """The same picture in steps of 24 levels, with an offset and repeated columns."""
    picture = scene(height, width, channels).astype(int) // 24 * 24 + 9
    picture[:, 1::2] = picture[:, : picture[:, 1::2].shape[1] * 2 : 2]
    clipped: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return clipped


# pytorch-msssim 1.0.0 in float64, `ms_ssim(x, y, data_range=255)`; even sides at every scale, where
# all definitions agree. x, y: torch.from_numpy(p).permute(2, 0, 1)[None].double() of each.
GOLDEN = {
    (192, 256, 3): 0.951183579621672,
    (320, 176, 3): 0.9499200036379833,
    (256, 256, 1): 0.9533862105811161,
}


@pytest.mark.parametrize("shape", list(GOLDEN))
def test_ms_ssim_agrees_with_pytorch_msssim(shape: tuple[int, int, int]) -> None:
    assert ms_ssim(scene(*shape), damaged(*shape)) == pytest.approx(GOLDEN[shape], abs=5e-6)


@pytest.mark.torch
class TestTorchmetrics:
    """The values of package torchmetrics; MS-SSIM of one channel, it joins channels first."""

    @pytest.mark.parametrize("shape", [(192, 256, 3), (64, 48, 1), (33, 21, 3)])
    def test_psnr_is_the_same(self, shape: tuple[int, int, int]) -> None:
        functional = torchmetrics()
        x, y = scene(*shape), damaged(*shape)
        expected = functional.peak_signal_noise_ratio(tensor(y), tensor(x), data_range=255.0)
        assert psnr_db(x, y) == pytest.approx(float(expected), abs=1e-5)

    @pytest.mark.parametrize("shape", [(192, 256), (320, 176), (256, 352)])
    @pytest.mark.parametrize("channel", [0, 1, 2])
    def test_ms_ssim_of_valid_windows_is_the_same(
        self, shape: tuple[int, int], channel: int
    ) -> None:
        x, y = scene(*shape, 3)[:, :, channel], damaged(*shape, 3)[:, :, channel]
        assert ms_ssim(x, y) == pytest.approx(ms_ssim_from_torchmetrics_ssim(x, y), abs=1e-6)

    # Its own loop over scales takes windows over mirrored borders into the coarsest scale, and
    # drops an odd last row before halving where the authors' code and ours repeat it.
    @pytest.mark.parametrize(
        ("shape", "bound"),
        [((192, 256), 5e-4), ((320, 176), 5e-4), ((512, 512), 1e-4), ((255, 301), 5e-3)],
    )
    def test_its_ms_ssim_is_near(self, shape: tuple[int, int], bound: float) -> None:
        functional = torchmetrics()
        x, y = scene(*shape, 1)[:, :, 0], damaged(*shape, 1)[:, :, 0]
        measure = functional.multiscale_structural_similarity_index_measure
        expected = float(measure(tensor(y), tensor(x), data_range=255.0))
        assert ms_ssim(x, y) == pytest.approx(expected, abs=bound)


def ms_ssim_from_torchmetrics_ssim(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> float:
    """MS-SSIM of one channel, even at each scale, from the package's SSIM of one scale."""
    from torch.nn.functional import avg_pool2d as pool

    ssim = torchmetrics().structural_similarity_index_measure
    reference, picture, result = tensor(x), tensor(y), 1.0
    for weight in SCALE_WEIGHTS[:-1]:
        _, term = ssim(picture, reference, data_range=255.0, return_contrast_sensitivity=True)
        result *= float(term) ** weight
        reference, picture = pool(reference, 2), pool(picture, 2)
    _, similarity = ssim(picture, reference, data_range=255.0, return_full_image=True)
    return result * float(similarity[..., 5:-5, 5:-5].mean()) ** SCALE_WEIGHTS[-1]


def torchmetrics() -> Any:
    from torchmetrics.functional import image

    return image


def tensor(picture: NDArray[np.uint8]) -> Any:
    import torch

    return torch.from_numpy(np.atleast_3d(picture)).permute(2, 0, 1)[None].double()


def test_ms_ssim_strips_join(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = scene(190, 170, 3), damaged(190, 170, 3)
    whole = ms_ssim(x, y)
    for samples in (1, 5_000, 1 << 20):
        monkeypatch.setattr("edgeae.metrics._SSIM_STRIP_SAMPLES", samples)
        assert ms_ssim(x, y) == pytest.approx(whole, abs=1e-12)


def test_ms_ssim_of_two_megapixels_takes_less_than_40_mb() -> None:
    x = np.tile(scene(250, 250, 3), (4, 8, 1))
    y = np.tile(damaged(250, 250, 3), (4, 8, 1))
    tracemalloc.start()
    ms_ssim(x, y)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 40e6


def reference_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang 2003 written out for one channel: every window weighted as a whole."""
    axis = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = np.outer(axis, axis) / axis.sum() ** 2
    c1, c2 = 2.55**2, 7.65**2
    result = 1.0
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights):
        windows = [np.lib.stride_tricks.sliding_window_view(p, (11, 11)) for p in (x, y)]
        mu_x, mu_y = (np.einsum("ijkl,kl->ij", w, window) for w in windows)
        var_x, var_y, cov = (
            np.einsum("ijkl,ijkl,kl->ij", windows[a], windows[b], window) - m
            for a, b, m in ((0, 0, mu_x**2), (1, 1, mu_y**2), (0, 1, mu_x * mu_y))
        )
        term = (2 * cov + c2) / (var_x + var_y + c2)
        if scale == len(weights) - 1:
            term = term * (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
        result *= max(term.mean(), 0) ** weight
        x, y = (np.pad(p, ((0, p.shape[0] % 2), (0, p.shape[1] % 2)), "edge") for p in (x, y))
        x, y = (p.reshape(p.shape[0] // 2, 2, -1, 2).mean((1, 3)) for p in (x, y))
    return result


@pytest.mark.parametrize("size", [(161, 161), (177, 163), (208, 170)])
def test_ms_ssim_agrees_with_the_formula_written_out(size: tuple[int, int]) -> None:
    x, y = scene(*size, 1)[:, :, 0], damaged(*size, 1)[:, :, 0]
    assert ms_ssim(x, y) == pytest.approx(reference_ms_ssim(x.astype(float), y.astype(float)))


def test_ms_ssim_of_equal_pictures_is_one() -> None:
    picture = scene(161, 170, 3)
    assert ms_ssim(picture, picture.copy()) == pytest.approx(1.0)


def test_ms_ssim_is_the_mean_over_channels() -> None:
    x, y = scene(161, 161, 3), damaged(161, 161, 3)
    y[:, :, 1] = x[:, :, 1]
    channels = [ms_ssim(x[:, :, c], y[:, :, c]) for c in range(3)]
    assert ms_ssim(x, y) == pytest.approx(np.mean(channels))


def test_ms_ssim_of_a_negative_is_zero_and_real() -> None:
    picture = scene(161, 161, 1)[:, :, 0]
    assert ms_ssim(picture, 255 - picture) == 0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ms_ssim_of_noise_stays_within_bounds(seed: int) -> None:
    x, y = np.random.default_rng(seed).integers(0, 256, (2, 161, 161), np.uint8)
    assert 0 <= ms_ssim(x, y) <= 1
    assert ms_ssim(x, y) == pytest.approx(ms_ssim(y, x))


def test_short_side_names_both_numbers() -> None:
    assert MS_SSIM_MIN_SIDE == 161
    digit = np.zeros((28, 300), np.uint8)
    with pytest.raises(ValueError, match="at least 161 pixels, the picture has 300x28; use PSNR"):
        ms_ssim(digit, digit)


def test_decibels_of_similarity() -> None:
    assert ms_ssim_db(0.99) == pytest.approx(20)
    assert ms_ssim_db(1.0) == math.inf


@pytest.mark.parametrize("metric", [psnr_db, ms_ssim])
def test_what_cannot_be_compared_is_refused(metric: object) -> None:
    assert callable(metric)
    picture = np.zeros((200, 200, 3), np.uint8)
    with pytest.raises(TypeError, match="as uint8, got float64"):
        metric(picture, picture.astype(float))
    with pytest.raises(ValueError, match="cannot be compared"):
        metric(picture, picture[:, :, :1])
    with pytest.raises(ValueError, match="not empty"):
        metric(picture[:0], picture[:0])
