from __future__ import annotations

import importlib
import io
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import edgeae
import edgeae.pillow
from edgeae.container import Container, Header
from edgeae.errors import BundleError, DesyncError
from edgeae.images.files import to_array, to_picture

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (6, 9, 3), np.uint8)
TINY = Path(__file__).parent / "bundles" / "tiny"


def fake_compress(image: Any, quality: float = 50, model: str = "photo", **_: Any) -> bytes:
    """A real container around deflated samples: only the plug-in is under test."""
    if model != "photo":
        raise BundleError(f"{model}: no such bundle")
    picture = to_picture(image)
    return Container(
        header=Header(
            coding_id=b"only-zip",
            width=picture.width,
            height=picture.height,
            mode=picture.mode,
            quality=round(quality * 100),
            steps=0,
        ),
        latents=zlib.compress(to_array(picture).tobytes()),
        lanes_log2=0,
        symbols_crc=0,
        alpha=None if picture.alpha is None else b"in the latents",
        icc=picture.icc,
        exif=picture.exif,
    ).to_bytes()


def fake_decompress(data: bytes, *, max_pixels: int) -> np.ndarray:
    container = Container.from_bytes(data, max_pixels=max_pixels)
    header = container.header
    shape = header.height, header.width, len(header.mode)
    return np.frombuffer(zlib.decompress(container.latents), np.uint8).reshape(shape).squeeze()


@pytest.fixture(autouse=True)
def _zip_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgeae, "compress", fake_compress, raising=False)
    monkeypatch.setattr(edgeae, "decompress", fake_decompress, raising=False)


def saved(image: Image.Image, **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "EAE", **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_mode_is_saved_and_opened(mode: str) -> None:
    array = RNG.integers(0, 256, (6, 9, len(mode)), np.uint8).squeeze()
    with Image.open(saved(Image.fromarray(array))) as image:
        assert (image.format, image.mode, image.size) == ("EAE", mode, (9, 6))
        np.testing.assert_array_equal(np.asarray(image), array)


def test_the_extension_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "beach.eae"
    Image.fromarray(RGB).save(path)
    with Image.open(path) as image:
        assert image.get_format_mimetype() == "image/x-eae"
        np.testing.assert_array_equal(np.asarray(image), RGB)


def test_opening_does_not_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = saved(Image.fromarray(RGB), quality=37.5)

    def decompress(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded too early")

    monkeypatch.setattr(edgeae, "decompress", decompress)
    with Image.open(stored) as image:
        assert image.size == (9, 6)
        assert image.info["quality"] == 37.5


def test_importing_the_plug_in_loads_no_runtime() -> None:
    script = "import sys, edgeae.pillow; print(*{'numpy', 'onnxruntime'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_importing_twice_registers_once() -> None:
    importlib.reload(edgeae.pillow)
    assert Image.ID.count("EAE") == 1


def test_profile_and_passed_exif_are_in_info_before_loading() -> None:
    exif = Image.Exif()
    exif[271] = "a maker"
    image = Image.fromarray(RGB)
    image.info["icc_profile"] = b"a profile"
    with Image.open(saved(image, exif=exif)) as opened:
        assert opened.info["icc_profile"] == b"a profile"
        assert opened.getexif()[271] == "a maker"


def test_exif_that_was_not_passed_is_not_written() -> None:
    exif = Image.Exif()
    exif[271] = "a maker"
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG", exif=exif)
    with Image.open(saved(Image.open(buffer))) as opened:
        assert "exif" not in opened.info


def test_profile_can_be_left_out() -> None:
    image = Image.fromarray(RGB)
    image.info["icc_profile"] = b"a profile"
    with Image.open(saved(image, icc_profile=None)) as opened:
        assert "icc_profile" not in opened.info


@pytest.mark.parametrize("passed", [True, False])
def test_a_turned_photo_is_saved_upright(passed: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG", exif=exif)
    options = {"exif": exif} if passed else {}
    with Image.open(saved(Image.open(buffer), **options)) as opened:
        np.testing.assert_array_equal(np.asarray(opened), np.rot90(RGB, -1))
        assert 0x0112 not in opened.getexif()


def test_passed_orientation_turns_an_image_that_has_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(saved(Image.fromarray(RGB), exif=exif)) as opened:
        np.testing.assert_array_equal(np.asarray(opened), RGB[::-1, ::-1])


def test_truncated_file_is_an_os_error_when_its_pixels_are_wanted() -> None:
    data = saved(Image.fromarray(RGB)).getvalue()
    with Image.open(io.BytesIO(data[:-5])) as image:
        assert image.size == (9, 6)
        with pytest.raises(OSError, match="bytes"):
            image.load()


def test_damaged_header_is_an_os_error_with_its_reason() -> None:
    data = bytearray(saved(Image.fromarray(RGB)).getvalue())
    data[18] ^= 1
    with pytest.raises(OSError, match="header, offset 0: checksum") as caught:
        Image.open(io.BytesIO(bytes(data)))
    assert not isinstance(caught.value, UnidentifiedImageError)


def test_codec_errors_are_os_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = saved(Image.fromarray(RGB))

    def decompress(*_: Any, **__: Any) -> None:
        raise DesyncError("symbols differ")

    monkeypatch.setattr(edgeae, "decompress", decompress)
    with Image.open(stored) as image, pytest.raises(OSError, match="symbols differ"):
        image.load()


def test_mode_without_meaning_is_an_os_error_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "depth.eae"
    with pytest.raises(OSError, match="float samples"):
        Image.new("F", (4, 4)).save(path)
    assert not path.exists()


def test_missing_model_is_an_os_error() -> None:
    with pytest.raises(OSError, match="unknown: no such bundle"):
        saved(Image.fromarray(RGB), model="unknown")


def test_bomb_is_judged_by_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = saved(Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(stored)


def test_other_formats_are_still_found() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    with Image.open(buffer) as image:
        assert image.format == "PNG"


@pytest.mark.skipif(not TINY.exists(), reason="the tiny bundle is not built")
def test_pictures_survive_the_real_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("EDGEAE_MODELS", str(TINY.parent))
    stored = saved(Image.fromarray(RGB), quality=90, model=str(TINY))
    with Image.open(stored) as image:
        expected = edgeae.decompress(stored.getvalue(), model=TINY)
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_precision_is_an_option_of_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    image = Image.fromarray(RGB)
    stored = saved(image, model=str(TINY), precision="fp32").getvalue()
    assert stored == edgeae.compress(RGB, model=TINY, precision="fp32")
    with pytest.raises(OSError, match="has no int8 graph"):
        saved(image, model=str(TINY), precision="int8")
