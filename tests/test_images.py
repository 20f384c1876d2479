from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from edgeae.errors import ImageError, OutputError
from edgeae.images.files import (
    Picture,
    format_for,
    picture_from_array,
    picture_from_image,
    read_picture,
    to_array,
    to_picture,
    write_picture,
)
from edgeae.images.outputs import OUTPUTS
from edgeae.images.samples import reduce_to_8_bits, upright

ORIENTATION = 0x0112
RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)


def file_of(image: Image.Image, name: str, **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    buffer.seek(0)
    return buffer


def read_back(picture: Picture, name: str) -> Picture:
    buffer = io.BytesIO()
    write_picture(picture, buffer, name)
    return read_picture(buffer)


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_eight_bit_modes_are_read_sample_for_sample(mode: str) -> None:
    channels = len(Image.new(mode, (1, 1)).getbands())
    array = RNG.integers(0, 256, (5, 7, channels), np.uint8).squeeze()
    picture = read_picture(file_of(Image.fromarray(array, mode), "PNG"))
    assert picture.mode == mode
    assert (picture.height, picture.width) == (5, 7)
    assert picture.notes == ()
    assert picture.pixels.flags.c_contiguous
    np.testing.assert_array_equal(to_array(picture), array)


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    picture = read_picture(file_of(image, "PNG"))
    assert picture.pixels.tolist() == [[0, 255], [255, 0]]


def test_palette_becomes_rgb() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 1, 2, 3])
    image.putpixel((1, 0), 1)
    picture = read_picture(file_of(image, "PNG"))
    assert picture.pixels.tolist() == [[[9, 8, 7], [1, 2, 3]]]
    assert picture.alpha is None


def test_palette_of_greys_becomes_grey() -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([9, 9, 9, 200, 200, 200])
    picture = read_picture(file_of(image, "PNG"))
    assert picture.pixels.tolist() == [[200, 200]]


def test_palette_of_greys_with_a_colour_profile_stays_rgb() -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([9, 9, 9, 200, 200, 200])
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_picture(file_of(image, "PNG", icc_profile=icc)).mode == "RGB"


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_transparent_palette_entry_becomes_alpha(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 1, 2, 3])
    image.putpixel((1, 0), 1)
    picture = read_picture(file_of(image, "PNG", transparency=transparency))
    assert picture.mode == "RGBA"
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize(("mode", "key"), [("L", 3), ("RGB", (3, 3, 3))])
def test_transparent_colour_becomes_alpha(mode: str, key: int | tuple[int, ...]) -> None:
    image = Image.new(mode, (2, 1), key)
    image.putpixel((0, 0), 4 if mode == "L" else (4, 3, 3))
    picture = read_picture(file_of(image, "PNG", transparency=key))
    assert picture.mode == f"{mode}A"
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("name", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_rounded_and_said_so(name: str) -> None:
    wide = np.array([[0, 128, 129, 257, 32767, 65535]], np.uint16)
    picture = read_picture(file_of(Image.fromarray(wide), name))
    assert picture.notes == ("16 bit reduced to 8",)
    assert picture.pixels.tolist() == [[0, 0, 1, 1, 127, 255]]


def test_sixteen_bit_grey_with_a_transparent_value_has_alpha() -> None:
    image = Image.fromarray(np.array([[700, 701]], np.uint16))
    picture = read_picture(file_of(image, "PNG", transparency=701))
    assert picture.mode == "LA"
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


def test_sixteen_bit_colour_is_said_to_be_reduced() -> None:
    picture = read_picture(io.BytesIO(png_of(struct.pack(">B3H", 0, 0, 32896, 65535), 1, 1, 16, 2)))
    assert picture.notes == ("16 bit reduced to 8",)
    assert picture.pixels.tolist() == [[[0, 128, 255]]]


def test_rounding_to_eight_bits_is_exact_for_every_sample() -> None:
    wide = np.arange(65536).reshape(256, 256)
    expected = np.round(wide / 257).astype(np.uint8)
    np.testing.assert_array_equal(reduce_to_8_bits(wide), expected)


@pytest.mark.parametrize("value", [-1, 65536])
def test_samples_outside_sixteen_bits_are_refused(value: int) -> None:
    image = Image.fromarray(np.full((2, 2), value, np.int32))
    with pytest.raises(ImageError, match=rf"{value}\.\.{value} are outside 16 bits"):
        picture_from_image(image)


def test_float_samples_are_refused_with_what_to_do() -> None:
    image = Image.fromarray(np.zeros((2, 2), np.float32))
    with pytest.raises(ImageError, match="convert them to 8 or 16 bits"):
        read_picture(file_of(image, "TIFF"))


def test_cmyk_without_a_profile_becomes_rgb_and_is_said_so() -> None:
    image = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    picture = read_picture(file_of(image, "TIFF"))
    assert picture.notes == ("CMYK converted to RGB without a profile",)
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_broken_cmyk_profile_is_neither_used_nor_kept() -> None:
    image = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    picture = read_picture(file_of(image, "TIFF", icc_profile=b"no profile"))
    assert picture.icc is None
    assert picture.notes == ("CMYK converted to RGB without a profile",)
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_lab_white_and_red_are_white_and_red() -> None:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    to_lab = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    colours = Image.fromarray(np.array([[[255, 255, 255], [200, 30, 40]]], np.uint8))
    picture = picture_from_image(to_lab.apply(colours))
    assert picture.notes == ("LAB converted to RGB",)
    assert np.abs(picture.pixels.astype(int) - np.asarray(colours)).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_other_colour_spaces_become_rgb_and_are_said_so(mode: str) -> None:
    colours = Image.fromarray(RGB)
    picture = picture_from_image(colours.convert(mode))
    assert picture.notes == (f"{mode} converted to RGB",)
    assert picture.mode == "RGB"


@pytest.mark.parametrize(("mode", "read_as"), [("La", "LA"), ("RGBa", "RGBA"), ("RGBX", "RGB")])
def test_premultiplied_and_padded_modes_are_undone(mode: str, read_as: str) -> None:
    assert picture_from_image(Image.new(mode, (3, 2))).mode == read_as


def test_first_frame_of_an_animation_is_read_and_said_so() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    for name in ("GIF", "WEBP", "TIFF", "PNG"):
        options = {"lossless": True} if name == "WEBP" else {}
        stored = file_of(frames[0], name, save_all=True, append_images=frames[1:], **options)
        picture = read_picture(stored)
        assert picture.notes == ("first of 3 frames",), name
        assert to_array(picture)[0, 0, :3].tolist() == [255, 0, 0], name


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeae.images.files.STRIP_PIXELS", 14)
    rgba = RNG.integers(0, 256, (5, 7, 4), np.uint8)
    np.testing.assert_array_equal(to_array(picture_from_image(Image.fromarray(rgba))), rgba)
    palette = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(
        picture_from_image(palette).pixels, np.asarray(palette.convert("RGB"))
    )


def test_a_pipe_is_read() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation("seek")

    picture = read_picture(Pipe(file_of(Image.fromarray(RGB), "PNG").getvalue()))
    np.testing.assert_array_equal(picture.pixels, RGB)


def test_a_file_object_is_read_from_its_start_and_stays_open() -> None:
    stored = file_of(Image.fromarray(RGB), "PNG")
    stored.seek(11)
    read_picture(stored)
    assert not stored.closed


# --- orientation and metadata -----------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_as_pillow_applies_it(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[271] = "a maker"
    stored = file_of(Image.fromarray(RGB), "PNG", exif=exif)
    with Image.open(stored) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    picture = read_picture(stored)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.pixels.flags.c_contiguous
    kept = Image.Exif()
    assert picture.exif is not None
    kept.load(picture.exif)
    assert kept[271] == "a maker"
    assert ORIENTATION not in kept


def test_alpha_turns_with_the_pixels() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    rgba = RNG.integers(0, 256, (2, 3, 4), np.uint8)
    picture = read_picture(file_of(Image.fromarray(rgba), "PNG", exif=exif))
    np.testing.assert_array_equal(to_array(picture), np.rot90(rgba, -1))


def test_unknown_orientation_leaves_the_samples() -> None:
    assert upright(GREY, 9) is GREY


def test_tiff_orientation_is_applied_once_and_its_layout_tags_are_not_exif() -> None:
    stored = file_of(Image.fromarray(RGB), "TIFF", tiffinfo={ORIENTATION: 3, 271: "a maker"})
    picture = read_picture(stored)
    np.testing.assert_array_equal(picture.pixels, RGB[::-1, ::-1])
    kept = Image.Exif()
    assert picture.exif is not None
    kept.load(picture.exif)
    assert dict(kept) == {271: "a maker"}


def test_exif_without_orientation_is_kept_byte_for_byte() -> None:
    exif = Image.Exif()
    exif[271] = "a maker"
    stored = file_of(Image.fromarray(RGB), "JPEG", exif=exif)
    assert read_picture(stored).exif == exif.tobytes()


def test_gps_and_camera_entries_survive_a_turn() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure time
    exif.get_ifd(0x8825)[1] = "N"
    picture = read_picture(file_of(Image.fromarray(RGB), "JPEG", exif=exif))
    kept = Image.Exif()
    assert picture.exif is not None
    kept.load(picture.exif)
    assert float(kept.get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)
    assert kept.get_ifd(0x8825)[1] == "N"


def test_broken_exif_is_dropped_and_said_so() -> None:
    image = Image.fromarray(RGB)
    stored = file_of(image, "JPEG", exif=b"Exif\0\0garbage that is no TIFF")
    picture = read_picture(stored)
    assert picture.exif is None
    assert picture.notes == ("Exif unreadable, dropped",)


def test_reading_a_pillow_image_does_not_change_it() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.open(file_of(Image.fromarray(RGB), "JPEG", exif=exif))
    before = image.info["exif"], image.size
    picture_from_image(image)
    assert (image.info["exif"], image.size) == before
    assert image.getexif()[ORIENTATION] == 6


def test_colour_profile_is_kept_byte_for_byte() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_picture(file_of(Image.fromarray(RGB), "PNG", icc_profile=icc)).icc == icc


# --- what is refused --------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(rows: bytes, width: int, height: int, depth: int, colour: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_bomb_is_refused_by_its_header_before_decoding() -> None:
    bomb = png_of(b"", 30_000, 30_000, 8, 2)
    with pytest.raises(ImageError, match="30000x30000 is 900000000 pixels, the limit is 268435456"):
        read_picture(io.BytesIO(bomb))


def test_the_limit_is_what_the_caller_says() -> None:
    stored = file_of(Image.fromarray(RGB), "PNG")
    with pytest.raises(ImageError, match="7x5 is 35 pixels, the limit is 34"):
        read_picture(stored, max_pixels=34)
    assert read_picture(stored, max_pixels=35).width == 7


def test_side_beyond_the_format_is_refused() -> None:
    with pytest.raises(ImageError, match="65536x1 is more than 65535 pixels a side"):
        read_picture(io.BytesIO(png_of(b"", 65_536, 1, 8, 0)))


def test_pillows_global_limit_neither_warns_nor_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(file_of(Image.fromarray(RGB), "PNG")).width == 7


def test_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="0x4 has no pixels"):
        picture_from_image(Image.new("L", (0, 4)))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing\.png: cannot be read: No such file"):
        read_picture(tmp_path / "nothing.png")


def test_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_picture(tmp_path)


def test_empty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(ImageError, match=r"empty\.png: the file is empty"):
        read_picture(path)


def test_text_is_no_picture() -> None:
    with pytest.raises(ImageError, match="not a picture that can be read"):
        read_picture(io.BytesIO(b"once upon a time there was a picture" * 10))


@pytest.mark.parametrize(
    ("start", "hint"),
    [(b"%!PS-Adobe-3.0 EPSF-3.0\n", "render it first"), (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC")],
)
def test_known_foreign_files_get_a_hint(start: bytes, hint: str) -> None:
    if hint == "HEIC" and "HEIF" in Image.OPEN:
        pytest.skip("a plug-in reads it")
    with pytest.raises(ImageError, match=hint):
        read_picture(io.BytesIO(start + bytes(200)))


def sample_files() -> list[tuple[str, bytes]]:
    gradient = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    image = Image.fromarray(np.dstack([gradient, gradient * 2, gradient * 5]))
    samples = [
        (name, file_of(image, name).getvalue())
        for name in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "TGA", "QOI", "WEBP", "SGI", "PCX")
    ]
    samples.append(("JPEG", file_of(image, "JPEG", progressive=True).getvalue()))
    samples.append(("TIFF", file_of(image, "TIFF", compression="tiff_lzw").getvalue()))
    samples.append(("GIF", file_of(image, "GIF", save_all=True, append_images=[image]).getvalue()))
    if features.check("avif"):
        samples.append(("AVIF", file_of(image, "AVIF").getvalue()))
    if features.check("jpg_2000"):
        samples.append(("JPEG2000", file_of(image, "JPEG2000").getvalue()))
    return samples


SAMPLES = sample_files()


@pytest.mark.parametrize(("name", "data"), SAMPLES)
def test_half_a_file_is_one_line_of_image_error(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "half.bin"
    path.write_bytes(data[: len(data) // 2])
    if name in ("GIF", "TIFF", "AVIF", "TGA"):
        with pytest.raises(ImageError) as caught:
            read_picture(path)
    else:
        with pytest.raises(ImageError, match="damaged") as caught:
            read_picture(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.binary(max_size=400))
@example(b"\x00")
def test_arbitrary_bytes_raise_only_image_error(data: bytes) -> None:
    try_to_read(data)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "data"), SAMPLES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_raise_only_image_error(
    name: str, data: bytes, edits: list[tuple[float, int]]
) -> None:
    damaged = bytearray(data)
    for position, value in edits:
        damaged[int(position * (len(data) - 1))] = value
    try_to_read(bytes(damaged))


def try_to_read(data: bytes) -> None:
    try:
        picture = read_picture(io.BytesIO(data), max_pixels=1_000_000)
    except ImageError as error:
        message = str(error)
    else:
        message = f"{picture.width}x{picture.height}"
    assert message
    assert "\n" not in message


# --- arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "mode"),
    [((4, 5), "L"), ((4, 5, 1), "L"), ((4, 5, 2), "LA"), ((4, 5, 3), "RGB"), ((4, 5, 4), "RGBA")],
)
def test_arrays_of_every_shape_come_back(shape: tuple[int, ...], mode: str) -> None:
    array = RNG.integers(0, 256, shape, np.uint8)
    picture = picture_from_array(array)
    assert picture.mode == mode
    np.testing.assert_array_equal(to_array(picture), array.squeeze())


def test_array_without_alpha_is_shared() -> None:
    picture = picture_from_array(RGB)
    assert picture.pixels is RGB
    assert to_array(picture) is RGB


def test_strided_and_read_only_arrays_are_taken() -> None:
    array = RGB[::-1, ::2]
    array.flags.writeable = False
    picture = picture_from_array(array)
    assert picture.pixels.flags.c_contiguous
    np.testing.assert_array_equal(picture.pixels, array)


@pytest.mark.parametrize("dtype", [bool, np.uint16, np.float32, np.int8])
def test_other_sample_types_are_a_type_error_with_advice(dtype: type) -> None:
    with pytest.raises(TypeError, match=r"uint8 in 0\.\.255"):
        picture_from_array(np.zeros((4, 5), dtype))


@pytest.mark.parametrize("shape", [(), (4,), (4, 5, 5), (4, 5, 0), (1, 4, 5, 3)])
def test_other_shapes_are_a_value_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 to 4"):
        picture_from_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0, 3), (65_536, 1)])
def test_sides_outside_the_format_are_a_value_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"outside 1\.\.65535"):
        picture_from_array(np.zeros(shape, np.uint8))


def test_picture_checks_that_alpha_fits() -> None:
    with pytest.raises(ValueError, match="alpha is"):
        Picture(RGB, np.zeros((5, 6), np.uint8))
    with pytest.raises(ValueError, match="pixels are"):
        Picture(np.zeros((4, 5, 4), np.uint8))
    with pytest.raises(TypeError, match="numpy array, got list"):
        Picture([[1]])  # type: ignore[arg-type]


def test_compress_takes_pictures_images_and_arrays() -> None:
    picture = picture_from_array(RGB)
    assert to_picture(picture) is picture
    assert to_picture(RGB).pixels is RGB
    np.testing.assert_array_equal(to_picture(Image.fromarray(RGB)).pixels, RGB)
    with pytest.raises(TypeError, match="got str"):
        to_picture("beach.png")  # type: ignore[arg-type]


def test_metadata_can_be_left_behind() -> None:
    bare = Picture(RGB, GREY, b"icc", b"exif").without_metadata()
    assert (bare.icc, bare.exif) == (None, None)
    assert bare.alpha is GREY


# --- writing ----------------------------------------------------------------------------------

LOSSLESS = ("PNG", "TIFF", "WEBP", "TGA", "QOI", "JPEG2000")


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("alpha", [None, GREY])
@pytest.mark.parametrize("pixels", [GREY, RGB])
def test_lossless_formats_return_every_sample(
    name: str, alpha: np.ndarray | None, pixels: np.ndarray
) -> None:
    if name == "WEBP" and alpha is not None:
        alpha = np.maximum(alpha, 1)  # libwebp may drop colours that nobody sees
    read = read_back(Picture(pixels, alpha), name)
    grey_kept = read.pixels.ndim == pixels.ndim
    expected = pixels if grey_kept else np.repeat(pixels[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read.pixels, expected)
    if alpha is not None:
        np.testing.assert_array_equal(read.alpha, alpha)


@pytest.mark.parametrize("name", ["JPEG", "BMP", "PPM"])
def test_alpha_is_not_dropped_silently(name: str) -> None:
    with pytest.raises(ImageError, match=rf"{name} has no alpha and the picture has; write.* PNG"):
        write_picture(Picture(RGB, GREY), io.BytesIO(), name)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_metadata_survives_writing(name: str) -> None:
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[271] = "a maker"
    read = read_back(Picture(RGB, None, icc, exif.tobytes()), name)
    assert read.icc == icc
    kept = Image.Exif()
    assert read.exif is not None
    kept.load(read.exif)
    assert kept[271] == "a maker"


@pytest.mark.parametrize(
    ("tag", "value"), [(0x100, 5), (0x101, 5), (278, 0), (284, 2), (338, 1), (339, 3), (262, 0)]
)
def test_layout_that_exif_claims_does_not_change_a_tiff(tag: int, value: int) -> None:
    exif = Image.Exif()
    exif[271], exif[tag] = "a maker", value
    read = read_back(Picture(RGB, None, None, exif.tobytes()), "TIFF")
    np.testing.assert_array_equal(read.pixels, RGB)
    kept = Image.Exif()
    assert read.exif is not None
    kept.load(read.exif)
    assert kept[271] == "a maker"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no mkfifo")
def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(buffer.getvalue(),))
    writer.start()
    np.testing.assert_array_equal(read_picture(tmp_path / "pipe").pixels, RGB)
    writer.join()


def test_profile_of_grey_is_left_out_where_grey_becomes_colour() -> None:
    picture = Picture(GREY, None, b"a profile of grey")
    assert read_back(picture, "PNG").icc == b"a profile of grey"
    assert read_back(picture, "WEBP").icc is None


@pytest.mark.parametrize(
    ("path", "name"),
    [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.b/c.tif", "TIFF"), ("x.webp", "WEBP")],
)
def test_format_follows_the_extension(path: str, name: str) -> None:
    assert format_for(Path(path)) == name


@pytest.mark.parametrize("path", ["a.txt", "a.gif", "a.eae", "a.pdf"])
def test_unwritable_extension_lists_the_writable(path: str) -> None:
    with pytest.raises(ImageError, match=r"cannot be written; use .*\.jpg.*\.png"):
        format_for(Path(path))


def test_missing_extension_lists_the_writable() -> None:
    with pytest.raises(ImageError, match=r"no extension says which format; use .*\.jpg.*\.png"):
        format_for(Path("a"))


def test_unknown_format_lists_the_writable() -> None:
    with pytest.raises(ImageError, match=r"SPAM cannot be written; use .*\.png"):
        write_picture(Picture(RGB), io.BytesIO(), "SPAM")


def test_a_pipe_is_written_as_a_file_is() -> None:
    class Pipe(io.RawIOBase, BinaryIO):
        written = b""

        def seekable(self) -> bool:
            return False

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.written += bytes(data)
            return len(data)

    for name in ("PNG", "TIFF"):
        pipe, buffer = Pipe(), io.BytesIO()
        write_picture(Picture(RGB), pipe, name)
        write_picture(Picture(RGB), buffer, name)
        assert pipe.written == buffer.getvalue()


def test_picture_beyond_a_format_says_so() -> None:
    with pytest.raises(ImageError, match="WEBP cannot hold this 20000x1 picture"):
        write_picture(Picture(np.zeros((1, 20_000), np.uint8)), io.BytesIO(), "WEBP")


def test_exif_beyond_jpeg_says_so() -> None:
    with pytest.raises(ImageError, match="JPEG cannot hold"):
        write_picture(Picture(RGB, None, None, b"Exif\0\0" + bytes(70_000)), io.BytesIO(), "JPEG")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_is_an_output_error() -> None:
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - closed below
    with full, pytest.raises(OutputError, match="No space left"):
        write_picture(Picture(RGB), full, "PNG")


def test_every_output_option_is_one_that_pillow_takes() -> None:
    Image.init()
    for name in OUTPUTS.keys() & Image.SAVE.keys():
        assert read_back(Picture(RGB), name).pixels.shape == RGB.shape


@pytest.mark.slow
def test_big_picture_costs_no_third_copy(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    Image.new("RGB", (4000, 3000)).save(path)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from edgeae.images.files import read_picture\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "picture = read_picture(Path(sys.argv[1]))\n"
        "print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    before, after = (int(word) for word in result.stdout.split())
    assert (after - before) * 1024 < 4000 * 3000 * (4 + 3) + 60e6  # bytes/px in Pillow, here
