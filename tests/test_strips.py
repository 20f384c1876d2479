"""Picture files written as their rows come: what is read back is what went in."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeae.errors import ImageError
from edgeae.images.files import file_pieces, read_picture
from edgeae.images.strips import Strips

EXIF = Image.Exif()
EXIF[270] = "a beach"
SHAPES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}


def samples(mode: str, height: int = 75, width: int = 53) -> NDArray[np.uint8]:
    """A ramp, a flat part and noise: every filter of PNG has rows that it suits."""
    y, x = np.mgrid[:height, :width]
    shape = (height, width, *SHAPES[mode])
    values = np.broadcast_to(
        (3 * x + 5 * y).reshape(height, width, *(1,) * len(SHAPES[mode])), shape
    )
    noise = np.random.default_rng(3).integers(0, 256, shape)
    mixed = np.where(y.reshape(*y.shape, *(1,) * len(SHAPES[mode])) < 25, noise, values)
    return mixed.astype(np.uint8)


def strips(array: NDArray[np.uint8], mode: str, rows: int, **metadata: bytes) -> Strips:
    def pieces() -> Iterator[NDArray[np.uint8]]:
        for top in range(0, len(array), rows):
            yield array[top : top + rows]

    return Strips(array.shape[1], array.shape[0], mode, pieces(), **metadata)


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("rows", [1, 33, 75])
def test_png_keeps_every_sample(mode: str, rows: int) -> None:
    array = samples(mode)
    file = b"".join(file_pieces(strips(array, mode, rows), "PNG"))
    image = Image.open(io.BytesIO(file))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image), array)


def test_png_is_about_as_small_as_pillows() -> None:
    array = samples("RGB", 200, 300)
    file = b"".join(file_pieces(strips(array, "RGB", 64), "PNG"))
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    assert len(file) <= 1.05 * len(buffer.getvalue())


def test_png_keeps_metadata() -> None:
    array = samples("RGB")
    made = strips(array, "RGB", 10, icc=b"profile" * 9, exif=b"Exif\0\0" + EXIF.tobytes()[6:])
    found = read_picture(io.BytesIO(b"".join(file_pieces(made, "PNG"))))
    assert found.icc == b"profile" * 9
    assert found.exif is not None
    assert b"a beach" in found.exif


@pytest.mark.parametrize(
    ("format", "mode"), [("PPM", "L"), ("PPM", "RGB"), ("TIFF", "RGBA"), ("WEBP", "RGBA")]
)
def test_other_formats_keep_every_sample(format: str, mode: str) -> None:
    array = samples(mode)
    if mode == "RGBA":
        array[..., 3] |= 1  # WebP drops the colour of what cannot be seen
    file = b"".join(file_pieces(strips(array, mode, 20), format))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), array)


def test_a_format_without_alpha_is_refused_before_a_row_is_made() -> None:
    made = strips(samples("RGBA"), "RGBA", 20)
    with pytest.raises(ImageError, match="JPEG has no alpha and the picture has"):
        list(file_pieces(made, "JPEG"))
    assert len(list(made.rows)) == 4
