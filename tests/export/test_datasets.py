from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeae.errors import ImageError
from edgeae_export.datasets import Crops, WholeExamples, load_examples, sample_inputs
from export.made_digits import idx_bytes, made_digits, write_idx
from export.made_pictures import made_picture

pytestmark = pytest.mark.torch


@pytest.fixture
def digits() -> np.ndarray:
    return made_digits(5)


def saved(folder: Path, name: str, array: np.ndarray) -> Path:
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, x=array)
    else:
        write_idx(path, array)
    return path


@pytest.mark.parametrize(
    "name", ["a-images-idx3-ubyte", "a-ubyte.gz", "a.idx", "a.idx.gz", "a.npy", "a.npz"]
)
def test_array_files_give_their_pictures(tmp_path: Path, digits: np.ndarray, name: str) -> None:
    examples = load_examples([saved(tmp_path, name, digits)], 28, 28, 1)
    np.testing.assert_array_equal(examples[..., 0], digits)


def test_floats_in_0_1_become_grey_levels(tmp_path: Path, digits: np.ndarray) -> None:
    path = saved(tmp_path, "a.npy", digits.astype(np.float32) / 255)
    np.testing.assert_array_equal(load_examples([path], 28, 28, 1)[..., 0], digits)


def test_an_array_of_an_archive_is_named_behind_a_colon(tmp_path: Path, digits: np.ndarray) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=digits, y_train=np.arange(5), x_test=digits[:2])
    assert len(load_examples([Path(f"{path}:x_test")], 28, 28, 1)) == 2
    with pytest.raises(ImageError, match=r"mnist\.npz:x_test.*x_train"):
        load_examples([path], 28, 28, 1)


def test_a_folder_of_pictures_is_cut_and_reduced_to_the_size(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 96, 3), 77, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(made_picture(1, 32, 32)).save(tmp_path / "b.png")
    examples = load_examples([tmp_path], 32, 32, 3)
    assert examples.shape == (2, 32, 32, 3)
    assert (examples[0] == 77).all()
    np.testing.assert_array_equal(examples[1], made_picture(1, 32, 32))
    assert load_examples([tmp_path], 16, 32, 1).shape == (2, 16, 32, 1)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a-ubyte", idx_bytes(made_digits(2))[:-1], "1583 bytes where its header promises 1584"),
        ("a-ubyte", b"\x89PNG\r\n", "starts with 89504e47"),
        ("a-ubyte", b"", "starts with ,"),
        ("a-ubyte", b"\0\0\x0d\x01\0\0\0\x00", "numbers of type 0x0d"),
        ("a-ubyte", b"\0\0\x08\x03\0\0", "header promises"),
        ("a-ubyte.gz", b"\x1f\x8b\x08 cut", "cannot be read as an array"),
        ("a.npy", b"\x93NUMPY\x01\0", "cannot be read as an array"),
        ("a.npz", b"PK\x03\x04", "cannot be read as an array"),
        ("a.npz", b"no archive", "cannot be read as an array"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ImageError, match=re.escape(message)) as caught:
        load_examples([path], 28, 28, 1)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_sizes_and_numbers_are_named(tmp_path: Path, digits: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"5x28x28, but the recipe takes examples of 32x32x1"):
        load_examples([saved(tmp_path, "a.npy", digits)], 32, 32, 1)
    with pytest.raises(ImageError, match=r"floats beyond 0\.\.1"):
        load_examples([saved(tmp_path, "b.npy", digits.astype(np.float32))], 28, 28, 1)
    with pytest.raises(ImageError, match="numbers of type int32"):
        load_examples([saved(tmp_path, "c.npy", digits.astype(np.int32))], 28, 28, 1)
    with pytest.raises(ImageError, match="no such file"):
        load_examples([tmp_path / "none.npy"], 28, 28, 1)


def test_every_example_comes_once_an_epoch_in_a_new_order() -> None:
    pictures = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    examples = WholeExamples(pictures, seed=4)
    batches = [examples.batch(step, 4).ravel() for step in range(5)]
    stream = np.concatenate(batches)
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert not np.array_equal(stream[:10], stream[10:])
    again = WholeExamples(pictures, seed=4)
    np.testing.assert_array_equal(again.batch(3, 4).ravel(), batches[3])


def test_crops_of_a_step_repeat() -> None:
    photos = [made_picture(k) for k in range(3)]
    crops = Crops(photos, 32, seed=1)
    assert crops.count == 3 * 96 * 128 // 32**2
    np.testing.assert_array_equal(crops.batch(7, 4), Crops(photos, 32, seed=1).batch(7, 4))
    assert not np.array_equal(crops.batch(7, 4), crops.batch(8, 4))


def test_sampled_inputs_are_pictures_of_three_channels(tmp_path: Path, digits: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", digits)
    found = sample_inputs([tmp_path / "a.npy"], 3, seed=1)
    assert [picture.shape for picture in found] == [(28, 28, 3)] * 3
    originals = {picture.tobytes() for picture in digits}
    assert all(picture[..., 1].tobytes() in originals for picture in found)
    assert len(sample_inputs([tmp_path / "a.npy"], 99, seed=1)) == len(digits)
    with pytest.raises(ImageError, match="array files and image files at once"):
        sample_inputs([tmp_path / "a.npy", tmp_path], 3, seed=1)
