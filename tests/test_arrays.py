"""Arrays of floats through codec, files and commands, and what is refused on the way."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from array_bundle import SHAPE, STEP, write_array_bundle
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import edgeae
import edgeae.pillow
from edgeae.array_files import array_to_npy, read_array
from edgeae.arrays import FloatArray, to_float_array
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.container import Container, read_header
from edgeae.errors import BoundError, ContainerError, EdgeaeError, ImageError
from edgeae.npy import latents_from_npy, latents_to_npy
from edgeae.rate_control import TargetPsnr, TargetSize

pytestmark = pytest.mark.torch  # the bundle is written with onnx

VALUES: NDArray[np.float32] = (
    np.random.default_rng(3).normal(0, 4, SHAPE).astype(np.float32).clip(-16, 16)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_array_bundle(tmp_path_factory.mktemp("bundles") / "series")


@pytest.fixture(scope="module")
def codec(folder: Path) -> Codec:
    return Codec.load(folder, threads=1)


def run(*arguments: str | Path, stdin: bytes | None = None) -> tuple[int, bytes, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    return result.exit_code, result.stdout_bytes, result.stderr


def test_array_comes_back_within_half_a_step(codec: Codec) -> None:
    for values in (VALUES, VALUES.astype(np.float64), VALUES.astype(np.float16), VALUES[::-1]):
        decoded = codec.decompress(codec.compress(values))
        assert (decoded.dtype, decoded.shape) == (np.float32, SHAPE)
        assert np.abs(decoded - values).max() <= STEP / 2


def test_header_says_what_it_is(codec: Codec) -> None:
    data = codec.compress(VALUES)
    header = read_header(data)
    assert (header.mode, header.width, header.height) == ("F", 6, 4)
    assert data[8] == 0x81  # version 1, mode 4: docs/FORMAT.md section 3


def test_all_ways_to_an_array_are_one(codec: Codec, folder: Path) -> None:
    data = codec.compress(VALUES)
    latents = latents_from_npy(latents_to_npy(codec.from_bytes(data)))
    expected = codec.decompress(data)
    for found in (
        codec.decode_array(latents),
        codec.decompress(codec.to_bytes(latents)),
        next(codec.decompress_many([data])),
        edgeae.decompress(edgeae.compress(VALUES, model=folder), folder),
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batch", ["N", 1])
def test_many_arrays_are_the_same_files(tmp_path: Path, batch: str | int) -> None:
    codec = Codec.load(write_array_bundle(tmp_path / "b", batch), threads=1)
    arrays = [VALUES + k for k in range(5)]
    files = list(codec.compress_many(arrays))
    assert files == [codec.compress(array) for array in arrays]
    for one, array in zip(codec.decompress_many(files), arrays, strict=True):
        assert np.abs(one - array).max() <= STEP / 2


def test_embedding_is_in_the_arrays_own_units(codec: Codec) -> None:
    (found,) = codec.embed([VALUES])
    np.testing.assert_allclose(found[:, 0], VALUES, rtol=1e-6)
    np.testing.assert_allclose(codec.generate(found[np.newaxis])[0], VALUES, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (VALUES[:3], ImageError, r"an array of \(3, 6\), but the bundle takes \(4, 6\)"),
        (np.where(VALUES > 3, np.nan, VALUES), ImageError, "NaN, infinite"),
        (np.where(VALUES > 3, np.inf, VALUES), ImageError, "NaN, infinite"),
        (np.full(SHAPE, 1e39), ImageError, "beyond float32"),
        (VALUES.astype(np.uint8), TypeError, "takes arrays of floats, got uint8"),
        (VALUES.tolist(), TypeError, "takes arrays of floats, got list"),
    ],
)
def test_other_arrays_are_refused(
    codec: Codec, values: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        codec.compress(values)  # type: ignore[arg-type]


def test_pictures_and_arrays_do_not_mix(codec: Codec, plain_bundle: Path) -> None:
    data = codec.compress(VALUES)
    with pytest.raises(ImageError, match="holds an array and no picture"):
        codec.decompress_picture(data)
    with pytest.raises(ImageError, match="holds an array and no picture"):
        codec.decode(codec.from_bytes(data))
    with pytest.raises(OSError, match="holds an array"):
        Image.open(io.BytesIO(data))
    pictures = Codec.load(plain_bundle, threads=1)
    with pytest.raises(TypeError, match="uint8"):
        pictures.compress(VALUES)


@pytest.mark.parametrize(
    "change", [{"mode": "L"}, {"width": 7}, {"height": 1}, {"width": 24, "height": 1}]
)
def test_altered_header_is_a_container_error(codec: Codec, change: dict[str, object]) -> None:
    container = Container.from_bytes(codec.compress(VALUES))
    header = dataclasses.replace(container.header, **change)  # type: ignore[arg-type]
    with pytest.raises(ContainerError, match=r"but bundle series has arrays of \(4, 6\)"):
        codec.decompress(dataclasses.replace(container, header=header).to_bytes())


def test_array_of_another_bundle_kind_is_a_container_error(plain_bundle: Path) -> None:
    pictures = Codec.load(plain_bundle, threads=1)
    container = Container.from_bytes(pictures.compress(np.zeros((4, 6), np.uint8)))
    header = dataclasses.replace(container.header, mode="F")
    with pytest.raises(ContainerError, match="mode F of 6x4, but bundle plain has pictures"):
        pictures.decompress(dataclasses.replace(container, header=header).to_bytes())


def test_damaged_file_is_an_error(codec: Codec) -> None:
    data = codec.compress(VALUES)
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(EdgeaeError):
            codec.decompress(bytes(damaged))


@pytest.mark.parametrize("target", [TargetSize(100), TargetPsnr(30.0)])
def test_targets_are_for_pictures(codec: Codec, target: TargetSize | TargetPsnr) -> None:
    with pytest.raises(BoundError, match="has one quality"):
        codec.compress(VALUES, target)


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, ">f4"]),
        hnp.array_shapes(max_dims=4, max_side=5),
        elements=st.floats(-1000, 1000, width=16),
    ),
    st.booleans(),
)
def test_npy_files_are_read_as_numpy_does(array: NDArray[np.floating], in_columns: bool) -> None:
    file = io.BytesIO()
    np.save(file, np.asfortranarray(array) if in_columns else array)
    file.seek(0)
    np.testing.assert_array_equal(read_array(file).values, array.astype(np.float32))


def test_written_npy_is_that_of_numpy() -> None:
    file = io.BytesIO()
    np.save(file, VALUES)
    assert array_to_npy(VALUES) == file.getvalue()


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"]))
def test_arbitrary_bytes_raise_only_image_error(data: bytes, start: bytes) -> None:
    with pytest.raises(ImageError):
        read_array(io.BytesIO(start + data))


def test_hostile_shape_allocates_nothing() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (16000, 16000), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(ImageError, match=r"needs 1024000000 bytes and the \.npy file has 5"):
        read_array(io.BytesIO(data + b"12345"))
    with pytest.raises(ImageError, match="256000000 values, the limit is 1000"):
        read_array(io.BytesIO(data), max_values=1000)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b"{'descr': (", b""),
        (b"{1: 2, 'a': 3}", b""),
        (b"{[]: 1}", b""),
        (b"if x:\n    a\n  b", b""),
        (b"{'descr': (), 'fortran_order': False, 'shape': (1,), }", bytes(4)),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807), }", b""),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -5), }", bytes(20)),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", bytes(4)),
    ],
)
def test_hostile_header_is_an_image_error(header: bytes, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    size = (len(header) + 1).to_bytes(2, "little")
    path.write_bytes(b"\x93NUMPY\x01\x00" + size + header + b"\n" + data)
    with path.open("rb") as file, pytest.raises(ImageError):
        read_array(file)


@pytest.mark.parametrize("array", [np.arange(6), np.zeros((2, 2), complex), np.float32(1.0)])
def test_npy_of_other_numbers_is_an_image_error(array: NDArray[np.generic]) -> None:
    file = io.BytesIO()
    np.save(file, array)
    file.seek(0)
    with pytest.raises(ImageError, match="an array of floats is needed"):
        read_array(file)


def test_float_array_is_taken_as_it_is() -> None:
    one = FloatArray(VALUES)
    assert to_float_array(one, SHAPE).values is VALUES
    assert (one.width, one.height, one.mode) == (6, 4, "F")
    assert (FloatArray(VALUES[0]).width, FloatArray(VALUES[0]).height) == (6, 1)


def test_commands_take_and_give_npy_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series, packed = tmp_path / "series.npy", tmp_path / "series.eae"
    np.save(series, VALUES)
    code, _, talk = run("compress", series, "-m", folder, "--json")
    assert code == 0, talk
    assert packed.exists()
    code, out, _ = run("info", packed, "--json")
    assert (json.loads(out)["mode"], json.loads(out)["width"], code) == ("F", 6, 0)
    series.unlink()
    code, _, talk = run("decompress", packed, "-m", folder)
    assert code == 0, talk
    decoded = np.load(series)
    assert (decoded.dtype, decoded.shape) == (np.float32, SHAPE)
    assert np.abs(decoded - VALUES).max() <= STEP / 2
    assert run("decompress", packed, "-m", folder)[0] == 7  # it exists
    code, _, talk = run("decompress", packed, "-m", folder, "-o", tmp_path / "x.png")
    assert (code, "holds an array" in talk) == (6, True)
    monkeypatch.chdir(tmp_path)
    code, _, talk = run("decompress", packed, "-m", folder, "-o", "./x.png")
    assert (code, "holds an array" in talk) == (6, True)
    assert not (tmp_path / "x.npy").exists()


def test_latents_of_arrays_are_npy_records(folder: Path, tmp_path: Path) -> None:
    series, latents, back = (tmp_path / name for name in ("series.npy", "z.npy", "back.npy"))
    np.save(series, VALUES)
    assert run("compress", series, "-m", folder, "-o", latents)[0] == 0
    assert np.load(latents)["symbols"].shape == (4, 1, 6)
    assert run("decompress", latents, "-m", folder, "-o", back)[0] == 0
    assert np.abs(np.load(back) - VALUES).max() <= STEP / 2


def test_arrays_through_pipes(folder: Path) -> None:
    code, packed, _ = run("compress", "-", "-o", "-", "-m", folder, stdin=array_to_npy(VALUES))
    assert code == 0
    code, unpacked, _ = run("decompress", "-", "-o", "-", "-m", folder, stdin=packed)
    assert code == 0
    assert np.abs(np.load(io.BytesIO(unpacked)) - VALUES).max() <= STEP / 2


def test_folder_of_arrays_with_a_bad_one(folder: Path, tmp_path: Path) -> None:
    source, packed = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(5):
        np.save(source / f"{number}.npy", VALUES + number)
    np.save(source / "2.npy", np.full(SHAPE, np.nan))
    (source / "3.npy").write_bytes(b"no array")
    (source / "notes.txt").write_text("left alone")
    code, _, talk = run("compress", "-r", source, "-o", packed, "-m", folder)
    assert code == 9
    assert "2.npy: the array has values that are NaN" in talk
    assert "3.npy: not a .npy file" in talk
    assert sorted(path.name for path in packed.iterdir()) == ["0.eae", "1.eae", "4.eae"]
    code, _, talk = run("decompress", "-r", packed, "-o", tmp_path / "back", "-m", folder)
    assert code == 0, talk
    for number in (0, 1, 4):
        decoded = np.load(tmp_path / "back" / f"{number}.npy")
        assert np.abs(decoded - VALUES - number).max() <= STEP / 2
