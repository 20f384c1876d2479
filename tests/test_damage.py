"""Many pictures of random size and mode, and many damaged files, through the public functions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgeae.codec import Codec
from edgeae.container import Container
from edgeae.errors import ContainerError, EdgeaeError
from edgeae.images.files import read_picture
from edgeae.npy import latents_from_npy, latents_to_npy

pytestmark = pytest.mark.slow

MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}


@pytest.fixture(scope="module")
def codec(tiny_bundle: object) -> Codec:
    return Codec.load(str(tiny_bundle), threads=1)


def random_image(random: np.random.Generator) -> Image.Image:
    width, height = random.integers(1, 301, 2)
    coarse = random.integers(0, 256, (3, 3, 4), np.uint8)
    image = Image.fromarray(coarse)
    image = image.resize((int(width), int(height)), Image.Resampling.BICUBIC)
    mode = str(random.choice(sorted(MODES)))
    if mode == "RGBA":
        return image
    if mode == "LA":
        return image.convert("LA")
    return image.convert("RGB").convert(mode)


def test_three_hundred_random_pictures_keep_size_and_mode(codec: Codec) -> None:
    random = np.random.default_rng(11)
    for _ in range(300):
        image = random_image(random)
        file = io.BytesIO()
        image.save(file, "TIFF")
        file.seek(0)
        picture = read_picture(file)
        quality = float(random.integers(0, 101))
        decoded = codec.decompress_picture(codec.compress(picture, quality))
        assert decoded.pixels.shape[:2] == (image.height, image.width)
        assert decoded.mode == MODES[image.mode]
        if picture.alpha is not None:
            np.testing.assert_array_equal(decoded.alpha, picture.alpha)


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    kind = random.integers(4)
    if kind == 0:
        return data[: random.integers(len(data))]
    changed = bytearray(data)
    if kind == 1:
        for position in random.integers(len(data), size=random.integers(1, 9)):
            changed[position] ^= 1 << random.integers(8)
    elif kind == 2:
        start = random.integers(len(data))
        length = int(min(random.integers(1, 65), len(data) - start))
        changed[start : start + length] = random.bytes(length)
    else:
        start, end = sorted(random.integers(len(data) + 1, size=2))
        changed[start:end] = b""
    return bytes(changed)


def test_two_and_a_half_thousand_damaged_containers_never_decode_to_other_symbols(
    codec: Codec,
) -> None:
    random = np.random.default_rng(12)
    latents = codec.encode(read_picture(io.BytesIO(_png(random))), 60)
    data = codec.to_bytes(latents)
    for _ in range(2500):
        broken = damaged(data, random)
        if broken == data:
            continue
        try:
            found = codec.from_bytes(broken)
        except EdgeaeError:
            continue
        np.testing.assert_array_equal(found.symbols, latents.symbols)
        np.testing.assert_array_equal(found.z, latents.z)


def test_a_thousand_damaged_payloads_under_true_checksums_raise(codec: Codec) -> None:
    random = np.random.default_rng(13)
    container = Container.from_bytes(codec.compress(read_picture(io.BytesIO(_png(random))), 60))
    for _ in range(1000):
        payload = damaged(container.latents, random)
        if payload in (container.latents, b""):
            continue
        forged = Container(
            header=container.header,
            latents=payload,
            lanes_log2=container.lanes_log2,
            symbols_crc=container.symbols_crc,
        )
        with pytest.raises(ContainerError):
            codec.from_bytes(forged.to_bytes())


def test_two_and_a_half_thousand_damaged_npy_files_raise(codec: Codec) -> None:
    random = np.random.default_rng(14)
    data = latents_to_npy(codec.encode(read_picture(io.BytesIO(_png(random))), 60))
    for _ in range(2500):
        broken = damaged(data, random)
        if broken == data:
            continue
        with pytest.raises(ContainerError):
            latents_from_npy(broken)


def _png(random: np.random.Generator) -> bytes:
    file = io.BytesIO()
    image = random_image(random).convert("RGB").resize((130, 90))
    image.save(file, "PNG")
    return file.getvalue()
