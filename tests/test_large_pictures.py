"""Pictures that are worked on in tiles: the same file, the same pixels, and any part of them."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from edgeae import tiles
from edgeae.bundle import MANIFEST, read_manifest
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.errors import BoundError
from edgeae.images.padding import pad
from edgeae.images.picture import Picture
from edgeae.metrics import psnr_db
from edgeae.rate_control import TargetBpp, TargetPsnr

Pixels = NDArray[np.uint8]
QUALITIES = (20, 95)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which most pictures are large ones."""

    def begin() -> None:
        monkeypatch.setattr(tiles, "WHOLE_PIXELS", 128 * 128)
        monkeypatch.setattr(tiles, "TILE_SIDE", 128)

    return begin


@pytest.fixture
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle, threads=1)


@pytest.fixture(scope="session")
def large(photo: Pixels) -> Pixels:
    """(300, 450, 3): nine of the other, in one."""
    return np.tile(photo, (3, 3, 1))


@pytest.mark.parametrize("quality", QUALITIES)
def test_scale_indexes_are_those_of_the_whole(
    codec: Codec, large: Pixels, small_tiles: Callable[[], None], quality: int
) -> None:
    latents = codec.encode(large, quality)
    whole = codec._prior.restore(latents.symbols, latents.z)
    small_tiles()
    tiled = codec._prior.restore(latents.symbols, latents.z)
    for one, other in zip(whole.sections, tiled.sections, strict=True):
        np.testing.assert_array_equal(one.indexes, other.indexes)
    step = np.abs(whole.y_hat - latents.symbols).max() * 2.0**-11  # of the means in float16
    np.testing.assert_allclose(tiled.y_hat, whole.y_hat, rtol=2.0**-11, atol=step)


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_file_decodes_with_and_without_tiles(
    codec: Codec, large: Pixels, small_tiles: Callable[[], None], quality: int
) -> None:
    file = codec.compress(large, quality, effort=0)
    pixels = codec.decompress(file)
    symbols = codec.from_bytes(file).symbols
    small_tiles()
    np.testing.assert_array_equal(codec.from_bytes(file).symbols, symbols)
    tiled = codec.decompress(file)
    assert np.abs(tiled.astype(int) - pixels).max() <= 1  # half precision
    made = codec.compress(large, quality, effort=0)
    assert len(made) == pytest.approx(len(file), rel=0.002)
    assert psnr_db(large, codec.decompress(made)) == pytest.approx(psnr_db(large, pixels), abs=0.02)


def test_latents_and_pixels_of_the_product_are_those_of_the_whole(
    small_tiles: Callable[[], None], large: Pixels
) -> None:
    codec = Codec.load("photo", precision="int8", threads=1)
    pixels = pad(large)[:320, :384]
    transforms = codec._transforms
    (y,) = transforms.analyse([Picture(pixels)])
    small_tiles()
    tiled = transforms.analyse_large(Picture(pixels), np.float32)
    np.testing.assert_allclose(tiled, y, atol=0.05)
    decoded = transforms.synthesize_samples(y / 100, 50.0, 320, 384, "RGB")
    tiles.WHOLE_PIXELS = 1 << 20  # the fixture puts it back
    expected = transforms.synthesize_samples(y / 100, 50.0, 320, 384, "RGB")
    assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_a_halo_too_small_would_show(
    bundle_copy: Path, large: Pixels, small_tiles: Callable[[], None]
) -> None:
    manifest = read_manifest(bundle_copy)
    assert manifest.halo is not None
    (bundle_copy / MANIFEST).write_text(dataclasses.replace(manifest, halo=0).to_json())
    codec = Codec.load(bundle_copy, threads=1)
    file = codec.compress(large, 30)
    pixels = codec.decompress(file)
    small_tiles()
    assert np.abs(codec.decompress(file).astype(int) - pixels).max() > 2


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_threads_change_nothing(
    tiny_bundle: Path, large: Pixels, small_tiles: Callable[[], None], mode: str
) -> None:
    small_tiles()
    image = Image.fromarray(large).convert(mode)
    made = []
    for threads in (1, 3):
        codec = Codec.load(tiny_bundle, threads=threads)
        file = codec.compress(image, 40)
        made.append((file, codec.decompress(file).tobytes()))
    assert made[0] == made[1]


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_region_is_the_crop_of_the_whole(
    codec: Codec, large: Pixels, small_tiles: Callable[[], None], mode: str, tiled: bool
) -> None:
    if tiled:
        small_tiles()
    image = Image.fromarray(large).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(large[:, ::-1, 0]))
    file = codec.compress(image, 60)
    whole = codec.decompress(file)
    corners = itertools.product((0, 127, 300), (128, 260))
    regions = [(x, y, 1 + (x + y) % 150, 1 + 39 * (y % 3 > 0)) for x, y in corners]
    for x, y, width, height in [*regions, (0, 0, 450, 300), (449, 299, 1, 1)]:
        found = codec.decompress(file, region=(x, y, width, height))
        np.testing.assert_array_equal(found, whole[y : y + height, x : x + width])


def test_a_region_runs_the_decoder_on_its_tiles_alone(
    codec: Codec, large: Pixels, small_tiles: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tiles()
    file = codec.compress(large)
    runs = []
    run = codec._transforms.decoder.run

    def counted(**inputs: NDArray[np.float32]) -> object:
        runs.append(inputs["y_hat"].shape)
        return run(**inputs)

    monkeypatch.setattr(codec._transforms.decoder, "run", counted)
    codec.decompress(file, region=(10, 10, 20, 20))
    assert len(runs) == 1
    codec.decompress(file)
    assert len(runs) == 1 + 3 * 4


@pytest.mark.parametrize("region", [(440, 0, 11, 5), (0, 299, 1, 2), (450, 0, 1, 1)])
def test_a_region_beyond_the_picture_is_an_error(
    codec: Codec, large: Pixels, region: tuple[int, int, int, int]
) -> None:
    file = codec.compress(large)
    with pytest.raises(BoundError, match=r"reaches beyond the picture, which has 450x300 pixels"):
        codec.decompress(file, region=region)
    with pytest.raises(ValueError, match="at least"):
        codec.decompress(file, region=(0, 0, 0, 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 3), (129, 128)])
def test_thin_and_small_pictures(
    codec: Codec, small_tiles: Callable[[], None], shape: tuple[int, int]
) -> None:
    small_tiles()
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    found = codec.decompress(codec.compress(pixels, 50))
    assert (found.shape, found.dtype) == (shape, np.uint8)


def test_targets_and_efforts_work_on_large_pictures(
    codec: Codec, large: Pixels, small_tiles: Callable[[], None]
) -> None:
    small_tiles()
    file = codec.compress(large, TargetBpp(0.2))
    assert 0.19 <= 8 * len(file) / (300 * 450) <= 0.2
    reached = codec.reach(large, TargetPsnr(26))
    decoded = codec.decompress(codec.file_of(reached))
    assert psnr_db(large, decoded) == pytest.approx(26, abs=0.12)
    slow = codec.reach(large, 40.0, effort=2)
    pixels = codec.decode(slow.latents).pixels
    assert psnr_db(large, pixels) > psnr_db(large, codec.decompress(codec.compress(large, 40))) - 1


def test_npy_latents_have_regions_too(
    codec: Codec, large: Pixels, small_tiles: Callable[[], None]
) -> None:
    small_tiles()
    latents = codec.encode(large)
    whole = codec.decode(latents).pixels
    part = codec.decode_strips(latents, region=(100, 90, 60, 50)).array()
    np.testing.assert_array_equal(part, whole[90:140, 100:160])


class TestCommand:
    """``edgeae decompress --region``."""

    @pytest.fixture
    def packed(self, codec: Codec, large: Pixels, tmp_path: Path) -> Path:
        file = tmp_path / "big.eae"
        file.write_bytes(codec.compress(Picture(large, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")))
        return file

    @pytest.mark.parametrize("suffix", ["png", "ppm", "bmp"])
    def test_writes_the_part(
        self, packed: Path, codec: Codec, small_tiles: Callable[[], None], suffix: str
    ) -> None:
        small_tiles()
        target = packed.with_suffix(f".{suffix}")
        done = CliRunner().invoke(
            app,
            ["decompress", str(packed), "-o", str(target), "--region", "30,40,200,150", "--json"],
        )
        assert done.exit_code == 0
        said = json.loads(done.stdout)
        assert (said["width"], said["height"]) == (200, 150)
        assert said["bytes"] == target.stat().st_size
        expected = codec.decompress(packed.read_bytes(), region=(30, 40, 200, 150))
        np.testing.assert_array_equal(np.asarray(Image.open(target)), expected)

    def test_large_pictures_go_to_stdout(
        self, packed: Path, codec: Codec, small_tiles: Callable[[], None]
    ) -> None:
        small_tiles()
        done = CliRunner().invoke(app, ["decompress", str(packed), "-o", "-"])
        assert done.exit_code == 0
        found = np.asarray(Image.open(io.BytesIO(done.stdout_bytes)))
        np.testing.assert_array_equal(found, codec.decompress(packed.read_bytes()))

    @pytest.mark.parametrize(
        ("region", "exit_code"),
        [("0,0,451,1", 8), ("1,2,3", 2), ("0,0,0,9", 2), ("-1,0,5,5", 2), ("a,b,c,d", 2)],
    )
    def test_refuses_others(
        self, packed: Path, tmp_path: Path, region: str, exit_code: int
    ) -> None:
        target = tmp_path / "out.png"
        arguments = ["decompress", str(packed), "--region", region, "-o", str(target)]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == exit_code
        assert not target.exists()
        if exit_code == 8:
            assert len(done.stderr.strip().splitlines()) == 1
