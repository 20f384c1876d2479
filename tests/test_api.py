from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgeae
from edgeae import api


def test_public_names_are_those_listed_and_all_can_be_loaded() -> None:
    assert sorted(edgeae.__all__) == dir(edgeae)
    for name in edgeae.__all__:
        assert getattr(edgeae, name) is not None
    errors = [name for name in vars(edgeae.errors) if name.endswith("Error")]
    assert set(errors) <= set(edgeae.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'compres'"):
        _ = edgeae.compres


def test_decompress_finds_the_bundle_by_the_file(photo: NDArray[np.uint8]) -> None:
    data = edgeae.compress(photo, 40, "tiny")
    assert edgeae.decompress(data).shape == photo.shape
    assert (edgeae.decompress(data, "tiny", threads=1) == edgeae.decompress(data)).all()


def test_one_call_and_codec_give_the_same_file(tiny_bundle: Path, photo: NDArray[np.uint8]) -> None:
    codec = edgeae.Codec.load(tiny_bundle)
    assert edgeae.compress(photo, 40, tiny_bundle) == codec.compress(photo, 40)


@pytest.mark.parametrize("shape", [(64, 128, 3), (50, 70, 3), (64, 128), (64, 64, 4)])
def test_what_is_decompressed_can_be_written_to(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    decoded = edgeae.decompress(edgeae.compress(pixels, model="tiny"), "tiny")
    decoded[0] = 0
    assert not decoded[0].any()


def test_probe_reads_the_header_of_a_prefix(photo: NDArray[np.uint8]) -> None:
    header = edgeae.probe(edgeae.compress(photo, 12.34, "tiny")[:192])
    assert (header.width, header.height, header.mode, header.quality) == (150, 100, "RGB", 1234)


def test_probe_of_something_else_is_a_container_error() -> None:
    with pytest.raises(edgeae.ContainerError):
        edgeae.probe(b"\x89PNG\r\n\x1a\n" + bytes(200))


def test_missing_default_model_says_where_to_put_one(
    photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeae.bundle._search_path", lambda: iter([tmp_path]))
    with pytest.raises(edgeae.BundleError, match=r"'photo'.*EDGEAE_MODELS"):
        edgeae.compress(photo)


def test_repeated_calls_keep_the_codec_open(photo: NDArray[np.uint8]) -> None:
    api._cached_codec.cache_clear()
    for _ in range(3):
        edgeae.decompress(edgeae.compress(photo, model="tiny"))
    assert api._cached_codec.cache_info().misses == 1


def test_replaced_bundle_is_opened_anew(
    tiny_bundle: Path, bundle_copy: Path, photo: NDArray[np.uint8]
) -> None:
    data = edgeae.compress(photo, model=bundle_copy)
    shutil.rmtree(bundle_copy)
    with pytest.raises(edgeae.BundleError, match="neither a bundle"):
        edgeae.compress(photo, model=bundle_copy)
    shutil.copytree(tiny_bundle, bundle_copy, copy_function=shutil.copy)
    assert edgeae.compress(photo, model=bundle_copy) == data


def test_limit_of_pixels_is_the_callers(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(edgeae.ContainerError):
        edgeae.decompress(edgeae.compress(photo, model="tiny"), max_pixels=100)
