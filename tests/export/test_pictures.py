from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeae.errors import ImageError
from edgeae.images.files import read_picture
from edgeae_export.pictures import CropSampler, load_pictures
from export.made_pictures import made_picture, write_pictures

pytestmark = pytest.mark.torch


def test_a_folder_and_a_tar_of_it_give_the_same_pictures(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "photos", 3)
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for path in folder.iterdir():
            tar.add(path, arcname=path.name)
    from_folder, from_tar = load_pictures([folder]), load_pictures([tmp_path / "shard.tar"])
    assert len(from_folder) == len(from_tar) == 3
    for one, other in zip(from_folder, from_tar, strict=True):
        np.testing.assert_array_equal(one, other)


def test_pictures_smaller_than_a_crop_are_left_out(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "photos", 2)
    Image.new("RGB", (400, 20)).save(folder / "narrow.png")
    assert len(load_pictures([folder], smallest_side=64)) == 2


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 not a picture")
    with pytest.raises(ImageError, match=r"bad\.jpg: not a picture .*; remove it"):
        load_pictures([tmp_path])


def test_a_broken_tar_is_named(tmp_path: Path) -> None:
    (tmp_path / "shard.tar").write_bytes(b"no archive" * 99)
    with pytest.raises(ImageError, match=r"shard\.tar: cannot be read"):
        load_pictures([tmp_path])


def test_a_compressed_tar_that_is_cut_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "a.png")
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "in" / "a.png", "a.png")
    data = (tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "in" / "a.png").unlink()
    (tmp_path / "in" / "cut.tar").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut\.tar: cannot be read"):
        load_pictures([tmp_path / "in"])


def test_pictures_of_16_bits_are_read_as_the_codec_reads_them(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65_535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    (picture,) = load_pictures([tmp_path])
    assert picture.shape == (64, 64, 3)
    assert (picture[..., 0] == read_picture(tmp_path / "deep.png").pixels).all()
    assert 126 < picture.mean() < 129


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no picture"):
        load_pictures([tmp_path])
    with pytest.raises(ImageError, match="no such file"):
        load_pictures([tmp_path / "nowhere"])


def test_crops_repeat_with_the_seed_and_have_the_size_asked_for() -> None:
    pictures = [made_picture(seed) for seed in range(3)]
    one = CropSampler(pictures, seed=5).crops(40, 64)
    other = CropSampler(pictures, seed=5).crops(40, 64)
    assert one.shape == (40, 64, 64, 3)
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, CropSampler(pictures, seed=6).crops(40, 64))


def test_crops_have_the_same_strides_however_they_are_turned() -> None:
    sampler = CropSampler([made_picture(1)], seed=5)
    assert all(sampler.crops(1, 64).flags.c_contiguous for _ in range(16))


def test_grey_pictures_become_three_equal_channels(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(made_picture(1)[..., 0]).save(buffer, "PNG")
    (tmp_path / "grey.png").write_bytes(buffer.getvalue())
    picture = load_pictures([tmp_path])[0]
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])
