from __future__ import annotations

import io
import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from typer.testing import CliRunner

import edgeae
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.colours import decode_colours, encode_colours, indexed
from edgeae.container import Container
from edgeae.errors import BoundError, ContainerError
from edgeae.images.picture import Picture, picture_from_array
from edgeae.latents import Latents
from edgeae.npy import latents_from_npy
from edgeae.rate_control import TargetPsnr, TargetSize

NO_LIMIT = 1 << 30


@pytest.fixture(scope="module")
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def text() -> NDArray[np.uint8]:
    """Black bars and a word on white, (150, 200, 3)."""
    image = Image.new("1", (200, 150), 1)
    draw = ImageDraw.Draw(image)
    for k in range(6):
        draw.rectangle((20 * k + 4, 20 * k + 6, 20 * k + 16, 20 * k + 20), fill=0)
    draw.text((100, 10), "Exactly", fill=0)
    return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def speckle() -> NDArray[np.uint8]:
    """Two colours without any order, (64, 64): dear as indexes, and no network helps."""
    return np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8) * np.uint8(255)


def body(palette: list[list[int]], plane: bytes) -> bytes:
    """A section, written apart from the code under test."""
    return bytes([len(palette) - 1]) + b"".join(map(bytes, palette)) + plane


def deflated(indexes: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"\x01" + coder.compress(indexes) + coder.flush()


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(1, 256))
def test_grey_round_trips(pixels: NDArray[np.uint8], levels: int) -> None:
    few = pixels % np.uint8(levels) if levels < 256 else pixels
    found = indexed(few)
    assert found is not None
    np.testing.assert_array_equal(found.palette, np.unique(few))
    data = encode_colours(found, NO_LIMIT)
    assert data is not None
    np.testing.assert_array_equal(decode_colours(data, *few.shape, "L"), few)


@given(st.integers(0, 1 << 32), st.integers(1, 256), st.integers(1, 300), st.integers(1, 70))
def test_rgb_round_trips(seed: int, count: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    palette = random.integers(0, 256, (count, 3), np.uint8)
    pixels = palette[random.integers(0, count, (height, width))]
    found = indexed(pixels)
    assert found is not None
    np.testing.assert_array_equal(found.palette, np.unique(pixels.reshape(-1, 3), axis=0))
    data = encode_colours(found, NO_LIMIT)
    assert data is not None
    np.testing.assert_array_equal(decode_colours(data, height, width, "RGB"), pixels)


def test_257th_colour_is_too_many_wherever_it_is() -> None:
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[:256, 0, 1] = np.arange(256)
    assert indexed(pixels) is not None
    pixels[-1, -1] = 1, 0, 0
    assert indexed(pixels) is None


@pytest.mark.parametrize(
    ("mode", "data", "pixels"),
    [
        ("L", body([[7]], b"\x00\x00"), [[7, 7, 7], [7, 7, 7]]),
        ("LA", body([[7], [9]], deflated(b"\x40\xa0")), [[7, 9, 7], [9, 7, 9]]),
        ("L", body([[k] for k in range(17)], deflated(bytes(range(6)))), [[0, 1, 2], [3, 4, 5]]),
        ("L", body([[k] for k in range(5)], deflated(b"\x01\x20\x34\x00")), [[0, 1, 2], [3, 4, 0]]),
        (
            "RGB",  # the second colour is not used
            body([[0, 0, 255], [0, 1, 0], [1, 0, 0]], deflated(b"\x20\x88")),
            [[[0, 0, 255], [1, 0, 0], [0, 0, 255]], [[1, 0, 0], [0, 0, 255], [1, 0, 0]]],
        ),
    ],
)
def test_sections_made_by_hand_decode(mode: str, data: bytes, pixels: list[Any]) -> None:
    np.testing.assert_array_equal(decode_colours(data, 2, 3, mode), pixels)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "1 take 4 bytes, 0 are there"),
        (b"\xff" + bytes(767), "256 take 769 bytes, 768 are there"),
        (body([[1, 2, 3]], b""), "a plane has at least 2 bytes, not 0"),
        (body([[1, 2, 3], [1, 2, 3]], b"\x00\x00"), "do not ascend"),
        (body([[1, 2, 3], [1, 1, 255]], b"\x00\x00"), "do not ascend"),
        (body([[1, 2, 3]], b"\x00\x80"), "index 1 is not below 1"),
        (body([[1, 2, 3]], b"\x00\x10"), "bits beyond the last column"),
        (body([[1, 2, k] for k in range(5)], b"\x00\x50"), "index 5 is not below 5|bits beyond"),
        (body([[1, 2, 3]], deflated(bytes(1))), "inflates to 1 bytes"),
        (body([[1, 2, 3]], deflated(bytes(3))), "inflates to 3 bytes|inflates to 3 or more"),
        (body([[1, 2, 3]], b"\x05abc"), "filter 5"),
    ],
)
def test_section_that_breaks_the_format_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ContainerError, match=rf"^colours: .*({message})"):
        decode_colours(data, 2, 3, "RGB")


@given(st.binary(max_size=80))
def test_arbitrary_bytes_raise_only_container_error(data: bytes) -> None:
    for mode in ("L", "RGB"):
        with suppress(ContainerError):
            assert decode_colours(data, 4, 5, mode).shape[:2] == (4, 5)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_text_comes_back_exactly(
    codec: Codec, text: NDArray[np.uint8], grey: bool, alpha: bool
) -> None:
    pixels = np.ascontiguousarray(text[..., 0]) if grey else text
    plane = np.random.default_rng(1).integers(0, 256, pixels.shape[:2], np.uint8)
    picture = Picture(pixels, plane if alpha else None, icc=b"profile", exif=b"Exif\0\0II")
    data = codec.compress(picture)
    assert len(data) < len(codec.to_bytes(codec.encode(picture)))
    decoded = codec.decompress_picture(data)
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.icc, decoded.exif) == (picture.icc, picture.exif)
    if alpha:
        np.testing.assert_array_equal(decoded.alpha, plane)
    whole = codec.decompress(data)
    np.testing.assert_array_equal(
        codec.decompress(data, region=(9, 20, 50, 30)), whole[20:50, 9:59]
    )
    np.testing.assert_array_equal(codec.decompress_strips(data).array(), whole)
    np.testing.assert_array_equal(edgeae.decompress(data), whole)


def test_large_pictures_are_exact_too(codec: Codec, text: NDArray[np.uint8]) -> None:
    pixels = np.tile(text, (12, 9, 1))
    assert codec.is_large(*pixels.shape[1::-1])
    data = codec.compress(pixels, 30)
    np.testing.assert_array_equal(codec.decompress(data), pixels)


@pytest.fixture(scope="module")
def noisy(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Text that is dearer as indexes, so that low qualities have latents."""
    noisy = text.copy()
    noisy[40:90, 120:] = np.random.default_rng(2).choice([60, 90], (50, 80, 1))
    return noisy


def test_size_never_falls_with_quality(codec: Codec, noisy: NDArray[np.uint8]) -> None:
    files = [codec.compress(noisy, quality) for quality in range(0, 101, 10)]
    sizes = [len(data) for data in files]
    assert sizes == sorted(sizes)
    assert {Container.from_bytes(data).colours is None for data in files} == {False, True}


def test_latents_that_a_round_made_larger_give_way(codec: Codec, noisy: NDArray[np.uint8]) -> None:
    rounded_once = codec.compress(noisy, 40.25, effort=0)
    exact = codec.compress(noisy, 40.25)
    assert Container.from_bytes(rounded_once).colours is None
    assert Container.from_bytes(exact).colours is not None
    assert len(exact) == pytest.approx(len(rounded_once), rel=0.02)


def test_a_correction_counts_where_the_smaller_is_chosen(
    correcting: Codec, noisy: NDArray[np.uint8]
) -> None:
    files = [correcting.compress(noisy, quality) for quality in np.arange(20, 42, 0.5)]
    exact = [len(data) for data in files if Container.from_bytes(data).colours is not None]
    with_correction = [len(data) for data in files if Container.from_bytes(data).correction]
    assert max(with_correction) <= max(exact)


def test_latents_stay_where_they_are_smaller(codec: Codec, speckle: NDArray[np.uint8]) -> None:
    found = indexed(speckle)
    assert found is not None
    exact = encode_colours(found, NO_LIMIT)
    assert exact is not None
    data = codec.compress(speckle, 0)
    assert Container.from_bytes(data).colours is None
    assert len(data) < len(exact)
    assert encode_colours(found, len(exact) - 1) is None


def test_files_beside_each_other_keep_their_order(
    codec: Codec, text: NDArray[np.uint8], photo: NDArray[np.uint8]
) -> None:
    files = list(codec.compress_many([text, photo, text, photo]))
    assert files == [codec.compress(pixels) for pixels in (text, photo, text, photo)]
    decoded = list(codec.decompress_many(files))
    for found, data in zip(decoded, files, strict=True):
        np.testing.assert_array_equal(found, codec.decompress(data))
    np.testing.assert_array_equal(decoded[2], text)


def test_latents_of_an_exact_file_are_those_of_its_picture(
    codec: Codec, text: NDArray[np.uint8]
) -> None:
    latents, again = codec.encode(text, 30), codec.from_bytes(codec.compress(text, 30))
    assert isinstance(again, Latents)
    np.testing.assert_array_equal(again.symbols, latents.symbols)
    assert again.quality == 30


def test_targets_end_at_the_exact_file(codec: Codec, text: NDArray[np.uint8]) -> None:
    exact = codec.compress(text, 100)
    assert Container.from_bytes(exact).colours is not None
    for target in (TargetSize(len(exact) + 9), TargetSize(1 << 20), TargetPsnr(100)):
        np.testing.assert_array_equal(codec.decompress(codec.compress(text, target)), text)
    with pytest.raises(BoundError, match="out of reach"):
        codec.compress(text, TargetPsnr(1))


def test_psnr_that_only_the_exact_colours_have_is_out_of_reach_of_latents(
    codec: Codec, text: NDArray[np.uint8]
) -> None:
    with pytest.raises(BoundError, match="100 dB are out of reach of latents, which have"):
        codec.encode(text, TargetPsnr(100))


@pytest.fixture
def foreign(codec: Codec, text: NDArray[np.uint8]) -> bytes:
    """An exact file of ``text`` with the coding id of a bundle that is nowhere."""
    data = bytearray(codec.compress(text))
    data[10:18] = b"no model"
    size = data.index(Container.from_bytes(codec.compress(text)).colours or b"") - 4
    data[size : size + 4] = zlib.crc32(data[:size]).to_bytes(4, "little")
    return bytes(data)


def test_exact_files_of_another_bundle_are_refused(codec: Codec, foreign: bytes) -> None:
    with pytest.raises(edgeae.BundleError, match="made with a bundle"):
        codec.decompress(foreign)


def test_exact_files_need_no_bundle(
    tmp_path: Path, foreign: bytes, text: NDArray[np.uint8]
) -> None:
    np.testing.assert_array_equal(edgeae.decompress(foreign), text)
    part = edgeae.decompress(foreign, region=(7, 5, 30, 20))
    np.testing.assert_array_equal(part, text[5:25, 7:37])
    with pytest.raises(BoundError, match="beyond the picture"):
        edgeae.decompress(foreign, region=(text.shape[1], 0, 1, 1))
    with pytest.raises(ContainerError, match="--max-pixels"):
        edgeae.decompress(foreign, max_pixels=10)
    path = tmp_path / "text.eae"
    path.write_bytes(foreign)
    done = CliRunner().invoke(app, ["decompress", str(path), "--json", "--region", "7,5,30,20"])
    row = json.loads(done.stdout)
    assert (row["exact"], row["model"], row["provider"]) == (True, None, None)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "text.png")), part)
    Image.fromarray(text).save(tmp_path / "original.png")
    pair = [str(tmp_path / "original.png"), str(path)]
    done = CliRunner().invoke(app, ["eval", *pair, "--json"])
    assert json.loads(done.stdout.splitlines()[0])["psnr_db"] is None  # infinite


def test_plain_autoencoders_always_run(plain_bundle: Path) -> None:
    plain = Codec.load(plain_bundle, threads=1)
    flat = np.full((16, 16, 3), 200, np.uint8)
    assert Container.from_bytes(plain.compress(flat)).colours is None


def test_every_cut_and_flip_is_noticed(codec: Codec, text: NDArray[np.uint8]) -> None:
    data = codec.compress(picture_from_array(text[:40, :60]))
    assert Container.from_bytes(data).colours is not None
    for end in range(len(data)):
        with pytest.raises(ContainerError):
            codec.decompress(data[:end])
    for place in range(18, len(data)):  # before it: magic, version, coding id
        broken = bytearray(data)
        broken[place] ^= 0x10
        with pytest.raises(ContainerError):
            codec.decompress(bytes(broken))


def test_command_says_exact_and_npy_has_latents(
    tmp_path: Path, tiny_bundle: Path, text: NDArray[np.uint8]
) -> None:
    source = tmp_path / "text.png"
    Image.fromarray(text).save(source)
    run = CliRunner().invoke
    said = run(app, ["compress", str(source), "-m", str(tiny_bundle)])
    assert said.exit_code == 0
    assert "exact, of few colours" in said.output
    report = run(
        app,
        ["compress", str(source), "-f", "--json", "-m", str(tiny_bundle), "--target-psnr", "90"],
    )
    row = json.loads(report.stdout)
    assert (row["exact"], row["psnr_db"]) == (True, None)
    assert run(app, ["decompress", str(tmp_path / "text.eae"), "-f"]).exit_code == 0
    np.testing.assert_array_equal(np.asarray(Image.open(source)), text)

    target = tmp_path / "z.npy"
    report = run(
        app, ["compress", str(source), "-o", str(target), "--json", "-m", str(tiny_bundle)]
    )
    assert json.loads(report.stdout)["exact"] is False
    assert latents_from_npy(target.read_bytes()).symbols.size

    shown = json.loads(run(app, ["info", str(tmp_path / "text.eae"), "--json"]).stdout)
    assert shown["sections"]["colours"] > 0
    assert shown["sections"]["latents"] == 0


def test_pillow_reads_and_writes_them(tiny_bundle: Path, text: NDArray[np.uint8]) -> None:
    import edgeae.pillow  # noqa: F401 - registers the format

    stream = io.BytesIO()
    Image.fromarray(text).save(stream, "EAE", model=str(tiny_bundle))
    np.testing.assert_array_equal(np.asarray(Image.open(stream)), text)
