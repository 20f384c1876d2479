"""The filter that a file brings along: its bits, its pixels, and where it pays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edgeae import correction, correction_fit
from edgeae.benchmark.leaves import leaves
from edgeae.codec import Codec
from edgeae.container import Container
from edgeae.correction import (
    PAIRS,
    corrected,
    corrected_rows,
    decode_weights,
    encode_weights,
    surrounded,
)
from edgeae.correction_fit import find_weights
from edgeae.errors import ContainerError
from edgeae.metrics import psnr_db
from edgeae.npy import latents_from_npy, latents_to_npy
from edgeae.rate_control import TargetPsnr, TargetSize

SHAPES = {"L": (1, 12), "RGB": (3, 38)}


@pytest.fixture(autouse=True, scope="module")
def library(kernel_or_numpy: Any | None) -> Iterator[None]:
    """Everything here holds for numpy alone and for the kernel in C."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correction, "kernel", lambda: kernel_or_numpy)
        yield


def weights_of(mode: str, largest: int = 127) -> st.SearchStrategy[NDArray[np.int8]]:
    elements = st.integers(-largest, largest)
    found = arrays.arrays(np.int8, SHAPES[mode], elements=elements, fill=st.just(0))
    return found.filter(lambda weights: bool(weights.any()))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@given(data=st.data())
def test_weights_come_back_from_their_section(mode: str, data: st.DataObject) -> None:
    weights = data.draw(weights_of(mode))
    section = encode_weights(weights)
    np.testing.assert_array_equal(decode_weights(section, mode), weights)
    assert section[-1] != 0


def test_no_weights_take_no_bytes() -> None:
    assert encode_weights(np.zeros((3, 38), np.int8)) == b""


@pytest.mark.parametrize(
    ("section", "what"),
    [
        (b"", "bits beyond"),
        (b"\x80\0", "bits beyond"),
        (bytes([0, 0, 1]), "bits beyond the last of 12"),
        (b"\xff" * 16, "a weight of 128"),
        (b"\xff" * 100_000_000, "bits beyond the last of 12"),
    ],
)
def test_damaged_section_is_an_error(section: bytes, what: str) -> None:
    with pytest.raises(ContainerError, match=what):
        decode_weights(section, "L")


def naive(pixels: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """docs/FORMAT.md, section 8.2, sample by sample in Python's integers."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3

    def planes(i: int, j: int) -> list[int]:
        at = pixels[min(max(i, 0), height - 1), min(max(j, 0), width - 1)]
        if channels == 1:
            return [4 * int(at)]
        r, g, b = map(int, at)
        return [r + 2 * g + b, 2 * r - 2 * b, 2 * g - r - b]

    found = pixels.astype(int)
    for i, j in np.ndindex(height, width):
        here = planes(i, j)
        features = here[1:]
        for dy, dx in PAIRS:
            there, back = planes(i + dy, j + dx), planes(i - dy, j - dx)
            features += [a + b - 2 * c for a, b, c in zip(there, back, here, strict=True)]
        s = [sum(int(w) * f for w, f in zip(row, features, strict=True)) for row in weights]
        change = s if channels == 1 else [s[0] + s[1] - s[2], s[0] + s[2], s[0] - s[1] - s[2]]
        moves = [(one + 128) // 256 for one in change]
        found[i, j] += moves[0] if channels == 1 else moves
    return np.clip(found, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 7)])
def test_pixels_are_those_of_the_format(mode: str, size: tuple[int, int]) -> None:
    random = np.random.default_rng(4)
    shape = size if mode == "L" else (*size, 3)
    for largest in (1, 20, 127):
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        weights = random.integers(-largest, largest + 1, SHAPES[mode]).astype(np.int8)
        np.testing.assert_array_equal(corrected(pixels, weights), naive(pixels, weights))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_largest_sums_are_exact(mode: str) -> None:
    random = np.random.default_rng(5)
    shape = (6, 8) if mode == "L" else (6, 8, 3)
    for _ in range(9):
        pixels = 255 * random.integers(0, 2, shape, dtype=np.uint8)
        weights = (127 * random.choice([-1, 1], SHAPES[mode])).astype(np.int8)
        weights[:, -3:] = random.integers(-127, 128, weights[:, -3:].shape)
        np.testing.assert_array_equal(corrected(pixels, weights), naive(pixels, weights))


@given(heights=st.lists(st.integers(1, 6), min_size=1, max_size=8), mode=st.sampled_from("LR"))
def test_strips_give_the_rows_of_the_whole(heights: list[int], mode: str) -> None:
    random = np.random.default_rng(sum(heights))
    name = "L" if mode == "L" else "RGB"
    pixels = random.integers(0, 256, (sum(heights), 5, 3), dtype=np.uint8)
    pixels = pixels[..., 0] if name == "L" else pixels
    weights = random.integers(-9, 10, SHAPES[name]).astype(np.int8)
    strips = np.split(pixels, np.cumsum(heights)[:-1])
    rows = np.concatenate([*corrected_rows(strips, weights)])
    np.testing.assert_array_equal(rows, corrected(pixels, weights))


@pytest.mark.parametrize("grey", [True, False])
def test_blur_is_taken_back_for_its_bits(grey: bool) -> None:
    original = leaves(120, 90)
    original = original[..., 1] if grey else original
    padded = np.pad(original, ((1, 1), (1, 1), (0, 0))[: original.ndim], mode="edge").astype(float)
    blurred = (padded[1:-1, :-2] + 2 * padded[1:-1, 1:-1] + padded[1:-1, 2:]) / 4
    blurred = np.rint(blurred).astype(np.uint8)
    pairs = [(original, surrounded(blurred))]
    fit = find_weights(pairs, 20_000)
    assert fit is not None
    (found,) = fit.corrected
    np.testing.assert_array_equal(found, corrected(blurred, fit.weights))
    assert psnr_db(original, found) - psnr_db(original, blurred) > 2
    few = find_weights(pairs, 700)
    assert few is not None
    most = (1.0 if grey else 0.8) * len(encode_weights(fit.weights))
    assert len(encode_weights(few.weights)) <= most
    assert find_weights(pairs, 100) is None


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    original = leaves(40, 30)
    assert find_weights([(original, surrounded(original))], 1e6) is None
    flat = np.full((40, 30, 3), 9, np.uint8)
    assert find_weights([(flat, surrounded(flat + np.uint8(1)))], 1e6) is None


def test_sums_that_are_no_numbers_give_none(monkeypatch: pytest.MonkeyPatch) -> None:
    original = leaves(60, 50)
    pairs = [(original, surrounded(np.roll(original, 1, axis=1)))]
    assert find_weights(pairs, 1e6) is not None
    features = correction_fit._features
    monkeypatch.setattr(correction_fit, "_features", lambda planes: features(planes) * np.nan)
    assert find_weights(pairs, 1e6) is None


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_default_effort_corrects_and_effort_0_does_not(correcting: Codec, mode: str) -> None:
    picture = as_mode(leaves(200, 150), mode)
    data = correcting.compress(picture, 50)
    section = Container.from_bytes(data).correction
    assert section is not None
    latents = correcting.from_bytes(data)
    plain = correcting.decode_array(dataclasses.replace(latents, correction=None))
    found = correcting.decompress(data)
    assert psnr_db(samples(picture, mode), samples(found, mode)) > 0.05 + psnr_db(
        samples(picture, mode), samples(plain, mode)
    )
    assert Container.from_bytes(correcting.compress(picture, 50, effort=0)).correction is None


def test_every_way_through_the_files_corrects(correcting: Codec) -> None:
    latents = correcting.encode(leaves(200, 150), 50)
    data = correcting.to_bytes(latents)
    assert data == correcting.compress(leaves(200, 150), 50)
    whole = correcting.decompress(data)
    record = latents_from_npy(latents_to_npy(latents))
    np.testing.assert_array_equal(record.correction, latents.correction)
    np.testing.assert_array_equal(correcting.decode_array(record), whole)
    np.testing.assert_array_equal(next(correcting.decompress_many([data])), whole)
    np.testing.assert_array_equal(correcting.decompress_picture(data).pixels, whole)
    for x, y, width, height in ((0, 0, 1, 1), (3, 5, 90, 60), (199, 149, 1, 1), (0, 148, 200, 2)):
        part = correcting.decompress(data, region=(x, y, width, height))
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_large_pictures_are_corrected_by_squares_of_them(
    correcting: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeae.tiles.WHOLE_PIXELS", 1 << 14)
    monkeypatch.setattr("edgeae.tiles.TILE_SIDE", 128)
    monkeypatch.setattr("edgeae.corrector.LARGE_PIXELS", 1 << 14)
    picture = leaves(600, 500)
    data = correcting.compress(picture, 50)
    whole = correcting.decompress(data)
    plain = correcting.decompress(correcting.compress(picture, 50, effort=0))
    assert Container.from_bytes(data).correction is not None
    assert psnr_db(picture, whole) > psnr_db(picture, plain)
    for x, y, width, height in ((0, 0, 600, 3), (120, 125, 20, 10), (597, 490, 3, 10)):
        part = correcting.decompress(data, region=(x, y, width, height))
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3, 3), (40, 3000, 3)])
def test_tiny_and_thin_pictures(
    correcting: Codec, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr("edgeae.corrector.LARGE_PIXELS", 1 << 16)
    picture = leaves(shape[1], shape[0])
    assert correcting.decompress(correcting.compress(picture, 50)).shape == shape


def test_targets_count_the_correction(correcting: Codec) -> None:
    picture = leaves(300, 260)
    size = len(correcting.compress(picture, 40))
    found = correcting.reach(picture, TargetSize(size))
    assert found.file is not None
    assert 0.9 * size < len(found.file) <= size
    assert correcting.to_bytes(found.latents) == found.file
    for wanted in (22.7, 22.9):
        found = correcting.reach(picture, TargetPsnr(wanted))
        psnr = psnr_db(picture, correcting.decompress(correcting.file_of(found)))
        assert psnr == pytest.approx(wanted, abs=0.1)
        assert found.psnr_db == pytest.approx(psnr, abs=1e-6)


def test_bundles_that_do_not_ask_write_none(tiny_bundle: Path) -> None:
    data = Codec.load(tiny_bundle, threads=1).compress(leaves(200, 150), 50)
    assert Container.from_bytes(data).correction is None


def test_pictures_of_few_colours_need_none(correcting: Codec) -> None:
    graphic = np.kron(np.eye(9, dtype=np.uint8) * 200, np.ones((8, 9), np.uint8))
    data = correcting.compress(graphic, 50)
    assert Container.from_bytes(data).colours is not None
    assert Container.from_bytes(data).correction is None


def as_mode(pixels: NDArray[np.uint8], mode: str) -> NDArray[Any]:
    grey = pixels if mode.startswith("RGB") else pixels[..., 1]
    if not mode.endswith("A"):
        return grey
    alpha = np.arange(pixels[..., 0].size, dtype=np.uint8).reshape(pixels.shape[:2])
    return np.dstack((grey, alpha))


def samples(pixels: NDArray[np.uint8], mode: str) -> NDArray[np.uint8]:
    return pixels if not mode.endswith("A") else pixels[..., :-1].squeeze()
