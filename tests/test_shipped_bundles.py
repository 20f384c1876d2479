"""The bundles inside the package do what their cards say, by name."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import edgeae
from edgeae.bundle import Bundle, find_bundle
from edgeae.cli.app import app
from edgeae.errors import BundleError, ContainerError
from edgeae.images.picture import picture_from_array
from edgeae.inputs import picture_in
from edgeae.masks import scatter
from edgeae.metrics import ms_ssim, psnr_db

CAT = Path(__file__).parents[1] / "docs" / "pictures" / "cat.png"
NAMES = sorted(path.name for path in (Path(edgeae.__file__).parent / "models").iterdir())


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    """Return 40 digits (40, 28, 28) that the variational autoencoder draws."""
    samples: NDArray[np.uint8] = edgeae.Codec.load("vae", precision="fp32").sample(40, seed=1)
    return samples[..., 0]


def test_all_are_listed_whole_and_described() -> None:
    result = CliRunner().invoke(app, ["models"])
    assert {"conv-ae", "denoise-photo", "photo", "photo-s", "photo-vivid", "vae"} <= set(NAMES)
    for name in NAMES:
        assert name in result.stdout
        bundle = Bundle.load(find_bundle(name))
        bundle.verify()
        assert bundle.manifest.name == name
        assert bundle.manifest.description in result.stdout


def test_samples_are_varied_and_look_like_digits_to_the_other_autoencoder(
    digits: NDArray[np.uint8],
) -> None:
    other = edgeae.Codec.load("conv-ae", precision="fp32")
    again = [picture_in(found).pixels for found in other.reconstruct(digits)]
    errors = [10 ** (-psnr_db(a, b) / 10) for a, b in zip(digits, again, strict=True)]
    assert np.mean(errors) < 0.004  # as of real ones
    assert np.std(digits, axis=0).mean() > 20
    noise = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    (strange,) = other.reconstruct([noise])
    assert psnr_db(noise, picture_in(strange).pixels) < 15


@pytest.mark.parametrize("name", ["conv-ae", "vae"])
def test_file_of_a_digit_is_smaller_than_its_png(name: str, digits: NDArray[np.uint8]) -> None:
    codec = edgeae.Codec.load(name, precision="fp32")
    files = list(codec.compress_many(digits))
    decoded = codec.decompress(files[0])
    assert decoded.shape == (28, 28)
    assert psnr_db(digits[0], decoded) > 17
    for digit, data in zip(digits, files, strict=True):
        png = io.BytesIO()
        Image.fromarray(digit).save(png, "PNG", optimize=True)
        assert len(data) < png.tell()


def test_denoiser_takes_most_of_the_noise_in_either_precision() -> None:
    clean = _cat()[20:180, 100:300]
    noise = 25 * np.random.default_rng(1).standard_normal(clean.shape)
    noisy = np.rint(clean + noise).clip(0, 255).astype(np.uint8)
    found = {}
    for precision in ("fp32", "int8"):
        codec = edgeae.Codec.load("denoise-photo", precision=precision)
        (restored,) = codec.reconstruct([noisy])
        found[precision] = psnr_db(clean, picture_in(restored).pixels)
    assert found["fp32"] > psnr_db(clean, noisy) + 8
    assert found["int8"] > found["fp32"] - 0.2


@pytest.mark.parametrize("effort", [0, 1])
def test_symbols_with_scale_index_zero_are_zero_and_no_others_are_taken(effort: int) -> None:
    (codec,) = _codecs("photo")
    encoding = codec.reach(picture_from_array(_cat()[:64, :64]), 0.0, effort=effort)
    for section in encoding.coded.sections[1:]:
        assert (section.indexes == 0).any()
        assert not section.symbols[section.indexes == 0].any()
    last = encoding.coded.sections[-1]  # no other symbols hang on these
    values = last.symbols.copy()
    values[np.flatnonzero(last.indexes == 0)[0]] = 1
    symbols = encoding.latents.symbols.copy()
    scatter(symbols, codec.bundle.masks[-1], values)
    latents = dataclasses.replace(encoding.latents, symbols=symbols)
    for use in (codec.decode, codec.to_bytes):
        with pytest.raises(ContainerError, match="not 0 where scale index 0"):
            use(latents)


def test_small_photo_bundle_is_nearly_as_good() -> None:
    pixels = _cat()
    photo, small = _codecs("photo", "photo-s")
    data = small.compress(pixels, 40)
    again = photo.compress(pixels, edgeae.TargetSize(len(data)))
    loss = psnr_db(pixels, photo.decompress(again)) - psnr_db(pixels, small.decompress(data))
    assert 0 < loss < 0.6
    with pytest.raises(BundleError, match="coding id"):  # its files belong to its own decoder
        photo.decompress(data)


# 1 - MS-SSIM of photo-vivid and of photo at most, and of the former as a share of the latter.
@pytest.mark.parametrize(
    ("size", "lost", "lost_by_photo", "share"),
    [(2800, 0.0371, 0.0433, 0.87), (5300, 0.0181, 0.0211, 0.87)],
)
def test_vivid_keeps_more_structure_in_as_many_bytes(
    size: int, lost: float, lost_by_photo: float, share: float
) -> None:
    pixels = _cat()
    vivid, photo = (_least_lost(c, pixels, size) for c in _codecs("photo-vivid", "photo"))
    assert vivid < lost
    assert photo < lost_by_photo
    assert vivid < share * photo


def _least_lost(codec: edgeae.Codec, pixels: NDArray[np.uint8], size: int) -> float:
    """Return the least 1 - MS-SSIM of files up to ``size``; TargetSize may leave 3 % of it."""
    first = codec.compress(pixels, edgeae.TargetSize(size))
    assert len(first) <= size
    near = edgeae.probe(first).quality / 100
    files = (codec.compress(pixels, near + step / 16) for step in range(25))
    decoded = (codec.decompress(data) for data in files if len(data) <= size)
    return min(1 - ms_ssim(pixels, picture) for picture in decoded)


def _codecs(*names: str) -> list[edgeae.Codec]:
    return [edgeae.Codec.load(name, precision="fp32", threads=1) for name in names]


def _cat() -> NDArray[np.uint8]:
    with Image.open(CAT) as image:
        return np.asarray(image.convert("RGB"))
